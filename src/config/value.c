/*
 * value: see value.h.
 */
#include "config/value.h"

#include <string.h>

#include "base/check.h"
#include "config/network.h"
#include "config/report.h"

#define DNS_PORT 53

struct unit {
    const char *name;
    uint64_t factor;
};

/* The first is the one of zero. */
static const struct unit duration_units[] = {
    {"s", 1000}, {"ms", 1}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
};
static const struct unit size_units[] = {
    {"", 1},
    {"K", 1024},
    {"M", 1024 * 1024},
    {"G", 1024 * 1024 * 1024},
    {"T", UINT64_C(1024) * 1024 * 1024 * 1024},
};
static const struct unit plain_units[] = {{"", 1}};

struct units {
    const struct unit *rows;
    size_t count;
};

static const char *const format_names[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json"};
static const char *const tls_names[] = {
    [TLS_DEMAND_MAY] = "may", [TLS_DEMAND_MUST] = "must", [TLS_DEMAND_NEVER] = "never"};
static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

const char *value_expected(enum option_type type)
{
    switch (type) {
    case TYPE_NUMBER:
    case TYPE_PORT:
        return "a number";
    case TYPE_DURATION:
        return "a duration such as 30s or 5m (units: ms s m h d)";
    case TYPE_SIZE:
        return "a size such as 4096 or 64M (units: K M G T)";
    case TYPE_HOSTNAME:
        return "a host name such as mx1.example.org";
    case TYPE_PATH:
        return "a path that begins with /";
    case TYPE_ACCOUNT:
        return "the name of a user or group of this system";
    case TYPE_ENDPOINTS:
        return "addresses with ports, such as 192.0.2.1:25 or [2001:db8::1]:25";
    case TYPE_RANGES:
        return "address ranges such as 192.0.2.0/24 or 2001:db8::/32";
    case TYPE_NEXT_HOP:
        return "smtp:HOST, smtp:HOST:PORT, lmtp:HOST:PORT or lmtp:/PATH";
    case TYPE_ENDPOINT:
        return "an address such as 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53";
    case TYPE_SOURCES:
        return "an address such as 192.0.2.1 or 2001:db8::1";
    case TYPE_TLS:
        return "may, must or never";
    case TYPE_LOG_FORMAT:
        return "text or json";
    case TYPE_LOG_LEVEL:
        return "error, warning, notice, info or debug";
    }
    return "";
}

/* Says why not, with the word, as far as there is room. */
static enum fault refuse(struct buffer *why, struct span word, const char *text)
{
    struct span shown = report_word(word);
    buffer_printf(why, "'%.*s': %s", SPAN_PRINT(shown), text);
    return FAULT_SYNTAX;
}

static enum fault refuse_type(struct buffer *why, struct span word, enum option_type type)
{
    struct span shown = report_word(word);
    buffer_printf(why, "'%.*s': expected %s", SPAN_PRINT(shown), value_expected(type));
    return FAULT_SYNTAX;
}

/* Numbers with units */

static struct units units_of(enum option_type type)
{
    if (type == TYPE_DURATION)
        return (struct units){duration_units, sizeof duration_units / sizeof duration_units[0]};
    if (type == TYPE_SIZE)
        return (struct units){size_units, sizeof size_units / sizeof size_units[0]};
    return (struct units){plain_units, 1};
}

static bool parse_amount(struct span word, struct units units, uint64_t *amount_out)
{
    size_t digits = 0;
    uint64_t number = 0;
    while (digits < word.len && word.data[digits] >= '0' && word.data[digits] <= '9')
        digits++;
    struct span unit = span_skip(word, digits);
    if (!span_parse_u64(span_sub(word, 0, digits), UINT64_MAX, &number))
        return false;
    for (size_t i = 0; i < units.count; i++)
        if (span_equal(unit, span_text(units.rows[i].name)))
            return !__builtin_mul_overflow(number, units.rows[i].factor, amount_out);
    return false;
}

static bool put_amount(struct buffer *out, uint64_t amount, struct units units)
{
    const struct unit *best = &units.rows[0];
    for (size_t i = 0; amount > 0 && i < units.count; i++)
        if (amount % units.rows[i].factor == 0 &&
            (amount % best->factor != 0 || units.rows[i].factor > best->factor))
            best = &units.rows[i];
    return buffer_printf(out, "%llu%s", (unsigned long long)(amount / best->factor), best->name);
}

/* A limit of the schema, which can only be right. */
static uint64_t limit_of(const char *text, struct units units)
{
    uint64_t limit = 0;
    check(parse_amount(span_text(text), units, &limit));
    return limit;
}

static enum fault set_amount(struct settings *s, const struct option *o, struct span word,
                             struct buffer *why)
{
    struct units units = units_of(o->type);
    uint64_t amount = 0;
    if (!parse_amount(word, units, &amount))
        return refuse_type(why, word, o->type);
    if (amount < limit_of(o->least, units) || amount > limit_of(o->most, units)) {
        struct span shown = report_word(word);
        buffer_printf(why, "'%.*s' is out of range: '%s' is from %s to %s", SPAN_PRINT(shown),
                      o->name, o->least, o->most);
        return FAULT_SYNTAX;
    }
    uint8_t *field = (uint8_t *)s + o->offset;
    uint16_t port = (uint16_t)amount;
    uint32_t number = (uint32_t)amount;
    if (o->type == TYPE_SIZE)
        memcpy(field, &amount, sizeof amount);
    else if (o->type == TYPE_PORT)
        memcpy(field, &port, sizeof port);
    else
        memcpy(field, &number, sizeof number);
    return FAULT_NONE;
}

static uint64_t amount_of(const struct settings *s, const struct option *o)
{
    const uint8_t *field = (const uint8_t *)s + o->offset;
    uint64_t amount = 0;
    uint16_t port = 0;
    uint32_t number = 0;
    if (o->type == TYPE_SIZE) {
        memcpy(&amount, field, sizeof amount);
        return amount;
    }
    if (o->type == TYPE_PORT) {
        memcpy(&port, field, sizeof port);
        return port;
    }
    memcpy(&number, field, sizeof number);
    return number;
}

/* Texts */

static enum fault set_text(struct settings *s, const struct option *o, struct span word)
{
    const char *copy = arena_text(&s->memory, word);
    if (copy == NULL)
        return FAULT_NO_MEMORY;
    memcpy((uint8_t *)s + o->offset, &copy, sizeof copy);
    return FAULT_NONE;
}

static const char *text_of(const struct settings *s, const struct option *o)
{
    const char *text = NULL;
    memcpy(&text, (const uint8_t *)s + o->offset, sizeof text);
    return text;
}

static enum fault set_path(struct settings *s, const struct option *o, struct span word,
                           struct buffer *why)
{
    if (word.len == 0 || word.data[0] != '/')
        return refuse_type(why, word, o->type);
    if (word.len > limit_of(o->most, units_of(TYPE_NUMBER))) {
        buffer_printf(why, "the path is too long: at most %s bytes", o->most);
        return FAULT_SYNTAX;
    }
    return set_text(s, o, word);
}

static bool is_account_byte(uint8_t b, bool is_first)
{
    bool is_letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '_';
    return is_letter || (!is_first && ((b >= '0' && b <= '9') || b == '-' || b == '.'));
}

/* As useradd takes them; a number is none. */
static enum fault set_account(struct settings *s, const struct option *o, struct span word,
                              struct buffer *why)
{
    bool is_good = word.len > 0 && word.len <= limit_of(o->most, units_of(TYPE_NUMBER));
    for (size_t i = 0; is_good && i < word.len; i++)
        is_good = is_account_byte(word.data[i], i == 0);
    return is_good ? set_text(s, o, word) : refuse_type(why, word, o->type);
}

/* Index of the name, or `count`. */
static size_t find_name(const char *const *names, size_t count, struct span word)
{
    size_t i = 0;
    while (i < count && !span_equal(word, span_text(names[i])))
        i++;
    return i;
}

static enum fault set_log_format(struct settings *s, struct span word, struct buffer *why)
{
    size_t count = sizeof format_names / sizeof format_names[0];
    size_t found = find_name(format_names, count, word);
    if (found == count)
        return refuse_type(why, word, TYPE_LOG_FORMAT);
    s->log_format = (enum log_format)found;
    return FAULT_NONE;
}

static enum fault set_tls(struct settings *s, struct span word, struct buffer *why)
{
    size_t count = sizeof tls_names / sizeof tls_names[0];
    size_t found = find_name(tls_names, count, word);
    if (found == count)
        return refuse_type(why, word, TYPE_TLS);
    s->deliver_tls = (enum tls_demand)found;
    return FAULT_NONE;
}

static enum fault set_log_level(struct settings *s, struct span word, struct buffer *why)
{
    size_t count = sizeof level_names / sizeof level_names[0];
    size_t found = find_name(level_names, count, word);
    if (found == count)
        return refuse_type(why, word, TYPE_LOG_LEVEL);
    s->log_level = (enum log_level)found;
    return FAULT_NONE;
}

/* Networks */

/* A list with room for one more: it moves to twice the room whenever its length is a power of two,
   so that no capacity has to be kept. NULL: no memory. */
static void *grown(struct arena *a, const void *list, uint32_t count, size_t size)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return (void *)(uintptr_t)list;
    void *larger = arena_alloc(a, size * (count == 0 ? 1 : (size_t)count * 2));
    if (larger != NULL && count > 0)
        memcpy(larger, list, size * count);
    return larger;
}

