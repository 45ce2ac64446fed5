#include "engine/control.h"

#include <stdlib.h>

#include "base/encode.h"
#include "engine/control_inside.h"

void control_connection_enter(struct connection *c, enum connection_state next)
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

void control_connection_free(struct connection *c)
{
    if (c->socket != NULL)
        socket_close(c->socket);
    timer_cancel(actor_loop(c->control->actor), &c->timeout);
    buffer_fini(&c->input);
    buffer_fini(&c->output);
    arena_fini(&c->arena);
    control_queue_fini(c);
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
        control_connection_free(c);
        return;
    }
    socket_close(c->socket);
    c->socket = NULL;
    timer_cancel(actor_loop(c->control->actor), &c->timeout);
    control_connection_enter(c, ORPHAN);
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

void control_connection_send(struct connection *c)
{
    struct span out = buffer_span(&c->output);
    control_connection_enter(c, SENDING);
    expect_progress(c);
    if (socket_send(c->socket, &out, 1) == SEND_DONE)
        after_send(c);
}

void control_connection_finish(struct connection *c, enum control_exit code, const char *message)
{
    c->is_last = true;
    if (!control_end_format(&c->output, code, message)) {
        control_connection_free(c);
        return;
    }
    control_connection_send(c);
}

/* What was written is with the kernel: the next row or page, or the end. */
static void after_send(struct connection *c)
{
    buffer_reset(&c->output);
    if (c->is_last)
        control_connection_free(c);
    else
        control_queue_go_on(c);
}

/* Requests.
 * ----------------------------------------------------------------------------------------
 */

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
        control_connection_finish(c, CONTROL_UNAVAILABLE, "this server cannot reload");
        return;
    }
    c->is_reload = true;
    control_connection_enter(c, WORKING);
    o->on_reload_wanted(o->context);
}

static void answer_reload(struct connection *c, const struct ended *e)
{
    struct buffer *out = &c->output;
    bool ok = buffer_put_text(out, "{\"text\":") &&
              encode_json_string(out, buffer_span(&e->text)) && buffer_put_text(out, "}\n");
    c->is_reload = false;
    if (ok)
        control_connection_finish(c, e->is_good ? CONTROL_OK : CONTROL_CONFIG, "");
    else
        control_connection_free(c);
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
            c->request = REQUEST_COUNTS;
            wrong = NULL;
        } else if (!is_operator(c)) {
            control_connection_finish(
                c, CONTROL_DENIED,
                "not permitted: only root, the server's user and control-group may do this");
            return;
        } else if (span_equal(words[0], SPAN("reload")) && count == 1) {
            wait_for_reload(c);
            return;
        } else if (span_equal(words[0], SPAN("queue"))) {
            wrong = control_queue_take(c, words + 1, count - 1);
        }
    }
    if (wrong != NULL)
        control_connection_finish(c, CONTROL_USAGE, wrong);
    else
        control_queue_begin(c);
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
        control_connection_finish(c, CONTROL_USAGE, "the request is too long");
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
    arena_init(&c->arena, CONTROL_ARENA_MAX);
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

static void on_back(struct letter *letter)
{
    struct connection *c = control_queue_connection(letter);
    c->letters_out--;
    if (c->state != ORPHAN)
        control_queue_answered(c, letter);
    else if (c->letters_out == 0)
        control_connection_free(c);
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
        on_back(letter);
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
    list_each(node, &c->connections)
        control_connection_free(container_of(node, struct connection, node));
    if (c->listener != NULL)
        socket_close(c->listener);
    ended_free(atomic_exchange(&c->reload, NULL));
    settings_release(c->settings);
    actor_free(c->actor);
    free(c);
}
