/*
 * schema: the table of blocks and options (option.def) as data, and how a name is found in it.
 *
 * Constant; pure; any thread. Of src/config alone.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "base/span.h"

enum block_id {
#define BLOCK(id, name, times, manual) BLOCK_##id,
#define OPTION(id, block, name, type, field, need, value, least, most, manual)
#include "config/option.def"
#undef BLOCK
#undef OPTION
    BLOCK_COUNT
};

enum option_id {
#define BLOCK(id, name, times, manual)
#define OPTION(id, block, name, type, field, need, value, least, most, manual) OPTION_##id,
#include "config/option.def"
#undef BLOCK
#undef OPTION
    OPTION_COUNT
};

enum option_type {
    TYPE_NUMBER,    /* uint32_t */
    TYPE_PORT,      /* uint16_t */
    TYPE_DURATION,  /* uint32_t, ms */
    TYPE_SIZE,      /* uint64_t, bytes */
    TYPE_HOSTNAME,  /* const char * */
    TYPE_PATH,      /* const char * */
    TYPE_ACCOUNT,   /* const char *: the name of a user or group */
    TYPE_DOMAIN,    /* const char *, in lower case */
    TYPE_TABLE,     /* const char *: the path of a file */
    TYPE_MAILBOX,   /* const char *: an address with a domain */
    TYPE_SEPARATOR, /* char */
    TYPE_DELIVER,   /* a list of struct deliver_target */
    TYPE_LISTEN,    /* enum listen_kind */
    TYPE_ENDPOINTS, /* a list of struct endpoint */
    TYPE_RANGES,    /* a list of struct address_range */
    TYPE_NEXT_HOPS, /* the same, hosts alone */
    TYPE_ENDPOINT,  /* struct endpoint */
    TYPE_SOURCES,   /* settings.deliver_source_ipv4 and _ipv6 */
    TYPE_TLS,
    TYPE_LOG_FORMAT,
    TYPE_LOG_LEVEL
};

/* How often a block may stand, and where what it says goes. */
struct block_times {
    bool has_records;    /* any number; each is a record of its own, in a list of struct settings */
    size_t list_offset;  /* of the list, of pointers to the records */
    size_t count_offset; /* of its length, uint32_t */
    size_t record_size;
};

struct block {
    const char *name;
    struct block_times times;
    const char *manual;
};

/* Whether an option must be given, and where. */
enum option_need {
    OPTION_OPTIONAL,
    OPTION_NEEDED,
    OPTION_ARGUMENT, /* the word that follows the block's name */
    OPTION_UNIQUE    /* that, and another in each such block; a text */
};

struct option {
    enum block_id block;
    const char *name;
    enum option_type type;
    size_t offset;       /* of the field in struct settings, or in its block's record */
    size_t count_offset; /* of a list's length, uint32_t */
    enum option_need need;
    const char *value; /* the default, or NULL: unset */
    const char *least; /* limits, or NULL */
    const char *most;
    const char *manual;
};

const struct block *schema_block(enum block_id id);
const struct option *schema_option(enum option_id id);

/* BLOCK_COUNT or OPTION_COUNT when there is no such name (in that block). An argument has none. */
enum block_id schema_find_block(struct span name);
enum option_id schema_find_option(enum block_id block, struct span name);
/* The option that the word behind the block's name is the value of, or OPTION_COUNT. */
enum option_id schema_argument(enum block_id block);
bool schema_is_argument(enum option_id id);

/*
 * The name in `block` (among options, and blocks when it is TOP) that `name` was most likely meant
 * to be: few letters wrong, missing, too many or swapped; NULL: none is near. *option_out is it
 * when it is an option, else OPTION_COUNT.
 */
const char *schema_suggest(enum block_id block, struct span name, enum option_id *option_out);
/* The block that has an option of this name, BLOCK_COUNT when none has. */
enum block_id schema_home(struct span name);

/* How many values an option takes at most in all its statements. */
size_t schema_values_max(enum option_id id);
/* It may stand in several statements. */
bool schema_is_list(enum option_id id);

#endif
