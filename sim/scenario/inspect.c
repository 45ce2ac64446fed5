/*
 * inspect: see inspect.h.
 */
#include "sim/scenario/inspect.h"

#include <string.h>

#include "base/check.h"
#include "sim/scenario/seven.h"

/* The line at `at` without its CRLF; *next_out is where the next one begins. */
static struct span line_at(struct span s, size_t at, size_t *next_out)
{
    size_t stop = span_find_byte(s, '\n', at);
    *next_out = stop < s.len ? stop + 1 : stop;
    size_t len = stop - at;
    if (len > 0 && s.data[at + len - 1] == '\r')
        len--;
    return span_sub(s, at, len);
}

/* One Received field with its folded lines; *id_out is what it says after " id ". */
static size_t skip_received(struct span content, struct span *id_out)
{
    size_t at = 0, next;
    if (!span_starts_with(content, SPAN("Received: ")))
        return 0;
    do {
        struct span line = line_at(content, at, &next);
        size_t id = span_find(line, SPAN(" id "), 0);
        if (id < line.len)
            *id_out = span_sub(line, id + 4, LEDGER_ID_MAX - 1);
        at = next;
    } while (at < content.len && (content.data[at] == ' ' || content.data[at] == '\t'));
    if (id_out->len > 0 && id_out->data[id_out->len - 1] == ';')
        id_out->len--;
    return at;
}

static void check_content(struct inspection *i, struct span rest);

static bool has_8bit(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] > 127)
            return true;
    return false;
}

/* RFC 6152 3: to a server without 8BITMIME it may come in another form, which is the same. */
static void check_seven(struct inspection *i, struct span rest)
{
    const struct parcel *p = i->parcel;
    struct buffer restored;
    buffer_init(&restored, 8 * 1024 * 1024);
    i->is_7bit = false;
    if (seven_restore(rest, &restored))
        check_content(i, buffer_span(&restored));
    else
        ledger_break(i->ledger, "parcel %u came to a 7-bit server as: %.*s", p->number,
                     SPAN_PRINT(span_sub(rest, 0, 400)));
    buffer_fini(&restored);
}

static void check_content(struct inspection *i, struct span rest)
{
    const struct parcel *p = i->parcel;
    if (i->is_7bit && has_8bit(buffer_span(&p->content))) {
        check_seven(i, rest);
        return;
    }
    struct span made = buffer_span(&p->content);
    bool is_open = !(made.len >= 2 && made.data[made.len - 1] == '\n');
    struct span end = span_skip(rest, made.len);
    bool is_same = span_equal(span_sub(rest, 0, made.len), made) &&
                   span_equal(end, is_open ? SPAN("\r\n") : SPAN(""));
    if (!is_same)
        ledger_break(i->ledger, "the content of parcel %u came altered: %zu bytes of %zu",
                     p->number, rest.len, made.len);
}

static void check_envelope(struct inspection *i)
{
    const struct parcel *p = i->parcel;
    struct ledger *l = i->ledger;
    if (strcmp(i->reverse_path, p->sender) != 0)
        ledger_break(l, "parcel %u of <%s> came from <%s>", p->number, p->sender, i->reverse_path);
    for (uint32_t n = 0; n < i->recipient_count; n++) {
        struct parcel *other;
        struct addressee *a;
        if (!ledger_find(l, span_text(i->recipients[n]), &other, &a) || other != p)
            ledger_break(l, "parcel %u came for <%s>", p->number, i->recipients[n]);
        else if (!town_leads_to(i->town, a->domain, i->host))
            ledger_break(l, "<%s> came to %s, where it does not belong", i->recipients[n],
                         i->town->hosts[i->host].name);
    }
}

static void inspect_parcel(struct inspection *i, struct span rest, struct span id)
{
    struct parcel *p = i->parcel;
    check_envelope(i);
    check_content(i, rest);
    if (id.len == 0)
        ledger_break(i->ledger, "parcel %u came without a Received field", p->number);
    else if (p->id[0] == '\0')
        memcpy(p->id, id.data, id.len);
    else if (!span_equal(id, span_text(p->id)))
        ledger_break(i->ledger, "parcel %u, accepted as %s, came as %.*s", p->number, p->id,
                     SPAN_PRINT(id));
}

/* "s3@d0.test" */
static struct parcel *parcel_of_sender(struct ledger *l, struct span sender)
{
    uint64_t number;
    size_t at = span_find_byte(sender, '@', 0);
    if (at < 2 || at == sender.len || sender.data[0] != 's' ||
        !span_parse_u64(span_sub(sender, 1, at - 1), UINT32_MAX, &number) ||
        number >= l->parcel_count)
        return NULL;
    struct parcel *p = &l->parcels[number];
    return span_equal(sender, span_text(p->sender)) ? p : NULL;
}

static void inspect_notice(struct inspection *i)
{
    struct ledger *l = i->ledger;
    size_t at = 0;
    while (at < i->content.len && i->notice_id.len == 0) {
        struct span line = line_at(i->content, at, &at);
        if (line.len == 0)
            break;
        if (span_starts_with_nocase(line, SPAN("Message-ID: <")))
            i->notice_id = span_sub(span_skip(line, 13), 0, span_find_byte(line, '@', 0) - 13);
    }
    const struct parcel *p =
        i->recipient_count == 1 ? parcel_of_sender(l, span_text(i->recipients[0])) : NULL;
    if (p == NULL || i->reverse_path[0] != '\0' || i->notice_id.len == 0 ||
        i->notice_id.len >= LEDGER_ID_MAX)
        ledger_break(l, "unknown mail came from <%s> for <%s>: %zu bytes, \"%.*s\"",
                     i->reverse_path, i->recipients[0], i->content.len,
                     SPAN_PRINT(span_sub(i->content, 0, 300)));
    else if (!town_leads_to(i->town, p->home, i->host))
        ledger_break(l, "a notification for <%s> came to %s, where it does not belong",
                     i->recipients[0], i->town->hosts[i->host].name);
}

