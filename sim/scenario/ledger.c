/*
 * ledger: see ledger.h.
 */
#include "sim/scenario/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define LINE_LONGEST 900

struct ledger *ledger_new(struct sim *s, uint64_t seed, uint32_t parcel_count)
{
    struct ledger *l = calloc(1, sizeof *l);
    check(l != NULL);
    l->sim = s;
    l->seed = seed;
    l->parcels = calloc(parcel_count, sizeof *l->parcels);
    check(l->parcels != NULL);
    l->parcel_count = parcel_count;
    list_init(&l->handovers);
    list_init(&l->notices);
    list_init(&l->repeats);
    return l;
}

static void takes_free(struct take *t)
{
    while (t != NULL) {
        struct take *before = t->next;
        free(t);
        t = before;
    }
}

void ledger_free(struct ledger *l)
{
    struct list *node;
    for (uint32_t i = 0; i < l->parcel_count; i++) {
        struct parcel *p = &l->parcels[i];
        for (uint32_t j = 0; j < p->addressee_count; j++)
            takes_free(p->addressees[j].takes);
        free(p->addressees);
        buffer_fini(&p->content);
    }
    while ((node = list_take_first(&l->notices)) != NULL) {
        struct notice *n = container_of(node, struct notice, node);
        takes_free(n->takes);
        free(n);
    }
    while ((node = list_take_first(&l->handovers)) != NULL)
        free(container_of(node, struct handover, node));
    while ((node = list_take_first(&l->repeats)) != NULL)
        free(container_of(node, struct repeat, node));
    free(l->parcels);
    free(l);
}

/* A line of text: printable, sometimes 8-bit, often with dots where they matter. */
static void put_line(struct buffer *out, struct random *r, bool is_8bit)
{
    uint8_t line[LINE_LONGEST];
    uint64_t kind = random_below(r, 100);
    size_t len = (size_t)random_below(r, kind < 95 ? 78 : sizeof line);
    if (kind < 8)
        len = 0;
    random_bytes(r, line, len);
    for (size_t i = 0; i < len; i++)
        line[i] = is_8bit && line[i] >= 0xF0 ? line[i] : (uint8_t)(32 + line[i] % 95);
    if (kind >= 60 && kind < 80)
        for (size_t i = 0; i < len && i <= kind % 3; i++)
            line[i] = '.';
    (void)buffer_put(out, span_of(line, len));
    (void)buffer_put_text(out, "\r\n");
}

void parcel_make(struct ledger *l, uint32_t number, uint32_t addressees, size_t bytes,
                 struct random *r)
{
    check(number < l->parcel_count);
    struct parcel *p = &l->parcels[number];
    p->number = number;
    p->addressees = calloc(addressees, sizeof *p->addressees);
    check(p->addressees != NULL);
    p->addressee_count = addressees;
    struct buffer *out = &p->content;
    buffer_init(out, 4 * 1024 * 1024);
    (void)buffer_printf(out,
                        "X-Parcel: %u\r\nFrom: <%s>\r\nSubject: parcel %u of seed %llu\r\n\r\n",
                        number, p->sender, number, (unsigned long long)l->seed);
    while (out->len < bytes)
        put_line(out, r, p->is_8bit);
    check(!out->full);
}

void ledger_put_mail_wishes(const struct parcel *p, struct buffer *out)
{
    if (p->ret != NULL)
        (void)buffer_printf(out, " RET=%s", p->ret);
    if (p->has_envid)
        (void)buffer_printf(out, " ENVID=parcel+20%u", p->number);
}

void ledger_put_rcpt_wishes(const struct parcel *p, const struct addressee *a, struct buffer *out)
{
    static const struct {
        enum wish wish;
        const char *name;
    } names[] = {{WISH_NEVER, "NEVER"},
                 {WISH_SUCCESS, "SUCCESS"},
                 {WISH_FAILURE, "FAILURE"},
                 {WISH_DELAY, "DELAY"}};
    const char *before = " NOTIFY=";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((a->wishes & names[i].wish) == 0)
            continue;
        (void)buffer_printf(out, "%s%s", before, names[i].name);
        before = ",";
    }
    if (a->has_orcpt)
        (void)buffer_printf(out, " ORCPT=rfc822;%s", p->addressees[a->said].address);
}

