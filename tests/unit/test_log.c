#include "expect.h"

#include "base/log.h"

#define NOW 1795496607123 /* 2026-11-24T05:03:27.123Z */

/* A sink that keeps what it takes, at most `room` bytes of it. */
struct kept {
    char text[256 * 1024];
    size_t len;
    size_t room;
    unsigned calls;
};

static struct kept kept;

static size_t take(void *context, struct span lines)
{
    struct kept *k = context;
    size_t n = lines.len < k->room ? lines.len : k->room;
    assert_true(k->len + n <= sizeof k->text);
    memcpy(k->text + k->len, lines.data, n);
    k->len += n;
    k->room -= n;
    k->calls++;
    return n;
}

static struct log *new_log(enum log_format format, enum log_level most)
{
    kept = (struct kept){.room = SIZE_MAX};
    struct log *l = log_new((struct log_sink){take, &kept}, format, most);
    assert_non_null(l);
    log_set_time(l, NOW);
    return l;
}

static void expect_line(enum log_format format, struct log_field field, const char *expected)
{
    struct log *l = new_log(format, LOG_DEBUG);
    log_event(l, EVENT_MESSAGE_ACCEPTED, &field, 1);
    log_flush(l);
    expect_span(span_of(kept.text, kept.len), span_text(expected));
    log_free(l);
}

#define TEXT_HEAD "2026-11-24T05:03:27.123Z notice message-accepted "
#define JSON_HEAD \
    "{\"time\":\"2026-11-24T05:03:27.123Z\",\"level\":\"notice\",\"event\":\"message-accepted\","

