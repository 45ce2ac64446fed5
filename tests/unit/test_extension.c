#include "expect.h"

#include "smtp/extension.h"

struct extension_case {
    const char *line;
    struct extensions expected;
};

static const struct extension_case cases[] = {
    {"PIPELINING", {.pipelining = true}},
    {"pipelining", {.pipelining = true}},
    {" PIPELINING ", {.pipelining = true}},
    {"PIPELINING nonsense", {.pipelining = true}},
    {"8BITMIME", {.eight_bit_mime = true}},
    {"ENHANCEDSTATUSCODES", {.enhanced_status_codes = true}},
    {"CHUNKING", {.chunking = true}},
    {"STARTTLS", {.starttls = true}},
    {"DSN", {.dsn = true}},
    {"SMTPUTF8", {.smtputf8 = true}},
    {"AUTH PLAIN LOGIN", {.auth = true}},
    {"AUTH=LOGIN PLAIN", {.auth = true}},
    {"AUTH\tPLAIN", {.auth = true}},
    {"SIZE", {.size = true}},
    {"SIZE 0", {.size = true}},
    {"SIZE 1", {.size = true, .size_max = 1}},
    {"size  35882577", {.size = true, .size_max = 35882577}},
    {"SIZE=1000", {.size = true, .size_max = 1000}},
    {"SIZE 1000 more", {.size = true, .size_max = 1000}},
    {"SIZE 18446744073709551615", {.size = true, .size_max = UINT64_MAX}},
    /* no number: no limit */
    {"SIZE 18446744073709551616", {.size = true}},
    {"SIZE -1", {.size = true}},
    {"SIZE 10M", {.size = true}},
    {"SIZE 0x10", {.size = true}},
    /* no offer */
    {"", {0}},
    {" ", {0}},
    {"=", {0}},
    {"XPIPELINING", {0}},
    {"PIPELINING-X", {0}},
    {"PIPELININGS", {0}},
    {"PIPELINE", {0}},
    {"8BIT", {0}},
    {"8BITMIME,DSN", {0}},
    {"X SIZE 10", {0}},
    {"SIZE10", {0}},
    {"START TLS", {0}},
    {"DSN\r", {0}},
    {"D\xc5\xbfN", {0}},
    {"mx.example at your service", {0}},
};

static void expect_same(const struct extensions *got, const struct extensions *expected)
{
#define EXTENSION(keyword, field) assert_int_equal(got->field, expected->field);
#include "smtp/extension.def"
#undef EXTENSION
    assert_int_equal(got->size_max, expected->size_max);
}

static void every_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct extensions e = {0};
        extension_parse(&e, span_text(cases[i].line));
        expect_same(&e, &cases[i].expected);
    }
}

static void lines_add_up_and_the_later_size_counts(void **state)
{
    (void)state;
    struct extensions e = {0};
    extension_parse(&e, SPAN("SIZE 10"));
    extension_parse(&e, SPAN("DSN"));
    extension_parse(&e, SPAN("SIZE 20"));
    extension_parse(&e, SPAN("DSN"));
    extension_parse(&e, SPAN("DS\0N"));
    expect_same(&e, &(struct extensions){.size = true, .dsn = true, .size_max = 20});
    extension_parse(&e, SPAN("SIZE none"));
    expect_same(&e, &(struct extensions){.size = true, .dsn = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(lines_add_up_and_the_later_size_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
