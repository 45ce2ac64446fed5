/*
 * queue_house: the queue's actor in the simulated world, with a spool, a resolver and workers that
 * do what a test tells them, and that watch what the queue promises:
 *
 * - nobody who was delivered, durably or not, is delivered again in the same life;
 * - the version of a message's record rises; a message has at most one record under way;
 * - a site has at most site_connections_max deliveries under way;
 * - a message that is gone from the spool is not delivered.
 */
#ifndef TESTS_UNIT_QUEUE_HOUSE_H
#define TESTS_UNIT_QUEUE_HOUSE_H

#include "base/crc32c.h"
#include "dns/resolver.h"
#include "expect.h"
#include "queue/queue.h"
#include "sim/world.h"
#include "spool/recovered.h"
#include "spool/spool.h"
#include "transfer/accepted.h"
#include "transfer/delivery.h"
#include "transfer/notification.h"
#include "transfer/operate.h"

#define WORKERS   2
#define MINUTE    (60 * SIM_SECOND)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define SITES_MAX 5000

/* What the fake spool and the workers know of a message. */
struct stored {
    struct id id;
    struct mail_object *mail;
    uint32_t version;
    bool is_appending, is_done, has_state;
    struct arena arena;
    struct message_state state; /* the newest that is durable */
    uint32_t *delivered;        /* how often, by recipient */
    uint32_t records;
};

struct house;

/* What becomes of a recipient: the test's. Zeroed: delivered. */
typedef void on_recipient(struct house *h, struct span address, struct delivery_result *result);

/* A letter that is answered later. */
struct late {
    struct timer timer;
    struct house *house;
    struct actor *actor;
    struct letter *letter;
    struct list node;
    struct stored *stored;
    bool is_delivery;
    uint32_t site; /* in `sites` */
};

struct site_seen {
    struct span key;
    char text[128];
    uint32_t busy, busy_max, deliveries, faults;
    bool is_down;
};

struct house {
    struct sim *sim;
    struct machine *machine;
    struct world *life;
    struct queue_settings settings;
    struct queue *queue;
    struct log *log;
    struct actor *spool, *resolver, *client, *workers[WORKERS];
    struct list lates;
    uint32_t max_letters; /* that the queue takes in one turn */

    struct stored *stored;
    uint32_t stored_count, stored_max;
    struct site_seen sites[SITES_MAX];
    uint32_t site_count;
    struct id_source ids;

    on_recipient *on_recipient;
    int64_t delivery_us, append_us, resolve_us; /* how long each takes */
    uint32_t spool_faults;                      /* so many appends answer DISK_ERROR */
    struct id forgotten; /* a message that the spool does not know any more */
    uint32_t spool_lies; /* so many groups are refused although their notification is on disk */
    uint32_t notify_faults;
    enum fault notify_fault;
    struct span moved;    /* a domain that has other hosts now */
    struct span gone;     /* one that is not there any more */
    enum fault dns_fault; /* of everything, when it is not NONE */
    uint32_t questions, deliveries, notifications, groups, max_recipients, closes, appends;
    char last_question[256];
    uint32_t with_mail; /* deliveries that had their mail */
    bool is_stopped;
    char first_to[64][64]; /* the first recipients of the first deliveries, in order */
    uint32_t answered;     /* letters of the client that came back */
    enum route_transport transport;
    uint8_t notify;                  /* of all recipients that are accepted from now on */
    uint32_t told[DSN_EXPANDED + 1]; /* recipients told of, by action */
};

static inline struct stored *stored_of(struct house *h, struct id id)
{
    for (uint32_t i = h->stored_count; i > 0; i--)
        if (id_equal(h->stored[i - 1].id, id))
            return &h->stored[i - 1];
    return NULL;
}

static inline void late_answer(void *context)
{
    struct late *l = context;
    struct house *h = l->house;
    if (l->is_delivery)
        h->sites[l->site].busy--;
    if (l->letter->type == LETTER_APPEND && l->stored != NULL)
        l->stored->is_appending = false;
    letter_answer(l->actor, l->letter);
    list_remove(&l->node);
    free(l);
}

