/*
 * control_queue: carries out what is asked of the queue; see control_inside.h.
 *
 * A walk is page after page: the queue gives rows that the filter takes or may take; the rows whose
 * addresses are needed are fetched from the spool, CONTROL_FETCHES_MAX at a time; rows are written,
 * counted or, a page at a time, changed.
 */
#include <stdlib.h>

#include "engine/control_inside.h"
#include "spool/state.h"

void control_await(struct connection *c)
{
    if (c->state != WORKING)
        control_connection_enter(c, WORKING);
    c->letters_out++;
}

static void send_letter(struct connection *c, struct actor *to, struct letter *letter,
                        enum letter_type type)
{
    control_await(c);
    letter_send(c->control->actor, to, letter, type, NULL);
}

static void ask_queue(struct connection *c, struct operate *o)
{
    o->asker = c;
    send_letter(c, queue_actor(c->control->engine->queue), &o->letter, LETTER_OPERATE);
}

void control_fetch(struct connection *c, uint32_t i, struct id id)
{
    struct row_fetch *f = &c->fetches[i];
    f->fetch.id = id;
    f->connection = c;
    send_letter(c, spool_actor(c->control->engine->spool), &f->fetch.letter, LETTER_FETCH);
}

static void ask_page(struct connection *c)
{
    arena_reset(&c->arena);
    c->page.rows = c->rows;
    c->page.rows_max = CONTROL_PAGE_ROWS;
    c->page.arena = &c->arena;
    ask_queue(c, &c->page);
}

static bool is_walk(const struct connection *c)
{
    return c->request >= REQUEST_LIST;
}

void control_queue_begin(struct connection *c)
{
    if (c->request == REQUEST_CAT) {
        control_fetch(c, 0, c->page.id);
        return;
    }
    if (c->request == REQUEST_COUNTS)
        c->page.operation = OPERATE_COUNT;
    if (is_walk(c))
        c->page.operation = OPERATE_LIST;
    if (c->request == REQUEST_GROUP) {
        groups_init(&c->groups, c->control->engine->options.secret);
        c->page.wants_recipients = true;
    }
    ask_page(c);
}

struct connection *control_queue_connection(struct letter *letter)
{
    if (letter->type == LETTER_JOB)
        return container_of(letter, struct connection, content.job.letter);
    if (letter->type == LETTER_FETCH)
        return container_of(letter, struct row_fetch, fetch.letter)->connection;
    return container_of(letter, struct operate, letter)->asker;
}

/* What the filter asks of a recipient whom the queue has described; `mail` may be NULL. */
static void gather_facts(const struct connection *c, const struct operate_row *row,
                         const struct operate_recipient *r, const struct mail_object *mail,
                         struct filter_facts *facts)
{
    int64_t now_ms = loop_wall_ms(actor_loop(c->control->actor));
    int64_t age_ms = now_ms - row->arrival_wall_ms, due_ms = r->due_wall_ms - now_ms;
    const struct envelope *e = mail == NULL ? NULL : &mail->envelope;
    bool is_known = e != NULL && r->index < e->recipient_count;
    *facts = (struct filter_facts){
        .texts = {[FILTER_SENDER] = e == NULL ? SPAN("?") : e->reverse_path,
                  [FILTER_RECIPIENT] = is_known ? e->recipients[r->index].path : SPAN("?"),
                  [FILTER_DOMAIN] = r->domain,
                  [FILTER_SITE] = r->site,
                  [FILTER_STATE] = span_text(row->state),
                  [FILTER_LAST] = r->reply},
        .numbers = {[FILTER_SIZE] = row->content_bytes,
                    [FILTER_AGE] = age_ms > 0 ? (uint64_t)age_ms : 0,
                    [FILTER_DUE] = due_ms > 0 ? (uint64_t)due_ms : 0,
                    [FILTER_ATTEMPTS] = r->attempts}};
    for (size_t i = 0; i < FILTER_FIELDS; i++)
        if (facts->texts[i].data == NULL)
            facts->texts[i] = SPAN(""); /* known to be empty */
}