static enum fault add_listener(struct settings *s, struct span word, struct buffer *why)
{
    struct endpoint e = {0};
    const char *wrong = network_parse_endpoint(word, 0, &e);
    if (wrong != NULL)
        return refuse(why, word, wrong);
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (endpoint_equal(s->listeners[i], e))
            return refuse(why, word, "this is bound already");
    struct endpoint *list = grown(&s->memory, s->listeners, s->listener_count, sizeof e);
    if (list == NULL)
        return FAULT_NO_MEMORY;
    list[s->listener_count++] = e;
    s->listeners = list;
    return FAULT_NONE;
}

static enum fault add_range(struct settings *s, struct span word, struct buffer *why)
{
    struct address_range range = {0};
    const char *wrong = network_parse_range(word, &range);
    if (wrong != NULL)
        return refuse(why, word, wrong);
    struct address_range *list =
        grown(&s->memory, s->relay_from, s->relay_from_count, sizeof range);
    if (list == NULL)
        return FAULT_NO_MEMORY;
    list[s->relay_from_count++] = range;
    s->relay_from = list;
    return FAULT_NONE;
}

static enum fault set_next_hop(struct settings *s, const struct option *o, struct span word,
                               struct buffer *why)
{
    struct next_hop hop;
    const char *wrong = network_parse_next_hop(word, &hop);
    if (wrong != NULL)
        return refuse(why, word, wrong);
    s->next_hop_port = hop.port;
    s->next_hop_is_lmtp = hop.is_lmtp;
    return set_text(s, o, hop.host);
}