static const struct id some_id = {
    {0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};

static void fields_as_text(void **state)
{
    (void)state;
    expect_line(LOG_TEXT, log_text("from", "<a@b>"), TEXT_HEAD "from=<a@b>\n");
    expect_line(LOG_TEXT, log_text("k", ""), TEXT_HEAD "k=\"\"\n");
    expect_line(LOG_TEXT, log_text("k", "two words"), TEXT_HEAD "k=\"two words\"\n");
    expect_line(LOG_TEXT, log_text("k", "a\"b"), TEXT_HEAD "k=\"a\\x22b\"\n");
    expect_line(LOG_TEXT, log_text("k", "a\\b"), TEXT_HEAD "k=\"a\\x5cb\"\n");
    expect_line(LOG_TEXT, log_text("k", "a\r\n2026 error forged"),
                TEXT_HEAD "k=\"a\\x0d\\x0a2026 error forged\"\n");
    expect_line(LOG_TEXT, log_text("k", "\x1b[2J\xc3\xbc"), TEXT_HEAD "k=\"\\x1b[2J\\xc3\\xbc\"\n");
    expect_line(LOG_TEXT, log_span("k", SPAN("\0")), TEXT_HEAD "k=\"\\x00\"\n");
    expect_line(LOG_TEXT, log_u64("k", UINT64_MAX), TEXT_HEAD "k=18446744073709551615\n");
    expect_line(LOG_TEXT, log_i64("k", INT64_MIN), TEXT_HEAD "k=-9223372036854775808\n");
    expect_line(LOG_TEXT, log_id("id", some_id), TEXT_HEAD "id=0024H36H2NCSVRH6DAQF6DVVQZ\n");
    expect_line(LOG_TEXT, log_fault("fault", FAULT_DISK_FULL), TEXT_HEAD "fault=DISK_FULL\n");
}

static void fields_as_json(void **state)
{
    (void)state;
    expect_line(LOG_JSON, log_text("from", "<a@b>"), JSON_HEAD "\"from\":\"<a@b>\"}\n");
    expect_line(LOG_JSON, log_text("k", "a\r\n\"\\"), JSON_HEAD "\"k\":\"a\\r\\n\\\"\\\\\"}\n");
    expect_line(LOG_JSON, log_text("k", "\xff\xc3\xbc"), JSON_HEAD "\"k\":\"\\u00ff\xc3\xbc\"}\n");
    expect_line(LOG_JSON, log_u64("k", 0), JSON_HEAD "\"k\":0}\n");
    expect_line(LOG_JSON, log_i64("k", -5), JSON_HEAD "\"k\":-5}\n");
    expect_line(LOG_JSON, log_id("id", some_id),
                JSON_HEAD "\"id\":\"0024H36H2NCSVRH6DAQF6DVVQZ\"}\n");
    expect_line(LOG_JSON, log_fault("f", FAULT_NONE), JSON_HEAD "\"f\":\"NONE\"}\n");
}

static unsigned evaluated;

static uint64_t evaluate(void)
{
    return ++evaluated;
}

static void levels(void **state)
{
    (void)state;
    struct log *l = new_log(LOG_TEXT, LOG_NOTICE);
    evaluated = 0;
    assert_true(log_wants(l, EVENT_SPOOL_FULL));
    assert_true(log_wants(l, EVENT_MESSAGE_ACCEPTED));
    assert_false(log_wants(l, EVENT_SESSION_OPENED));
    LOG(l, EVENT_SESSION_OPENED, log_u64("n", evaluate()));
    assert_int_equal(evaluated, 0);
    LOG(l, EVENT_MESSAGE_ACCEPTED, log_u64("n", evaluate()), log_text("a", "b"));
    assert_int_equal(evaluated, 1);
    log_event(l, EVENT_SESSION_OPENED, NULL, 0);
    log_event(l, EVENT_SPOOL_FULL, NULL, 0);
    log_flush(l);
    expect_span(span_of(kept.text, kept.len),
                SPAN(TEXT_HEAD "n=1 a=b\n2026-11-24T05:03:27.123Z error spool-full\n"));
    log_free(l);
}

static void no_log_takes_everything(void **state)
{
    (void)state;
    LOG(NULL, EVENT_SPOOL_FULL, log_u64("n", evaluate()));
    log_event(NULL, EVENT_SPOOL_FULL, NULL, 0);
    log_flush(NULL);
    log_set_time(NULL, 1);
    log_free(NULL);
    assert_int_equal(log_dropped(NULL), 0);
    assert_false(log_wants(NULL, EVENT_SPOOL_FULL));
}

static void events_have_names(void **state)
{
    (void)state;
    for (int e = 0; e < EVENT_COUNT; e++) {
        assert_true(strlen(event_name((enum event)e)) > 3);
        assert_true(strlen(event_help((enum event)e)) > 3);
        assert_in_range(event_level((enum event)e), LOG_ERROR, LOG_DEBUG);
    }
    assert_string_equal(event_name(EVENT_LOG_DROPPED), "log-dropped");
    assert_int_equal(event_level(EVENT_LOG_DROPPED), LOG_WARNING);
}

static void lines_wait_for_the_flush(void **state)
{
    (void)state;
    struct log *l = new_log(LOG_TEXT, LOG_NOTICE);
    log_event(l, EVENT_SPOOL_FULL, NULL, 0);
    log_event(l, EVENT_SPOOL_FULL, NULL, 0);
    assert_int_equal(kept.calls, 0);
    log_flush(l);
    assert_int_equal(kept.calls, 1);
    log_flush(l);
    assert_int_equal(kept.calls, 1); /* nothing waits: no call */
    log_event(l, EVENT_SPOOL_FULL, NULL, 0);
    log_free(l);
    assert_int_equal(kept.calls, 2);
}

static size_t count_lines(const char *with)
{
    size_t count = 0;
    struct span rest = span_of(kept.text, kept.len), line;
    while (rest.len > 0) {
        rest = span_split(rest, '\n', &line);
        count += span_find(line, span_text(with), 0) < line.len;
    }
    return count;
}

/* All lines come out whole and in order however little the sink takes at a time. */
static void a_slow_sink_gets_everything(void **state)
{
    (void)state;
    struct log *l = new_log(LOG_TEXT, LOG_NOTICE);
    for (size_t room = 0; room < 50; room++) {
        kept.room = room;
        LOG(l, EVENT_SPOOL_FULL, log_u64("n", room));
        log_flush(l);
    }
    kept.room = SIZE_MAX;
    log_flush(l);
    assert_int_equal(count_lines("spool-full"), 50);
    assert_int_equal(log_dropped(l), 0);
    struct span rest = span_of(kept.text, kept.len), line;
    for (size_t i = 0; i < 50; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "2026-11-24T05:03:27.123Z error spool-full n=%zu",
                       i);
        rest = span_split(rest, '\n', &line);
        expect_span(line, span_text(expected));
    }
    log_free(l);
}