static inline struct late *answer_in(struct house *h, struct actor *a, struct letter *letter,
                                     int64_t us)
{
    struct late *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->house = h;
    l->actor = a;
    l->letter = letter;
    list_append(&h->lates, &l->node);
    timer_init(&l->timer, late_answer, l);
    assert_int_equal(timer_set(actor_loop(a), &l->timer, loop_mono_us(actor_loop(a)) + us),
                     FAULT_NONE);
    return l;
}

/* ---- the spool ---- */

static inline struct stored *store(struct house *h, struct mail_object *mail)
{
    assert_true(h->stored_count < h->stored_max);
    struct stored *s = &h->stored[h->stored_count++];
    *s = (struct stored){.id = mail->id, .mail = mail_retain(mail)};
    arena_init(&s->arena, 16 * 1024 * 1024);
    s->delivered = calloc(mail->envelope.recipient_count, sizeof *s->delivered);
    assert_non_null(s->delivered);
    return s;
}

static inline void take_state(struct stored *s, uint32_t version, struct span payload)
{
    assert_true(version > s->version);
    s->version = version;
    s->records++;
    arena_reset(&s->arena);
    uint8_t *copy = arena_alloc(&s->arena, payload.len + 1);
    assert_non_null(copy);
    memcpy(copy, payload.data, payload.len);
    assert_int_equal(state_decode(span_of(copy, payload.len), s->mail->envelope.recipient_count,
                                  &s->arena, &s->state),
                     FAULT_NONE);
    s->has_state = true;
}

static inline void take_record(struct house *h, enum record_type type, struct id id,
                               uint32_t version, struct span payload)
{
    if (type == RECORD_ACCEPTED) {
        struct stored *known = stored_of(h, id);
        if (known != NULL) { /* a group that was refused, and written all the same */
            expect_span(payload, known->mail->payload);
            return;
        }
        uint8_t *copy = malloc(payload.len);
        assert_non_null(copy);
        memcpy(copy, payload.data, payload.len);
        struct mail_object *mail = NULL;
        assert_int_equal(mail_of_payload(id, copy, span_of(copy, payload.len), &mail), FAULT_NONE);
        store(h, mail);
        mail_release(mail);
        return;
    }
    struct stored *s = stored_of(h, id);
    assert_non_null(s);
    assert_false(s->is_done);
    if (type == RECORD_DONE) {
        assert_int_equal(payload.len, 0);
        assert_true(version > s->version);
        s->is_done = true;
    } else {
        take_state(s, version, payload);
    }
}

/* The message that a record is about. */
static inline struct id subject_of(const struct append *a)
{
    if (a->type != RECORD_GROUP)
        return a->id;
    struct cursor c = cursor_over(a->parts[0]);
    struct record member;
    assert_true(group_next(&c, &member));
    return member.id;
}

static inline void take_append(struct house *h, const struct append *a)
{
    struct span payload = a->part_count == 0 ? (struct span){0} : a->parts[0];
    assert_int_equal(a->payload_crc, crc32c(0, payload));
    if (a->type != RECORD_GROUP) {
        take_record(h, a->type, a->id, a->version, payload);
        return;
    }
    h->groups++;
    struct cursor c = cursor_over(payload);
    struct record member;
    uint32_t members = 0;
    while (group_next(&c, &member)) {
        take_record(h, member.type, member.id, member.version, member.payload);
        members++;
    }
    assert_true(cursor_at_end(&c));
    assert_int_equal(members, 2);
}

static inline void take_half(struct house *h, const struct append *a)
{
    struct cursor c = cursor_over(a->parts[0]);
    struct record member;
    while (group_next(&c, &member))
        if (member.type == RECORD_ACCEPTED)
            take_record(h, member.type, member.id, member.version, member.payload);
}

