/*
 * schema: see schema.h.
 */
#include "config/schema.h"

#include <string.h>

#include "base/check.h"
#include "config/settings.h"

#define NAME_MAX_BYTES 32 /* no name is longer, and nothing longer is near one */

/* A field that does not fit its option's type does not compile. */
#define FIELD_NUMBER     uint32_t
#define FIELD_PORT       uint16_t
#define FIELD_DURATION   uint32_t
#define FIELD_SIZE       uint64_t
#define FIELD_HOSTNAME   const char *
#define FIELD_PATH       const char *
#define FIELD_ACCOUNT    const char *
#define FIELD_DOMAIN     const char *
#define FIELD_TABLE      const char *
#define FIELD_MAILBOX    const char *
#define FIELD_SEPARATOR  char
#define FIELD_DELIVER    const struct delivery_target *
#define FIELD_LISTEN     enum listen_kind
#define FIELD_ENDPOINTS  const struct endpoint *
#define FIELD_RANGES     const struct address_range *
#define FIELD_NEXT_HOPS  const struct delivery_target *
#define FIELD_ENDPOINT   struct endpoint
#define FIELD_SOURCES    struct endpoint
#define FIELD_TLS        enum tls_demand
#define FIELD_LOG_FORMAT enum log_format
#define FIELD_LOG_LEVEL  enum log_level

/* What the options of a block are fields of. */
#define RECORD_TOP     struct settings
#define RECORD_LISTEN  struct listen_settings
#define RECORD_TLS     struct tls_settings
#define RECORD_DOMAIN  struct domain_settings
#define RECORD_RELAY   struct settings
#define RECORD_DNS     struct settings
#define RECORD_DELIVER struct settings
#define RECORD_LIMITS  struct settings
#define RECORD_QUEUE   struct settings
#define RECORD_DISK    struct settings
#define RECORD_LOG     struct settings
#define RECORD_AGENT   struct settings