static void a_stuck_sink_loses_lines_and_says_so(void **state)
{
    (void)state;
    struct log *l = new_log(LOG_TEXT, LOG_NOTICE);
    char value[1000];
    memset(value, 'v', sizeof value);
    kept.room = 0;
    for (unsigned i = 0; i < 200; i++) {
        LOG(l, EVENT_SPOOL_FULL, log_span("value", span_of(value, sizeof value)));
        if (i == 150)
            log_flush(l);
    }
    uint64_t dropped = log_dropped(l);
    assert_true(dropped > 100 && dropped < 200);
    assert_true(kept.calls <= 3); /* it is not asked again and again */
    kept.room = SIZE_MAX;
    log_flush(l);
    assert_int_equal(count_lines("spool-full"), 200 - dropped);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "warning log-dropped count=%llu",
                   (unsigned long long)dropped);
    assert_int_equal(count_lines(expected), 1);
    log_event(l, EVENT_SPOOL_FULL, NULL, 0);
    log_flush(l);
    assert_int_equal(count_lines("log-dropped"), 1); /* once */
    assert_int_equal(log_dropped(l), dropped);
    log_free(l);
}

/* The report of the loss comes before what is newer, even when the sink works again in the
   middle of a turn. */
static void the_loss_is_reported_in_its_place(void **state)
{
    (void)state;
    struct log *l = new_log(LOG_TEXT, LOG_NOTICE);
    char value[4000];
    memset(value, 'v', sizeof value);
    kept.room = 0;
    while (log_dropped(l) == 0)
        LOG(l, EVENT_SPOOL_FULL, log_span("value", span_of(value, sizeof value)));
    kept.room = 20 * 1000;
    log_flush(l);
    log_event(l, EVENT_SPOOL_DAMAGED, NULL, 0);
    kept.room = SIZE_MAX;
    log_flush(l);
    struct span all = span_of(kept.text, kept.len);
    size_t report = span_find(all, SPAN("log-dropped count=1"), 0);
    assert_true(report < span_find(all, SPAN("spool-damaged"), 0));
    assert_int_equal(count_lines("spool-damaged"), 1);
    log_free(l);
}

/* Values around the limit of a line: never longer, always ended, marked when cut, JSON still
   closed. */
static void long_lines_are_cut(void **state)
{
    (void)state;
    static char value[LOG_LINE_MAX * 2];
    for (int round = 0; round < 4; round++) {
        memset(value, round % 2 == 0 ? 'v' : '\xff', sizeof value);
        enum log_format format = round < 2 ? LOG_TEXT : LOG_JSON;
        bool cut_before = false;
        for (size_t len = 500; len < LOG_LINE_MAX + 200; len++) {
            struct log *l = new_log(format, LOG_NOTICE);
            LOG(l, EVENT_MESSAGE_ACCEPTED, log_span("k", span_of(value, len)), log_u64("after", 7));
            log_flush(l);
            struct span line = span_of(kept.text, kept.len);
            assert_true(line.len <= LOG_LINE_MAX);
            assert_int_equal(span_find_byte(line, '\n', 0), line.len - 1);
            bool cut = span_find(line, SPAN("truncated"), 0) < line.len;
            assert_true(cut || !cut_before);
            cut_before = cut;
            assert_true(span_find(line, SPAN("after"), 0) < line.len || cut);
            if (format == LOG_JSON)
                assert_true(span_ends_with_nocase(line, SPAN("}\n")));
            if (cut)
                assert_true(span_find(line,
                                      format == LOG_JSON ? SPAN(",\"truncated\":true}\n")
                                                         : SPAN(" truncated=yes\n"),
                                      0) < line.len);
            log_free(l);
        }
        assert_true(cut_before);
    }
}

static void more_fields_than_fit(void **state)
{
    (void)state;
    static struct log_field fields[2000];
    for (size_t i = 0; i < ROWS(fields); i++)
        fields[i] = i % 2 == 0 ? log_u64("number", i) : log_text("text", "some words");
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        struct log *l = new_log((enum log_format)format, LOG_NOTICE);
        log_event(l, EVENT_MESSAGE_ACCEPTED, fields, ROWS(fields));
        log_flush(l);
        assert_true(kept.len > LOG_LINE_MAX - 100 && kept.len <= LOG_LINE_MAX);
        assert_int_equal(count_lines("truncated"), 1);
        assert_int_equal(kept.text[kept.len - 1], '\n');
        log_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_as_text),
        cmocka_unit_test(fields_as_json),
        cmocka_unit_test(levels),
        cmocka_unit_test(no_log_takes_everything),
        cmocka_unit_test(events_have_names),
        cmocka_unit_test(lines_wait_for_the_flush),
        cmocka_unit_test(a_slow_sink_gets_everything),
        cmocka_unit_test(a_stuck_sink_loses_lines_and_says_so),
        cmocka_unit_test(the_loss_is_reported_in_its_place),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(more_fields_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
