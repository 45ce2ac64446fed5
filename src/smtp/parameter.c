#include "smtp/parameter.h"

#include "base/encode.h"
#include "mail/notify.h"

/* RFC 1870 3: up to 20 digits; this is more mail than there is. */
#define SIZE_BYTES_MAX UINT64_C(9999999999999999999)

static bool refuse(struct refusal *out, int code, const char *text)
{
    *out = (struct refusal){code, "5.5.4", text};
    return false;
}

static bool parse_size(struct span value, struct command *c, struct refusal *no)
{
    if (!span_parse_u64(value, SIZE_BYTES_MAX, &c->size))
        return refuse(no, 501, "SIZE is not one number");
    c->has_size = true;
    return true;
}

static bool parse_body(struct span value, struct command *c, struct refusal *no)
{
    if (span_equal_nocase(value, SPAN("7BIT")))
        c->body = BODY_7BIT;
    else if (span_equal_nocase(value, SPAN("8BITMIME")))
        c->body = BODY_8BITMIME;
    else
        return refuse(no, 501, "BODY is neither 7BIT nor 8BITMIME");
    return true;
}

static bool parse_smtputf8(struct span value, struct command *c, struct refusal *no)
{
    (void)value;
    (void)no;
    c->smtputf8 = true;
    return true;
}

static bool parse_ret(struct span value, struct command *c, struct refusal *no)
{
    if (span_equal_nocase(value, SPAN("FULL")))
        c->ret = RETURN_FULL;
    else if (span_equal_nocase(value, SPAN("HDRS")))
        c->ret = RETURN_HEADERS;
    else
        return refuse(no, 501, "RET is not one of FULL and HDRS");
    return true;
}

/* Upper case alone, as RFC 3461 4 and RFC 6533 3 write it. -1: no hexadecimal digit. */
static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* Length of the xtext (RFC 3461 4) of one printable character at `at`; 0: none. All other
   characters could not be told in a report (4.2, 4.4). */
static size_t xtext_character(struct span s, size_t at)
{
    uint8_t byte = s.data[at];
    if (byte != '+')
        return byte > ' ' && byte <= '~' && byte != '=';
    int high = at + 2 < s.len ? hex_value(s.data[at + 1]) : -1;
    int low = at + 2 < s.len ? hex_value(s.data[at + 2]) : -1;
    int value = high < 0 || low < 0 ? 0 : high << 4 | low;
    return value >= ' ' && value <= '~' ? 3 : 0;
}

/* Xtext for at least one character. */
static bool is_xtext(struct span value)
{
    for (size_t at = 0; at < value.len;) {
        size_t len = xtext_character(value, at);
        if (len == 0)
            return false;
        at += len;
    }
    return value.len > 0;
}

static bool parse_envid(struct span value, struct command *c, struct refusal *no)
{
    if (value.len > PARAMETER_ENVID_MAX || !is_xtext(value))
        return refuse(no, 501, "ENVID is not one word of xtext, of at most 100 characters");
    c->envid = value;
    return true;
}

static const struct {
    struct span word;
    uint8_t bit;
} notify_words[] = {
    {{(const uint8_t *)"NEVER", 5}, NOTIFY_NEVER},
    {{(const uint8_t *)"SUCCESS", 7}, NOTIFY_SUCCESS},
    {{(const uint8_t *)"FAILURE", 7}, NOTIFY_FAILURE},
    {{(const uint8_t *)"DELAY", 5}, NOTIFY_DELAY},
};

/* 0: no such word. */
static uint8_t notify_bit(struct span word)
{
    for (size_t i = 0; i < sizeof notify_words / sizeof notify_words[0]; i++)
        if (span_equal_nocase(word, notify_words[i].word))
            return notify_words[i].bit;
    return 0;
}

/* NEVER alone, or some of the others, each once (RFC 3461 4.1). */
static bool parse_notify(struct span value, struct command *c, struct refusal *no)
{
    bool more = true;
    while (more) {
        struct span word;
        more = span_find_byte(value, ',', 0) < value.len;
        value = span_split(value, ',', &word);
        uint8_t bit = notify_bit(word);
        bool is_alone = (bit == NOTIFY_NEVER ? c->notify : c->notify & NOTIFY_NEVER) == 0;
        if (bit == 0 || (c->notify & bit) != 0 || !is_alone)
            return refuse(no, 501,
                          "NOTIFY is neither NEVER nor a list of SUCCESS, FAILURE and DELAY");
        c->notify |= bit;
    }
    return true;
}