bool ledger_may_tell(const struct addressee *a, enum wish what)
{
    return ((a->wishes == 0 ? WISH_FAILURE | WISH_DELAY : a->wishes) & what) != 0;
}

/* A number after `from`, ended by `end`. */
static bool take_number(struct span text, size_t *at, uint8_t end, uint64_t *value_out)
{
    size_t stop = span_find_byte(text, end, *at);
    bool ok =
        stop < text.len && span_parse_u64(span_sub(text, *at, stop - *at), UINT32_MAX, value_out);
    *at = stop + 1;
    return ok;
}

bool ledger_find(struct ledger *l, struct span address, struct parcel **parcel_out,
                 struct addressee **addressee_out)
{
    uint64_t number, index;
    size_t at = 1;
    if (address.len == 0 || address.data[0] != 'r')
        return false;
    if (!take_number(address, &at, 'x', &number) || !take_number(address, &at, '@', &index))
        return false;
    if (number >= l->parcel_count || index >= l->parcels[number].addressee_count)
        return false;
    *parcel_out = &l->parcels[number];
    *addressee_out = &(*parcel_out)->addressees[index];
    return span_equal(address, span_text((*addressee_out)->address));
}

struct handover *ledger_handover(struct ledger *l, uint32_t host)
{
    struct handover *h = calloc(1, sizeof *h);
    check(h != NULL);
    h->at_us = sim_now_us(l->sim);
    h->life = ledger_life(l);
    h->host = host;
    list_append(&l->handovers, &h->node);
    return h;
}

void ledger_take(struct ledger *l, struct take **takes, const struct handover *h)
{
    struct take *t = calloc(1, sizeof *t);
    check(t != NULL);
    (void)l;
    *t = (struct take){.next = *takes, .handover = h};
    *takes = t;
}

struct notice *ledger_notice(struct ledger *l, struct span id)
{
    list_each(node, &l->notices)
    {
        struct notice *n = container_of(node, struct notice, node);
        if (span_equal(span_text(n->id), id))
            return n;
    }
    struct notice *n = calloc(1, sizeof *n);
    check(n != NULL && id.len < sizeof n->id);
    memcpy(n->id, id.data, id.len);
    list_append(&l->notices, &n->node);
    return n;
}

void ledger_repeat(struct ledger *l, struct span id)
{
    struct repeat *r = calloc(1, sizeof *r);
    check(r != NULL);
    memcpy(r->id, id.data, id.len < sizeof r->id ? id.len : sizeof r->id - 1);
    r->life = ledger_life(l);
    list_append(&l->repeats, &r->node);
}

void ledger_disk_trouble(struct ledger *l, bool fails)
{
    struct disk_trouble *last = l->trouble_count == 0 ? NULL : &l->troubles[l->trouble_count - 1];
    bool lasts = last != NULL && last->to_us == SIM_NEVER;
    if (lasts && !fails)
        last->to_us = sim_now_us(l->sim);
    if (lasts || !fails)
        return;
    check(l->trouble_count < LEDGER_TROUBLES_MAX);
    l->troubles[l->trouble_count++] = (struct disk_trouble){sim_now_us(l->sim), SIM_NEVER};
}

uint32_t ledger_life(const struct ledger *l)
{
    return l->life_count == 0 ? 0 : l->life_count - 1;
}

static void print_time(const struct ledger *l)
{
    int64_t now_us = sim_now_us(l->sim);
    printf("%6lld.%06lld ", (long long)(now_us / SIM_SECOND), (long long)(now_us % SIM_SECOND));
}

void ledger_break(struct ledger *l, const char *format, ...)
{
    char sentence[sizeof l->sentence];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    ledger_trace(l, "BROKEN: %s", sentence);
    if (!l->is_broken)
        memcpy(l->sentence, sentence, sizeof sentence);
    l->is_broken = true;
}

void ledger_trace(const struct ledger *l, const char *format, ...)
{
    va_list args;
    if (!l->is_traced)
        return;
    print_time(l);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}
