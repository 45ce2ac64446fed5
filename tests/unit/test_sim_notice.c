/* Notifications, simulated: from where the original is read, and what can go wrong with that. */
#include "deliver_house.h"
#include "fuzz/dsn_check.h"

static struct notified_recipient recipients[RECIPIENTS_MAX];
static struct notification notification;

static int begin(void **state)
{
    struct sim_options calm = sim_options_calm();
    (void)state;
    house_begin(1, &calm);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    house_end();
    mail_release(notification.dsn);
    notification.dsn = NULL;
    return 0;
}

/* About the first `count` recipients of m, who were refused. */
static void ask(const struct message *m, uint32_t count, bool with_mail)
{
    mail_release(notification.dsn);
    notification = (struct notification){.id = m->mail->id,
                                         .mail = with_mail ? m->mail : NULL,
                                         .recipients = recipients,
                                         .recipient_count = count,
                                         .fault = FAULT_UNKNOWN};
    for (uint32_t i = 0; i < count; i++)
        recipients[i] = (struct notified_recipient){.index = i,
                                                    .text = SPAN("550 5.1.1 no such user"),
                                                    .remote = SPAN("mx0.example[10.0.1.1]"),
                                                    .is_reply = true};
}

static void send(void)
{
    house.notified = NULL;
    letter_send(house.queue, house.worker, &notification.letter, LETTER_NOTIFY, NULL);
    actor_flush(house.queue);
}

static void await_notice(void)
{
    send();
    for (int i = 0; i < 1000 && house.notified == NULL; i++)
        run(10000);
    assert_ptr_equal(house.notified, &notification);
    expect_nothing_left();
}

static void expect_refused(enum fault fault)
{
    await_notice();
    assert_string_equal(fault_name(notification.fault), fault_name(fault));
    assert_null(notification.dsn);
}

/* The notification, checked and taken apart. */
static struct dsn_parts expect_dsn(const struct message *m)
{
    assert_int_equal(notification.fault, FAULT_NONE);
    const struct envelope *e = &notification.dsn->envelope;
    assert_int_equal(e->reverse_path.len, 0);
    assert_int_equal(e->recipient_count, 1);
    expect_span(e->recipients[0].path, notification.is_to_postmaster
                                           ? SPAN("postmaster@here.example")
                                           : m->mail->envelope.reverse_path);
    assert_false(e->content_in_file);
    assert_true(e->content_bytes <= INLINE_MAX && e->content_bytes == e->content.len);
    struct dsn d = {.id = notification.dsn->id,
                    .recipient_count = notification.recipient_count,
                    .original = m->content,
                    .returns_all = !m->is_in_file,
                    .is_international = e->smtputf8,
                    .is_to_postmaster = e->is_last_resort};
    assert_int_equal(e->recipients[0].notify, NOTIFY_NEVER);
    assert_int_equal(e->body_8bitmime, dsn_is_8bit(&d));
    return dsn_check(e->content, &d);
}

static void expect_original(struct span body)
{
    assert_true(span_starts_with(body, SPAN("Received: here\r\nMessage: ")));
}

static void composes_from_memory(void **state)
{
    (void)state;
    struct message *m = a_message("a@b.example b@b.example", 500);
    ask(m, 2, true);
    recipients[0].index = 1;
    recipients[1].index = 0;
    await_notice();
    struct dsn_parts p = expect_dsn(m);
    expect_original(p.body[2]);
    assert_true(dsn_has(p.body[1], "Final-Recipient: rfc822; b@b.example\r\n"));
    assert_true(dsn_has(p.body[1], "Remote-MTA: dns; mx0.example\r\n"));
    assert_true(dsn_has(p.body[1], "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"));
    size_t first = span_find(p.body[1], SPAN("b@b.example"), 0);
    assert_true(first < span_find(p.body[1], SPAN("a@b.example"), 0));
    assert_int_equal(m->mail->references, 1);
}

static void fetches_the_original(void **state)
{
    (void)state;
    struct message *m = a_message("a@b", 500);
    ask(m, 1, false);
    await_notice();
    expect_original(expect_dsn(m).body[2]);
    assert_int_equal(m->mail->references, 1);
}

