/*
 * status: the engine's counters as one JSON object, for `postrider status`.
 *
 * Read from other threads' relaxed counters: each is right, together they are of almost one moment.
 */
#include "engine/engine_inside.h"

static bool put_actor(struct buffer *out, const char *name, struct actor *actor, bool is_first)
{
    struct actor_counters a;
    struct loop_counters l;
    actor_counters(actor, &a);
    loop_counters(actor_loop(actor), &l);
    uint64_t calls = l.waits + l.wakes + l.reads + l.sends + l.accepts + l.connects + l.controls;
    return buffer_printf(out,
                         "%s{\"name\":\"%s\",\"turns\":%llu,\"letters_sent\":%llu,"
                         "\"letters_taken\":%llu,\"wakeups\":%llu,\"system_calls\":%llu,"
                         "\"bytes_read\":%llu,\"bytes_sent\":%llu}",
                         is_first ? "" : ",", name, (unsigned long long)a.turns,
                         (unsigned long long)a.letters_sent, (unsigned long long)a.letters_taken,
                         (unsigned long long)a.wakeups_sent, (unsigned long long)calls,
                         (unsigned long long)l.bytes_read, (unsigned long long)l.bytes_sent);
}

static bool put_actors(const struct engine *e, struct buffer *out)
{
    bool ok = buffer_put_text(out, "\"actors\":[") && put_actor(out, "engine", e->actor, true);
    for (uint32_t i = 0; ok && i < e->member_count; i++)
        ok = put_actor(out, e->members[i].name, e->members[i].actor, false);
    return ok && buffer_put_u8(out, ']');
}

static bool put_spool(const struct engine *e, struct buffer *out)
{
    struct spool_counters s;
    spool_counters(e->spool, &s);
    return buffer_printf(out,
                         "\"spool\":{\"records\":%llu,\"batches\":%llu,\"syncs\":%llu,"
                         "\"bytes_written\":%llu,\"copies\":%llu,\"segments\":%llu,"
                         "\"segments_free\":%llu,\"segments_compacted\":%llu,\"messages\":%llu,"
                         "\"live_bytes\":%llu,\"damaged\":%llu,\"failed\":%s,\"recovered\":%s}",
                         (unsigned long long)s.records, (unsigned long long)s.batches,
                         (unsigned long long)s.syncs, (unsigned long long)s.bytes_written,
                         (unsigned long long)s.copies, (unsigned long long)s.segments,
                         (unsigned long long)s.segments_free,
                         (unsigned long long)s.segments_compacted, (unsigned long long)s.messages,
                         (unsigned long long)s.live_bytes, (unsigned long long)s.damaged,
                         s.failed ? "true" : "false", s.recovered ? "true" : "false");
}

static bool put_receivers(const struct engine *e, struct buffer *out)
{
    struct receiver_counters sum = {0};
    for (uint32_t i = 0; i < e->worker_count; i++) {
        struct receiver_counters r;
        receiver_counters(worker_receiver(e->workers[i]), &r);
        sum.sessions += r.sessions;
        sum.sessions_open += r.sessions_open;
        sum.sessions_refused += r.sessions_refused;
        sum.messages += r.messages;
        sum.recipients += r.recipients;
        sum.bytes += r.bytes;
        sum.refused += r.refused;
        sum.copies += r.copies;
    }
    return buffer_printf(out,
                         "\"receive\":{\"sessions\":%llu,\"sessions_open\":%llu,"
                         "\"sessions_refused\":%llu,\"messages\":%llu,\"recipients\":%llu,"
                         "\"bytes\":%llu,\"refused\":%llu,\"copies\":%llu}",
                         (unsigned long long)sum.sessions, (unsigned long long)sum.sessions_open,
                         (unsigned long long)sum.sessions_refused, (unsigned long long)sum.messages,
                         (unsigned long long)sum.recipients, (unsigned long long)sum.bytes,
                         (unsigned long long)sum.refused, (unsigned long long)sum.copies);
}

static bool put_deliverers(const struct engine *e, struct buffer *out)
{
    struct deliverer_counters sum = {0};
    for (uint32_t i = 0; i < e->worker_count; i++) {
        struct deliverer_counters d;
        deliverer_counters(worker_deliverer(e->workers[i]), &d);
        sum.connections += d.connections;
        sum.connections_open += d.connections_open;
        sum.connects_failed += d.connects_failed;
        sum.transactions += d.transactions;
        sum.delivered += d.delivered;
        sum.bytes += d.bytes;
        sum.fetched += d.fetched;
    }
    return buffer_printf(out,
                         "\"deliver\":{\"connections\":%llu,\"connections_open\":%llu,"
                         "\"connects_failed\":%llu,\"transactions\":%llu,\"delivered\":%llu,"
                         "\"bytes\":%llu,\"fetched\":%llu}",
                         (unsigned long long)sum.connections,
                         (unsigned long long)sum.connections_open,
                         (unsigned long long)sum.connects_failed,
                         (unsigned long long)sum.transactions, (unsigned long long)sum.delivered,
                         (unsigned long long)sum.bytes, (unsigned long long)sum.fetched);
}

bool engine_status(const struct engine *e, const char *hostname, struct buffer *out)
{
    return buffer_printf(out,
                         "{\"hostname\":\"%s\",\"started_ms\":%lld,\"workers\":%u,"
                         "\"generation\":%u,\"generations\":%u,",
                         hostname, (long long)e->started_wall_ms, e->worker_count,
                         atomic_load(&e->generation_number), atomic_load(&e->generation_count)) &&
           put_receivers(e, out) && buffer_put_u8(out, ',') && put_deliverers(e, out) &&
           buffer_put_u8(out, ',') && put_spool(e, out) && buffer_put_u8(out, ',') &&
           put_actors(e, out) && buffer_put_u8(out, '}');
}
