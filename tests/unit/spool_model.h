/*
 * spool_model: what a spool must hold, kept apart from it by the test that drives it.
 *
 * Shares no code with the spool but the readers and writers of payloads. A message's content and
 * states follow from its number, so that nothing has to be remembered to tell right bytes from
 * wrong ones. The model outlives the lives of the process: what was answered is certain; what was
 * asked and not answered, or answered DISK_ERROR, is in doubt until a recovery decides it, and
 * from then on that decision must stand. Asserts with cmocka.
 */
#ifndef TESTS_SPOOL_MODEL_H
#define TESTS_SPOOL_MODEL_H

#include "expect.h"

#include "base/crc32c.h"
#include "spool/mail_object.h"
#include "spool/recovered.h"
#include "spool/spool.h"

enum { MODEL_MESSAGES_MAX = 6000 };

enum model_base { BASE_NONE, BASE_IN_DOUBT, BASE_KEPT };

struct model_message {
    struct id id;
    uint32_t number, content_bytes, recipient_count;
    bool in_file;
    size_t payload_bytes;
    uint32_t life; /* in which it was asked for */
    enum model_base base;
    bool is_ended;      /* never to be seen again */
    bool is_done_asked; /* in doubt */
    uint32_t version_asked, version_kept;
    size_t state_bytes; /* of the state asked for last */
    /* A group that makes this notification is not answered well yet; from this version on. */
    struct model_message *notification;
    uint32_t notification_from;
    /* Of the present life. */
    bool is_known, is_recovered, is_busy, is_sending_out;
    uint32_t fetches;
    /* In the order of the model's clock; 0: never. */
    uint64_t sending_asked, sending_answered, state_asked, state_answered;
    bool is_sending_certain;
};

struct model {
    struct model_message messages[MODEL_MESSAGES_MAX];
    uint32_t count;
    uint32_t life;
    uint64_t clock;
    uint64_t power_cut;    /* when the last one was */
    bool had_write_errors; /* then the last batch may be half written over when the process dies */
};

/* Messages ------------------------------------------------------------------------------------ */

static inline uint32_t model_mix(uint32_t a, uint32_t b)
{
    uint32_t x = a * 2654435761u ^ (b + 1) * 2246822519u;
    x ^= x >> 15;
    x *= 3266489917u;
    return x ^ x >> 13;
}

static inline struct id model_id(uint32_t number)
{
    uint32_t mixed = model_mix(number, 99);
    struct id id = {{1, 2, 3, 4, 5, 6, 0x70, 0, 0x80, 0}};
    for (int i = 0; i < 3; i++)
        id.bytes[10 + i] = (uint8_t)(number >> (16 - 8 * i));
    for (int i = 0; i < 3; i++)
        id.bytes[13 + i] = (uint8_t)(mixed >> (16 - 8 * i));
    return id;
}

static inline struct model_message *model_find(struct model *model, struct id id)
{
    uint32_t number =
        (uint32_t)id.bytes[10] << 16 | (uint32_t)id.bytes[11] << 8 | (uint32_t)id.bytes[12];
    if (number >= model->count || !id_equal(model->messages[number].id, id))
        return NULL;
    return &model->messages[number];
}

static inline struct model_message *model_message(struct model *model, uint32_t content_bytes,
                                                  uint32_t recipient_count, bool in_file)
{
    assert_true(model->count < MODEL_MESSAGES_MAX);
    struct model_message *m = &model->messages[model->count];
    *m = (struct model_message){.id = model_id(model->count),
                                .number = model->count,
                                .content_bytes = content_bytes,
                                .recipient_count = recipient_count,
                                .in_file = in_file,
                                .life = model->life};
    model->count++;
    return m;
}

static inline uint8_t content_byte(uint32_t number, uint32_t at)
{
    if (at % 61 >= 59)
        return at % 61 == 59 ? '\r' : '\n';
    return (uint8_t)('a' + model_mix(number, at / 8) % 23 + at % 3);
}

static inline void content_fill(const struct model_message *m, uint32_t from, uint8_t *bytes,
                                size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = content_byte(m->number, from + (uint32_t)i);
}

static inline bool content_matches(const struct model_message *m, uint64_t from, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != content_byte(m->number, (uint32_t)(from + i)))
            return false;
    return from + bytes.len <= m->content_bytes;
}

enum { ADDRESS_MAX = 32 };

static inline struct span model_address(const struct model_message *m, uint32_t i,
                                        char text[ADDRESS_MAX])
{
    snprintf(text, ADDRESS_MAX, "r%u.%u@b.example", m->number, i);
    return span_text(text);
}

