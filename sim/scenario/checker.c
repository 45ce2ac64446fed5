/*
 * checker: see checker.h.
 */
#include "sim/scenario/checker.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/scenario/desk.h"

/* From the moment at which the engine has read a 250 until its outcome is durable. */
#define OUTCOME_US_MAX (5 * SIM_SECOND)
/* Between two attempts to write to a disk that has failed. */
#define DISK_PAUSE_US_MAX (65 * SIM_SECOND)

/* The row of a held message of the sender (or to it, when `is_notice`). */
static bool is_held(const struct checker *c, const char *id, const char *recipient)
{
    struct span rest = c->listing, row, text;
    char wanted[LEDGER_ADDRESS_MAX + 2];
    (void)snprintf(wanted, sizeof wanted, "\"%s\"", recipient);
    while (rest.len > 0) {
        rest = span_split(rest, '\n', &row);
        if (!desk_text(row, "state", &text) || !span_equal(text, SPAN("held")))
            continue;
        if (id != NULL && desk_text(row, "id", &text) && span_equal(text, span_text(id)))
            return true;
        bool from_nobody = desk_text(row, "sender", &text) && text.len == 0;
        if (id == NULL && from_nobody && span_find(row, span_text(wanted), 0) < row.len)
            return true;
    }
    return false;
}

/* Could the disk not take it: from the 250 until it should have been durable, and then until the
   engine tried again? */
static bool was_disk_failing(const struct checker *c, const struct handover *h, int64_t ended_us)
{
    const struct ledger *l = c->ledger;
    for (uint32_t i = 0; i < l->trouble_count; i++) {
        const struct disk_trouble *t = &l->troubles[i];
        bool meets = t->from_us <= h->confirmed_us + OUTCOME_US_MAX && t->to_us >= h->at_us;
        if (meets && (t->to_us == SIM_NEVER || ended_us <= t->to_us + DISK_PAUSE_US_MAX))
            return true;
    }
    return false;
}

/* Could its outcome be lost: by a death soon after, or by a disk that failed? */
static bool may_be_forgotten(const struct checker *c, const struct handover *h)
{
    const struct engine_life *life = &c->ledger->lives[h->life];
    if (h->confirmed_us == 0 || was_disk_failing(c, h, life->ended_us))
        return true;
    return life->is_crash && life->ended_us <= h->confirmed_us + OUTCOME_US_MAX;
}

static bool was_foretold(const struct checker *c, const char *id, uint32_t after, uint32_t by)
{
    list_each(node, &c->ledger->repeats)
    {
        const struct repeat *r = container_of(node, struct repeat, node);
        if (r->life > after && r->life <= by && strcmp(r->id, id) == 0)
            return true;
    }
    return false;
}

/*
 * A delivery whose 250 the engine has read, with time to make that durable, is over: there is one
 * at the most. Takes that it knows nothing of may come at any time, also after that one, since what
 * was sent over a connection that broke may arrive late.
 */
static void check_repeats(const struct checker *c, const char *what, const char *id,
                          const struct take *takes)
{
    struct ledger *l = c->ledger;
    const struct handover *sure = NULL, *later = NULL;
    for (const struct take *t = takes; t != NULL; later = t->handover, t = t->next) {
        const struct handover *h = t->handover;
        if (!may_be_forgotten(c, h)) {
            if (sure != NULL)
                ledger_break(l, "%s was delivered in life %u, and again in life %u", what, h->life,
                             sure->life);
            sure = h;
        } else if (later != NULL && h->confirmed_us != 0 && id[0] != '\0' &&
                   !l->lives[h->life].is_power_cut && later->life > h->life &&
                   !was_disk_failing(c, h, l->lives[h->life].ended_us) &&
                   !was_foretold(c, id, h->life, later->life)) {
            ledger_break(l, "%s was delivered again after a crash, which was not foretold", what);
        }
    }
}

static bool any_doubt(const struct checker *c, const struct take *takes)
{
    bool doubt = true;
    for (const struct take *t = takes; t != NULL; t = t->next)
        doubt = doubt && may_be_forgotten(c, t->handover);
    return doubt;
}

static void check_notice(const struct checker *c, const struct parcel *p, const struct addressee *a)
{
    struct ledger *l = c->ledger;
    enum domain_kind kind = c->town->has_next_hop ? DOMAIN_WELL : c->town->domains[a->domain].kind;
    bool is_hopeless = kind == DOMAIN_MISSING || kind == DOMAIN_REFUSING;
    bool is_expired =
        p->accepted_us == 0 || c->clock_jumped || a->noticed_us >= p->begun_us + c->lifetime_us;
    if (!a->is_refused && !is_hopeless && !is_expired)
        ledger_break(l, "%s was bounced, though no server has refused it and its time is not over",
                     a->address);
    if (a->takes == NULL)
        return;
    if (a->takes->handover->at_us > a->noticed_us && a->takes->handover->confirmed_us != 0)
        ledger_break(l, "%s was delivered after its sender was told that it had failed",
                     a->address);
    else if (!any_doubt(c, a->takes))
        ledger_break(l, "%s was delivered, and its sender was told that it had failed", a->address);
}