static inline void spool_on_letter(void *self, struct letter *letter)
{
    struct house *h = self;
    if (letter->is_answer) { /* RECOVERED */
        h->answered++;
        return;
    }
    assert_int_equal(letter->type, LETTER_APPEND);
    struct append *a = container_of(letter, struct append, letter);
    struct stored *s = stored_of(h, subject_of(a));
    assert_non_null(s);
    assert_false(s->is_appending);
    h->appends++;
    if (id_equal(s->id, h->forgotten)) {
        a->fault = FAULT_NOT_FOUND;
        s->is_done = true;
        letter_answer(h->spool, letter);
        return;
    }
    bool is_lie = h->spool_lies > 0 && a->type == RECORD_GROUP;
    a->fault = h->spool_faults > 0 || is_lie ? FAULT_DISK_ERROR : FAULT_NONE;
    h->spool_lies -= is_lie;
    if (is_lie)
        take_half(h, a);
    else if (h->spool_faults > 0)
        h->spool_faults--;
    else
        take_append(h, a);
    s = stored_of(h, subject_of(a));
    s->is_appending = true;
    answer_in(h, h->spool, letter, h->append_us)->stored = s;
}

/* ---- the resolver: a domain's host is "mx." and its last two labels ---- */

static inline struct span host_of(struct span name, char text[128])
{
    size_t dots = 0, at = name.len;
    while (at > 0 && (name.data[at - 1] != '.' || ++dots < 2))
        at--;
    snprintf(text, 128, "mx.%.*s", SPAN_PRINT(span_skip(name, at)));
    return span_text(text);
}

static inline void resolver_on_letter(void *self, struct letter *letter)
{
    struct house *h = self;
    struct resolve *r = container_of(letter, struct resolve, letter);
    char text[128];
    struct endpoint address = {.family = 4, .ip = {192, 0, 2, 1}, .port = 25};
    struct route_host host = {
        .name = host_of(r->name, text), .address_count = 1, .addresses = &address};
    h->questions++;
    snprintf(h->last_question, sizeof h->last_question, "%.*s", SPAN_PRINT(r->name));
    r->ttl_ms = 300 * 1000;
    r->route = NULL;
    r->fault = h->dns_fault;
    if (span_ends_with_nocase(r->name, SPAN("gone.test")) || span_equal(r->name, h->gone))
        r->fault = FAULT_DNS_NO_DOMAIN;
    if (span_equal(r->name, h->moved))
        host.name = SPAN("mx.moved.test");
    if (r->fault == FAULT_NONE) {
        r->route = route_new(&host, 1);
        if (r->route != NULL)
            r->route->transport = h->transport;
        assert_non_null(r->route);
    }
    (void)answer_in(h, h->resolver, letter, h->resolve_us);
}

/* ---- workers ---- */

static inline uint32_t site_seen(struct house *h, struct span key)
{
    for (uint32_t i = 0; i < h->site_count; i++)
        if (span_equal(h->sites[i].key, key))
            return i;
    assert_true(h->site_count < ROWS(h->sites) && key.len < sizeof h->sites[0].text);
    struct site_seen *s = &h->sites[h->site_count];
    memcpy(s->text, key.data, key.len);
    s->key = span_of(s->text, key.len);
    return h->site_count++;
}

static inline void answer_recipient(struct house *h, struct stored *s, struct delivery *d,
                                    uint32_t i, bool is_down)
{
    struct delivery_result *result = &d->results[i];
    uint32_t index = d->recipients[i];
    assert_true(index < s->mail->envelope.recipient_count);
    if (is_down) {
        result->end = DELIVERY_DEFERRED;
        result->fault = FAULT_CONNECT_REFUSED;
        return;
    }
    if (h->on_recipient != NULL)
        h->on_recipient(h, s->mail->envelope.recipients[index].path, result);
    if (result->end == DELIVERY_DELIVERED) {
        result->is_reply = true;
        if (result->text.len == 0)
            result->text = SPAN("250 2.0.0 ok");
        s->delivered[index]++;
        assert_int_equal(s->delivered[index], 1);
    }
}