/* The message as the receiver would make it; content in a file is left to the caller. */
static inline struct mail_object *model_mail(struct model_message *m, uint32_t inline_bytes_max)
{
    char(*texts)[ADDRESS_MAX] = calloc(m->recipient_count, sizeof *texts);
    struct envelope_recipient *recipients = calloc(m->recipient_count, sizeof *recipients);
    char sender[ADDRESS_MAX];
    for (uint32_t i = 0; i < m->recipient_count; i++)
        recipients[i].path = model_address(m, i, texts[i]);
    snprintf(sender, sizeof sender, "s%u@a.example", m->number);
    struct envelope e = {.arrival_wall_ms = 1764000000000 + m->number,
                         .reverse_path = span_text(sender),
                         .client = SPAN("192.0.2.7"),
                         .helo = SPAN("a.example"),
                         .prefix = SPAN("Received: from a.example\r\n"),
                         .recipients = recipients,
                         .recipient_count = m->recipient_count};
    struct mail_draft *d = draft_new(m->id, &e, 0, inline_bytes_max);
    struct mail_object *mail = NULL;
    assert_non_null(d);
    if (m->in_file) {
        draft_content_moved(d);
    } else {
        uint8_t *bytes = malloc(m->content_bytes + 1);
        content_fill(m, 0, bytes, m->content_bytes);
        assert_int_equal(draft_add(d, span_of(bytes, m->content_bytes)), FAULT_NONE);
        free(bytes);
    }
    assert_int_equal(
        draft_finish(d, m->content_bytes, m->number % 2 == 0, m->number % 3 == 0, &mail),
        FAULT_NONE);
    m->payload_bytes = mail->payload.len;
    free(texts);
    free(recipients);
    return mail;
}

static inline void model_check_envelope(const struct model_message *m, const struct envelope *e)
{
    char text[ADDRESS_MAX];
    snprintf(text, sizeof text, "s%u@a.example", m->number);
    expect_span(e->reverse_path, span_text(text));
    assert_int_equal(e->arrival_wall_ms, 1764000000000 + m->number);
    assert_int_equal(e->content_bytes, m->content_bytes);
    assert_int_equal(e->content_in_file, m->in_file);
    assert_int_equal(e->body_8bitmime, m->number % 2 == 0);
    assert_int_equal(e->has_dot_lines, m->number % 3 == 0);
    assert_int_equal(e->recipient_count, m->recipient_count);
    for (uint32_t i = 0; i < m->recipient_count; i++)
        expect_span(e->recipients[i].path, model_address(m, i, text));
}

/* States -------------------------------------------------------------------------------------- */

static inline void model_reply(const struct model_message *m, uint32_t version, char text[64])
{
    snprintf(text, 64, "451 4.3.0 message %u, version %u", m->number, version);
}

static inline void model_state(struct model_message *m, uint32_t version, struct buffer *out)
{
    char text[64];
    struct recipient_state *recipients = calloc(m->recipient_count, sizeof *recipients);
    model_reply(m, version, text);
    struct span replies[] = {span_text(text)};
    for (uint32_t i = 0; i < m->recipient_count; i++)
        recipients[i] = (struct recipient_state){RECIPIENT_WAITING, (uint16_t)(version + i % 2), 0,
                                                 1764000009999, REPORT_NONE};
    struct message_state s = {.crashes = (uint8_t)(version % 7),
                              .recipients = recipients,
                              .recipient_count = m->recipient_count,
                              .replies = replies,
                              .reply_count = 1};
    assert_true(state_encode(&s, out));
    free(recipients);
}

static inline void model_check_state(const struct model_message *m, uint32_t version,
                                     const struct message_state *s)
{
    char text[64];
    if (version == 0) {
        assert_int_equal(s->recipient_count, 0);
        return;
    }
    model_reply(m, version, text);
    assert_int_equal(s->recipient_count, m->recipient_count);
    assert_int_equal(s->crashes, version % 7);
    assert_int_equal(s->reply_count, 1);
    expect_span(s->replies[0], span_text(text));
    for (uint32_t i = 0; i < m->recipient_count; i++)
        assert_int_equal(s->recipients[i].attempts, (uint16_t)(version + i % 2));
}

/* Asking and being answered ------------------------------------------------------------------- */

static inline void model_accept_asked(struct model_message *m)
{
    m->base = BASE_IN_DOUBT;
}

static inline void model_accept_answered(struct model_message *m, enum fault fault)
{
    if (fault == FAULT_NONE) {
        m->base = BASE_KEPT;
        m->is_known = true;
    } else if (fault != FAULT_DISK_ERROR) {
        m->base = BASE_NONE;
    }
}

