/*
 * inside: what the parts of the simulated world share; nobody else includes it.
 */
#ifndef SIM_INSIDE_H
#define SIM_INSIDE_H

#include "base/check.h"
#include "base/list.h"
#include "sim/world.h"

#define MACHINE_ADDRESSES_MAX 8
#define MACHINE_DOORS_MAX     4
#define MACHINE_PATHS_MAX     4

/* Something that happens at a time. It belongs to the queue until `fire` (or `drop`, when the
   simulation ends before) takes it. */
struct sim_event {
    struct heap_node node;
    void (*fire)(struct sim *s, struct sim_event *e);
    void (*drop)(struct sim_event *e);
};

struct sim {
    struct random random;
    struct sim_options options;
    uint64_t hash;
    uint64_t turns;
    int64_t now_us;
    struct heap events;
    struct list machines;
    struct loop *running; /* whose turn it is, or NULL */
    bool has_death;
    struct dns *dns; /* lookup.c; NULL until somebody needs it */
};

struct partition {
    struct list node;
    const struct machine *other;
};

/* A Unix socket: who connects to it is connected to `to`. */
struct socket_path {
    const char *path;
    struct endpoint to;
};

struct machine {
    struct list node; /* in sim.machines */
    struct sim *sim;
    const char *name;
    struct endpoint addresses[MACHINE_ADDRESSES_MAX];
    size_t address_count;
    struct socket_path paths[MACHINE_PATHS_MAX];
    size_t path_count;
    int64_t wall_offset_ms;
    uint16_t next_port;
    int next_descriptor;
    struct endpoint doors[MACHINE_DOORS_MAX]; /* of processes on other machines: packet.c */
    size_t door_count;
    struct list ports;
    struct list stores;
    struct list partitions;
    struct world *life;
    bool is_off; /* from a power cut to the next life */
};

struct world {
    struct sim *sim;
    struct machine *machine;
    enum sim_death death;
    int64_t mono_offset_us;
    uint64_t disk_operations;
    uint64_t kill_at; /* 0: never */
    enum sim_death kill_how;
    uint32_t thread_count, disk_count, file_count;
    struct list loops;
};

struct thread {
    struct world *world;
    struct loop *loop;
    thread_turn turn;
    void *context;
    bool is_finished;
};

struct loop {
    struct list node; /* in world.loops */
    struct world *world;
    struct thread *thread;
    int64_t run_at_us; /* of its thread's next turn; SIM_NEVER while it sleeps for good */
    int64_t free_us;   /* its thread is on the disk, or held up, until then */
    int64_t busy_us;   /* spent in this turn on the disk */
    bool may_sleep;    /* said by the last poll */
    bool is_dispatching;
    int64_t mono_us, wall_ms;
    void (*on_tick)(void *context);
    void *tick_context;
    struct heap timers;
    struct list ready;   /* sockets with something to tell */
    struct list sockets; /* all of them */
    struct list dead;    /* closed in this poll */
    struct loop_counters counters;
};

/* world.c */
void sim_at(struct sim *s, struct sim_event *e, int64_t at_us);
/* When what the running turn does now takes effect: after its time on the disk. */
int64_t sim_effect_us(const struct sim *s);
void sim_note_bytes(struct sim *s, uint64_t what, struct span bytes);
struct machine *machine_at(struct sim *s, struct endpoint address);
bool machine_is_apart(const struct machine *a, const struct machine *b);
bool machine_owns(const struct machine *m, struct endpoint address);

/* loop.c */
void loop_run_by(struct loop *l, int64_t at_us); /* the next turn is then, or before */
void loop_turn(struct loop *l);

/* network.c */
void network_dispatch(struct loop *l);
void network_bury(struct loop *l);
void network_life_died(struct world *w);
void network_free_ports(struct machine *m);

/* lookup.c */
void dns_free(struct sim *s);

/* store.c */
void store_life_died(struct machine *m, bool power_cut);
void store_free_all(struct machine *m);

enum note {
    NOTE_TURN = 1,
    NOTE_TIMER,
    NOTE_WAKE,
    NOTE_CONNECT,
    NOTE_ACCEPT,
    NOTE_SEND,
    NOTE_BYTES,
    NOTE_SENT,
    NOTE_END,
    NOTE_CLOSE,
    NOTE_OPEN,
    NOTE_WRITE,
    NOTE_READ,
    NOTE_SYNC,
    NOTE_NAME,
    NOTE_DEATH,
    NOTE_SCENARIO,
    NOTE_LOOKUP
};

#endif