#define BLOCK(id, name, times, manual)
#define OPTION(id, block, name, type, field, need, value, least, most, manual)            \
    _Static_assert(sizeof(name) <= NAME_MAX_BYTES, "the name is too long");               \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((RECORD_##block *)0)->field), \
                                                __typeof__(FIELD_##type)),                \
                   #field " has another type than its option");
#include "config/option.def"
#undef BLOCK
#undef OPTION

/* Where the length of a list is: behind the same name with _count. */
#define COUNT_NUMBER(record, field)     0
#define COUNT_PORT(record, field)       0
#define COUNT_DURATION(record, field)   0
#define COUNT_SIZE(record, field)       0
#define COUNT_HOSTNAME(record, field)   0
#define COUNT_PATH(record, field)       0
#define COUNT_ACCOUNT(record, field)    0
#define COUNT_DOMAIN(record, field)     0
#define COUNT_TABLE(record, field)      0
#define COUNT_MAILBOX(record, field)    0
#define COUNT_SEPARATOR(record, field)  0
#define COUNT_DELIVER(record, field)    offsetof(record, field##_count)
#define COUNT_LISTEN(record, field)     0
#define COUNT_ENDPOINTS(record, field)  offsetof(record, field##_count)
#define COUNT_RANGES(record, field)     offsetof(record, field##_count)
#define COUNT_NEXT_HOPS(record, field)  offsetof(record, field##_count)
#define COUNT_ENDPOINT(record, field)   0
#define COUNT_SOURCES(record, field)    0
#define COUNT_TLS(record, field)        0
#define COUNT_LOG_FORMAT(record, field) 0
#define COUNT_LOG_LEVEL(record, field)  0

#define TIMES_ONCE           \
    {                        \
        .has_records = false \
    }
#define TIMES_RECORDS(list)                                                  \
    {                                                                        \
        .has_records = true, .list_offset = offsetof(struct settings, list), \
        .count_offset = offsetof(struct settings, list##_count),             \
        .record_size = sizeof **((struct settings *)0)->list                 \
    }

static const struct block blocks[BLOCK_COUNT] = {
#define BLOCK(id, name, times, manual) {name, TIMES_##times, manual},
#define OPTION(id, block, name, type, field, need, value, least, most, manual)
#include "config/option.def"
#undef BLOCK
#undef OPTION
};

static const struct option options[OPTION_COUNT] = {
#define BLOCK(id, name, times, manual)
#define OPTION(id, block, name, type, field, need, value, least, most, manual) \
    {BLOCK_##block,                                                            \
     name,                                                                     \
     TYPE_##type,                                                              \
     offsetof(RECORD_##block, field),                                          \
     COUNT_##type(RECORD_##block, field),                                      \
     OPTION_##need,                                                            \
     value,                                                                    \
     least,                                                                    \
     most,                                                                     \
     manual},
#include "config/option.def"
#undef BLOCK
#undef OPTION
};

const struct block *schema_block(enum block_id id)
{
    check(id < BLOCK_COUNT);
    return &blocks[id];
}

const struct option *schema_option(enum option_id id)
{
    check(id < OPTION_COUNT);
    return &options[id];
}

/* The nameless block of what stands outside all blocks is never found. */
enum block_id schema_find_block(struct span name)
{
    for (enum block_id id = BLOCK_TOP + 1; id < BLOCK_COUNT; id++)
        if (span_equal(name, span_text(blocks[id].name)))
            return id;
    return BLOCK_COUNT;
}

enum option_id schema_find_option(enum block_id block, struct span name)
{
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        if (options[id].block == block && !schema_is_argument(id) &&
            span_equal(name, span_text(options[id].name)))
            return id;
    return OPTION_COUNT;
}

bool schema_is_argument(enum option_id id)
{
    enum option_need need = schema_option(id)->need;
    return need == OPTION_ARGUMENT || need == OPTION_UNIQUE;
}

enum option_id schema_argument(enum block_id block)
{
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        if (options[id].block == block && schema_is_argument(id))
            return id;
    return OPTION_COUNT;
}

enum block_id schema_home(struct span name)
{
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        if (!schema_is_argument(id) && span_equal(name, span_text(options[id].name)))
            return options[id].block;
    return BLOCK_COUNT;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Letters to put in, take out, change or swap with their neighbour until `a` is `b`, by the rows of
 * the usual table (restricted Damerau-Levenshtein): before[0] is the row above, before[1] the one
 * above that.
 */
static size_t distance(struct span a, struct span b)
{
    size_t rows[3][NAME_MAX_BYTES + 1];
    if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            uint8_t x = byte_lower(a.data[i - 1]), y = byte_lower(b.data[j - 1]);
            row[j] = least_of(above[j - 1] + (x == y ? 0 : 1), least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == byte_lower(b.data[j - 2]) && byte_lower(a.data[i - 2]) == y)
                row[j] = least_of(row[j], rows[(i + 1) % 3][j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

const char *schema_suggest(enum block_id block, struct span name, enum option_id *option_out)
{
    const char *nearest = NULL;
    /* A third of the letters may be wrong: `bnd` is bind, but `xyz` is nothing. */
    size_t best = name.len < 3 ? name.len : name.len / 3 + 1;
    *option_out = OPTION_COUNT;
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        if (options[id].block != block || schema_is_argument(id))
            continue;
        size_t wrong = distance(name, span_text(options[id].name));
        if (wrong < best) {
            best = wrong;
            nearest = options[id].name;
            *option_out = id;
        }
    }
    for (enum block_id id = BLOCK_TOP + 1; block == BLOCK_TOP && id < BLOCK_COUNT; id++) {
        size_t wrong = distance(name, span_text(blocks[id].name));
        if (wrong < best) {
            best = wrong;
            nearest = blocks[id].name;
            *option_out = OPTION_COUNT;
        }
    }
    return nearest;
}

bool schema_is_list(enum option_id id)
{
    enum option_type type = schema_option(id)->type;
    return type == TYPE_ENDPOINTS || type == TYPE_RANGES || type == TYPE_DELIVER ||
           type == TYPE_NEXT_HOPS;
}

size_t schema_values_max(enum option_id id)
{
    uint64_t most = 1;
    if (schema_is_list(id) || schema_option(id)->type == TYPE_SOURCES)
        check(span_parse_u64(span_text(schema_option(id)->most), SIZE_MAX, &most));
    return (size_t)most;
}