static void reads_the_original_from_its_file(void **state)
{
    (void)state;
    struct message *m = a_message("a@b", 300000);
    for (int with_mail = 0; with_mail < 2; with_mail++) {
        ask(m, 1, with_mail == 1);
        await_notice();
        expect_original(expect_dsn(m).body[2]);
        assert_int_equal(m->mail->references, 1);
    }
}

static void each_has_its_own_id(void **state)
{
    (void)state;
    struct message *m = a_message("a@b", 500);
    struct id seen[20];
    for (size_t i = 0; i < ROWS(seen); i++) {
        ask(m, 1, true);
        await_notice();
        seen[i] = notification.dsn->id;
        for (size_t k = 0; k < i; k++)
            assert_false(id_equal(seen[k], seen[i]));
    }
}

/* A notification without the original's header is better than none. */
static void does_without_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_DAMAGED, FAULT_DISK_ERROR, FAULT_NOT_FOUND,
                                        FAULT_NO_MEMORY};
    struct message *m = a_message("a@b", 300000);
    house.job_faults = 1000000;
    for (size_t i = 0; i < ROWS(faults); i++) {
        house.job_fault = faults[i];
        ask(m, 1, true);
        await_notice();
        expect_span(expect_dsn(m).body[2], SPAN("Received: here\r\n")); /* the prefix */
    }
}

static void tells_that_the_original_is_gone(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_DAMAGED, FAULT_DISK_ERROR, FAULT_NOT_FOUND,
                                        FAULT_NO_MEMORY};
    struct message *m = a_message("a@b", 500);
    house.fetch_faults = 1000000;
    for (size_t i = 0; i < ROWS(faults); i++) {
        house.fetch_fault = faults[i];
        ask(m, 1, false);
        expect_refused(faults[i]);
    }
}

static void refuses_what_the_envelope_does_not_have(void **state)
{
    (void)state;
    struct message *m = a_message("a@b b@b", 500);
    ask(m, 2, true);
    recipients[1].index = 2;
    expect_refused(FAULT_DAMAGED);
    ask(m, 1, true);
    m->mail->envelope.reverse_path = (struct span){NULL, 0};
    expect_refused(FAULT_DAMAGED);
}

static void says_why(void **state)
{
    (void)state;
    static const struct {
        struct notified_recipient said;
        const char *fields;
    } rows[] = {
        {{.text = SPAN("550 no"), .is_reply = true, .remote = SPAN("mx.b[::1]")},
         "Status: 5.0.0\r\nRemote-MTA: dns; mx.b\r\nDiagnostic-Code: smtp; 550 no\r\n"},
        {{.text = SPAN("554 5.7.1 spam"), .is_reply = true, .remote = SPAN("[10.0.0.1]")},
         "Status: 5.7.1\r\nRemote-MTA: dns; [10.0.0.1]\r\nDiagnostic-Code: smtp; 554 5.7.1 spam"},
        {{.text = SPAN("450 4.2.0 later"), .is_reply = true, .fault = FAULT_EXPIRED},
         "Status: 5.4.7\r\nDiagnostic-Code: smtp; 450 4.2.0 later\r\n"},
        {{.text = SPAN("451 4.3.0 later"), .is_reply = true},
         "Status: 5.3.0\r\nDiagnostic-Code: smtp; 451 4.3.0 later\r\n"},
        {{.fault = FAULT_NULL_MX},
         "Status: 5.1.10\r\nDiagnostic-Code: X-Postrider; domain accepts no mail (null MX)\r\n"},
        {{.fault = FAULT_CONNECT_REFUSED},
         "Status: 5.4.1\r\nDiagnostic-Code: X-Postrider; connection refused\r\n"},
        {{.text = SPAN("xx"), .is_reply = true}, "Status: 5."},
        {{.text = SPAN(""), .is_reply = false, .fault = FAULT_NONE}, "Status: 5."},
    };
    struct message *m = a_message("a@b", 500);
    for (size_t i = 0; i < ROWS(rows); i++) {
        ask(m, 1, true);
        recipients[0] = rows[i].said;
        await_notice();
        struct span report = expect_dsn(m).body[1];
        if (!dsn_has(report, rows[i].fields))
            fail_msg("row %zu: %.*s", i, SPAN_PRINT(report));
    }
}

