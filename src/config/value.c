/*
 * value: see value.h.
 */
#include "config/value.h"

#include <string.h>

#include "base/check.h"
#include "config/network.h"
#include "config/report.h"
#include "config/value_inside.h"

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

struct names {
    const char *const *rows;
    size_t count;
};

static const char *const format_names[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json"};
static const char *const listen_names[] = {[LISTEN_SMTP] = "smtp",
                                           [LISTEN_SUBMISSION] = "submission",
                                           [LISTEN_SUBMISSIONS] = "submissions",
                                           [LISTEN_LMTP] = "lmtp"};
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
    case TYPE_DOMAIN:
        return "a domain such as example.org";
    case TYPE_TABLE:
        return "file:PATH";
    case TYPE_MAILBOX:
        return "an address such as jane@example.org";
    case TYPE_SEPARATOR:
        return "one of + - _ . = # / or \"\" for none";
    case TYPE_DELIVER:
        return DELIVER_FORMS;
    case TYPE_LISTEN:
        return "smtp, submission, submissions or lmtp";
    case TYPE_ENDPOINTS:
        return "addresses with ports, such as 192.0.2.1:25 or [2001:db8::1]:25";
    case TYPE_RANGES:
        return "address ranges such as 192.0.2.0/24 or 2001:db8::/32";
    case TYPE_NEXT_HOPS:
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
enum fault value_refuse(struct buffer *why, struct span word, const char *text)
{
    struct span shown = report_word(word);
    buffer_printf(why, "'%.*s': %s", SPAN_PRINT(shown), text);
    return FAULT_SYNTAX;
}

enum fault value_refuse_type(struct buffer *why, struct span word, enum option_type type)
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

static enum fault set_amount(void *record, const struct option *o, struct span word,
                             struct buffer *why)
{
    struct units units = units_of(o->type);
    uint64_t amount = 0;
    if (!parse_amount(word, units, &amount))
        return value_refuse_type(why, word, o->type);
    if (amount < limit_of(o->least, units) || amount > limit_of(o->most, units)) {
        struct span shown = report_word(word);
        buffer_printf(why, "'%.*s' is out of range: '%s' is from %s to %s", SPAN_PRINT(shown),
                      o->name, o->least, o->most);
        return FAULT_SYNTAX;
    }
    uint8_t *field = (uint8_t *)record + o->offset;
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

static uint64_t amount_of(const void *record, const struct option *o)
{
    const uint8_t *field = (const uint8_t *)record + o->offset;
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

enum fault value_set_text(struct settings *s, void *record, const struct option *o,
                          struct span word)
{
    const char *copy = arena_text(&s->memory, word);
    if (copy == NULL)
        return FAULT_NO_MEMORY;
    memcpy((uint8_t *)record + o->offset, &copy, sizeof copy);
    return FAULT_NONE;
}

static const char *text_of(const void *record, const struct option *o)
{
    const char *text = NULL;
    memcpy(&text, (const uint8_t *)record + o->offset, sizeof text);
    return text;
}

enum fault value_set_path(struct settings *s, void *record, const struct option *o,
                          struct span word, struct buffer *why)
{
    if (word.len == 0 || word.data[0] != '/')
        return value_refuse_type(why, word, o->type);
    if (word.len > limit_of(o->most, units_of(TYPE_NUMBER))) {
        buffer_printf(why, "the path is too long: at most %s bytes", o->most);
        return FAULT_SYNTAX;
    }
    return value_set_text(s, record, o, word);
}

static bool is_account_byte(uint8_t b, bool is_first)
{
    bool is_letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '_';
    return is_letter || (!is_first && ((b >= '0' && b <= '9') || b == '-' || b == '.'));
}

/* As useradd takes them; a number is none. */
static enum fault set_account(struct settings *s, void *record, const struct option *o,
                              struct span word, struct buffer *why)
{
    bool is_good = word.len > 0 && word.len <= limit_of(o->most, units_of(TYPE_NUMBER));
    for (size_t i = 0; is_good && i < word.len; i++)
        is_good = is_account_byte(word.data[i], i == 0);
    return is_good ? value_set_text(s, record, o, word) : value_refuse_type(why, word, o->type);
}

/* Another of the same name is looked for by the parser, which knows where it stands. */
static enum fault set_domain(struct settings *s, void *record, const struct option *o,
                             struct span word, struct buffer *why)
{
    char lower[HOST_NAME_MAX_BYTES];
    if (!network_is_host_name(word, true))
        return value_refuse_type(why, word, o->type);
    for (size_t i = 0; i < word.len; i++)
        lower[i] = (char)byte_lower(word.data[i]);
    return value_set_text(s, record, o, span_of(lower, word.len));
}

static struct names names_of(enum option_type type)
{
    if (type == TYPE_LISTEN)
        return (struct names){listen_names, sizeof listen_names / sizeof listen_names[0]};
    if (type == TYPE_TLS)
        return (struct names){tls_names, sizeof tls_names / sizeof tls_names[0]};
    if (type == TYPE_LOG_FORMAT)
        return (struct names){format_names, sizeof format_names / sizeof format_names[0]};
    return (struct names){level_names, sizeof level_names / sizeof level_names[0]};
}

/* A field that is an enum. */
static enum fault set_name(void *record, const struct option *o, struct span word,
                           struct buffer *why)
{
    struct names names = names_of(o->type);
    unsigned found = 0;
    while (found < names.count &&
           (names.rows[found] == NULL || !span_equal(word, span_text(names.rows[found]))))
        found++;
    if (found == names.count)
        return value_refuse_type(why, word, o->type);
    memcpy((uint8_t *)record + o->offset, &found, sizeof found);
    return FAULT_NONE;
}

static const char *name_of(const void *record, const struct option *o)
{
    unsigned value = 0;
    memcpy(&value, (const uint8_t *)record + o->offset, sizeof value);
    check(value < names_of(o->type).count);
    return names_of(o->type).rows[value];
}

/* Lists */

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

const void *value_list(const void *record, const struct option *o, uint32_t *count_out)
{
    const void *list = NULL;
    memcpy(&list, (const uint8_t *)record + o->offset, sizeof list);
    memcpy(count_out, (const uint8_t *)record + o->count_offset, sizeof *count_out);
    return list;
}

enum fault value_add_to_list(struct settings *s, void *record, const struct option *o,
                             const void *item, size_t size)
{
    uint32_t count = 0;
    const void *list = value_list(record, o, &count);
    uint8_t *longer = grown(&s->memory, list, count, size);
    if (longer == NULL)
        return FAULT_NO_MEMORY;
    memcpy(longer + count * size, item, size);
    count++;
    memcpy((uint8_t *)record + o->offset, &longer, sizeof longer);
    memcpy((uint8_t *)record + o->count_offset, &count, sizeof count);
    return FAULT_NONE;
}

/* Networks */

static enum fault add_endpoint(struct settings *s, void *record, const struct option *o,
                               struct span word, struct buffer *why)
{
    struct endpoint e = {0};
    const char *wrong = network_parse_endpoint(word, 0, &e);
    if (wrong != NULL)
        return value_refuse(why, word, wrong);
    uint32_t count = settings_listener_count(s);
    if (count == CONFIG_LISTENERS_MAX)
        return value_refuse(why, word, "there are 64 addresses in the blocks before already");
    for (uint32_t i = 0; i < count; i++) {
        struct endpoint other;
        (void)settings_listener(s, i, &other);
        if (endpoint_equal(other, e))
            return value_refuse(why, word, "this is bound already");
    }
    return value_add_to_list(s, record, o, &e, sizeof e);
}

static enum fault add_range(struct settings *s, void *record, const struct option *o,
                            struct span word, struct buffer *why)
{
    struct address_range range = {0};
    const char *wrong = network_parse_range(word, &range);
    if (wrong != NULL)
        return value_refuse(why, word, wrong);
    return value_add_to_list(s, record, o, &range, sizeof range);
}

static enum fault set_server(struct settings *s, struct span word, struct buffer *why)
{
    const char *wrong = network_parse_endpoint(word, DNS_PORT, &s->dns_server);
    return wrong == NULL ? FAULT_NONE : value_refuse_type(why, word, TYPE_ENDPOINT);
}

static enum fault set_source(struct settings *s, struct span word, struct buffer *why)
{
    struct endpoint e = {0};
    const char *wrong = network_parse_ip(word, &e);
    if (wrong != NULL)
        return value_refuse(why, word, wrong);
    struct endpoint *field = e.family == 4 ? &s->deliver_source_ipv4 : &s->deliver_source_ipv6;
    if (field->family != 0)
        return value_refuse(why, word, "there is an address of this family already");
    *field = e;
    return FAULT_NONE;
}

/* Records */

static void **records_of(const struct settings *s, const struct block_times *times,
                         uint32_t *count_out)
{
    void **list = NULL;
    memcpy(&list, (const uint8_t *)s + times->list_offset, sizeof list);
    memcpy(count_out, (const uint8_t *)s + times->count_offset, sizeof *count_out);
    return list;
}

uint32_t value_record_count(const struct settings *s, enum block_id id)
{
    const struct block_times *times = &schema_block(id)->times;
    uint32_t count = 1;
    if (times->has_records)
        (void)records_of(s, times, &count);
    return count;
}

void *value_record(const struct settings *s, enum block_id id, uint32_t index)
{
    const struct block_times *times = &schema_block(id)->times;
    uint32_t count = 0;
    if (!times->has_records)
        return (void *)(uintptr_t)s;
    void **list = records_of(s, times, &count);
    check(index < count);
    return list[index];
}

enum fault value_add_record(struct settings *s, enum block_id id)
{
    const struct block_times *times = &schema_block(id)->times;
    uint32_t count = 0;
    check(times->has_records);
    void **list = records_of(s, times, &count);
    void **longer = grown(&s->memory, list, count, sizeof *list);
    void *record = arena_alloc(&s->memory, times->record_size);
    if (longer == NULL || record == NULL)
        return FAULT_NO_MEMORY;
    longer[count++] = record;
    memcpy((uint8_t *)s + times->list_offset, &longer, sizeof longer);
    memcpy((uint8_t *)s + times->count_offset, &count, sizeof count);
    return value_set_defaults(s, id);
}

enum fault value_set_defaults(struct settings *s, enum block_id block)
{
    struct buffer why;
    enum fault fault = FAULT_NONE;
    buffer_init(&why, 0);
    for (enum option_id id = 0; id < OPTION_COUNT && fault == FAULT_NONE; id++) {
        const struct option *o = schema_option(id);
        if (o->block == block && o->value != NULL)
            fault = value_set(s, id, span_text(o->value), &why);
        check(fault != FAULT_SYNTAX); /* those of the schema can only be right */
    }
    return fault;
}

/* All types */

enum fault value_set(struct settings *s, enum option_id id, struct span word, struct buffer *why)
{
    const struct option *o = schema_option(id);
    uint32_t count = value_record_count(s, o->block);
    check(count > 0);
    void *record = value_record(s, o->block, count - 1);
    switch (o->type) {
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
        return set_amount(record, o, word, why);
    case TYPE_HOSTNAME:
        if (!network_is_host_name(word, false))
            return value_refuse_type(why, word, o->type);
        return value_set_text(s, record, o, word);
    case TYPE_PATH:
        return value_set_path(s, record, o, word, why);
    case TYPE_ACCOUNT:
        return set_account(s, record, o, word, why);
    case TYPE_DOMAIN:
        return set_domain(s, record, o, word, why);
    case TYPE_TABLE:
        return value_set_table(s, record, o, word, why);
    case TYPE_MAILBOX:
        return value_set_mailbox(s, record, o, word, why);
    case TYPE_SEPARATOR:
        return value_set_separator(record, o, word, why);
    case TYPE_DELIVER:
    case TYPE_NEXT_HOPS:
        return value_add_deliver(s, record, o, word, why);
    case TYPE_ENDPOINTS:
        return add_endpoint(s, record, o, word, why);
    case TYPE_RANGES:
        return add_range(s, record, o, word, why);
    case TYPE_ENDPOINT:
        return set_server(s, word, why);
    case TYPE_SOURCES:
        return set_source(s, word, why);
    case TYPE_LISTEN:
    case TYPE_TLS:
    case TYPE_LOG_FORMAT:
    case TYPE_LOG_LEVEL:
        return set_name(record, o, word, why);
    }
    return FAULT_UNKNOWN;
}

size_t value_count(const void *record, enum option_id id)
{
    const struct option *o = schema_option(id);
    const struct settings *s = record; /* of the types that stand in no record */
    uint32_t count = 0;
    switch (o->type) {
    case TYPE_HOSTNAME:
    case TYPE_PATH:
    case TYPE_ACCOUNT:
    case TYPE_DOMAIN:
    case TYPE_TABLE:
    case TYPE_MAILBOX:
        return text_of(record, o) != NULL ? 1 : 0;
    case TYPE_DELIVER:
    case TYPE_NEXT_HOPS:
    case TYPE_ENDPOINTS:
    case TYPE_RANGES:
        (void)value_list(record, o, &count);
        return count;
    case TYPE_ENDPOINT:
        return s->dns_server.family != 0 ? 1 : 0;
    case TYPE_SOURCES:
        return (s->deliver_source_ipv4.family != 0 ? 1u : 0u) +
               (s->deliver_source_ipv6.family != 0 ? 1u : 0u);
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_SEPARATOR:
        return 1;
    case TYPE_LISTEN:
    case TYPE_TLS:
    case TYPE_LOG_FORMAT:
    case TYPE_LOG_LEVEL:
        return name_of(record, o) == NULL ? 0 : 1;
    }
    return 0;
}

bool value_put(const void *record, enum option_id id, size_t index, struct buffer *out)
{
    const struct option *o = schema_option(id);
    const struct settings *s = record; /* of the types that stand in no record */
    char text[ENDPOINT_TEXT_MAX];
    uint32_t count = 0;
    check(index < value_count(record, id));
    switch (o->type) {
    case TYPE_NUMBER:
    case TYPE_PORT:
    case TYPE_DURATION:
    case TYPE_SIZE:
        return put_amount(out, amount_of(record, o), units_of(o->type));
    case TYPE_HOSTNAME:
    case TYPE_PATH:
    case TYPE_ACCOUNT:
    case TYPE_DOMAIN:
    case TYPE_MAILBOX:
        return buffer_put_text(out, text_of(record, o));
    case TYPE_TABLE:
        return buffer_printf(out, "file:%s", text_of(record, o));
    case TYPE_SEPARATOR:
        return value_put_separator(record, o, out);
    case TYPE_DELIVER:
    case TYPE_NEXT_HOPS: {
        const struct delivery_target *list = value_list(record, o, &count);
        return value_put_deliver(out, &list[index]);
    }
    case TYPE_ENDPOINTS: {
        const struct endpoint *list = value_list(record, o, &count);
        return buffer_put(out, endpoint_format(list[index], text));
    }
    case TYPE_RANGES: {
        const struct address_range *list = value_list(record, o, &count);
        return network_put_range(out, &list[index]);
    }
    case TYPE_ENDPOINT:
        return buffer_put(out, endpoint_format(s->dns_server, text));
    case TYPE_SOURCES:
        return buffer_put(out, endpoint_format_ip(index == 0 && s->deliver_source_ipv4.family != 0
                                                      ? s->deliver_source_ipv4
                                                      : s->deliver_source_ipv6,
                                                  text));
    case TYPE_LISTEN:
    case TYPE_TLS:
    case TYPE_LOG_FORMAT:
    case TYPE_LOG_LEVEL:
        return buffer_put_text(out, name_of(record, o));
    }
    return false;
}