static inline void worker_deliver(struct house *h, struct actor *worker, struct delivery *d)
{
    assert_ptr_equal(d->worker, worker);
    if (d->kind == DELIVERY_CLOSE) {
        h->closes++;
        (void)answer_in(h, worker, &d->letter, 0);
        return;
    }
    struct stored *s = stored_of(h, d->id);
    assert_non_null(s);
    assert_false(s->is_done);
    assert_true(d->recipient_count > 0 &&
                d->recipient_count <= h->settings.delivery_recipients_max);
    uint32_t at = site_seen(h, d->route->site);
    struct site_seen *site = &h->sites[at];
    site->busy++;
    site->deliveries++;
    if (site->busy > site->busy_max)
        site->busy_max = site->busy;
    assert_true(site->busy <= h->settings.site_connections_max);
    if (h->deliveries < ROWS(h->first_to))
        snprintf(h->first_to[h->deliveries], sizeof h->first_to[0], "%.*s",
                 SPAN_PRINT(s->mail->envelope.recipients[d->recipients[0]].path));
    h->deliveries++;
    if (d->recipient_count > h->max_recipients)
        h->max_recipients = d->recipient_count;
    h->with_mail += d->mail != NULL;
    if (d->mail == NULL)
        d->mail = mail_retain(s->mail);
    d->results = arena_alloc(&d->arena, d->recipient_count * sizeof *d->results);
    assert_non_null(d->results);
    d->site_fault = site->is_down ? FAULT_CONNECT_REFUSED : FAULT_NONE;
    site->faults += site->is_down;
    d->keeps_connection = !site->is_down;
    for (uint32_t i = 0; i < d->recipient_count; i++)
        answer_recipient(h, s, d, i, site->is_down);
    struct late *l = answer_in(h, worker, &d->letter, h->delivery_us);
    l->is_delivery = true;
    l->site = at;
}

static inline struct mail_object *make_mail(struct house *h, const char *from, const char *client,
                                            const struct span *to, uint32_t count)
{
    uint8_t random[10];
    loop_random(actor_loop(h->client), random, sizeof random);
    struct id id = id_next(&h->ids, (uint64_t)loop_wall_ms(actor_loop(h->client)), random);
    struct envelope_recipient *recipients = calloc(count, sizeof *recipients);
    for (uint32_t i = 0; i < count; i++)
        recipients[i] = (struct envelope_recipient){.path = to[i], .notify = h->notify};
    struct envelope e = {.arrival_wall_ms = loop_wall_ms(actor_loop(h->client)),
                         .reverse_path = span_text(from),
                         .client = span_text(client),
                         .recipients = recipients,
                         .recipient_count = count};
    struct mail_draft *d = draft_new(id, &e, 0, 4096);
    free(recipients);
    assert_non_null(d);
    assert_int_equal(draft_add(d, SPAN("Subject: x\r\n\r\nx\r\n")), FAULT_NONE);
    struct mail_object *mail = NULL;
    assert_int_equal(draft_finish(d, 17, false, false, &mail), FAULT_NONE);
    return mail;
}

static inline void worker_notify(struct house *h, struct actor *worker, struct notification *n)
{
    struct stored *s = stored_of(h, n->id);
    assert_non_null(s);
    h->notifications++;
    n->fault = FAULT_NONE;
    if (h->notify_faults > 0) {
        h->notify_faults--;
        n->fault = h->notify_fault;
    } else {
        struct span to =
            n->is_to_postmaster ? SPAN("postmaster@b.test") : s->mail->envelope.reverse_path;
        uint8_t notify = h->notify;
        assert_int_equal(n->is_to_postmaster, s->mail->envelope.reverse_path.len == 0);
        assert_true(to.len > 0 && n->recipient_count > 0);
        for (uint32_t i = 0; i < n->recipient_count; i++) {
            const struct notified_recipient *r = &n->recipients[i];
            bool is_success = r->action == DSN_RELAYED || r->action == DSN_DELIVERED;
            assert_int_equal(s->delivered[r->index], is_success);
            assert_true(r->text.len > 0 || r->action == DSN_EXPANDED);
            h->told[r->action]++;
        }
        h->notify = 0;
        n->dsn = make_mail(h, "", "", &to, 1);
        h->notify = notify;
        n->dsn->envelope.is_last_resort = n->is_to_postmaster;
    }
    (void)answer_in(h, worker, &n->letter, 1000);
}

static inline void worker_on_letter(void *self, struct letter *letter)
{
    struct house *h = self;
    struct actor *worker = letter->type == LETTER_DELIVER
                               ? container_of(letter, struct delivery, letter)->worker
                               : h->workers[0];
    if (letter->type == LETTER_DELIVER)
        worker_deliver(h, worker, container_of(letter, struct delivery, letter));
    else
        worker_notify(h, worker, container_of(letter, struct notification, letter));
}