static enum fault set_server(struct settings *s, struct span word, struct buffer *why)
{
    const char *wrong = network_parse_endpoint(word, DNS_PORT, &s->dns_server);
    return wrong == NULL ? FAULT_NONE : refuse_type(why, word, TYPE_ENDPOINT);
}

static enum fault set_source(struct settings *s, struct span word, struct buffer *why)
{
    struct endpoint e = {0};
    const char *wrong = network_parse_ip(word, &e);
    if (wrong != NULL)
        return refuse(why, word, wrong);
    struct endpoint *field = e.family == 4 ? &s->deliver_source_ipv4 : &s->deliver_source_ipv6;
    if (field->family != 0)
        return refuse(why, word, "there is an address of this family already");
    *field = e;
    return FAULT_NONE;
}

/* All types */

enum fault value_set(struct settings *s, enum option_id id, struct span word, struct buffer *why)
{
    const struct option *o = schema_option(id);
    switch (o->type) {
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
        return set_amount(s, o, word, why);
    case TYPE_HOSTNAME:
        if (!network_is_host_name(word, false))
            return refuse_type(why, word, o->type);
        return set_text(s, o, word);
    case TYPE_PATH:
        return set_path(s, o, word, why);
    case TYPE_ACCOUNT:
        return set_account(s, o, word, why);
    case TYPE_ENDPOINTS:
        return add_listener(s, word, why);
    case TYPE_RANGES:
        return add_range(s, word, why);
    case TYPE_NEXT_HOP:
        return set_next_hop(s, o, word, why);
    case TYPE_ENDPOINT:
        return set_server(s, word, why);
    case TYPE_SOURCES:
        return set_source(s, word, why);
    case TYPE_TLS:
        return set_tls(s, word, why);
    case TYPE_LOG_FORMAT:
        return set_log_format(s, word, why);
    case TYPE_LOG_LEVEL:
        return set_log_level(s, word, why);
    }
    return FAULT_UNKNOWN;
}

