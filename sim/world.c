/*
 * world: time, machines and lives; see world.h.
 */
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "sim/inside.h"

#define FIRST_PORT       32768
#define FIRST_DESCRIPTOR 100

struct sim_options sim_options_calm(void)
{
    return (struct sim_options){
        .latency_us_max = 500,
        .wake_us_max = 50,
        .turn_us_max = 20,
        .disk_us_max = 200,
        .stall = 500,
        .stall_us_max = 20000,
        .spurious_wake = 5000,
        .tiny_segments = 50000,
        .cut_segments = 200000,
        .short_send = 20000,
        .window_bytes_max = 64 * 1024,
        .accept_late = 10000,
        .write_back = 20000,
    };
}

/* Zero half of the time, so that faults also come alone. */
static uint32_t some(struct random *r, uint32_t most)
{
    return random_chance(r, 500000) ? (uint32_t)random_below(r, most) : 0;
}

struct sim_options sim_options_rough(struct random *r)
{
    struct sim_options o = sim_options_calm();
    o.latency_us_max = random_between(r, 1, 50000);
    o.wake_us_max = random_between(r, 1, 1000);
    o.disk_us_max = random_between(r, 1, 5000);
    o.stall = some(r, 20000);
    o.stall_us_max = random_between(r, 1, 500000);
    o.tiny_segments = some(r, 400000);
    o.cut_segments = some(r, 900000);
    o.short_send = some(r, 400000);
    o.window_bytes_max = (size_t)random_between(r, 1, 128 * 1024);
    o.reset = some(r, 10000);
    o.refuse = some(r, 200000);
    o.silence = some(r, 100000);
    o.accept_late = some(r, 200000);
    o.write_error = some(r, 5000);
    o.read_error = some(r, 5000);
    o.sync_error = some(r, 20000);
    o.open_error = some(r, 5000);
    o.write_back = some(r, 200000);
    return o;
}

struct sim *sim_new(uint64_t seed, const struct sim_options *options)
{
    struct sim *s = calloc(1, sizeof *s);
    check(s != NULL);
    random_init(&s->random, seed);
    s->options = *options;
    s->now_us = SIM_SECOND;
    heap_init(&s->events);
    list_init(&s->machines);
    return s;
}

static void machine_free(struct machine *m)
{
    check(m->life == NULL);
    network_free_ports(m);
    store_free_all(m);
    for (struct list *node; (node = list_take_first(&m->partitions)) != NULL;)
        free(container_of(node, struct partition, node));
    list_remove(&m->node);
    free(m);
}

void sim_free(struct sim *s)
{
    for (struct heap_node *n; (n = heap_first(&s->events)) != NULL;) {
        struct sim_event *e = container_of(n, struct sim_event, node);
        heap_remove(&s->events, n);
        e->drop(e);
    }
    heap_fini(&s->events);
    while (!list_empty(&s->machines))
        machine_free(container_of(s->machines.next, struct machine, node));
    dns_free(s);
    free(s);
}

struct sim_options *sim_options(struct sim *s)
{
    return &s->options;
}

struct random *sim_random(struct sim *s)
{
    return &s->random;
}

uint64_t sim_hash(const struct sim *s)
{
    return s->hash;
}

static void mix(struct sim *s, uint64_t value)
{
    s->hash = (s->hash ^ value) * 0xD6E8FEB86659FD93u;
    s->hash ^= s->hash >> 32;
}

void sim_note(struct sim *s, uint64_t what, uint64_t detail)
{
    mix(s, (uint64_t)s->now_us);
    mix(s, what);
    mix(s, detail);
}

void sim_note_bytes(struct sim *s, uint64_t what, struct span bytes)
{
    const uint8_t *at = bytes.data;
    uint64_t lanes[4] = {0}; /* so that the processor need not wait for each product */
    sim_note(s, what, bytes.len);
    for (; bytes.len >= sizeof lanes; bytes.len -= sizeof lanes, at += sizeof lanes)
        for (size_t i = 0; i < 4; i++) {
            uint64_t value;
            memcpy(&value, at + i * sizeof value, sizeof value);
            lanes[i] = (lanes[i] ^ value) * 0xD6E8FEB86659FD93u;
            lanes[i] ^= lanes[i] >> 32;
        }
    for (size_t i = 0; i < 4; i++)
        mix(s, lanes[i]);
    for (; bytes.len > 0; bytes.len--)
        mix(s, *at++);
}

int64_t sim_now_us(const struct sim *s)
{
    return s->now_us;
}

uint64_t sim_turns(const struct sim *s)
{
    return s->turns;
}

void sim_at(struct sim *s, struct sim_event *e, int64_t at_us)
{
    heap_node_init(&e->node);
    check(heap_insert(&s->events, &e->node, at_us < s->now_us ? s->now_us : at_us));
}

int64_t sim_effect_us(const struct sim *s)
{
    return s->now_us + (s->running == NULL ? 0 : s->running->busy_us);
}

/* The loop whose turn is due first; of those that are due by now, one drawn. */
static struct loop *next_loop(struct sim *s)
{
    struct loop *chosen = NULL;
    uint64_t due = 0;
    list_each(m_node, &s->machines)
    {
        struct world *w = container_of(m_node, struct machine, node)->life;
        if (w == NULL || w->death != SIM_ALIVE)
            continue;
        list_each(l_node, &w->loops)
        {
            struct loop *l = container_of(l_node, struct loop, node);
            if (l->thread == NULL || l->thread->is_finished || l->run_at_us == SIM_NEVER)
                continue;
            if (l->run_at_us <= s->now_us) {
                if (random_below(&s->random, ++due) == 0)
                    chosen = l;
            } else if (due == 0 && (chosen == NULL || l->run_at_us < chosen->run_at_us)) {
                chosen = l;
            }
        }
    }
    return chosen;
}