/* A state, or the end. */
static inline void model_change_asked(struct model *model, struct model_message *m, bool is_done)
{
    m->is_busy = true;
    m->version_asked++;
    m->is_done_asked = m->is_done_asked || is_done;
    m->state_asked = ++model->clock;
}

static inline void model_change_answered(struct model *model, struct model_message *m,
                                         enum fault fault, bool is_done)
{
    m->is_busy = false;
    if (fault != FAULT_NONE)
        return;
    if (is_done) {
        m->is_ended = true;
        m->is_known = false;
    } else {
        m->version_kept = m->version_asked;
        m->state_answered = ++model->clock;
        m->is_sending_certain = false;
    }
}

/* Lives --------------------------------------------------------------------------------------- */

static inline void model_life(struct model *model)
{
    model->life++;
    for (uint32_t i = 0; i < model->count; i++) {
        struct model_message *m = &model->messages[i];
        m->is_known = m->is_recovered = m->is_busy = m->is_sending_out = false;
        m->fetches = 0;
    }
}

/* The group of a message that was found again must have left its notification, or not. */
static inline void model_decide_notification(struct model_message *m, bool is_there)
{
    struct model_message *n = m->notification;
    m->notification = NULL;
    if (n == NULL)
        return;
    if (is_there) {
        assert_int_not_equal(n->base, BASE_NONE);
        n->base = BASE_KEPT;
    } else {
        assert_int_not_equal(n->base, BASE_KEPT);
        n->base = BASE_NONE;
    }
}

/* Answered SENDINGs survive the process; those that a recovery has told of, the power too. */
static inline void model_check_sending(struct model *model, struct model_message *m, bool sending)
{
    bool is_clear = m->version_asked == m->version_kept && m->sending_answered > m->sending_asked;
    bool is_after = m->sending_asked > m->state_answered;
    bool is_written = m->sending_answered > model->power_cut && !model->had_write_errors;
    bool is_kept = m->is_sending_certain || is_written;
    if (sending)
        assert_true(m->sending_asked > 0);
    if (sending && is_clear)
        assert_true(m->sending_answered > m->state_asked);
    if (is_clear && is_after && is_kept)
        assert_true(sending);
    m->is_sending_certain = sending;
    m->sending_asked = sending ? model->clock + 1 : 0;
    m->sending_answered = sending ? model->clock + 2 : 0;
    m->state_asked = m->state_answered = sending ? 0 : model->clock;
    model->clock += 2;
}

/* One message as the queue is told of it. */
static inline void model_recovered(struct model *model, const struct recovered_message *r)
{
    struct model_message *m = model_find(model, r->id);
    assert_non_null(m);
    assert_true(m->life < model->life);
    assert_int_not_equal(m->base, BASE_NONE);
    assert_false(m->is_ended);
    assert_false(m->is_recovered);
    assert_in_range(r->version, m->version_kept, m->version_asked);
    model_check_envelope(m, &r->envelope);
    model_check_state(m, r->version, &r->state);
    model_check_sending(model, m, r->sending);
    model_decide_notification(m, r->version >= m->notification_from);
    m->base = BASE_KEPT;
    m->is_done_asked = false;
    m->version_kept = m->version_asked = r->version;
    m->is_recovered = m->is_known = true;
}

/* All have been told: whoever was not does not live. */
static inline void model_recovery_over(struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++) {
        struct model_message *m = &model->messages[i];
        if (m->life == model->life || m->is_recovered)
            continue;
        if (m->base == BASE_KEPT && !m->is_ended) {
            assert_true(m->is_done_asked);
            m->is_ended = true;
            model_decide_notification(m, true);
        }
        if (m->base == BASE_IN_DOUBT)
            m->base = BASE_NONE;
    }
    for (uint32_t i = 0; i < model->count; i++) {
        struct model_message *m = &model->messages[i];
        if (m->life != model->life && m->base == BASE_KEPT && !m->is_ended)
            assert_true(m->is_recovered);
    }
}

static inline bool model_lives(const struct model_message *m)
{
    return m->base == BASE_KEPT && !m->is_ended;
}

/* What the records of all that lives take, at the most. */
static inline uint64_t model_live_bytes(const struct model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_message *m = &model->messages[i];
        if (!model_lives(m))
            continue;
        bytes += 2 * RECORD_HEADER_BYTES + m->payload_bytes; /* with a SENDING */
        if (m->version_asked > 0)
            bytes += RECORD_HEADER_BYTES + m->state_bytes;
    }
    return bytes;
}

#endif
