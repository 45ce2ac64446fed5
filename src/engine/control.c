#include "engine/control.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "engine/engine_inside.h"
#include "ipc/control.h"
#include "spool/state.h"
#include "transfer/operate.h"

#define ARENA_MAX (8u * 1024 * 1024) /* texts of one page, or all recipients of one message */

struct control {
    struct actor *actor;
    struct engine *engine;
    struct socket *listener;
    struct list connections;
    uint32_t connection_count;
    struct letter *stop;
    const struct settings *settings; /* a reference */
    struct ended *_Atomic reload;    /* what came of one; NULL: nothing new */
};

/* What came of a reload. */
struct ended {
    bool is_good;
    struct buffer text;
};

/*
 *   ASKING --request--> WORKING <--> SENDING --last row sent--> closed
 * WORKING has a letter under way (operate or fetch), or waits for a reload; when the client goes
 * away meanwhile the connection is an ORPHAN until the letter is back.
 */
enum connection_state { ASKING, WORKING, SENDING, ORPHAN };

struct connection {
    struct list node;
    struct control *control;
    struct socket *socket; /* NULL: an orphan */
    struct timer timeout;
    enum connection_state state;
    struct buffer input, output;
    struct arena arena;
    struct operate operate;
    struct fetch fetch;
    struct operate_row rows[CONTROL_PAGE_ROWS];
    uint32_t row;       /* being fetched */
    uint64_t rows_left; /* of --limit */
    bool is_status, is_last, is_reload;
};

static void serve_row(struct connection *c);

static void connection_enter(struct connection *c, enum connection_state next)
{
    static const uint8_t moves[] = {
        [ASKING] = 1 << WORKING | 1 << SENDING,
        [WORKING] = 1 << WORKING | 1 << SENDING | 1 << ORPHAN,
        [SENDING] = 1 << WORKING | 1 << SENDING,
        [ORPHAN] = 0,
    };
    check((moves[c->state] & (1u << next)) != 0);
    c->state = next;
}

static void connection_free(struct connection *c)
{
    if (c->socket != NULL)
        socket_close(c->socket);
    timer_cancel(actor_loop(c->control->actor), &c->timeout);
    buffer_fini(&c->input);
    buffer_fini(&c->output);
    arena_fini(&c->arena);
    mail_release(c->fetch.mail);
    list_remove(&c->node);
    c->control->connection_count--;
    free(c);
}

/* The client is gone, or did not ask or read in time, or the engine ends. */
static void hang_up(struct connection *c)
{
    if (c->state == ORPHAN)
        return; /* its letter is still under way */
    if (c->state != WORKING || c->is_reload) {
        connection_free(c);
        return;
    }
    socket_close(c->socket);
    c->socket = NULL;
    timer_cancel(actor_loop(c->control->actor), &c->timeout);
    connection_enter(c, ORPHAN);
}

static void expect_progress(struct connection *c)
{
    struct loop *l = actor_loop(c->control->actor);
    int64_t at_us = loop_mono_us(l) + CONTROL_TIMEOUT_MS * INT64_C(1000);
    if (timer_set(l, &c->timeout, at_us) != FAULT_NONE)
        check(!heap_contains(&c->timeout.node)); /* no memory for it: it may then stay for ever */
}

/* While the queue or the spool is asked it is not the client who is slow. */
static void on_timeout(void *context)
{
    struct connection *c = context;
    if (c->state == WORKING)
        expect_progress(c);
    else
        hang_up(c);
}

/* Answers.
 * -----------------------------------------------------------------------------------------
 */

static void after_send(struct connection *c);

static void send_output(struct connection *c)
{
    struct span out = buffer_span(&c->output);
    connection_enter(c, SENDING);
    expect_progress(c);
    if (socket_send(c->socket, &out, 1) == SEND_DONE)
        after_send(c);
}

static void finish(struct connection *c, enum control_exit code, const char *message)
{
    c->is_last = true;
    if (!control_end_format(&c->output, code, message)) {
        connection_free(c);
        return;
    }
    send_output(c);
}

static void operate(struct connection *c)
{
    struct control *control = c->control;
    arena_reset(&c->arena);
    c->operate.rows = c->rows;
    c->operate.rows_max = CONTROL_PAGE_ROWS;
    c->operate.arena = &c->arena;
    connection_enter(c, WORKING);
    letter_send(control->actor, queue_actor(control->engine->queue), &c->operate.letter,
                LETTER_OPERATE, NULL);
}

