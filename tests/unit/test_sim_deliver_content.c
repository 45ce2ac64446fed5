/* Deliveries, simulated: the content, its record, time, and how it ends. */
#include "deliver_cases.h"

/* Content ------------------------------------------------------------------------------------- */

static void sends_content_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     70,     8000,   65535,  65536,
                                   65537, 99000, 131072, 131088, 500000, 1000000};
    struct channel *c = a_channel();
    for (size_t window = 3; window > 0; window--) {
        sim_options(house.sim)->window_bytes_max = window == 3 ? 1 << 20 : window == 2 ? 5000 : 700;
        for (size_t i = 0; i < ROWS(sizes); i++) {
            if (window == 1 && sizes[i] > 100000)
                continue;
            send_to(c, a_message("a@b", sizes[i]), ROUTE(0, 10));
            expect_delivered(c, 0);
            assert_true(house.ledger[house.ledger_count - 1].is_whole);
        }
    }
    close_all(c);
}

static void fetches_mail(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (int i = 0; i < 3; i++) {
        struct message *m = a_message("a@b 550b@b", i == 2 ? 200000 : 400);
        deliver(c, m, ROUTE(0, 10), false);
        await(c);
        expect_delivered(c, 0);
        assert_ptr_equal(c->delivery.mail, m->mail); /* left for the queue */
    }
    assert_int_equal(counters().fetched, 3);
    assert_int_equal(house.hosts[0].connections, 1);
    close_all(c);
}

static void defers_when_mail_cannot_be_fetched(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_DAMAGED, FAULT_DISK_ERROR, FAULT_NOT_FOUND,
                                        FAULT_NO_MEMORY};
    struct channel *c = a_channel();
    for (int kept = 0; kept < 2; kept++) {
        for (size_t i = 0; i < ROWS(faults); i++) {
            house.fetch_fault = faults[i];
            house.fetch_faults = 1000000;
            deliver(c, a_message("a@b b@b", 400), ROUTE(0, 10), false);
            await(c);
            expect_fault(c, 0, faults[i]);
            expect_fault(c, 1, faults[i]);
            expect_site(c, FAULT_NONE);
            assert_null(c->delivery.mail);
            assert_int_equal(c->delivery.keeps_connection, kept);
        }
        house.fetch_faults = 0;
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        expect_delivered(c, 0);
    }
    assert_int_equal(house.hosts[0].connections, 1);
    close_all(c);
}

/* The kept connection ends while the mail of the next delivery is fetched. */
static void fetches_while_the_connection_goes(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.hosts[0].manner.closes_idle_ms = 2000;
    for (int i = 0; i < 2; i++) {
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        house.spool_late.holds = true;
        deliver(c, a_message("a@b", 400), ROUTE(0, 10), false);
        run(5 * SIM_SECOND);
        assert_int_equal(state_of(c), CONNECTION_FETCHING);
        house.fetch_fault = FAULT_DISK_ERROR;
        house.fetch_faults = i == 1 ? 1000000 : 0;
        late_release(&house.spool_late);
        await(c);
        if (i == 0)
            expect_delivered(c, 0);
        else
            expect_fault(c, 0, FAULT_DISK_ERROR);
    }
    assert_false(c->delivery.keeps_connection);
    close_all(c);
}

static void flip_file_byte(const struct message *m, uint64_t at)
{
    char name[CONTENT_NAME_MAX];
    struct file *f;
    uint8_t byte;
    size_t got;
    content_name(m->mail->id, name);
    assert_int_equal(file_open(house.disk, name, DISK_WRITE, &f), FAULT_NONE);
    assert_int_equal(file_read(f, at, &byte, 1, &got), FAULT_NONE);
    byte ^= 0x20;
    struct span part = span_of(&byte, 1);
    assert_int_equal(file_write(f, at, &part, 1), FAULT_NONE);
    file_close(f);
}

