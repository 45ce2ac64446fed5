/*
 * control_rows: what the control socket answers, as rows of JSON; see control_inside.h.
 */
#include <string.h>

#include "base/encode.h"
#include "engine/control_inside.h"
#include "spool/state.h"

static bool put_paths(struct buffer *out, const struct envelope *e)
{
    bool ok = buffer_put_text(out, ",\"recipients\":[");
    for (uint32_t i = 0; ok && i < e->recipient_count; i++)
        ok = (i == 0 || buffer_put_u8(out, ',')) && encode_json_string(out, e->recipients[i].path);
    return ok && buffer_put_u8(out, ']');
}

static bool put_if_any(struct buffer *out, const char *key, struct span value)
{
    return value.len == 0 ||
           (buffer_printf(out, ",\"%s\":", key) && encode_json_string(out, value));
}

/* What was asked for this recipient, as far as anything was. */
static bool put_wishes(struct buffer *out, const struct envelope_recipient *r)
{
    char notify[NOTIFY_TEXT_MAX];
    return put_if_any(out, "original", r->original) && put_if_any(out, "orcpt", r->orcpt) &&
           put_if_any(out, "notify", notify_text(r->notify, notify));
}

static bool put_recipients(struct connection *c, const struct mail_object *mail)
{
    static const char *const standings[] = {
        [RECIPIENT_WAITING] = "waiting",
        [RECIPIENT_DELIVERED] = "delivered",
        [RECIPIENT_FAILED] = "failed",
        [RECIPIENT_REMOVED] = "removed",
    };
    struct buffer *out = &c->output;
    bool ok = buffer_put_text(out, ",\"standing\":[");
    for (uint32_t i = 0; ok && i < c->page.recipient_count; i++) {
        const struct operate_recipient *r = &c->page.recipients[i];
        bool is_known = mail != NULL && r->index < mail->envelope.recipient_count;
        struct envelope_recipient asked = {.path = SPAN("")};
        if (is_known)
            asked = mail->envelope.recipients[r->index];
        bool has_standing = r->standing >= RECIPIENT_WAITING && r->standing <= RECIPIENT_REMOVED;
        ok = buffer_put_text(out, i == 0 ? "{\"recipient\":" : ",{\"recipient\":") &&
             encode_json_string(out, asked.path) && put_wishes(out, &asked) &&
             buffer_printf(out, ",\"state\":\"%s\",\"attempts\":%u,\"due_ms\":%lld,\"reply\":",
                           has_standing ? standings[r->standing] : "?", r->attempts,
                           (long long)r->due_wall_ms) &&
             encode_json_string(out, r->reply) && buffer_put_u8(out, '}');
    }
    return ok && buffer_put_u8(out, ']');
}

/* One message: what the queue knows, and the addresses where the spool could read them. */
bool control_put_row(struct connection *c, const struct operate_row *r,
                     const struct mail_object *mail)
{
    struct buffer *out = &c->output;
    char id[ID_TEXT_LEN + 1];
    id_format(r->id, id);
    bool ok =
        buffer_printf(out,
                      "{\"id\":\"%s\",\"state\":\"%s\",\"arrival_ms\":%lld,\"bytes\":%llu,"
                      "\"waiting\":%u,\"total\":%u,\"attempts\":%u,\"due_ms\":%lld,\"reply\":",
                      id, r->state, (long long)r->arrival_wall_ms,
                      (unsigned long long)r->content_bytes, r->recipients_waiting,
                      r->recipients_total, r->attempts, (long long)r->due_wall_ms) &&
        encode_json_string(out, r->reply) && buffer_put_text(out, ",\"domain\":") &&
        encode_json_string(out, r->domain) && buffer_put_text(out, ",\"site\":") &&
        encode_json_string(out, r->site);
    if (ok && mail != NULL) {
        const struct envelope *e = &mail->envelope;
        ok = buffer_put_text(out, ",\"sender\":") && encode_json_string(out, e->reverse_path) &&
             buffer_put_text(out, ",\"client\":") && encode_json_string(out, e->client) &&
             buffer_put_text(out, ",\"helo\":") && encode_json_string(out, e->helo) &&
             put_if_any(out, "ret", notify_return_text(e->ret)) &&
             put_if_any(out, "envid", e->envid) &&
             (!e->smtputf8 || buffer_put_text(out, ",\"smtputf8\":true")) && put_paths(out, e);
    }
    if (ok && c->request == REQUEST_SHOW)
        ok = put_recipients(c, mail);
    return ok && buffer_put_text(out, "}\n");
}

static bool put_counts(struct buffer *out, const struct queue_counts *n)
{
    static const struct {
        const char *name;
        size_t at;
    } rows[] = {
#define COUNT(field) {#field, offsetof(struct queue_counts, field)}
        COUNT(messages),  COUNT(recipients), COUNT(held),      COUNT(active),
        COUNT(deferred),  COUNT(sites),      COUNT(channels),  COUNT(accepted),
        COUNT(delivered), COUNT(deferrals),  COUNT(failed),    COUNT(expired),
        COUNT(notified),  COUNT(removed),    COUNT(recovered), COUNT(repeated),
#undef COUNT
    };
    bool ok = buffer_put_u8(out, '{');
    for (size_t i = 0; ok && i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value;
        memcpy(&value, (const char *)n + rows[i].at, sizeof value);
        ok = buffer_printf(out, "%s\"%s\":%llu", i == 0 ? "" : ",", rows[i].name,
                           (unsigned long long)value);
    }
    return ok && buffer_put_u8(out, '}');
}

bool control_put_counts(struct connection *c)
{
    struct buffer *out = &c->output;
    bool ok = buffer_put_text(out, "{\"queue\":") && put_counts(out, &c->page.counts);
    if (ok && c->is_status)
        ok = buffer_put_text(out, ",\"engine\":") &&
             engine_status(c->control->engine, c->control->settings->hostname, out);
    return ok && buffer_put_text(out, "}\n");
}

bool control_put_tally(struct buffer *out, const struct tally *t)
{
    return buffer_printf(out, "\"messages\":%llu,\"recipients\":%llu,\"bytes\":%llu",
                         (unsigned long long)t->messages, (unsigned long long)t->recipients,
                         (unsigned long long)t->bytes);
}

bool control_put_site(struct buffer *out, const struct operate_site *s)
{
    return buffer_put_text(out, "{\"site\":") && encode_json_string(out, s->site) &&
           buffer_printf(out,
                         ",\"state\":\"%s\",\"window\":%u,\"active\":%u,\"ready\":%u,"
                         "\"waiting\":%u,\"connections\":%u,\"until_ms\":%lld,"
                         "\"delivered\":%llu,\"per_minute\":%u,\"fault\":",
                         s->state, s->window, s->active, s->ready, s->waiting, s->connections,
                         (long long)s->until_wall_ms, (unsigned long long)s->delivered,
                         s->per_minute) &&
           encode_json_string(out, s->fault) && buffer_put_text(out, "}\n");
}