/* What was written is with the kernel: the next row or page, or the end. */
static void after_send(struct connection *c)
{
    buffer_reset(&c->output);
    if (c->is_last)
        connection_free(c);
    else if (c->row < c->operate.row_count)
        serve_row(c);
    else
        operate(c);
}

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
    for (uint32_t i = 0; ok && i < c->operate.recipient_count; i++) {
        const struct operate_recipient *r = &c->operate.recipients[i];
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
static bool put_row(struct connection *c, const struct operate_row *r,
                    const struct mail_object *mail)
{
    struct buffer *out = &c->output;
    char id[ID_TEXT_LEN + 1];
    id_format(r->id, id);
    const char *state = r->held           ? "held"
                        : r->active       ? "active"
                        : r->attempts > 0 ? "deferred"
                                          : "new";
    bool ok =
        buffer_printf(out,
                      "{\"id\":\"%s\",\"state\":\"%s\",\"arrival_ms\":%lld,\"bytes\":%llu,"
                      "\"waiting\":%u,\"total\":%u,\"attempts\":%u,\"due_ms\":%lld,\"reply\":",
                      id, state, (long long)r->arrival_wall_ms,
                      (unsigned long long)r->content_bytes, r->recipients_waiting,
                      r->recipients_total, r->attempts, (long long)r->due_wall_ms) &&
        encode_json_string(out, r->reply);
    if (ok && mail != NULL) {
        const struct envelope *e = &mail->envelope;
        ok = buffer_put_text(out, ",\"sender\":") && encode_json_string(out, e->reverse_path) &&
             buffer_put_text(out, ",\"client\":") && encode_json_string(out, e->client) &&
             buffer_put_text(out, ",\"helo\":") && encode_json_string(out, e->helo) &&
             put_if_any(out, "ret", notify_return_text(e->ret)) &&
             put_if_any(out, "envid", e->envid) &&
             (!e->smtputf8 || buffer_put_text(out, ",\"smtputf8\":true")) && put_paths(out, e);
    }
    if (ok && c->operate.operation == OPERATE_SHOW)
        ok = put_recipients(c, mail);
    return ok && buffer_put_text(out, "}\n");
}

static void serve_row(struct connection *c)
{
    struct control *control = c->control;
    c->fetch.id = c->rows[c->row].id;
    connection_enter(c, WORKING);
    letter_send(control->actor, spool_actor(control->engine->spool), &c->fetch.letter, LETTER_FETCH,
                NULL);
}

/* The message may have ended meanwhile: then it has no row. */
static void on_fetched(struct connection *c)
{
    struct mail_object *mail = c->fetch.fault == FAULT_NONE ? c->fetch.mail : NULL;
    c->fetch.mail = NULL;
    const struct operate_row *r = &c->rows[c->row++];
    bool ok = c->fetch.fault == FAULT_NOT_FOUND || put_row(c, r, mail);
    mail_release(mail);
    c->operate.after = r->id;
    bool is_end = c->rows_left != UINT64_MAX && --c->rows_left == 0;
    if (!ok)
        connection_free(c);
    else if (is_end || c->operate.operation == OPERATE_SHOW)
        finish(c, CONTROL_OK, "");
    else if (c->row < c->operate.row_count && c->output.len < SOCKET_READ_BYTES)
        serve_row(c);
    else
        send_output(c);
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

static void on_operated(struct connection *c)
{
    struct operate *o = &c->operate;
    struct buffer *out = &c->output;
    if (o->fault != FAULT_NONE) {
        bool is_missing = o->fault == FAULT_NOT_FOUND;
        finish(c, is_missing ? CONTROL_NOT_FOUND : CONTROL_FAILED,
               is_missing ? "no such message in the queue" : fault_text(o->fault));
    } else if (o->operation == OPERATE_COUNT) {
        bool ok = buffer_put_text(out, "{\"queue\":") && put_counts(out, &o->counts);
        if (ok && c->is_status)
            ok = buffer_put_text(out, ",\"engine\":") &&
                 engine_status(c->control->engine, c->control->settings->hostname, out);
        if (ok && buffer_put_text(out, "}\n"))
            finish(c, CONTROL_OK, "");
        else
            connection_free(c);
    } else if (o->operation == OPERATE_LIST || o->operation == OPERATE_SHOW) {
        c->row = 0;
        if (o->row_count > 0)
            serve_row(c);
        else
            finish(c, CONTROL_OK, "");
    } else if (buffer_printf(out, "{\"changed\":%llu}\n", (unsigned long long)o->changed)) {
        finish(c, CONTROL_OK, "");
    } else {
        connection_free(c);
    }
}

/* Requests.
 * ----------------------------------------------------------------------------------------
 */

/* "queue OPERATION (ID | --all)". */
static const char *take_target(struct connection *c, const struct span *words, size_t count)
{
    if (count != 1)
        return "name one message, or --all";
    if (span_equal(words[0], SPAN("--all")))
        c->operate.all = true;
    else if (!id_parse(words[0], &c->operate.id))
        return "this is no message id";
    return NULL;
}

static const char *take_list(struct connection *c, const struct span *words, size_t count)
{
    c->rows_left = UINT64_MAX;
    if (count == 0)
        return NULL;
    bool ok = count == 2 && span_equal(words[0], SPAN("--limit")) &&
              span_parse_u64(words[1], UINT64_MAX - 1, &c->rows_left) && c->rows_left > 0;
    return ok ? NULL : "list takes --limit N, N at least 1";
}

static const char *take_queue(struct connection *c, const struct span *words, size_t count)
{
    static const struct {
        struct span name;
        enum operation operation;
    } rows[] = {
        {SPAN("list"), OPERATE_LIST},       {SPAN("show"), OPERATE_SHOW},
        {SPAN("retry"), OPERATE_RETRY},     {SPAN("hold"), OPERATE_HOLD},
        {SPAN("release"), OPERATE_RELEASE}, {SPAN("remove"), OPERATE_REMOVE},
        {SPAN("count"), OPERATE_COUNT},
    };
    size_t i = 0;
    while (i < sizeof rows / sizeof rows[0] && (count == 0 || !span_equal(words[0], rows[i].name)))
        i++;
    if (i == sizeof rows / sizeof rows[0])
        return "queue knows: list show retry hold release remove count";
    c->operate.operation = rows[i].operation;
    if (rows[i].operation == OPERATE_COUNT)
        return count == 1 ? NULL : "count takes nothing more";
    if (rows[i].operation == OPERATE_LIST)
        return take_list(c, words + 1, count - 1);
    const char *wrong = take_target(c, words + 1, count - 1);
    if (wrong == NULL && rows[i].operation == OPERATE_SHOW && c->operate.all)
        return "show takes one message id";
    c->rows_left = UINT64_MAX;
    return wrong;
}

static bool is_operator(const struct connection *c)
{
    const struct engine_operators *o = &c->control->engine->options.operators;
    uint32_t uid;
    if (!socket_peer_user(c->socket, &uid))
        return false;
    return uid == 0 || uid == o->uid || (o->has_group && socket_peer_is_in(c->socket, o->gid));
}

static void wait_for_reload(struct connection *c)
{
    const struct engine_options *o = &c->control->engine->options;
    if (o->on_reload_wanted == NULL) {
        finish(c, CONTROL_UNAVAILABLE, "this server cannot reload");
        return;
    }
    c->is_reload = true;
    connection_enter(c, WORKING);
    o->on_reload_wanted(o->context);
}

static void answer_reload(struct connection *c, const struct ended *e)
{
    struct buffer *out = &c->output;
    bool ok = buffer_put_text(out, "{\"text\":") &&
              encode_json_string(out, buffer_span(&e->text)) && buffer_put_text(out, "}\n");
    c->is_reload = false;
    if (ok)
        finish(c, e->is_good ? CONTROL_OK : CONTROL_CONFIG, "");
    else
        connection_free(c);
}

static void ended_free(struct ended *e)
{
    if (e == NULL)
        return;
    buffer_fini(&e->text);
    free(e);
}

static void answer_reloads(struct control *control)
{
    struct ended *e = atomic_exchange(&control->reload, NULL);
    if (e == NULL)
        return;
    list_each(node, &control->connections)
    {
        struct connection *c = container_of(node, struct connection, node);
        if (c->is_reload)
            answer_reload(c, e);
    }
    ended_free(e);
}

void control_reload_ended(struct control *control, bool is_good, struct span text)
{
    struct ended *e = calloc(1, sizeof *e);
    if (e == NULL)
        return;
    e->is_good = is_good;
    buffer_init(&e->text, text.len + 1);
    (void)!buffer_put(&e->text, text);
    ended_free(atomic_exchange(&control->reload, e));
    (void)loop_wake(actor_loop(control->actor));
}

static void on_request(struct connection *c, struct span line)
{
    struct span words[CONTROL_WORDS_MAX];
    size_t count;
    const char *wrong = "the request cannot be read";
    if (control_request_parse(line, words, &count)) {
        wrong = "unknown request";
        if (span_equal(words[0], SPAN("status")) && count == 1) {
            c->is_status = true;
            c->operate.operation = OPERATE_COUNT;
            wrong = NULL;
        } else if (!is_operator(c)) {
            finish(c, CONTROL_DENIED,
                   "not permitted: only root, the server's user and control-group may do this");
            return;
        } else if (span_equal(words[0], SPAN("reload")) && count == 1) {
            wait_for_reload(c);
            return;
        } else if (span_equal(words[0], SPAN("queue"))) {
            wrong = take_queue(c, words + 1, count - 1);
        }
    }
    if (wrong != NULL)
        finish(c, CONTROL_USAGE, wrong);
    else
        operate(c);
}

static void on_bytes(void *context, struct span bytes)
{
    struct connection *c = context;
    if (c->state != ASKING)
        return; /* nothing more is expected */
    bool fits = buffer_put(&c->input, bytes);
    struct span input = buffer_span(&c->input);
    size_t end = span_find_byte(input, '\n', 0);
    if (end < input.len)
        on_request(c, span_sub(input, 0, end));
    else if (!fits)
        finish(c, CONTROL_USAGE, "the request is too long");
}

static void on_sent(void *context)
{
    after_send(context);
}

/* Who has only ended its sending still gets its answer. */
static void on_end(void *context, enum fault fault)
{
    struct connection *c = context;
    if (fault != FAULT_NONE || c->state == ASKING)
        hang_up(c);
}

static const struct socket_events connection_events = {
    .on_bytes = on_bytes, .on_sent = on_sent, .on_end = on_end};

static void on_accept(void *context, struct socket *socket, struct endpoint peer)
{
    struct control *control = context;
    (void)peer;
    struct connection *c = NULL;
    if (control->connection_count < CONTROL_CONNECTIONS_MAX)
        c = calloc(1, sizeof *c);
    if (c == NULL) {
        socket_close(socket);
        return;
    }
    c->control = control;
    c->socket = socket;
    c->state = ASKING;
    buffer_init(&c->input, CONTROL_REQUEST_MAX);
    buffer_init(&c->output, CONTROL_OUTPUT_MAX);
    arena_init(&c->arena, ARENA_MAX);
    timer_init(&c->timeout, on_timeout, c);
    list_append(&control->connections, &c->node);
    control->connection_count++;
    socket_adopt(socket, &connection_events, c);
    expect_progress(c);
}

static const struct socket_events listener_events = {.on_accept = on_accept};

/* The actor.
 * ---------------------------------------------------------------------------------------
 */

static void on_back(struct control *control, struct letter *letter)
{
    bool is_fetch = letter->type == LETTER_FETCH;
    struct connection *c = is_fetch ? container_of(letter, struct connection, fetch.letter)
                                    : container_of(letter, struct connection, operate.letter);
    (void)control;
    if (c->state == ORPHAN)
        connection_free(c);
    else if (is_fetch)
        on_fetched(c);
    else
        on_operated(c);
}

static void on_stop(struct control *control, struct letter *letter)
{
    control->stop = letter;
    socket_close(control->listener);
    control->listener = NULL;
    list_each(node, &control->connections) hang_up(container_of(node, struct connection, node));
}

static void on_renew(struct control *control, struct control_renewal *renewal)
{
    settings_release(control->settings);
    control->settings = settings_retain(renewal->settings);
    letter_answer(control->actor, &renewal->letter);
}

static void on_letter(void *self, struct letter *letter)
{
    struct control *control = self;
    if (letter->is_answer)
        on_back(control, letter);
    else if (letter->type == LETTER_STOP)
        on_stop(control, letter);
    else if (letter->type == LETTER_RENEW)
        on_renew(control, container_of(letter, struct control_renewal, letter));
    else
        letter_answer(control->actor, letter); /* PING */
}

/* Letters that are under way to others must come back first. */
static void on_turn(void *self)
{
    struct control *control = self;
    answer_reloads(control);
    if (control->stop == NULL || !list_empty(&control->connections))
        return;
    letter_answer(control->actor, control->stop);
    control->stop = NULL;
    actor_stop(control->actor);
}

static const struct actor_role role = {"control", on_letter, on_turn};

enum fault control_new(struct world *w, struct engine *e, int descriptor, struct log *log,
                       struct control **control_out)
{
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL)
        return FAULT_NO_MEMORY;
    control->engine = e;
    control->settings = settings_retain(e->options.source.settings);
    list_init(&control->connections);
    enum fault fault = actor_new(w, &role, control, 0, log, &control->actor);
    if (fault == FAULT_NONE)
        fault = socket_listen_on(actor_loop(control->actor), descriptor, &listener_events, control,
                                 &control->listener);
    if (fault != FAULT_NONE) {
        control_free(control);
        return fault;
    }
    *control_out = control;
    return FAULT_NONE;
}

struct actor *control_actor(struct control *c)
{
    return c->actor;
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    list_each(node, &c->connections) connection_free(container_of(node, struct connection, node));
    if (c->listener != NULL)
        socket_close(c->listener);
    ended_free(atomic_exchange(&c->reload, NULL));
    settings_release(c->settings);
    actor_free(c->actor);
    free(c);
}