static void sends_nothing_of_a_damaged_block(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (uint64_t block = 0; block < 4; block++) {
        struct message *m = a_message("a@b 550b@b c@b", 230000);
        flip_file_byte(m, block * (CONTENT_BLOCK_BYTES + CONTENT_HEADER_BYTES) + 1000);
        uint64_t before = counters().bytes;
        send_to(c, m, ROUTE(0, 10, 1, 20));
        expect_fault(c, 0, FAULT_DAMAGED);
        expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
        expect_fault(c, 2, FAULT_DAMAGED);
        expect_site(c, FAULT_NONE);
        assert_false(c->delivery.keeps_connection);
        assert_in_range(counters().bytes - before, block * CONTENT_BLOCK_BYTES,
                        block * (CONTENT_BLOCK_BYTES + 4000) + 16);
    }
    assert_int_equal(house.hosts[0].transactions + house.hosts[1].connections, 0);
    close_all(c);
}

static void defers_when_the_file_cannot_be_read(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b", 230000);
    house.job_fault = FAULT_DISK_ERROR;
    house.job_faults = 1000000;
    send_to(c, m, ROUTE(0, 10));
    expect_fault(c, 0, FAULT_DISK_ERROR);
    house.job_faults = 0;
    char name[CONTENT_NAME_MAX];
    content_name(m->mail->id, name);
    assert_int_equal(disk_unlink(house.disk, name), FAULT_NONE);
    send_to(c, m, ROUTE(0, 10));
    expect_fault(c, 0, FAULT_NOT_FOUND);
    assert_int_equal(house.hosts[0].transactions, 0);
    close_all(c);
}

/* An envelope that is not of this file: it must not be ended as if it were whole. */
static void defers_a_file_of_another_length(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b", 230000);
    m->mail->envelope.content_bytes -= 1;
    send_to(c, m, ROUTE(0, 10));
    expect_fault(c, 0, FAULT_DAMAGED);
    assert_int_equal(house.hosts[0].transactions, 0);
    close_all(c);
}

/* The block that was being read for one host is not the first one for the next. */
static void reads_anew_for_the_next_host(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    misbehaves(0, AT_CONTENT, "!");
    house.hosts[0].manner.mid_data = 60000;
    for (int i = 0; i < 2; i++) {
        deliver(c, a_message("a@b", 300000), ROUTE(0, 10, 1, 20), true);
        for (int turns = 0; i == 1 && turns < 100000 && house.hosts[0].done[AT_CONTENT] < 2;
             turns++)
            run(100);
        house.disk_late.holds = i == 1; /* maybe: a block is out when the connection goes */
        run(2 * SIM_SECOND);
        late_release(&house.disk_late);
        await(c);
        expect_delivered(c, 0);
        close_channel(c);
    }
    run(SIM_SECOND);
    expect_nothing_left();
}

/* SENDING ------------------------------------------------------------------------------------- */

static void sends_no_dot_without_the_record(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_DISK_ERROR, FAULT_NOT_FOUND, FAULT_NO_MEMORY,
                                        FAULT_LIMIT};
    struct channel *c = a_channel();
    for (size_t i = 0; i < ROWS(faults); i++) {
        house.append_fault = faults[i];
        house.append_faults = 1000000;
        send_to(c, a_message("a@b 550b@b", i % 2 == 0 ? 400 : 200000), ROUTE(0, 10, 1, 20));
        expect_fault(c, 0, faults[i]);
        expect_site(c, FAULT_NONE);
        assert_false(c->delivery.keeps_connection);
        assert_int_equal(c->delivery.results[0].in_doubt, false);
    }
    assert_int_equal(house.hosts[0].transactions, 0);
    assert_int_equal(house.hosts[1].connections, 0);
    house.append_faults = 0;
    send_to(c, a_message("a@b", 400), ROUTE(0, 10));
    expect_delivered(c, 0);
    close_all(c);
}

/* The server says 354 long before the record is written: nothing of the content leaves. */
static void waits_for_the_record(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    sim_options(house.sim)->short_send = 1000000;
    for (int i = 0; i < 20; i++) {
        house.spool_late.holds = true;
        house.hosts[0].manner.has_no_pipelining = i % 2 == 0;
        uint64_t before = counters().bytes;
        deliver(c, a_message("a@b", 400), ROUTE(0, 10), true);
        run(10 * SIM_SECOND);
        assert_true(c->is_lent);
        assert_int_equal(counters().bytes, before);
        late_release(&house.spool_late);
        await(c);
        expect_delivered(c, 0);
    }
    /* Not for ever; and that is not the host's fault. */
    house.spool_late.holds = true;
    deliver(c, a_message("a@b", 400), ROUTE(0, 10), true);
    run(20 * SIM_SECOND);
    assert_false(c->is_lent);
    expect_fault(c, 0, FAULT_DISK_ERROR);
    expect_site(c, FAULT_NONE);
    late_release(&house.spool_late);
    close_all(c);
}

