#include "tests/unit/expect.h"

#include "config/network.h"
#include "config/value.h"

#define WHY_MAX 500

static struct settings *s_new(void)
{
    struct settings *s = settings_default("mx.test");
    assert_non_null(s);
    assert_int_equal(value_add_record(s, BLOCK_LISTEN), FAULT_NONE);
    assert_int_equal(value_add_record(s, BLOCK_TLS), FAULT_NONE);
    assert_int_equal(value_add_record(s, BLOCK_DOMAIN), FAULT_NONE);
    return s;
}

static enum fault set(struct settings *s, enum option_id id, const char *word)
{
    struct buffer why;
    buffer_init(&why, WHY_MAX);
    enum fault fault = value_set(s, id, span_text(word), &why);
    assert_int_equal(fault != FAULT_NONE, why.len > 0);
    assert_false(why.full);
    buffer_fini(&why);
    return fault;
}

static void expect_shown(const struct settings *s, enum option_id id, const char *text)
{
    struct buffer out;
    buffer_init(&out, WHY_MAX);
    const void *record = value_record(s, schema_option(id)->block, 0);
    assert_int_equal(value_count(record, id), 1);
    assert_true(value_put(record, id, 0, &out));
    expect_span(buffer_span(&out), span_text(text));
    buffer_fini(&out);
}

static bool is_amount(enum option_type type)
{
    return type == TYPE_NUMBER || type == TYPE_PORT || type == TYPE_DURATION || type == TYPE_SIZE;
}

/* In the unit of the settings: ms, bytes or pieces. */
static uint64_t amount_of(const char *text, enum option_type type)
{
    char *unit = NULL;
    uint64_t number = strtoull(text, &unit, 10);
    if (type == TYPE_DURATION)
        return number * (strcmp(unit, "ms") == 0 ? 1
                         : *unit == 's'          ? 1000
                         : *unit == 'm'          ? 60000
                         : *unit == 'h'          ? 3600000
                                                 : 86400000);
    for (const char *units = "KMGT"; *unit != '\0' && *units != '\0'; units++) {
        number *= 1024;
        if (*units == *unit)
            break;
    }
    return number;
}

static enum fault set_amount(struct settings *s, enum option_id id, uint64_t amount)
{
    char word[40];
    snprintf(word, sizeof word, "%llu%s", (unsigned long long)amount,
             schema_option(id)->type == TYPE_DURATION ? "ms" : "");
    return set(s, id, word);
}

/* Every number, port, duration and size: its limits are accepted and shown as they are in the
   table, one less and one more are refused and change nothing. */
static void limits_hold_at_their_edge(void **state)
{
    (void)state;
    struct settings *s = s_new();
    size_t count = 0;
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *o = schema_option(id);
        if (!is_amount(o->type))
            continue;
        uint64_t least = amount_of(o->least, o->type), most = amount_of(o->most, o->type);
        assert_true(least < most);
        expect_shown(s, id, o->value);
        assert_int_equal(set_amount(s, id, least), FAULT_NONE);
        expect_shown(s, id, o->least);
        assert_true(least == 0 || set_amount(s, id, least - 1) == FAULT_SYNTAX);
        expect_shown(s, id, o->least);
        assert_int_equal(set_amount(s, id, most), FAULT_NONE);
        expect_shown(s, id, o->most);
        assert_int_equal(set_amount(s, id, most + 1), FAULT_SYNTAX);
        expect_shown(s, id, o->most);
        count++;
    }
    assert_true(count > 30);
    settings_release(s);
}

static void the_table_is_whole(void **state)
{
    (void)state;
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *o = schema_option(id);
        assert_int_equal(schema_find_option(o->block, span_text(o->name)),
                         schema_is_argument(id) ? OPTION_COUNT : id);
        assert_true(!schema_is_argument(id) || schema_argument(o->block) == id);
        assert_true(schema_is_argument(id) || schema_home(span_text(o->name)) < BLOCK_COUNT);
        assert_true(strlen(o->manual) > 10 && strlen(value_expected(o->type)) > 0);
        assert_true(o->need == OPTION_OPTIONAL || o->value == NULL);
        assert_true(schema_values_max(id) >= 1);
        /* A name that is an option's and a block's would be read as the option. */
        assert_true(o->block != BLOCK_TOP || schema_find_block(span_text(o->name)) == BLOCK_COUNT);
    }
    for (enum block_id id = BLOCK_TOP + 1; id < BLOCK_COUNT; id++)
        assert_int_equal(schema_find_block(span_text(schema_block(id)->name)), id);
    assert_int_equal(schema_find_block(SPAN("")), BLOCK_COUNT);
    assert_int_equal(schema_find_option(BLOCK_RELAY, SPAN("fro")), OPTION_COUNT);
    assert_int_equal(schema_home(SPAN("relay")), BLOCK_COUNT);
}

