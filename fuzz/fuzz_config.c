/* Configurations: an answer for any bytes; what is accepted is shown, and that is accepted again
   and means the same. */
#include "base/check.h"
#include "config/config.h"

#define SHOWN_MAX (8u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show_and_read_again(const struct settings *s, bool all)
{
    struct buffer shown, errors, again;
    struct settings *other = NULL;
    buffer_init(&shown, SHOWN_MAX);
    buffer_init(&errors, SHOWN_MAX);
    buffer_init(&again, SHOWN_MAX);
    check(config_show(s, all, &shown));
    check(config_parse(buffer_span(&shown), "shown", &errors, &other) == FAULT_NONE);
    check(errors.len == 0);
    check(config_show(other, all, &again));
    check(span_equal(buffer_span(&shown), buffer_span(&again)));
    settings_release(other);
    buffer_fini(&shown);
    buffer_fini(&errors);
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer errors;
    struct settings *s = NULL;
    buffer_init(&errors, SHOWN_MAX);
    enum fault fault = config_parse(span_of(data, size), "fuzz", &errors, &s);
    check((fault == FAULT_NONE) == (s != NULL));
    check((fault == FAULT_SYNTAX) == (errors.len > 0));
    if (s != NULL) {
        show_and_read_again(s, false);
        show_and_read_again(s, true);
    }
    settings_release(s);
    buffer_fini(&errors);
    return 0;
}
