/*
 * message: see message.h.
 */
#include "queue/message.h"

#include <stdlib.h>

#include "base/check.h"
#include "spool/envelope.h"

_Static_assert(sizeof(struct message) + sizeof(struct recipient) <= 136, "a million must fit");

#define RECIPIENT_INDEX_MAX ((1u << 25) - 1)
_Static_assert(ENVELOPE_RECIPIENTS_MAX <= RECIPIENT_INDEX_MAX, "an index must fit");

#define TO(phase) (1u << PHASE_##phase)

static const uint16_t moves[] = {
    [PHASE_SCHEDULED] =
        TO(RESOLVING) | TO(READY) | TO(UNSAVED) | TO(UNTOLD) | TO(STUCK) | TO(FINISHED),
    [PHASE_RESOLVING] = TO(READY) | TO(SCHEDULED) | TO(UNSAVED) | TO(UNTOLD) | TO(STUCK),
    [PHASE_READY] = TO(BUSY) | TO(SCHEDULED) | TO(UNSAVED) | TO(UNTOLD) | TO(STUCK),
    [PHASE_BUSY] = TO(UNSAVED) | TO(UNTOLD) | TO(STUCK),
    [PHASE_UNSAVED] = TO(SAVING),
    [PHASE_SAVING] = TO(UNSAVED) | TO(SCHEDULED) | TO(UNTOLD) | TO(FINISHED),
    [PHASE_UNTOLD] = TO(TELLING) | TO(UNSAVED) | TO(STUCK),
    [PHASE_TELLING] = TO(UNTOLD) | TO(FINISHED),
    [PHASE_STUCK] = TO(SCHEDULED) | TO(UNSAVED),
    [PHASE_FINISHED] = 0,
};

struct message *message_new(struct id id, uint32_t recipient_count)
{
    check(recipient_count <= RECIPIENT_INDEX_MAX);
    struct message *m = malloc(sizeof *m + recipient_count * sizeof m->recipients[0]);
    if (m == NULL)
        return NULL;
    *m = (struct message){.id = id, .recipient_count = recipient_count};
    heap_node_init(&m->due);
    for (uint32_t i = 0; i < recipient_count; i++) {
        struct recipient *r = &m->recipients[i];
        *r = (struct recipient){.index = i & RECIPIENT_INDEX_MAX,
                                .standing = RECIPIENT_WAITING,
                                .phase = PHASE_SCHEDULED};
        list_init(&r->node);
    }
    return m;
}

void message_free(struct message *m)
{
    check(!heap_contains(&m->due) && m->work == NULL && m->fresh == NULL);
    free(m);
}

struct message *message_of(const struct recipient *r)
{
    return container_of(r - r->index, struct message, recipients);
}

static bool is_moving(enum phase phase)
{
    return phase == PHASE_RESOLVING || phase == PHASE_READY;
}

void recipient_enter(struct recipient *r, enum phase phase)
{
    enum phase from = (enum phase)r->phase;
    check((moves[from] & 1u << phase) != 0);
    struct message *m = message_of(r);
    m->moving -= is_moving(from);
    m->moving += is_moving(phase);
    m->busy -= from == PHASE_BUSY;
    m->busy += phase == PHASE_BUSY;
    r->phase = (unsigned)phase & 0xf;
}

bool recipient_is_waiting(const struct recipient *r)
{
    return r->standing == RECIPIENT_WAITING;
}

bool recipient_is_tried(const struct recipient *r)
{
    return recipient_is_waiting(r) && r->phase != PHASE_UNTOLD && r->phase != PHASE_TELLING &&
           r->phase != PHASE_STUCK;
}

bool message_is_ended(const struct message *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        const struct recipient *r = &m->recipients[i];
        bool has_left = recipient_is_waiting(r) || r->report != REPORT_NONE;
        if (has_left && r->phase != PHASE_TELLING)
            return false;
    }
    return true;
}

static const char *const reasons[] = {
#define HELD(name, text) text,
    HELD_REASONS(HELD)
#undef HELD
};

struct span held_reason_text(enum held_reason reason)
{
    return span_text(reasons[reason]);
}

enum held_reason held_reason_of(struct span text)
{
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (span_equal(text, span_text(reasons[i])))
            return (enum held_reason)i;
    return HELD_OTHER;
}