static void suggests_what_is_near(void **state)
{
    (void)state;
    static const struct {
        enum block_id block;
        const char *word, *name;
    } rows[] = {
        {BLOCK_TOP, "hostnam", "hostname"},
        {BLOCK_TOP, "HOSTNAME", "hostname"},
        {BLOCK_TOP, "ohstname", "hostname"},
        {BLOCK_TOP, "host-name", "hostname"},
        {BLOCK_TOP, "relais", "relay"},
        {BLOCK_TOP, "dsn", "dns"},
        {BLOCK_LISTEN, "bnd", "bind"},
        {BLOCK_RELAY, "ot", "to"},
        {BLOCK_LIMITS, "session-per-client", "sessions-per-client"},
        {BLOCK_DELIVER, "greting_timeout", "greeting-timeout"},
        {BLOCK_TOP, "", NULL},
        {BLOCK_TOP, "x", NULL},
        {BLOCK_TOP, "zebra", NULL},
        {BLOCK_TOP, "bind", NULL},
        {BLOCK_TOP, "NAME", NULL},
        {BLOCK_RELAY, "nowhere", NULL},
        {BLOCK_RELAY, "5", NULL},
        {BLOCK_TOP, "hostnamehostnamehostnamehostnameh", NULL},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        enum option_id id = OPTION_COUNT;
        const char *name = schema_suggest(rows[i].block, span_text(rows[i].word), &id);
        if (rows[i].name == NULL && name != NULL)
            print_error("%s: %s\n", rows[i].word, name);
        assert_int_equal(name == NULL, rows[i].name == NULL);
        if (name != NULL)
            assert_string_equal(name, rows[i].name);
        assert_true(id == OPTION_COUNT || strcmp(schema_option(id)->name, name) == 0);
    }
}

static void amounts_are_shown_in_the_largest_unit(void **state)
{
    (void)state;
    static const struct {
        enum option_id id;
        const char *word, *shown; /* NULL: refused */
    } rows[] = {
        {OPTION_QUEUE_LIFETIME, "48h", "2d"},
        {OPTION_QUEUE_LIFETIME, "49h", "49h"},
        {OPTION_QUEUE_LIFETIME, "4200s", "70m"},
        {OPTION_QUEUE_LIFETIME, "90000ms", "90s"},
        {OPTION_QUEUE_LIFETIME, "1001ms", "1001ms"},
        {OPTION_QUEUE_LIFETIME, "007d", "7d"},
        {OPTION_DELIVER_IDLE, "0h", "0s"},
        {OPTION_QUEUE_FRESH_MEMORY, "1025", "1025"},
        {OPTION_QUEUE_FRESH_MEMORY, "1024K", "1M"},
        {OPTION_QUEUE_FRESH_MEMORY, "0T", "0"},
        {OPTION_QUEUE_FRESH_MEMORY, "2048M", "2G"},
        {OPTION_QUEUE_LIFETIME, "", NULL},
        {OPTION_QUEUE_LIFETIME, "d", NULL},
        {OPTION_QUEUE_LIFETIME, "0", NULL},
        {OPTION_QUEUE_LIFETIME, "2", NULL},
        {OPTION_QUEUE_LIFETIME, "2D", NULL},
        {OPTION_QUEUE_LIFETIME, "2w", NULL},
        {OPTION_QUEUE_LIFETIME, "1d1h", NULL},
        {OPTION_QUEUE_LIFETIME, "1.5d", NULL},
        {OPTION_QUEUE_LIFETIME, "+1d", NULL},
        {OPTION_QUEUE_LIFETIME, "1 d", NULL},
        {OPTION_QUEUE_LIFETIME, "213503982335d", NULL}, /* passes 64 bits of ms */
        {OPTION_QUEUE_LIFETIME, "18446744073709551616ms", NULL},
        {OPTION_QUEUE_FRESH_MEMORY, "1k", NULL},
        {OPTION_QUEUE_FRESH_MEMORY, "1KB", NULL},
        {OPTION_QUEUE_FRESH_MEMORY, "1P", NULL},
        {OPTION_QUEUE_FRESH_MEMORY, "16777216T", NULL},
        {OPTION_WORKERS, "1K", NULL},
        {OPTION_WORKERS, "0x1", NULL},
        {OPTION_WORKERS, "4294967296", NULL},
        {OPTION_DELIVER_PORT, "65561", NULL},
    };
    struct settings *s = s_new();
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(set(s, rows[i].id, rows[i].word) == FAULT_NONE, rows[i].shown != NULL);
        if (rows[i].shown != NULL)
            expect_shown(s, rows[i].id, rows[i].shown);
    }
    settings_release(s);
}