/* Recipients of the row that wait and that the filter takes; each is counted by its group. */
static uint32_t ask_recipients(struct connection *c, const struct operate_row *row,
                               const struct mail_object *mail, bool *ok)
{
    char id[ID_TEXT_LEN + 1];
    uint32_t count = 0;
    id_format(row->id, id);
    for (uint32_t i = 0; i < row->recipients_count; i++) {
        const struct operate_recipient *r = &c->page.recipients[row->recipients_first + i];
        struct filter_facts facts;
        if (r->standing != RECIPIENT_WAITING)
            continue;
        gather_facts(c, row, r, mail, &facts);
        facts.texts[FILTER_ID] = span_of(id, ID_TEXT_LEN);
        if (c->filter != NULL && filter_ask(c->filter, &facts) != FILTER_YES)
            continue;
        count++;
        if (c->request == REQUEST_GROUP)
            *ok = *ok && groups_count(&c->groups, facts.texts[c->by], row->id, row->content_bytes);
    }
    return count;
}

static bool needs_fetch(const struct connection *c, const struct operate_row *r)
{
    bool is_told = c->request == REQUEST_SHOW || (c->request == REQUEST_LIST && !c->is_brief);
    bool is_by_sender = c->request == REQUEST_GROUP && c->by == FILTER_SENDER;
    return r->is_maybe || is_told || is_by_sender;
}

/* False: there is no memory for it. */
static bool take_row(struct connection *c, const struct operate_row *r,
                     const struct mail_object *mail)
{
    bool ok = true;
    bool is_asked = r->is_maybe || c->request == REQUEST_GROUP;
    if (is_asked && ask_recipients(c, r, mail, &ok) == 0)
        return ok;
    c->rows_left--;
    c->tally.messages++;
    c->tally.recipients += r->recipients_waiting;
    c->tally.bytes += r->content_bytes;
    if (c->request == REQUEST_CHANGE)
        c->ids[c->id_count++] = r->id;
    if (c->request == REQUEST_LIST || c->request == REQUEST_SHOW)
        ok = control_put_row(c, r, mail);
    return ok;
}

static bool finish_rows(struct connection *c)
{
    struct buffer *out = &c->output;
    if (c->request == REQUEST_CHANGE || c->request == REQUEST_CHANGE_ONE)
        return buffer_printf(out, "{\"changed\":%llu}\n", (unsigned long long)c->changed);
    if (c->request == REQUEST_TALLY)
        return buffer_put_text(out, "{\"matched\":{") && control_put_tally(out, &c->tally) &&
               buffer_put_text(out, "}}\n");
    return c->request != REQUEST_GROUP || groups_put(&c->groups, out);
}

static void finish(struct connection *c)
{
    if (!finish_rows(c))
        control_connection_free(c);
    else if (c->request == REQUEST_GROUP && !groups_are_written(&c->groups))
        control_connection_send(c);
    else
        control_connection_finish(c, CONTROL_OK, "");
}

static void end_page(struct connection *c)
{
    bool is_over = !is_walk(c) || c->page.is_end || c->rows_left == 0;
    if (c->id_count > 0) {
        c->change.ids = c->ids;
        c->change.id_count = c->id_count;
        ask_queue(c, &c->change);
    } else if (is_over) {
        finish(c);
    } else {
        ask_page(c);
    }
}

/* Asks for the addresses of the next rows, as many as need them. False: none does. */
static bool fetch_rows(struct connection *c)
{
    uint32_t most = c->page.row_count - c->row;
    if (most > CONTROL_FETCHES_MAX)
        most = CONTROL_FETCHES_MAX;
    if (most > c->rows_left)
        most = (uint32_t)c->rows_left;
    c->batch_end = c->row + most;
    for (uint32_t i = 0; i < most; i++)
        if (needs_fetch(c, &c->rows[c->row + i]))
            control_fetch(c, i, c->rows[c->row + i].id);
    return c->letters_out > 0;
}