static void fire(struct sim *s, struct heap_node *first)
{
    struct sim_event *e = container_of(first, struct sim_event, node);
    heap_remove(&s->events, first);
    e->fire(s, e);
}

enum sim_stop sim_run_until(struct sim *s, int64_t until_us)
{
    check(s->running == NULL);
    s->has_death = false;
    while (!s->has_death) {
        struct loop *l = next_loop(s);
        struct heap_node *first = heap_first(&s->events);
        int64_t loop_us = l == NULL ? SIM_NEVER : l->run_at_us;
        int64_t event_us = first == NULL ? SIM_NEVER : first->key;
        int64_t next_us = loop_us < event_us ? loop_us : event_us;
        if (next_us == SIM_NEVER || next_us > until_us) {
            if (until_us != SIM_NEVER && s->now_us < until_us)
                s->now_us = until_us;
            return next_us == SIM_NEVER ? SIM_QUIET : SIM_TIME;
        }
        if (s->now_us < next_us)
            s->now_us = next_us;
        if (event_us <= loop_us)
            fire(s, first);
        else
            loop_turn(next_loop(s)); /* again: others may be due at the same time */
    }
    return SIM_DEATH;
}

struct machine *machine_new(struct sim *s, const char *name, struct endpoint address)
{
    struct machine *m = calloc(1, sizeof *m);
    check(m != NULL);
    m->sim = s;
    m->name = name;
    m->next_port = FIRST_PORT;
    m->next_descriptor = FIRST_DESCRIPTOR;
    list_init(&m->ports);
    list_init(&m->stores);
    list_init(&m->partitions);
    list_append(&s->machines, &m->node);
    machine_address(m, address);
    return m;
}

void machine_address(struct machine *m, struct endpoint address)
{
    check(m->address_count < MACHINE_ADDRESSES_MAX && machine_at(m->sim, address) == NULL);
    address.port = 0;
    m->addresses[m->address_count++] = address;
}

void machine_socket_path(struct machine *m, const char *path, struct endpoint to)
{
    check(m->path_count < MACHINE_PATHS_MAX);
    m->paths[m->path_count++] = (struct socket_path){path, to};
}

int machine_door(struct machine *m, struct endpoint to)
{
    check(m->door_count < MACHINE_DOORS_MAX);
    m->doors[m->door_count] = to;
    return (int)m->door_count++;
}

bool machine_owns(const struct machine *m, struct endpoint address)
{
    address.port = 0;
    for (size_t i = 0; i < m->address_count; i++)
        if (endpoint_equal(m->addresses[i], address))
            return true;
    return false;
}

struct machine *machine_at(struct sim *s, struct endpoint address)
{
    list_each(node, &s->machines)
    {
        struct machine *m = container_of(node, struct machine, node);
        if (machine_owns(m, address))
            return m;
    }
    return NULL;
}

void machine_wall_jump(struct machine *m, int64_t ms)
{
    m->wall_offset_ms += ms;
}

static struct partition *partition_of(const struct machine *a, const struct machine *b)
{
    list_each(node, &a->partitions)
    {
        struct partition *p = container_of(node, struct partition, node);
        if (p->other == b)
            return p;
    }
    return NULL;
}

bool machine_is_apart(const struct machine *a, const struct machine *b)
{
    return partition_of(a, b) != NULL || partition_of(b, a) != NULL;
}

static void part(struct machine *a, const struct machine *b, bool apart)
{
    struct partition *p = partition_of(a, b);
    if (apart && p == NULL) {
        p = calloc(1, sizeof *p);
        check(p != NULL);
        p->other = b;
        list_append(&a->partitions, &p->node);
    } else if (!apart && p != NULL) {
        list_remove(&p->node);
        free(p);
    }
}

void machine_partition(struct machine *a, struct machine *b, bool apart)
{
    part(a, b, apart);
    part(b, a, apart);
}

struct world *life_begin(struct machine *m)
{
    check(m->life == NULL);
    struct world *w = calloc(1, sizeof *w);
    check(w != NULL);
    w->sim = m->sim;
    w->machine = m;
    /* A monotonic clock that starts anywhere: whoever keeps its values across lives is found out.
     */
    w->mono_offset_us = random_between(&m->sim->random, 0, 1000000 * SIM_SECOND);
    list_init(&w->loops);
    m->life = w;
    m->is_off = false;
    return w;
}

void life_end(struct world *w)
{
    check(list_empty(&w->loops) && w->thread_count == 0);
    check(w->disk_count == 0 && w->file_count == 0);
    w->machine->life = NULL;
    free(w);
}

void life_kill(struct world *w, enum sim_death how)
{
    check(how != SIM_ALIVE);
    if (w->death != SIM_ALIVE)
        return;
    w->death = how;
    w->machine->is_off = how == SIM_POWER_CUT;
    w->sim->has_death = true;
    sim_note(w->sim, NOTE_DEATH, (uint64_t)how);
    network_life_died(w);
    store_life_died(w->machine, how == SIM_POWER_CUT);
}

enum sim_death life_death(const struct world *w)
{
    return w->death;
}

void life_kill_at(struct world *w, uint64_t operation, enum sim_death how)
{
    check(how != SIM_ALIVE);
    w->kill_at = operation == 0 ? 0 : w->disk_operations + operation;
    w->kill_how = how;
}

uint64_t life_disk_operations(const struct world *w)
{
    return w->disk_operations;
}