static void a_refused_value_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        enum option_id id;
        const char *good, *shown, *bad;
    } rows[] = {
        {OPTION_HOSTNAME, "a.test", "a.test", "a_b.test"},
        {OPTION_SPOOL, "/a b", "/a b", "a"},
        {OPTION_RELAY_TO, "smtp:a_b.test", "smtp:a_b.test:25", "smtp:a.test:65536"},
        {OPTION_RELAY_TO, "smtp:[2001:DB8::0]", "smtp:[2001:DB8::0]:25", "smtp:[::ffff:1.2.3.4]"},
        {OPTION_RELAY_TO, "smtp:1.2.3.4:1", "smtp:1.2.3.4:1", "smtp:1.2.3"},
        {OPTION_DNS_SERVER, "::1", NULL, NULL},
        {OPTION_DNS_SERVER, "[::1]", "[::1]:53", "[::1]:0"},
        {OPTION_DNS_SERVER, "1.2.3.4", "1.2.3.4:53", "[1.2.3.4]"},
        {OPTION_LISTEN_BIND, "[::1]:25", "[::1]:25", "[0::1]:25"},
        {OPTION_RELAY_FROM, "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/08.0"},
        {OPTION_DELIVER_SOURCE, "::2", "::2", "::3"},
        {OPTION_LOG_FORMAT, "json", "json", "JSON"},
        {OPTION_LOG_LEVEL, "error", "error", "errors"},
    };
    struct settings *s = s_new();
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(set(s, rows[i].id, rows[i].good) == FAULT_NONE, rows[i].shown != NULL);
        if (rows[i].shown == NULL)
            continue;
        expect_shown(s, rows[i].id, rows[i].shown);
        assert_int_equal(set(s, rows[i].id, rows[i].bad), FAULT_SYNTAX);
        expect_shown(s, rows[i].id, rows[i].shown);
        s->relay_to_count = 0; /* a list: each row begins anew */
    }
    settings_release(s);
}

static void host_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "A.b-c.9x", "xn--bcher-kva.test", "1.a", "3com"};
    static const char *const bad[] = {
        "",    ".",   "a.",  ".a",     "a..b",    "-a",        "a-",   "a.-b",
        "a b", "a_b", "1",   "a.1",    "1.2.3.4", "[1.2.3.4]", "a:25", "\xc3\xa4.test",
        "a/b", "a@b", "a\n", "*.test", "a.b-.c",
    };
    for (size_t i = 0; i < ROWS(good); i++)
        assert_true(network_is_host_name(span_text(good[i]), false));
    for (size_t i = 0; i < ROWS(bad); i++)
        assert_false(network_is_host_name(span_text(bad[i]), false));
    assert_true(network_is_host_name(SPAN("a_b"), true));
    assert_false(network_is_host_name(SPAN("a\0b"), true));
    char text[300];
    memset(text, 'a', sizeof text);
    assert_true(network_is_host_name(span_of(text, HOST_LABEL_MAX_BYTES), false));
    assert_false(network_is_host_name(span_of(text, HOST_LABEL_MAX_BYTES + 1), false));
    for (size_t i = 50; i < sizeof text; i += 51)
        text[i] = '.';
    assert_true(network_is_host_name(span_of(text, HOST_NAME_MAX_BYTES), false));
    assert_false(network_is_host_name(span_of(text, HOST_NAME_MAX_BYTES + 1), false));
}

/* As it is without memory: told apart from a bad value. */
static void a_full_arena_is_no_bad_value(void **state)
{
    (void)state;
    static const struct {
        enum option_id id;
        const char *word;
    } rows[] = {{OPTION_HOSTNAME, "a"},
                {OPTION_SPOOL, "/a"},
                {OPTION_RELAY_TO, "smtp:a"},
                {OPTION_RELAY_FROM, "::1"},
                {OPTION_LISTEN_BIND, "1.2.3.4:5"}};
    struct settings *s = s_new();
    struct buffer why;
    buffer_init(&why, WHY_MAX);
    s->memory.full = true;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(value_set(s, rows[i].id, span_text(rows[i].word), &why), FAULT_NO_MEMORY);
    assert_int_equal(why.len, 0);
    assert_int_equal(settings_listener_count(s), 0);
    buffer_fini(&why);
    settings_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold_at_their_edge),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(suggests_what_is_near),
        cmocka_unit_test(amounts_are_shown_in_the_largest_unit),
        cmocka_unit_test(a_refused_value_changes_nothing),
        cmocka_unit_test(host_names),
        cmocka_unit_test(a_full_arena_is_no_bad_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
