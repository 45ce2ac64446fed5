/*
 * An aliases file, an empty line, then addresses, one a line: whatever leads where, an answer comes
 * within the bounds, no path comes twice, and each path is an address.
 */
#include "base/check.h"
#include "config/config.h"
#include "route/recipient.h"

#define ERRORS_MAX (64u * 1024)
#define ARENA_MAX  (4u * 1024 * 1024)
#define COMPARED   200 /* paths that are compared with each other */

static const char text[] = "hostname mx.test\n"
                           "aliases file:/b\n"
                           "domain a.test { users file:/u aliases file:/a deliver discard }\n"
                           "domain b.test { deliver discard catch-all a@a.test }\n"
                           "domain c.test { aliases file:/a }\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inputs {
    struct span aliases;
};

static enum fault read_file(void *context, const char *path, size_t bytes_max,
                            struct config_file *file_out)
{
    const struct inputs *in = context;
    (void)bytes_max;
    *file_out = (struct config_file){.text = in->aliases, .mode = 0600};
    if (path[1] == 'u')
        file_out->text = SPAN("a\nb\nc\n");
    return FAULT_NONE;
}

static void look_at(const struct recipient_result *r, struct arena *arena)
{
    struct address a;
    check(r->path_count <= RECIPIENT_ADDRESSES_MAX);
    for (uint32_t i = 0; i < r->path_count && i < COMPARED; i++) {
        enum fault fault =
            address_parse(r->paths[i], ADDRESS_POSTMASTER_OK | ADDRESS_UTF8_OK, arena, &a);
        check(fault == FAULT_NONE || fault == FAULT_NO_MEMORY);
        for (uint32_t j = 0; j < i; j++)
            check(!span_equal(r->paths[i], r->paths[j]));
    }
}

static void ask(const struct settings *s, struct span line)
{
    struct arena arena;
    struct address a;
    struct recipient_result result;
    struct recipient_client client = {.may_relay = (line.len & 1) != 0};
    arena_init(&arena, ARENA_MAX);
    if (address_parse(line, ADDRESS_POSTMASTER_OK | ADDRESS_UTF8_OK, &arena, &a) == FAULT_NONE) {
        enum fault fault = recipient_resolve(s, &a, &client, &arena, &result);
        if (fault == FAULT_NONE)
            look_at(&result, &arena);
        else
            check(result.path_count == 0);
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    size_t end = span_find(input, SPAN("\n\n"), 0);
    struct inputs in = {.aliases = span_sub(input, 0, end)};
    struct config_files files = {.read = read_file, .context = &in};
    struct settings *s = NULL;
    struct buffer errors;
    buffer_init(&errors, ERRORS_MAX);
    check(config_parse(span_text(text), "fuzz", &errors, &s) == FAULT_NONE);
    if (config_load_tables(s, &files, &errors) == FAULT_NONE)
        for (struct span rest = span_skip(input, end + 2), line; rest.len > 0;) {
            rest = span_split(rest, '\n', &line);
            ask(s, line);
        }
    settings_release(s);
    buffer_fini(&errors);
    return 0;
}