enum opinion inspect(struct inspection *i)
{
    struct span id = {0};
    struct span rest = span_skip(i->content, skip_received(i->content, &id));
    size_t next;
    uint64_t number;
    check(i->recipient_count > 0);
    i->parcel = NULL;
    i->notice_id = (struct span){0};
    struct span first = line_at(rest, 0, &next);
    if (!span_starts_with(first, SPAN("X-Parcel: "))) {
        inspect_notice(i);
        return OPINION_TAKES;
    }
    if (!span_parse_u64(span_skip(first, 10), UINT32_MAX, &number) ||
        number >= i->ledger->parcel_count) {
        ledger_break(i->ledger, "unknown mail came: \"%.*s\"", SPAN_PRINT(first));
        return OPINION_TAKES;
    }
    i->parcel = &i->ledger->parcels[number];
    inspect_parcel(i, rest, id);
    return town_of_content(i->town, i->parcel);
}

/* By two notifications nobody is told the same; what the client did not want is not told. */
static void tell_once(struct ledger *l, const struct addressee *a, struct notice **told,
                      struct notice *n, enum wish what, const char *name)
{
    if (!ledger_may_tell(a, what))
        ledger_break(l, "the sender of <%s> was told that it is %s, and had not asked for that",
                     a->address, name);
    if (*told != NULL && *told != n)
        ledger_break(l, "the sender of <%s> was told by two notifications that it is %s",
                     a->address, name);
    *told = n;
}

static void tell_failed(struct ledger *l, struct addressee *a, struct notice *n)
{
    if (a->notice == NULL)
        a->noticed_us = sim_now_us(l->sim);
    tell_once(l, a, &a->notice, n, WISH_FAILURE, "failed");
}

static void tell(const struct inspection *i, struct notice *n, struct span address,
                 struct span action)
{
    struct ledger *l = i->ledger;
    struct parcel *p;
    struct addressee *a;
    if (!ledger_find(l, address, &p, &a) || p != parcel_of_sender(l, span_text(i->recipients[0]))) {
        ledger_break(l, "a notification to <%s> is about <%.*s>", i->recipients[0],
                     SPAN_PRINT(address));
        return;
    }
    ledger_trace(l, "%s: a notification says that %s is %.*s", i->town->hosts[i->host].name,
                 a->address, SPAN_PRINT(action));
    if (span_equal_nocase(action, SPAN("failed")))
        tell_failed(l, a, n);
    else if (span_equal_nocase(action, SPAN("delayed")))
        tell_once(l, a, &a->late_notice, n, WISH_DELAY, "delayed");
    else if (span_equal_nocase(action, SPAN("relayed")))
        tell_once(l, a, &a->success_notice, n, WISH_SUCCESS, "relayed");
    else if (span_equal_nocase(action, SPAN("expanded")) && a->is_list)
        tell_once(l, a, &a->expanded_notice, n, WISH_SUCCESS, "expanded");
    else
        ledger_break(l, "<%s> is said to be %.*s", a->address, SPAN_PRINT(action));
}

/* Final-Recipient, then Action, in each group (RFC 3464 2.3). */
static void take_notice(const struct inspection *i, const struct handover *h)
{
    struct notice *n = ledger_notice(i->ledger, i->notice_id);
    struct span address = {0};
    size_t at = 0;
    uint32_t told = 0;
    ledger_take(i->ledger, &n->takes, h);
    while (at < i->content.len) {
        struct span line = line_at(i->content, at, &at);
        if (span_starts_with_nocase(line, SPAN("Final-Recipient: rfc822; ")))
            address = span_skip(line, 25);
        if (address.len > 0 && span_starts_with_nocase(line, SPAN("Action: "))) {
            tell(i, n, address, span_skip(line, 8));
            address.len = 0;
            told++;
        }
    }
    if (told == 0)
        ledger_break(i->ledger, "a notification to <%s> is about nobody", i->recipients[0]);
}

struct handover *inspect_take(const struct inspection *i)
{
    struct ledger *l = i->ledger;
    struct handover *h = ledger_handover(l, i->host);
    struct parcel *p;
    struct addressee *a;
    if (i->parcel == NULL) {
        if (i->notice_id.len > 0 && i->notice_id.len < LEDGER_ID_MAX)
            take_notice(i, h);
        return h;
    }
    for (uint32_t n = 0; n < i->recipient_count; n++) {
        if (!ledger_find(l, span_text(i->recipients[n]), &p, &a))
            continue;
        ledger_trace(l, "%s: takes %s", i->town->hosts[i->host].name, a->address);
        ledger_take(l, &a->takes, h);
    }
    return h;
}

void inspect_refused(struct ledger *l, const char *recipient)
{
    struct parcel *p;
    struct addressee *a;
    if (ledger_find(l, span_text(recipient), &p, &a))
        a->is_refused = true;
}

bool inspect_refused_sender(struct ledger *l, const char *sender)
{
    struct parcel *p = parcel_of_sender(l, span_text(sender));
    if (p == NULL)
        return false;
    for (uint32_t i = 0; i < p->addressee_count; i++)
        p->addressees[i].is_refused = true;
    return true;
}