/* An atom, as far as registered types go: letters, digits, hyphens. */
static bool is_address_type(struct span type)
{
    for (size_t i = 0; i < type.len; i++) {
        uint8_t byte = byte_lower(type.data[i]);
        if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '-')
            return false;
    }
    return type.len > 0;
}

/* Length of "\x{E9}", 1 to 6 hexadecimal digits, at `at`; 0: it is none. */
static size_t embedded_character(struct span s, size_t at)
{
    size_t digits = 0;
    if (!span_starts_with(span_skip(s, at), SPAN("\\x{")))
        return 0;
    while (at + 3 + digits < s.len && hex_value(s.data[at + 3 + digits]) >= 0)
        digits++;
    bool is_closed = at + 3 + digits < s.len && s.data[at + 3 + digits] == '}';
    return is_closed && digits >= 1 && digits <= 6 ? digits + 4 : 0;
}

/* Utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 3): 8-bit characters stand for themselves (if
   they may come at all, which the session knows), and what may not stand is \x{...}. */
static bool is_utf8_address(struct span value)
{
    for (size_t at = 0; at < value.len;) {
        uint8_t byte = value.data[at];
        size_t len = byte > ' ' && byte < 127 && byte != '+' && byte != '=';
        if (byte == '\\')
            len = embedded_character(value, at);
        else if (byte >= 0x80)
            len = utf8_sequence(span_skip(value, at));
        if (len == 0)
            return false;
        at += len;
    }
    return value.len > 0;
}

static bool parse_orcpt(struct span value, struct command *c, struct refusal *no)
{
    struct span type;
    struct span address = span_split(value, ';', &type);
    bool is_utf8 = span_equal_nocase(type, SPAN("utf-8"));
    bool is_good = is_utf8 ? is_utf8_address(address) : is_xtext(address);
    if (value.len > PARAMETER_ORCPT_MAX || !is_address_type(type) || !is_good)
        return refuse(no, 501, "ORCPT is not one type and address in xtext");
    c->orcpt = value;
    return true;
}

enum value { NO_VALUE, VALUE };

static const struct parameter {
    struct span name;
    enum command_verb verb;
    enum value value;
    bool (*parse)(struct span value, struct command *c, struct refusal *no);
} parameters[] = {
    {{(const uint8_t *)"SIZE", 4}, COMMAND_MAIL, VALUE, parse_size},
    {{(const uint8_t *)"BODY", 4}, COMMAND_MAIL, VALUE, parse_body},
    {{(const uint8_t *)"SMTPUTF8", 8}, COMMAND_MAIL, NO_VALUE, parse_smtputf8},
    {{(const uint8_t *)"RET", 3}, COMMAND_MAIL, VALUE, parse_ret},
    {{(const uint8_t *)"ENVID", 5}, COMMAND_MAIL, VALUE, parse_envid},
    {{(const uint8_t *)"NOTIFY", 6}, COMMAND_RCPT, VALUE, parse_notify},
    {{(const uint8_t *)"ORCPT", 5}, COMMAND_RCPT, VALUE, parse_orcpt},
};

#define PARAMETERS (sizeof parameters / sizeof parameters[0])

/* PARAMETERS: there is none of that name for this command. */
static size_t find(struct span name, enum command_verb verb)
{
    size_t i = 0;
    while (i < PARAMETERS &&
           (parameters[i].verb != verb || !span_equal_nocase(name, parameters[i].name)))
        i++;
    return i;
}

static bool parse_one(struct span parameter, unsigned *seen, struct command *c, struct refusal *no)
{
    struct span name;
    struct span value = span_split(parameter, '=', &name);
    bool has_value = name.len < parameter.len;
    if (name.len == 0)
        return refuse(no, 501, "a parameter is missing");
    size_t i = find(name, c->verb);
    if (i == PARAMETERS)
        return refuse(no, 555, "this parameter is not known here");
    if ((*seen & 1u << i) != 0)
        return refuse(no, 501, "a parameter stands twice");
    *seen |= 1u << i;
    if (has_value != (parameters[i].value == VALUE))
        return refuse(no, 501, has_value ? "SMTPUTF8 takes no value" : "a value is missing");
    return parameters[i].parse(value, c, no);
}

bool parameter_parse(struct span text, struct command *c, struct refusal *no)
{
    unsigned seen = 0;
    while (text.len > 0) {
        struct span parameter;
        if (text.data[0] != ' ') /* one blank before each (RFC 5321 4.1.2) */
            return refuse(no, 501, "a blank is missing after >");
        text = span_split(span_skip(text, 1), ' ', &parameter);
        if (text.len > 0)
            text = span_of(text.data - 1, text.len + 1);
        if (!parse_one(parameter, &seen, c, no))
            return false;
    }
    return true;
}