size_t value_count(const struct settings *s, enum option_id id)
{
    const struct option *o = schema_option(id);
    switch (o->type) {
    case TYPE_HOSTNAME:
    case TYPE_PATH:
    case TYPE_ACCOUNT:
    case TYPE_NEXT_HOP:
        return text_of(s, o) != NULL ? 1 : 0;
    case TYPE_ENDPOINTS:
        return s->listener_count;
    case TYPE_RANGES:
        return s->relay_from_count;
    case TYPE_ENDPOINT:
        return s->dns_server.family != 0 ? 1 : 0;
    case TYPE_SOURCES:
        return (s->deliver_source_ipv4.family != 0 ? 1u : 0u) +
               (s->deliver_source_ipv6.family != 0 ? 1u : 0u);
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_TLS:
    case TYPE_LOG_FORMAT:
    case TYPE_LOG_LEVEL:
        return 1;
    }
    return 0;
}

static bool put_next_hop(const struct settings *s, struct buffer *out)
{
    struct next_hop hop = {.host = span_text(s->next_hop_host),
                           .port = s->next_hop_port,
                           .is_lmtp = s->next_hop_is_lmtp};
    return network_put_next_hop(out, &hop);
}

bool value_put(const struct settings *s, enum option_id id, size_t index, struct buffer *out)
{
    const struct option *o = schema_option(id);
    char text[ENDPOINT_TEXT_MAX];
    check(index < value_count(s, id));
    switch (o->type) {
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
        return put_amount(out, amount_of(s, o), units_of(o->type));
    case TYPE_HOSTNAME:
    case TYPE_PATH:
    case TYPE_ACCOUNT:
        return buffer_put_text(out, text_of(s, o));
    case TYPE_ENDPOINTS:
        return buffer_put(out, endpoint_format(s->listeners[index], text));
    case TYPE_RANGES:
        return network_put_range(out, &s->relay_from[index]);
    case TYPE_NEXT_HOP:
        return put_next_hop(s, out);
    case TYPE_ENDPOINT:
        return buffer_put(out, endpoint_format(s->dns_server, text));
    case TYPE_SOURCES:
        return buffer_put(out, endpoint_format_ip(index == 0 && s->deliver_source_ipv4.family != 0
                                                      ? s->deliver_source_ipv4
                                                      : s->deliver_source_ipv6,
                                                  text));
    case TYPE_TLS:
        return buffer_put_text(out, tls_names[s->deliver_tls]);
    case TYPE_LOG_FORMAT:
        return buffer_put_text(out, format_names[s->log_format]);
    case TYPE_LOG_LEVEL:
        return buffer_put_text(out, level_names[s->log_level]);
    }
    return false;
}
