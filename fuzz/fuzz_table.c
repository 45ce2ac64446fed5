/* Files of users and of aliases, the first byte says which: errors or a table, whatever the bytes;
   every row of a table is found by its name, and its addresses are such. */
#include "base/check.h"
#include "config/table.h"
#include "mail/address.h"

#define ERRORS_MAX (64u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The names in the file, as far as they are words: what a peer might ask for. */
static void look_up(const struct table *t, enum table_kind kind, struct span text)
{
    while (text.len > 0) {
        struct span line, name;
        text = span_split(text, '\n', &line);
        (void)span_split(line, ':', &name);
        if (kind == TABLE_USERS) {
            (void)table_find_user(t, name);
            continue;
        }
        const struct table_alias *a = table_find_alias(t, name);
        check(a == NULL || a->target_count > 0);
        for (uint32_t i = 0; a != NULL && i < a->target_count; i++)
            check(a->targets[i].len > 0 &&
                  span_find_byte(a->targets[i], '\n', 0) == a->targets[i].len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum table_kind kind = (data[0] & 1) != 0 ? TABLE_ALIASES : TABLE_USERS;
    struct config_file file = {.text = span_of(data + 1, size - 1), .mode = 0600};
    struct table *t = NULL;
    struct buffer errors;
    buffer_init(&errors, ERRORS_MAX);
    enum fault fault = table_load(kind, &file, "fuzz", &errors, &t);
    check((fault == FAULT_NONE) == (t != NULL));
    check((fault == FAULT_SYNTAX) == (errors.len > 0));
    if (t != NULL)
        look_up(t, kind, file.text);
    table_release(t);
    buffer_fini(&errors);
    return 0;
}