static inline void notifier_on_letter(void *self, struct letter *letter)
{
    struct house *h = self;
    if (letter->type == LETTER_NOTIFY)
        worker_notify(h, h->workers[1], container_of(letter, struct notification, letter));
    else
        worker_on_letter(self, letter);
}

/* ---- the client: whoever else writes to the queue ---- */

static inline void client_on_letter(void *self, struct letter *letter)
{
    struct house *h = self;
    assert_true(letter->is_answer);
    h->answered++;
    h->is_stopped = h->is_stopped || letter->type == LETTER_STOP;
}

static inline size_t print_log(void *context, struct span lines)
{
    (void)context;
    if (getenv("QUEUE_LOG") != NULL)
        fwrite(lines.data, 1, lines.len, stderr);
    return lines.len;
}

static const struct actor_role house_spool = {"spool", spool_on_letter, NULL};
static const struct actor_role house_resolver = {"resolver", resolver_on_letter, NULL};
static const struct actor_role house_worker = {"worker", worker_on_letter, NULL};
static const struct actor_role house_notifier = {"worker", notifier_on_letter, NULL};
static const struct actor_role house_client = {"client", client_on_letter, NULL};

static inline struct actor *house_actor(struct house *h, const struct actor_role *role)
{
    struct actor *a = NULL;
    assert_int_equal(actor_new(h->life, role, h, 0, NULL, &a), FAULT_NONE);
    return a;
}

/* The queue begins anew, as after a start of the process. */
static inline void house_live(struct house *h)
{
    h->life = life_begin(h->machine);
    h->log = log_new((struct log_sink){print_log, NULL}, LOG_TEXT, LOG_DEBUG);
    h->is_stopped = false;
    h->spool = house_actor(h, &house_spool);
    h->resolver = house_actor(h, &house_resolver);
    h->workers[0] = house_actor(h, &house_worker);
    h->workers[1] = house_actor(h, &house_notifier);
    h->client = house_actor(h, &house_client);
    assert_int_equal(queue_new(h->life, &h->settings, h->max_letters, h->log, &h->queue),
                     FAULT_NONE);
    queue_introduce(h->queue, h->spool, h->resolver, h->workers, WORKERS);
    struct actor *all[] = {h->spool,      h->resolver, h->workers[0],
                           h->workers[1], h->client,   queue_actor(h->queue)};
    for (size_t i = 0; i < ROWS(all); i++)
        assert_int_equal(actor_start(all[i]), FAULT_NONE);
}

static inline struct queue_settings house_settings(void)
{
    return (struct queue_settings){.retry_first_ms = 300 * 1000,
                                   .retry_max_ms = 4 * 3600 * 1000,
                                   .lifetime_ms = INT64_C(5) * 24 * 3600 * 1000,
                                   .site_connections_max = 20,
                                   .delivery_recipients_max = 100,
                                   .fresh_bytes_max = 16 * 1024 * 1024,
                                   .secret = 7};
}

static inline struct house *house_of(const struct queue_settings *settings, uint64_t seed,
                                     uint32_t max_letters)
{
    struct house *h = calloc(1, sizeof *h);
    assert_non_null(h);
    struct sim_options o = sim_options_calm();
    h->sim = sim_new(seed, &o);
    h->max_letters = max_letters;
    h->machine =
        machine_new(h->sim, "machine", (struct endpoint){.family = 4, .ip = {10, 0, 0, 1}});
    h->settings = *settings;
    h->delivery_us = 10000;
    h->append_us = 1000;
    h->resolve_us = 5000;
    h->stored_max = 20000;
    h->stored = calloc(h->stored_max, sizeof *h->stored);
    assert_non_null(h->stored);
    list_init(&h->lates);
    house_live(h);
    return h;
}