/* The refusal comes while another host is being tried: there it is asked for again. */
static void asks_again_for_the_record(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b", 400);
    misbehaves(0, AT_DATA, "!");
    house.spool_late.holds = true;
    house.append_fault = FAULT_DISK_ERROR;
    house.append_faults = 1000000;
    deliver(c, m, ROUTE(0, 10, 1, 20, 2, 30), true);
    while (house.hosts[0].connections == 0)
        run(100);
    sim_options(house.sim)->silence = 1000000;
    run(5 * SIM_SECOND);
    assert_int_equal(state_of(c), CONNECTION_CONNECTING);
    late_release(&house.spool_late);
    run(SIM_SECOND);
    assert_int_equal(m->sendings, 0);
    house.append_faults = 0;
    sim_options(house.sim)->silence = 0;
    await(c);
    expect_delivered(c, 0);
    assert_int_equal(m->sendings, 1);
    close_all(c);
}

/* Time ---------------------------------------------------------------------------------------- */

static void gives_each_phase_its_time(void **state)
{
    (void)state;
    static const struct {
        enum moment when;
        int64_t ms;
        bool is_kept; /* the connection is one of a delivery before */
    } rows[] = {{AT_GREETING, 11000, false}, {AT_EHLO, 12000, false},   {AT_MAIL, 13000, false},
                {AT_RCPT, 14000, false},     {AT_DATA, 15000, false},   {AT_CONTENT, 16000, false},
                {AT_DOT, 17000, false},      {AT_MAIL, 13000, true},    {AT_RCPT, 14000, true},
                {AT_DATA, 15000, true},      {AT_CONTENT, 16000, true}, {AT_DOT, 17000, true}};
    struct channel *c = a_channel();
    sim_options(house.sim)->window_bytes_max = 30000;
    for (size_t i = 0; i < ROWS(rows); i++) {
        house.hosts[0].manner.has_no_pipelining = true;
        if (rows[i].is_kept)
            send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        misbehaves(0, rows[i].when, "~");
        house.hosts[0].manner.mid_data = 40000;
        send_to(c, a_message("a@b", 90000), ROUTE(0, 10));
        /* The first reply to be missed on a kept one only shows that it had gone. */
        bool is_stale = rows[i].is_kept && rows[i].when == AT_MAIL;
        int64_t at_least = rows[i].ms * (is_stale ? 2 : 1);
        expect_fault(c, 0, FAULT_TIMEOUT);
        expect_site(c, FAULT_TIMEOUT);
        assert_int_equal(result(c, 0)->in_doubt, rows[i].when == AT_DOT);
        assert_in_range(took_ms(c), at_least, at_least + 900);
        assert_false(c->delivery.keeps_connection);
        misbehaves(0, rows[i].when, NULL);
    }
    close_all(c);
}

static void gives_connecting_its_time(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    sim_options(house.sim)->silence = 1000000;
    send_to(c, a_message("a@b", 400), ROUTE(0, 10, 1, 20));
    expect_fault(c, 0, FAULT_CONNECT_TIMEOUT);
    expect_site(c, FAULT_CONNECT_TIMEOUT);
    assert_in_range(took_ms(c), 20000, 20100);
    close_all(c);
}

/* A server that takes the content slowly is not given up: each piece has its time. */
static void is_patient_while_it_moves(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    sim_options(house.sim)->window_bytes_max = 900;
    house.hosts[0].manner.is_slow = true;
    send_to(c, a_message("a@b", 400000), ROUTE(0, 10));
    expect_delivered(c, 0);
    assert_true(took_ms(c) > 2 * house.settings.block_timeout_ms);
    close_all(c);
}

/* The end ------------------------------------------------------------------------------------- */

