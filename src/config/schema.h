/*
 * schema: the table of blocks and options (option.def) as data, and how a name is found in it.
 *
 * Constant; pure; any thread. Of src/config alone.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "base/span.h"

enum block_id {
#define BLOCK(id, name, argument, times, manual) BLOCK_##id,
#define OPTION(id, block, name, type, field, need, value, least, most, manual)
#include "config/option.def"
#undef BLOCK
#undef OPTION
    BLOCK_COUNT
};

enum option_id {
#define BLOCK(id, name, argument, times, manual)
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
    TYPE_ENDPOINTS, /* settings.listeners */
    TYPE_RANGES,    /* settings.relay_from */
    TYPE_NEXT_HOP,  /* settings.next_hop_host, _port and _is_lmtp */
    TYPE_ENDPOINT,  /* struct endpoint */
    TYPE_SOURCES,   /* settings.deliver_source_ipv4 and _ipv6 */
    TYPE_TLS,       /* settings.deliver_tls */
    TYPE_LOG_FORMAT,
    TYPE_LOG_LEVEL
};

struct block {
    const char *name;
    const char *argument; /* the word that must follow the name, or NULL */
    bool repeated;
    const char *manual;
};

struct option {
    enum block_id block;
    const char *name;
    enum option_type type;
    size_t offset; /* of the field in struct settings */
    bool needed;
    const char *value; /* the default, or NULL: unset */
    const char *least; /* limits, or NULL */
    const char *most;
    const char *manual;
};

const struct block *schema_block(enum block_id id);
const struct option *schema_option(enum option_id id);

/* BLOCK_COUNT or OPTION_COUNT when there is no such name (in that block). */
enum block_id schema_find_block(struct span name);
enum option_id schema_find_option(enum block_id block, struct span name);

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