/* RFC 3461 4.3, 4.4 and 5.2.1: what was said with the message stands in the report. */
static void says_what_was_said(void **state)
{
    (void)state;
    struct message *m = a_message("a@b c@d e@f", 500);
    struct envelope *e = &m->mail->envelope;
    e->envid = SPAN("QQ+2B314+20159");
    e->recipients[0].orcpt = SPAN("rfc822;List+2BMe@b");
    e->recipients[0].original = SPAN("not@this");
    e->recipients[1].original = SPAN("alias@d");
    ask(m, 3, true);
    recipients[0].action = DSN_DELAYED;
    recipients[0].text = SPAN("450 4.2.0 later");
    recipients[1].action = DSN_RELAYED;
    recipients[1].text = SPAN("250 2.0.0 ok");
    recipients[2].action = DSN_EXPANDED;
    recipients[2].text = SPAN("");
    recipients[2].is_reply = false;
    notification.retry_until_ms = 1764400000000;
    await_notice();
    struct dsn_parts p = expect_dsn(m);
    assert_true(span_starts_with(p.body[1], SPAN("Original-Envelope-Id: QQ+314 159\r\n")));
    assert_true(dsn_has(p.body[1], "Original-Recipient: rfc822;List+Me@b\r\nFinal-Recipient: "
                                   "rfc822; a@b\r\nAction: delayed\r\nStatus: 4.2.0\r\n"));
    assert_true(dsn_has(p.body[1], "Will-Retry-Until: Sat, 29 Nov 2025 07:06:40 +0000\r\n"));
    assert_true(dsn_has(p.body[1], "Original-Recipient: rfc822;alias@d\r\nFinal-Recipient: "
                                   "rfc822; c@d\r\nAction: relayed\r\nStatus: 2.0.0\r\n"));
    assert_true(dsn_has(p.body[1], "rfc822; e@f\r\nAction: expanded\r\nStatus: 2."));
    assert_true(dsn_has(p.part_header[2], "text/rfc822-headers")); /* nobody has failed */
}

static void returns_what_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        enum notify_return ret;
        bool is_whole;
    } rows[] = {{500, RETURN_UNSAID, true},   {500, RETURN_HEADERS, false},
                {500, RETURN_FULL, true},     {60000, RETURN_UNSAID, false},
                {60000, RETURN_FULL, true},   {60000, RETURN_HEADERS, false},
                {300000, RETURN_FULL, false}, {300000, RETURN_UNSAID, false}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct message *m = a_message("a@b", rows[i].bytes);
        m->mail->envelope.ret = rows[i].ret;
        ask(m, 1, true);
        await_notice();
        struct dsn_parts p = expect_dsn(m);
        assert_int_equal(dsn_has(p.part_header[2], "message/rfc822"), rows[i].is_whole);
    }
}

/* A double bounce; but not when nobody is configured for it, nor for mail that has a sender. */
static void tells_the_postmaster(void **state)
{
    (void)state;
    struct message *m = a_message("a@b", 500);
    ask(m, 1, true);
    notification.is_to_postmaster = true;
    expect_refused(FAULT_DAMAGED);
    m->mail->envelope.reverse_path = (struct span){NULL, 0};
    await_notice();
    struct dsn_parts p = expect_dsn(m);
    assert_true(notification.dsn->envelope.is_last_resort);
    assert_true(dsn_has(p.header, "To: <postmaster@here.example>\r\n"));
    house.settings.postmaster = NULL;
    ask(m, 1, true);
    notification.is_to_postmaster = true;
    expect_refused(FAULT_DENIED);
    house.settings.postmaster = "postmaster@here.example";
}