/* The rows of the batch, which are fetched. A message that has ended meanwhile has no row. False:
   no memory. */
static bool take_batch(struct connection *c)
{
    bool ok = true;
    for (uint32_t i = 0; c->row < c->batch_end; i++) {
        const struct operate_row *r = &c->rows[c->row++];
        struct fetch *f = &c->fetches[i].fetch;
        struct mail_object *mail = NULL;
        bool is_gone = false;
        if (needs_fetch(c, r)) {
            mail = f->fault == FAULT_NONE ? f->mail : NULL;
            is_gone = f->fault == FAULT_NOT_FOUND;
            f->mail = NULL;
        }
        if (ok && !is_gone && c->rows_left > 0)
            ok = take_row(c, r, mail);
        mail_release(mail);
    }
    return ok;
}

/* What was fetched, then what need not be fetched, up to the end of the page. */
static void serve_rows(struct connection *c)
{
    for (;;) {
        if (!take_batch(c)) {
            control_connection_free(c);
            return;
        }
        if (c->output.len >= SOCKET_READ_BYTES) {
            control_connection_send(c);
            return;
        }
        if (c->row == c->page.row_count || c->rows_left == 0) {
            end_page(c);
            return;
        }
        if (fetch_rows(c))
            return;
    }
}

void control_queue_go_on(struct connection *c)
{
    if (c->request == REQUEST_CAT) {
        control_cat_go_on(c);
        return;
    }
    if (c->request == REQUEST_SITES || (c->request == REQUEST_GROUP && c->groups.sorted != NULL))
        finish(c);
    else if (c->row < c->page.row_count && c->rows_left > 0)
        serve_rows(c);
    else
        end_page(c);
}

static void on_changed(struct connection *c)
{
    c->changed += c->change.changed;
    c->id_count = 0;
    if (c->change.fault != FAULT_NONE)
        control_connection_finish(c, CONTROL_FAILED, fault_text(c->change.fault));
    else if (c->page.is_end)
        finish(c);
    else if (buffer_printf(&c->output, "{\"progress\":%llu}\n", (unsigned long long)c->changed))
        control_connection_send(c);
    else
        control_connection_free(c);
}

static void on_page(struct connection *c)
{
    const struct operate *o = &c->page;
    bool ok = true;
    c->row = c->batch_end = 0;
    switch (c->request) {
    case REQUEST_COUNTS:
        ok = control_put_counts(c);
        break;
    case REQUEST_SITES:
        for (uint32_t i = 0; ok && i < o->site_count; i++)
            ok = control_put_site(&c->output, &o->sites[i]);
        break;
    case REQUEST_CAT:
        break;
    case REQUEST_CHANGE_ONE:
        c->changed = o->changed;
        break;
    case REQUEST_SHOW:
    case REQUEST_LIST:
    case REQUEST_TALLY:
    case REQUEST_GROUP:
    case REQUEST_CHANGE:
        serve_rows(c);
        return;
    }
    if (ok)
        finish(c);
    else
        control_connection_free(c);
}

void control_queue_answered(struct connection *c, struct letter *letter)
{
    enum fault fault = c->page.fault;
    if (c->request == REQUEST_CAT) {
        control_cat_answered(c, letter);
    } else if (letter->type == LETTER_FETCH) {
        if (c->letters_out == 0)
            serve_rows(c);
    } else if (letter == &c->change.letter) {
        on_changed(c);
    } else if (fault != FAULT_NONE) {
        bool is_missing = fault == FAULT_NOT_FOUND;
        control_connection_finish(c, is_missing ? CONTROL_NOT_FOUND : CONTROL_FAILED,
                                  is_missing ? "no such message in the queue" : fault_text(fault));
    } else {
        on_page(c);
    }
}

void control_queue_fini(struct connection *c)
{
    for (uint32_t i = 0; i < CONTROL_FETCHES_MAX; i++)
        mail_release(c->fetches[i].fetch.mail);
    content_fini(&c->content);
    mail_release(c->mail);
    groups_fini(&c->groups);
    filter_free(c->filter);
}
