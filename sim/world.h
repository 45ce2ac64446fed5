/*
 * world: the simulated world: virtual time, machines, their network and their disks, from one seed.
 *
 * It implements the headers of src/os/ on one thread. A machine has addresses, listening ports,
 * disks and a clock; a *life* is the time from the start of its process to its end or death, and is
 * the `struct world` that the program under test gets. Loops run in an order drawn from the seed;
 * so are latencies, segments, faults and what a power cut leaves. Each dispatch, send and disk
 * operation enters a hash: two runs of the same seed must give the same one.
 *
 * Death. A life that is killed or loses its power stays in memory as a ghost: its loops run no
 * more, its sends go nowhere, its disk operations fault and change nothing. The scenario then frees
 * it as it would a living one (thread_join does not wait), so that leaks show, and calls
 * sim_life_end.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "os/disk.h"
#include "os/loop.h"
#include "os/socket.h"
#include "os/world.h"
#include "sim/random.h"

struct sim;
struct machine;

#define SIM_SECOND INT64_C(1000000)
#define SIM_NEVER  INT64_MAX

/* Chances are per million of the operation named. They may be changed at any time (sim_options). */
struct sim_options {
    int64_t latency_us_max; /* of a segment, one way */
    int64_t wake_us_max;    /* from a wake-up to the turn */
    int64_t turn_us_max;    /* what a turn costs */
    int64_t disk_us_max;    /* what a disk operation costs; a sync ten times as much */
    uint32_t stall;         /* turns: the thread is held up for up to stall_us_max before */
    int64_t stall_us_max;
    uint32_t spurious_wake;  /* turns: another one follows for nothing */
    uint32_t tiny_segments;  /* connections: bytes come a few at a time */
    uint32_t cut_segments;   /* sends: cut at random places */
    uint32_t short_send;     /* sends: answered SEND_LATER although there is room */
    size_t window_bytes_max; /* bytes under way in one direction before a send must wait */
    uint32_t reset;          /* sends: the connection breaks, sooner or later */
    uint32_t refuse;         /* connects: refused */
    uint32_t silence;        /* connects: no answer for ever */
    uint32_t accept_late;    /* accepts: the connection waits in the kernel for a while */
    uint32_t write_error;    /* writes: DISK_ERROR, any part written */
    uint32_t read_error;     /* reads: DISK_ERROR */
    uint32_t sync_error;     /* syncs: DISK_ERROR, and what was unsynced may be gone for good */
    uint32_t open_error;     /* opens, unlinks, renames: DISK_ERROR, nothing done */
    uint32_t write_back;     /* disk operations: the kernel syncs something by itself */
};

struct sim_options sim_options_calm(void); /* latency and reordering, but nothing fails */
struct sim_options sim_options_rough(struct random *r); /* drawn: some of everything that heals */

struct sim *sim_new(uint64_t seed, const struct sim_options *options);
void sim_free(struct sim *s); /* all lives have ended */
struct sim_options *sim_options(struct sim *s);
struct random *sim_random(struct sim *s); /* for the scenario's own decisions */
uint64_t sim_hash(const struct sim *s);
void sim_note(struct sim *s, uint64_t what, uint64_t detail); /* the scenario's own into the hash */
int64_t sim_now_us(const struct sim *s);
uint64_t sim_turns(const struct sim *s);

/* Why a run returned: the time is reached; nothing will ever happen; a life has just died. */
enum sim_stop { SIM_TIME, SIM_QUIET, SIM_DEATH };
enum sim_stop sim_run_until(struct sim *s, int64_t until_us);

/* A machine with one address to begin with. Names and paths must outlive it. */
struct machine *machine_new(struct sim *s, const char *name, struct endpoint address);
void machine_address(struct machine *m, struct endpoint address);
/* A Unix socket of the machine: who connects to it is connected to `to`, on any machine. */
void machine_socket_path(struct machine *m, const char *path, struct endpoint to);
/* A descriptor that listens on the port, as a supervisor would pass it: it outlives every life of
   the machine, and connections wait in it while nobody accepts. For socket_listen_on. */
int machine_descriptor(struct machine *m, uint16_t port);
/* A door to a process that listens there (os/packet.h), which is a machine of its own: for
   packet_offer; for packet_listen that machine's descriptor of the port is the door. */
int machine_door(struct machine *m, struct endpoint to);
/* An empty directory of so many bytes, for disk_new. */
void machine_disk(struct machine *m, const char *path, uint64_t bytes);
void machine_disk_resize(struct machine *m, const char *path, uint64_t bytes);
void machine_wall_jump(struct machine *m, int64_t ms); /* its wall clock only */
/* Nothing passes between the two until it is healed; then what was sent arrives late. */
void machine_partition(struct machine *a, struct machine *b, bool apart);

enum sim_death {
    SIM_ALIVE,
    SIM_KILLED,   /* kill -9: the kernel goes on: written is written, connections are closed */
    SIM_POWER_CUT /* unsynced is lost, or not, or in part; peers hear nothing for a while */
};
struct world *life_begin(struct machine *m); /* one at a time on a machine */
void life_end(struct world *w);              /* all its loops, threads, disks are freed */
void life_kill(struct world *w, enum sim_death how);
enum sim_death life_death(const struct world *w);
/* Dies in the middle of the n-th disk operation that changes anything from now on (1: the next). */
void life_kill_at(struct world *w, uint64_t operation, enum sim_death how);
uint64_t life_disk_operations(const struct world *w); /* those that change anything, so far */

/* The peer's end of a connection can do what no program of ours does. */
void sim_socket_shut(struct socket *s); /* ends the sending direction only */
void sim_socket_reset(
    struct socket *s); /* breaks the connection; the socket is still to be closed */

#endif
