/*
 * status: see status.h.
 */
#include "mail/status.h"

#include <stdio.h>

/* One to three digits up to a dot or the end, taken off the front; *left_out says whether a dot
   was there. */
static bool take_number(struct span *text, uint16_t *number_out, bool *dot_out)
{
    struct span digits;
    uint64_t value;
    *dot_out = span_find_byte(*text, '.', 0) < text->len;
    *text = span_split(*text, '.', &digits);
    if (digits.len > 3 || !span_parse_u64(digits, 999, &value))
        return false;
    *number_out = (uint16_t)value;
    return true;
}

bool status_parse(struct span text, struct status *status_out)
{
    struct status s;
    bool dot;
    if (text.len < 5 || text.data[1] != '.')
        return false;
    if (text.data[0] != '2' && text.data[0] != '4' && text.data[0] != '5')
        return false;
    s.class = (uint8_t)(text.data[0] - '0');
    text = span_skip(text, 2);
    if (!take_number(&text, &s.subject, &dot) || !dot)
        return false;
    if (!take_number(&text, &s.detail, &dot) || dot)
        return false;
    *status_out = s;
    return true;
}

void status_format(struct status s, char text_out[STATUS_TEXT_MAX + 1])
{
    (void)snprintf(text_out, STATUS_TEXT_MAX + 1, "%u.%u.%u", s.class % 10u, s.subject % 1000u,
                   s.detail % 1000u);
}

/* What a reply code says by itself (RFC 5321 4.2.3); a code that is not here is "other", x.0.0. */
static const struct {
    int code;
    struct status status;
} rows[] = {
    {421, {4, 3, 2}},  /* service not available, closing */
    {450, {4, 2, 0}},  /* mailbox unavailable */
    {451, {4, 3, 0}},  /* local error */
    {452, {4, 3, 1}},  /* insufficient storage */
    {454, {4, 7, 0}},  /* TLS or authentication not available now */
    {455, {4, 5, 4}},  /* parameters cannot be accommodated */
    {500, {5, 5, 2}},  /* syntax, command unrecognized */
    {501, {5, 5, 4}},  /* syntax in parameters */
    {502, {5, 5, 1}},  /* command not implemented */
    {503, {5, 5, 1}},  /* bad sequence */
    {504, {5, 5, 4}},  /* parameter not implemented */
    {521, {5, 3, 2}},  /* host does not accept mail (RFC 7504) */
    {530, {5, 7, 0}},  /* authentication or TLS required */
    {551, {5, 1, 6}},  /* user not local */
    {552, {5, 2, 2}},  /* exceeded storage allocation */
    {553, {5, 1, 3}},  /* mailbox name not allowed */
    {555, {5, 5, 4}},  /* parameters not recognized */
    {556, {5, 1, 10}}, /* domain does not accept mail (RFC 7504) */
};

static struct status status_of_code(int code)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == code)
            return rows[i].status;
    }
    int class = code / 100;
    if (class == 2 || class == 4 || class == 5)
        return (struct status){.class = (uint8_t) class};
    return (struct status){.class = 4, .subject = 5};
}

/* The enhanced code is the first word of the text; a blank or the end must follow it. */
struct status status_of_reply(int code, struct span text)
{
    struct status s;
    struct span word = text;
    for (size_t i = text.len; i > 0; i--) {
        uint8_t byte = text.data[i - 1];
        if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')
            word.len = i - 1;
    }
    if (code >= 200 && code <= 599 && status_parse(word, &s) && s.class == code / 100)
        return s;
    return status_of_code(code);
}

struct status status_of_fault(enum fault f)
{
    struct status s = {.class = 4};
    (void)!status_parse(span_text(fault_enhanced(f)), &s);
    return s;
}

bool status_equal(struct status a, struct status b)
{
    return a.class == b.class && a.subject == b.subject && a.detail == b.detail;
}