/* The process ends at once: what is under way never comes back. */
static inline void house_die(struct house *h)
{
    life_kill(h->life, SIM_KILLED);
    while (!list_empty(&h->lates)) {
        struct late *l = container_of(h->lates.next, struct late, node);
        timer_cancel(actor_loop(l->actor), &l->timer);
        if (l->stored != NULL)
            l->stored->is_appending = false;
        list_remove(&l->node);
        free(l);
    }
    for (uint32_t i = 0; i < h->site_count; i++)
        h->sites[i].busy = 0;
    struct actor *all[] = {h->spool, h->resolver, h->workers[0], h->workers[1], h->client};
    for (size_t i = 0; i < ROWS(all); i++) {
        actor_join(all[i]);
        actor_free(all[i]);
    }
    actor_join(queue_actor(h->queue));
    queue_free(h->queue);
    log_free(h->log);
    life_end(h->life);
    /* A new life may deliver again what was not durable. */
    for (uint32_t i = 0; i < h->stored_count; i++)
        memset(h->stored[i].delivered, 0,
               h->stored[i].mail->envelope.recipient_count * sizeof(uint32_t));
}

static inline void house_run(struct house *h, int64_t us)
{
    (void)sim_run_until(h->sim, sim_now_us(h->sim) + us);
}

static inline void house_send(struct house *h, struct letter *letter, enum letter_type type)
{
    letter_send(h->client, queue_actor(h->queue), letter, type, NULL);
    actor_flush(h->client);
}

static inline void house_stop(struct house *h)
{
    struct letter stop = {0};
    house_send(h, &stop, LETTER_STOP);
    house_run(h, 10 * SIM_SECOND);
    assert_true(h->is_stopped);
}

static inline void house_free(struct house *h)
{
    house_die(h);
    for (uint32_t i = 0; i < h->stored_count; i++) {
        mail_release(h->stored[i].mail);
        arena_fini(&h->stored[i].arena);
        free(h->stored[i].delivered);
    }
    free(h->stored);
    sim_free(h->sim);
    free(h);
}

/* Accepts; the letter is waited for. */
static inline struct id house_accept_many(struct house *h, const char *from, const char *client,
                                          const struct span *to, uint32_t count)
{
    struct mail_object *mail = make_mail(h, from, client, to, count);
    struct id id = mail->id;
    store(h, mail);
    struct accepted a = {.mail = mail};
    house_send(h, &a.letter, LETTER_ACCEPTED);
    uint32_t before = h->answered;
    while (h->answered == before)
        house_run(h, 100);
    mail_release(mail);
    return id;
}

static inline struct id house_accept(struct house *h, const char *from, const char *to)
{
    struct span path = span_text(to);
    return house_accept_many(h, from, "192.0.2.77", &path, 1);
}

static inline void house_operate(struct house *h, struct operate *o)
{
    uint32_t before = h->answered;
    house_send(h, &o->letter, LETTER_OPERATE);
    for (uint32_t i = 0; i < 10000 && h->answered == before; i++)
        house_run(h, i < 1000 ? 1000 : SIM_SECOND);
    assert_true(h->answered > before);
}

static inline struct queue_counts house_counts(struct house *h)
{
    struct operate o = {.operation = OPERATE_COUNT};
    house_operate(h, &o);
    return o.counts;
}

static inline enum fault house_change(struct house *h, enum operation operation, struct id id)
{
    struct operate o = {.operation = operation, .id = id};
    house_operate(h, &o);
    return o.fault;
}

/* Hands over all that is not done, as the spool does at a start. */
static inline void house_recover(struct house *h, bool sending)
{
    struct recovered_message *messages = calloc(h->stored_count + 1, sizeof *messages);
    assert_non_null(messages);
    struct recovered letter = {.messages = messages, .last = true};
    for (uint32_t i = 0; i < h->stored_count; i++) {
        struct stored *s = &h->stored[i];
        if (s->is_done)
            continue;
        messages[letter.count++] = (struct recovered_message){.id = s->id,
                                                              .version = s->version,
                                                              .sending = sending,
                                                              .envelope = s->mail->envelope,
                                                              .state = s->state};
    }
    uint32_t before = h->answered;
    letter_send(h->spool, queue_actor(h->queue), &letter.letter, LETTER_RECOVERED, NULL);
    actor_flush(h->spool);
    while (h->answered == before)
        house_run(h, 100);
    free(messages);
}

#endif