static void is_in_doubt_after_the_dot(void **state)
{
    (void)state;
    static const char *const ends[] = {"!", "#", "nonsense\r\n", "~", "25", "354 more\r\n"};
    struct channel *c = a_channel();
    for (size_t i = 0; i < ROWS(ends); i++) {
        misbehaves(0, AT_DOT, ends[i]);
        send_to(c, a_message("550a@b b@b", i % 2 == 0 ? 400 : 200000), ROUTE(0, 10, 1, 20));
        expect_reply(c, 0, DELIVERY_FAILED, "550 0.0.0 as asked");
        assert_int_equal(result(c, 1)->end, DELIVERY_DEFERRED);
        assert_true(result(c, 1)->in_doubt);
        assert_false(result(c, 0)->in_doubt);
        assert_int_not_equal(c->delivery.site_fault, FAULT_NONE);
        send_to(c, a_message("b@b", 400), ROUTE(0, 10, 1, 20));
        assert_true(result(c, 0)->end == DELIVERY_DEFERRED && result(c, 0)->in_doubt);
    }
    assert_int_equal(house.hosts[1].connections, 0); /* it may be there already */
    /* A reply that was read leaves none. */
    static const char *const replies[] = {"421 later\r\n", "450 later\r\n"};
    for (size_t i = 0; i < ROWS(replies); i++) {
        misbehaves(0, AT_DOT, replies[i]);
        send_to(c, a_message("b@b", 400), ROUTE(0, 10));
        assert_int_equal(result(c, 0)->end, DELIVERY_DEFERRED);
        assert_true(result(c, 0)->is_reply && !result(c, 0)->in_doubt);
    }
    misbehaves(0, AT_DOT, "554 spam\r\n");
    send_to(c, a_message("b@b", 400), ROUTE(0, 10));
    expect_reply(c, 0, DELIVERY_FAILED, "554 spam");
    close_all(c);
}

/* It has heard enough in the middle: its word counts. */
static void believes_an_early_refusal(void **state)
{
    (void)state;
    static const char *const ends[] = {"552 too big\r\n!", "552 too big\r\n#", "552 too big\r\n~"};
    struct channel *c = a_channel();
    sim_options(house.sim)->window_bytes_max = 30000;
    house.hosts[0].manner.mid_data = 20000;
    for (size_t i = 0; i < ROWS(ends); i++) {
        misbehaves(0, AT_CONTENT, ends[i]);
        uint32_t before = house.hosts[1].connections;
        send_to(c, a_message("a@b", i % 2 == 0 ? 90000 : 300000), ROUTE(0, 10, 1, 20));
        if (i != 1) { /* a reset may overtake what was said before it */
            expect_reply(c, 0, DELIVERY_FAILED, "552 too big");
            assert_int_equal(house.hosts[1].connections, before);
        }
        close_channel(c);
    }
    close_all(a_channel());
}

/* It says yes before it has the whole: nothing is delivered by that. */
static void does_not_believe_an_early_yes(void **state)
{
    (void)state;
    static const char *const yeses[] = {"250 fine\r\n", "250 fine\r\n~"};
    struct channel *c = a_channel();
    sim_options(house.sim)->window_bytes_max = 3000;
    for (size_t size = 0; size < 2; size++) {
        for (size_t i = 0; i < ROWS(yeses); i++) {
            misbehaves(0, AT_CONTENT, yeses[i]);
            house.hosts[0].manner.mid_data = 100;
            send_to(c, a_message("a@b", size == 0 ? 50000 : 300000), ROUTE(0, 10));
            assert_int_equal(result(c, 0)->end, DELIVERY_DEFERRED);
            assert_false(c->delivery.keeps_connection);
        }
    }
    close_all(c);
}

/* It answers commands that it cannot have got. */
static void does_not_believe_answers_ahead(void **state)
{
    (void)state;
    static char recipients[RECIPIENTS_MAX * 80], replies[40000];
    size_t at = 0;
    for (int i = 0; i < RECIPIENTS_MAX; i++)
        at += (size_t)sprintf(recipients + at,
                              "%s%d.a-rather-long-local-part-of-an-address@b.example",
                              i == 0 ? "" : " ", i + 600);
    at = 0;
    for (int i = 0; i < 2000; i++)
        at += (size_t)sprintf(replies + at, "250 ok\r\n");
    struct channel *c = a_channel();
    sim_options(house.sim)->window_bytes_max = 20000;
    misbehaves(0, AT_MAIL, replies);
    house.hosts[0].manner.at[AT_MAIL].times = 1;
    send_to(c, a_message(recipients, 4000), ROUTE(0, 10));
    expect_fault(c, 0, FAULT_PROTOCOL);
    expect_fault(c, 999, FAULT_PROTOCOL);
    close_all(c);
}