/* It was handed to a host that tells nobody, whose 250 was heard: then we tell, if that was asked
 * for (RFC 3461 5.2.2). */
static void check_success(const struct checker *c, const struct parcel *p,
                          const struct addressee *a)
{
    struct ledger *l = c->ledger;
    if (a->success_notice != NULL && a->takes == NULL)
        ledger_break(l, "%s was said to be relayed, and never was", a->address);
    bool is_owed = ledger_may_tell(a, WISH_SUCCESS) && p->sender[0] != '\0' && a->notice == NULL;
    for (const struct take *t = a->takes; t != NULL; t = t->next) {
        const struct host *h = &c->town->hosts[t->handover->host];
        is_owed = is_owed && !may_be_forgotten(c, t->handover) && (!h->has_dsn || !h->knows_ehlo);
    }
    if (is_owed && a->takes != NULL && a->success_notice == NULL && !is_held(c, NULL, p->sender) &&
        !is_held(c, p->id, ""))
        ledger_break(l, "%s was relayed, and its sender, who wants to know, was not told",
                     a->address);
}

/* A list was expanded, and its client wants to hear of that. */
static void check_expanded(const struct checker *c, const struct parcel *p,
                           const struct addressee *a)
{
    bool is_owed = a->is_list && a->wishes != 0 && ledger_may_tell(a, WISH_SUCCESS) &&
                   p->content_code / 100 == 2 && a->rcpt_code / 100 == 2 && p->sender[0] != '\0';
    if (is_owed && a->expanded_notice == NULL && !is_held(c, NULL, p->sender) &&
        !is_held(c, p->id, ""))
        ledger_break(c->ledger, "%s was expanded, and its sender, who wants to know, was not told",
                     a->address);
}

/* Nothing may come of it. */
static void check_nothing(const struct checker *c, const struct addressee *a, const char *why)
{
    if (a->takes != NULL)
        ledger_break(c->ledger, "%s was delivered, though %s", a->address, why);
    if (a->notice != NULL)
        ledger_break(c->ledger, "%s was bounced, though %s", a->address, why);
}

static void check_addressee(const struct checker *c, const struct parcel *p,
                            const struct addressee *a)
{
    struct ledger *l = c->ledger;
    const struct addressee *said = &p->addressees[a->said];
    if (p->is_stranger && !said->is_ours)
        check_nothing(c, a, "its client may not relay");
    else if (a->is_alias)
        check_nothing(c, a, "it is an alias");
    else if (a->is_unknown)
        check_nothing(c, a, "it is nobody");
    else if (!p->is_whole_sent)
        check_nothing(c, a, "its content never left the client");
    else if (p->content_code / 100 == 5)
        check_nothing(c, a, "its content was answered 5xx");
    else if (said->rcpt_code / 100 == 4 || said->rcpt_code / 100 == 5)
        check_nothing(c, a, "it was refused at RCPT");
    if (a->takes != NULL)
        check_repeats(c, a->address, p->id, a->takes);
    if (a->notice != NULL)
        check_notice(c, p, a);
    if (a->is_alias)
        check_expanded(c, p, a);
    else
        check_success(c, p, a);
    bool is_promised = p->content_code / 100 == 2 && said->rcpt_code / 100 == 2 && !a->is_alias;
    if (!is_promised || a->takes != NULL || a->notice != NULL)
        return;
    if (is_held(c, p->id, ""))
        return;
    if (p->sender[0] != '\0' && !ledger_may_tell(a, WISH_FAILURE))
        return; /* it has failed, and nobody wants to hear of it */
    if (p->sender[0] != '\0' && is_held(c, NULL, p->sender))
        return;
    ledger_break(l, "%s was accepted as %s and is lost: neither delivered, bounced nor held",
                 a->address, p->id);
}

void checker_run(const struct checker *c)
{
    struct ledger *l = c->ledger;
    for (uint32_t i = 0; i < l->parcel_count; i++)
        for (uint32_t j = 0; j < l->parcels[i].addressee_count; j++)
            check_addressee(c, &l->parcels[i], &l->parcels[i].addressees[j]);
    list_each(node, &l->notices)
    {
        const struct notice *n = container_of(node, struct notice, node);
        check_repeats(c, "a notification", n->id, n->takes);
    }
}