/* RFC 6533, where something of mail that came by SMTPUTF8 needs it. */
static void is_international_where_needed(void **state)
{
    (void)state;
    struct message *m = a_message("\xc3\xa9@b", 500);
    ask(m, 1, true);
    await_notice(); /* not said to be: then in ASCII all the same */
    assert_true(dsn_has(expect_dsn(m).body[1], "Final-Recipient: rfc822; ??@b\r\n"));
    m->mail->envelope.smtputf8 = true;
    ask(m, 1, true);
    await_notice();
    assert_true(notification.dsn->envelope.smtputf8);
    assert_true(dsn_has(expect_dsn(m).body[1], "Final-Recipient: utf-8; \xc3\xa9@b\r\n"));
    m->mail->envelope.recipients[0].path = SPAN("e@b");
    ask(m, 1, true);
    await_notice();
    assert_false(notification.dsn->envelope.smtputf8);
}

/* First without the original, then not at all: the queue asks for fewer. */
static void has_a_limit(void **state)
{
    (void)state;
    static char names[RECIPIENTS_MAX * 20];
    size_t at = 0;
    for (int i = 0; i < RECIPIENTS_MAX; i++)
        at += (size_t)sprintf(names + at, "%su%d@b.example", i == 0 ? "" : " ", i);
    struct message *m = a_message(names, 500);
    enum { ALL, NO_ORIGINAL, REFUSED } kind = ALL;
    uint32_t kinds[3] = {0};
    for (uint32_t count = 300; count < 500 && kind != REFUSED; count++) {
        ask(m, count, true);
        await_notice();
        kind = notification.fault != FAULT_NONE ? REFUSED
               : expect_dsn(m).body[2].len == 0 ? NO_ORIGINAL
                                                : ALL;
        kinds[kind]++;
    }
    assert_int_equal(notification.fault, FAULT_LIMIT);
    assert_true(kinds[ALL] > 0 && kinds[NO_ORIGINAL] > 0 && kinds[REFUSED] == 1);
    ask(m, RECIPIENTS_MAX, true);
    expect_refused(FAULT_LIMIT);
}

/* As when the process ends: whatever is on its way. */
static void can_be_freed_at_any_time(void **state)
{
    (void)state;
    struct message *m = a_message("a@b", 300000);
    ask(m, 1, false);
    send();
    house.spool_late.holds = house.disk_late.holds = true;
    run(SIM_SECOND);
    assert_int_equal(house.spool_late.count, 1);
    late_release(&house.spool_late);
    run(SIM_SECOND);
    assert_int_equal(house.disk_late.count, 1);
    assert_false(list_empty(&house.deliverer->notices));
}

static void can_be_freed_while_it_fetches(void **state)
{
    (void)state;
    ask(a_message("a@b", 500), 1, false);
    house.spool_late.holds = true;
    send();
    run(SIM_SECOND);
    assert_int_equal(house.spool_late.count, 1);
}

static void dies_at_random(void **state)
{
    (void)state;
    uint32_t answered = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct random drawn;
        random_init(&drawn, seed);
        struct sim_options options = sim_options_rough(&drawn);
        house_begin(seed, &options);
        house.slow = 300000;
        struct message *m = a_message("a@b", below(2) * 300000);
        ask(m, 1, chance(500000));
        send();
        run((int64_t)below(chance(500000) ? 3000 : 600000));
        if (chance(500000))
            life_kill(house.sender_life, SIM_KILLED);
        answered += house.notified != NULL;
        if (house.notified != NULL && notification.dsn != NULL)
            (void)expect_dsn(m);
        house_end();
    }
    mail_release(notification.dsn);
    notification.dsn = NULL;
    assert_in_range(answered, 15, 85);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(composes_from_memory),
        CASE(fetches_the_original),
        CASE(reads_the_original_from_its_file),
        CASE(each_has_its_own_id),
        CASE(does_without_a_file_that_cannot_be_read),
        CASE(tells_that_the_original_is_gone),
        CASE(refuses_what_the_envelope_does_not_have),
        CASE(says_why),
        CASE(says_what_was_said),
        CASE(returns_what_was_asked_for),
        CASE(tells_the_postmaster),
        CASE(is_international_where_needed),
        CASE(has_a_limit),
        CASE(can_be_freed_at_any_time),
        CASE(can_be_freed_while_it_fetches),
        cmocka_unit_test(dies_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