static void answers_without_memory_for_results(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    for (int kept = 0; kept < 2; kept++) {
        arena_fini(&c->delivery.arena);
        arena_init(&c->delivery.arena, 20);
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        assert_null(c->delivery.results);
        expect_site(c, FAULT_NONE);
        assert_int_equal(c->delivery.keeps_connection, kept);
        arena_init(&c->delivery.arena, 80); /* for the results, not for the recipients */
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        expect_fault(c, 0, FAULT_NO_MEMORY);
        arena_fini(&c->delivery.arena);
        arena_init(&c->delivery.arena, DELIVERY_MEMORY_MAX);
        send_to(c, a_message("a@b", 400), ROUTE(0, 10));
        expect_delivered(c, 0);
    }
    close_all(c);
}

/* No room for the texts: the verdicts stand. */
static void keeps_verdicts_without_memory_for_texts(void **state)
{
    (void)state;
    uint32_t cut = 0;
    struct channel *c = a_channel();
    struct message *m = a_message("a@b 550b@b 450c@b", 400);
    for (size_t max = 16; max < 800; max += 16) {
        arena_fini(&c->delivery.arena);
        arena_init(&c->delivery.arena, max);
        send_to(c, m, ROUTE(0, 10));
        if (c->delivery.results == NULL || result(c, 0)->fault == FAULT_NO_MEMORY)
            continue;
        assert_int_equal(result(c, 0)->end, DELIVERY_DELIVERED);
        assert_int_equal(result(c, 1)->end, DELIVERY_FAILED);
        assert_int_equal(result(c, 2)->end, DELIVERY_DEFERRED);
        assert_true(result(c, 2)->is_reply || result(c, 2)->fault == FAULT_UNKNOWN);
        cut += c->delivery.arena.full;
    }
    assert_in_range(cut, 3, 20);
    assert_false(c->delivery.arena.full);
    close_all(c);
}

static void defers_what_the_envelope_does_not_have(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    deliver(c, a_message("a@b", 400), ROUTE(0, 10), true);
    c->delivery.recipient_count = 1;
    c->recipients[0] = 1;
    await(c);
    expect_fault(c, 0, FAULT_DAMAGED);
    close_all(c);
}

/* 8-bit content, inline and in a file, to hosts without 8BITMIME and with it, in turns; the file is
   read once more for the look at it. */
static void makes_eight_bits_seven(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.eight_bit = 1000000;
    house.hosts[1].manner.has_no_pipelining = true;
    for (int round = 0; round < 12; round++) {
        size_t len = round % 3 == 0 ? 200 : round % 3 == 1 ? 90000 : 400000;
        struct message *m = a_message("a@b 550x@b", len);
        for (int host = 0; host < 2; host++) {
            send_to(c, m, host == 0 ? ROUTE(0, 10) : ROUTE(1, 10));
            expect_delivered(c, 0);
            expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
            close_channel(c);
        }
        /* The one without is the first, and goes away in the middle of something. */
        misbehaves(1, round % 2 == 0 ? AT_MAIL : AT_DATA, "!");
        send_to(c, m, ROUTE(1, 10, 0, 20));
        if (round % 2 == 0) /* at DATA the refused one is decided */
            expect_delivered(c, 0);
        misbehaves(1, round % 2 == 0 ? AT_MAIL : AT_DATA, NULL);
        close_channel(c);
    }
    close_all(a_channel());
}

/* The look at a file, and what may happen meanwhile. */
static void looks_at_a_file_in_trouble(void **state)
{
    (void)state;
    struct channel *c = a_channel();
    house.eight_bit = 1000000;
    house.hosts[0].manner.has_no_pipelining = true;
    struct message *m = a_message("a@b", 900000);
    house.job_fault = FAULT_DISK_ERROR;
    house.job_faults = 1000000;
    send_to(c, m, ROUTE(0, 10));
    expect_fault(c, 0, FAULT_DISK_ERROR);
    expect_site(c, FAULT_NONE);
    assert_int_equal(house.hosts[0].mails, 0);
    house.job_faults = 0;
    /* The host goes away while a block is being read; the next one wants the look, too. */
    house.hosts[1].manner.has_no_pipelining = true;
    house.hosts[0].manner.closes_idle_ms = 100;
    house.disk_late.holds = true;
    deliver(c, m, ROUTE(0, 10, 1, 20), true);
    run(5 * SIM_SECOND);
    assert_true(c->is_lent);
    late_release(&house.disk_late);
    await(c);
    expect_delivered(c, 0);
    house.hosts[0].manner.closes_idle_ms = 0;
    close_channel(c);
    /* The disk never answers: that is no trouble of the host. */
    house.disk_late.holds = true;
    deliver(c, m, ROUTE(0, 10), true);
    await(c);
    expect_fault(c, 0, FAULT_DISK_ERROR);
    expect_site(c, FAULT_NONE);
    late_release(&house.disk_late);
    close_all(c);
}

/* BDAT: content with dots to hosts that offer CHUNKING, with everything that may happen to it. */
static void goes_as_a_chunk(void **state)
{
    static const struct {
        enum moment when;
        const char *says;
        bool is_in_doubt;
    } rows[] = {
        {AT_DOT, "!", true},
        {AT_DOT, "~", true},
        {AT_DOT, "421 away\r\n!", false},
        {AT_DOT, "354 x\r\n", true},
        {AT_RCPT, "!", false},
        {AT_RCPT, "421 x\r\n!", false},
        {AT_MAIL, "!", false},
        {AT_MAIL, "451 x\r\n", false},
    };
    (void)state;
    struct channel *c = a_channel();
    house.hosts[0].manner.offers_chunks = true;
    for (int round = 0; round < 6; round++) {
        struct message *m = a_message("a@b 550x@b c@d", round % 2 == 0 ? 50000 : 500000);
        send_to(c, m, ROUTE(0, 10));
        expect_delivered(c, 0);
        expect_reply(c, 1, DELIVERY_FAILED, "550 0.0.0 as asked");
        expect_delivered(c, 2);
        misbehaves(0, AT_DOT, "554 5.7.1 spam\r\n"); /* then RSET */
        send_to(c, m, ROUTE(0, 10));
        expect_reply(c, 0, DELIVERY_FAILED, "554 5.7.1 spam");
        misbehaves(0, AT_DOT, NULL);
    }
    assert_int_equal(house.hosts[0].connections, 1);
    assert_int_equal(house.hosts[0].chunks, 12);
    assert_int_equal(house.hosts[0].resets, 5);
    close_channel(c);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct channel *other = a_channel();
        misbehaves(0, rows[i].when, rows[i].says);
        send_to(other, a_message("a@b", 60000), ROUTE(0, 10));
        assert_int_equal(result(other, 0)->end, DELIVERY_DEFERRED);
        assert_true(result(other, 0)->in_doubt == rows[i].is_in_doubt);
        misbehaves(0, rows[i].when, NULL);
        close_channel(other);
    }
    close_all(a_channel());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sends_content_of_any_size),
        CASE(fetches_mail),
        CASE(defers_when_mail_cannot_be_fetched),
        CASE(fetches_while_the_connection_goes),
        CASE(sends_nothing_of_a_damaged_block),
        CASE(defers_when_the_file_cannot_be_read),
        CASE(defers_a_file_of_another_length),
        CASE(reads_anew_for_the_next_host),
        CASE(sends_no_dot_without_the_record),
        CASE(waits_for_the_record),
        CASE(asks_again_for_the_record),
        CASE(gives_each_phase_its_time),
        CASE(gives_connecting_its_time),
        CASE(is_patient_while_it_moves),
        CASE(is_in_doubt_after_the_dot),
        CASE(believes_an_early_refusal),
        CASE(does_not_believe_an_early_yes),
        CASE(does_not_believe_answers_ahead),
        CASE(answers_without_memory_for_results),
        CASE(keeps_verdicts_without_memory_for_texts),
        CASE(defers_what_the_envelope_does_not_have),
        CASE(makes_eight_bits_seven),
        CASE(looks_at_a_file_in_trouble),
        CASE(goes_as_a_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
