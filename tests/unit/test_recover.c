/* recover: directories filled record by record; what a start says of them. */
#include "spool_files.h"

#include "spool/content.h"
#include "spool/recover.h"

static const struct span nothing;

static struct recovery *opened(void)
{
    struct recovery *r = NULL;
    assert_int_equal(recovery_open(files.disk, &r), FAULT_NONE);
    return r;
}

static struct recovery *recovered(void)
{
    struct recovery *r = opened();
    uint32_t count;
    (void)recovery_segments(r, &count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(recovery_scan(r, i), FAULT_NONE);
    assert_int_equal(recovery_resolve(r), FAULT_NONE);
    return r;
}

static bool place_of(const struct recovery *r, uint8_t n, struct recovered_place *place_out)
{
    struct recovered_place asked;
    size_t at = 0;
    bool found = false;
    while (!found && recovery_place(r, &at, place_out))
        found = id_equal(place_out->id, an_id(n));
    assert_int_equal(recovery_place_of(r, an_id(n), &asked), found);
    assert_true(!found || asked.base.offset == place_out->base.offset);
    return found;
}

static struct recovered_batch batch;

/* The message n, from whichever segment it is given; valid until the next call. */
static const struct recovered_message *message_of(struct recovery *r, uint8_t n)
{
    uint32_t segments;
    (void)recovery_segments(r, &segments);
    for (uint32_t i = 0; i < segments; i++) {
        struct recovery_position at = {0};
        do {
            assert_int_equal(recovery_messages(r, i, &at, &batch), FAULT_NONE);
            for (uint32_t m = 0; m < batch.message_count; m++)
                if (id_equal(batch.messages[m].id, an_id(n)))
                    return &batch.messages[m];
        } while (batch.place_count > 0);
    }
    return NULL;
}

static const struct recovered_segment *segment_of(const struct recovery *r, uint32_t number)
{
    uint32_t count;
    const struct recovered_segment *s = recovery_segments(r, &count);
    for (uint32_t i = 0; i < count; i++)
        if (s[i].number == number)
            return &s[i];
    fail();
    return NULL;
}

static bool waits(const struct recovery *r, uint32_t waiting, uint32_t for_number)
{
    uint32_t count;
    const struct recovered_segment *all = recovery_segments(r, &count);
    const struct recovered_segment *s = segment_of(r, waiting);
    for (uint32_t i = 0; i < s->waits_for_count; i++) {
        assert_true(s->waits_for[i] < count);
        if (all[s->waits_for[i]].number == for_number)
            return true;
    }
    return false;
}

/* The table of docs/SPOOL.md ------------------------------------------------------------------- */

/* What is written of message 1, a letter a record: A accepted, S sending, O outcome, C control,
   B outcome while others are being delivered, D done, | a sync, / the next segment, G a group of
   outcome and another message. */
struct row {
    const char *records;
    bool lives;
    bool sending;
    uint32_t version;
};

static void put_group(struct segment *s, uint8_t n, uint32_t version)
{
    struct buffer group, outcome = a_state(2, 9, "550 no"), e = an_envelope(99, 1, "dsn", false);
    buffer_init(&group, 65536);
    assert_true(group_put(&group, RECORD_OUTCOME, an_id(n), version, buffer_span(&outcome)));
    assert_true(group_put(&group, RECORD_ACCEPTED, an_id(99), 0, buffer_span(&e)));
    files_add(s, RECORD_GROUP, (struct id){{0}}, 0, buffer_span(&group));
    buffer_fini(&group);
    buffer_fini(&outcome);
    buffer_fini(&e);
}

static void write_row(const struct row *row)
{
    uint32_t number = 1, version = 0;
    struct segment *s = files_segment(number);
    struct buffer state;
    for (const char *c = row->records; *c != '\0'; c++) {
        switch (*c) {
        case 'A':
            files_accept(s, 1, 2);
            break;
        case 'S':
            files_add(s, RECORD_SENDING, an_id(1), version, nothing);
            break;
        case 'O':
            files_outcome(s, 1, ++version, 2);
            break;
        case 'B':
            state = a_state(2, 0, "");
            state.data[3] = 1;
            files_add(s, RECORD_OUTCOME, an_id(1), ++version, buffer_span(&state));
            buffer_fini(&state);
            break;
        case 'C':
            state = a_state(2, 0, "held");
            files_add(s, RECORD_CONTROL, an_id(1), ++version, buffer_span(&state));
            buffer_fini(&state);
            break;
        case 'G':
            put_group(s, 1, ++version);
            break;
        case 'D':
            files_add(s, RECORD_DONE, an_id(1), version, nothing);
            break;
        case '|':
            files_sync(s);
            break;
        case '/':
            files_sync(s);
            segment_close(s);
            s = files_segment(++number);
            break;
        default:
            fail();
        }
    }
    files_sync(s);
    segment_close(s);
}

static void every_state_of_a_message(void **state)
{
    static const struct row rows[] = {
        {"", false, false, 0},         {"A", true, false, 0},      {"A|O", true, false, 1},
        {"AOOO", true, false, 3},      {"A|C", true, false, 1},    {"AOC", true, false, 2},
        {"AG", true, false, 1},        {"AS", true, true, 0},      {"A|S", true, true, 0},
        {"ASO", true, false, 1},       {"AOS", true, true, 1},     {"ASOSO|S", true, true, 2},
        {"AOSC", true, false, 2},      {"AS/O", true, false, 1},   {"A/O/S", true, true, 1},
        {"A/O/O/S/O", true, false, 3}, {"AD", false, false, 0},    {"A|D", false, false, 0},
        {"A/D", false, false, 0},      {"AOSD", false, false, 0},  {"A/G/D", false, false, 0},
        {"O", false, false, 0},        {"C", false, false, 0},     {"S", false, false, 0},
        {"D", false, false, 0},        {"OS/D", false, false, 0},  {"G", false, false, 0},
        {"ASB", true, true, 1},        {"AS/B/O", true, false, 2}, {"ASBD", false, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct recovered_place place;
        assert_int_equal(files_begin(state), 0);
        write_row(&rows[i]);
        struct recovery *r = recovered();
        const struct recovered_message *m = message_of(r, 1);
        if (place_of(r, 1, &place) != rows[i].lives || (m != NULL) != rows[i].lives)
            fail_msg("row \"%s\"", rows[i].records);
        bool has_dsn = strchr(rows[i].records, 'G') != NULL;
        assert_int_equal(recovery_message_count(r), rows[i].lives + has_dsn);
        if (m != NULL && (m->version != rows[i].version || m->sending != rows[i].sending ||
                          place.version != rows[i].version))
            fail_msg("row \"%s\": version %u", rows[i].records, m->version);
        if (m != NULL) {
            assert_int_equal(m->envelope.recipient_count, 2);
            assert_true(span_equal(m->envelope.reverse_path, SPAN("s1@a.example")));
            assert_int_equal(m->state.recipient_count, rows[i].version > 0 ? 2 : 0);
            assert_int_equal(place.state.bytes != 0, rows[i].version > 0);
        }
        assert_true(!has_dsn || place_of(r, 99, &place));
        recovery_free(r);
        assert_int_equal(files_finish(state), 0);
    }
}

/* Places, copies and what waits ---------------------------------------------------------------- */

static void places_are_where_the_records_lie(void **state)
{
    (void)state;
    struct recovered_place place;
    struct segment *s = files_segment(1);
    uint32_t base = files_accept(s, 1, 1);
    files_sync(s);
    segment_close(s);
    s = files_segment(2);
    files_accept(s, 2, 1);
    uint32_t outcome = files_outcome(s, 1, 1, 1);
    files_sync(s);
    segment_close(s);
    struct recovery *r = recovered();
    assert_true(place_of(r, 1, &place));
    assert_true(place.base.segment == 1 && place.base.offset == base);
    assert_true(place.state.segment == 2 && place.state.offset == outcome);
    assert_int_equal(segment_of(r, 1)->live_bytes, place.base.bytes);
    assert_int_equal(segment_of(r, 1)->live_records, 1);
    assert_int_equal(segment_of(r, 2)->live_records, 2);
    assert_false(place.in_file);
    assert_true(place_of(r, 2, &place) && place.state.bytes == 0 && place.base.segment == 2);
    assert_false(waits(r, 2, 1) || waits(r, 1, 2));
    assert_int_equal(message_of(r, 1)->state.recipients[0].attempts, 1);
    recovery_free(r);
}

static void of_copies_the_latest_life_is_the_place_and_waits_for_the_others(void **state)
{
    (void)state;
    struct recovered_place place;
    for (uint32_t number = 1; number <= 3; number++) {
        struct segment *s = files_segment(number);
        files_accept(s, 1, 1);
        files_outcome(s, 1, 4, 1);
        files_sync(s);
        segment_close(s);
    }
    struct recovery *r = recovered();
    assert_true(place_of(r, 1, &place));
    assert_true(place.base.segment == 3 && place.state.segment == 3);
    assert_true(waits(r, 3, 1) && waits(r, 3, 2));
    assert_int_equal(segment_of(r, 1)->waits_for_count, 0);
    assert_int_equal(segment_of(r, 2)->waits_for_count, 0);
    assert_int_equal(segment_of(r, 1)->live_records, 0);
    assert_int_equal(segment_of(r, 3)->live_records, 2);
    assert_int_equal(recovery_message_count(r), 1);
    assert_int_equal(recovery_counts(r).copies, 2);
    assert_non_null(message_of(r, 1));
    recovery_free(r);
}

static void the_scan_may_go_in_any_order(void **state)
{
    static const uint32_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    (void)state;
    struct segment *s = files_segment(1);
    files_accept(s, 1, 1);
    files_accept(s, 2, 1);
    files_sync(s);
    segment_close(s);
    s = files_segment(2);
    files_accept(s, 1, 1);
    files_outcome(s, 1, 1, 1);
    files_add(s, RECORD_DONE, an_id(2), 0, nothing);
    files_sync(s);
    segment_close(s);
    s = files_segment(3);
    files_add(s, RECORD_SENDING, an_id(1), 1, nothing);
    files_add(s, RECORD_DONE, an_id(2), 0, nothing); /* written again after a failed sync */
    files_sync(s);
    segment_close(s);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct recovered_place place;
        struct recovery *r = opened();
        for (size_t n = 0; n < 3; n++)
            assert_int_equal(recovery_scan(r, orders[i][n]), FAULT_NONE);
        assert_int_equal(recovery_resolve(r), FAULT_NONE);
        assert_true(place_of(r, 1, &place) && place.base.segment == 2);
        assert_true(message_of(r, 1)->sending);
        assert_false(place_of(r, 2, &place));
        assert_true(waits(r, 2, 1)); /* for the older copy of message 1 */
        assert_true(waits(r, 3, 1)); /* with the DONE of message 2 */
        assert_int_equal(segment_of(r, 1)->waits_for_count, 0);
        struct recovery_counts c = recovery_counts(r);
        assert_true(c.living == 1 && c.sending == 1 && c.ended == 1 && c.copies == 1);
        recovery_free(r);
    }
}

static void a_done_waits_for_every_copy_of_its_base(void **state)
{
    (void)state;
    struct segment *s;
    for (uint32_t number = 1; number <= 2; number++) {
        s = files_segment(number);
        files_accept(s, 1, 1);
        files_accept(s, 2, 1);
        files_add(s, RECORD_DONE, an_id(2), 0, nothing);
        files_sync(s);
        segment_close(s);
    }
    s = files_segment(3);
    files_add(s, RECORD_DONE, an_id(1), 0, nothing);
    files_add(s, RECORD_DONE, an_id(77), 0, nothing); /* a leftover waits for nobody */
    files_sync(s);
    segment_close(s);
    struct recovery *r = recovered();
    assert_int_equal(recovery_message_count(r), 0);
    assert_true(waits(r, 3, 1) && waits(r, 3, 2) && waits(r, 2, 1));
    assert_int_equal(segment_of(r, 1)->waits_for_count, 0);
    assert_int_equal(segment_of(r, 2)->waits_for_count, 1);
    assert_int_equal(recovery_counts(r).leftovers, 1);
    recovery_free(r);
}

static void the_highest_version_counts_wherever_it_lies(void **state)
{
    (void)state;
    struct recovered_place place;
    struct segment *s = files_segment(1);
    files_outcome(s, 1, 7, 1); /* newer, in an older life: a copy of an older state came later */
    files_sync(s);
    segment_close(s);
    s = files_segment(2);
    files_accept(s, 1, 1);
    files_outcome(s, 1, 6, 1);
    files_sync(s);
    segment_close(s);
    struct recovery *r = recovered();
    assert_true(place_of(r, 1, &place));
    assert_true(place.version == 7 && place.state.segment == 1 && place.base.segment == 2);
    assert_int_equal(message_of(r, 1)->state.recipients[0].attempts, 7);
    assert_int_equal(segment_of(r, 2)->live_records, 1);
    recovery_free(r);
}

/* Headers and files ---------------------------------------------------------------------------- */

static void an_empty_directory_is_a_new_spool(void **state)
{
    (void)state;
    struct id id;
    uint32_t count;
    struct recovery *r = recovered();
    (void)recovery_segments(r, &count);
    assert_int_equal(count, 0);
    assert_false(recovery_spool_id(r, &id));
    assert_int_equal(recovery_epoch_max(r), 0);
    assert_int_equal(recovery_message_count(r), 0);
    recovery_free(r);
}

static void segments_are_told_by_their_headers(void **state)
{
    (void)state;
    struct id id;
    uint32_t count;
    for (uint32_t number = 1; number <= 5; number++)
        segment_close(files_segment(number));
    assert_int_equal(segment_free(files.disk, 2, files_spool_id), FAULT_NONE);
    uint8_t zeros[SPOOL_PAGE] = {0};
    files_patch("00000003.seg", 0, span_of(zeros, sizeof zeros));
    files_flip("00000004.seg", 30);
    assert_int_equal(disk_rename(files.disk, "00000005.seg", "00000006.seg"), FAULT_NONE);
    struct file *f;
    assert_int_equal(file_open(files.disk, "7.seg", DISK_CREATE, &f), FAULT_NONE);
    file_close(f);
    assert_int_equal(file_open(files.disk, "00000007.seg", DISK_CREATE, &f), FAULT_NONE);
    file_close(f);
    struct recovery *r = recovered();
    (void)recovery_segments(r, &count);
    assert_int_equal(count, 6);
    assert_true(recovery_spool_id(r, &id) && id_equal(id, files_spool_id));
    assert_int_equal(recovery_epoch_max(r), 10);
    assert_true(segment_of(r, 1)->epoch == 10 && !segment_of(r, 1)->is_free);
    assert_true(segment_of(r, 2)->is_free && segment_of(r, 2)->epoch == 0);
    assert_true(segment_of(r, 3)->is_broken && segment_of(r, 3)->damage_count == 0);
    assert_true(segment_of(r, 4)->is_broken && segment_of(r, 4)->damage_count == 1);
    assert_true(segment_of(r, 6)->is_broken && segment_of(r, 6)->damage_count == 1);
    assert_true(segment_of(r, 7)->is_broken && segment_of(r, 7)->damage_count == 0);
    recovery_free(r);
}

static void a_later_format_and_another_spool_are_refused(void **state)
{
    (void)state;
    struct recovery *r = NULL;
    uint8_t header[SEGMENT_HEADER_BYTES];
    segment_close(files_segment(1));
    segment_close(files_segment(2));
    struct segment_header h = {SEGMENT_LIVE, SPOOL_FORMAT + 1, 2, 20, files_spool_id};
    segment_header_encode(&h, header);
    files_patch("00000002.seg", 0, span_of(header, sizeof header));
    assert_int_equal(recovery_open(files.disk, &r), FAULT_SYNTAX);
    h.format = SPOOL_FORMAT;
    h.spool_id = an_id(200);
    segment_header_encode(&h, header);
    files_patch("00000002.seg", 0, span_of(header, sizeof header));
    assert_int_equal(recovery_open(files.disk, &r), FAULT_DAMAGED);
}

static void put_file(const char *name)
{
    struct file *f;
    assert_int_equal(file_open(files.disk, name, DISK_CREATE, &f), FAULT_NONE);
    file_close(f);
}

static void content_files_without_a_message_are_orphans(void **state)
{
    (void)state;
    char name[CONTENT_NAME_MAX];
    struct recovered_place place;
    struct segment *s = files_segment(1);
    for (uint8_t n = 1; n <= 3; n++) {
        struct buffer b = an_envelope(n, 1, "", n != 3); /* 3 has its content inline */
        files_add(s, RECORD_ACCEPTED, an_id(n), 0, buffer_span(&b));
        buffer_fini(&b);
    }
    files_add(s, RECORD_DONE, an_id(2), 0, nothing);
    files_sync(s);
    segment_close(s);
    for (uint8_t n = 1; n <= 4; n++) {
        content_name(an_id(n), name);
        put_file(name);
    }
    put_file("README.msg");
    struct recovery *r = recovered();
    assert_true(place_of(r, 1, &place) && place.in_file);
    size_t at = 0;
    for (uint8_t n = 2; n <= 4; n++) {
        content_name(an_id(n), name);
        assert_string_equal(recovery_orphan(r, &at), name);
    }
    assert_null(recovery_orphan(r, &at));
    assert_int_equal(recovery_resolve(r), FAULT_NONE); /* asked again after some other fault */
    assert_int_equal(recovery_message_count(r), 2);
    recovery_free(r);
}

static void while_anything_is_damaged_no_content_is_an_orphan(void **state)
{
    (void)state;
    char name[CONTENT_NAME_MAX];
    struct segment *s = files_segment(1);
    struct buffer b = an_envelope(1, 1, "", true);
    uint32_t offset = files_add(s, RECORD_ACCEPTED, an_id(1), 0, buffer_span(&b));
    buffer_fini(&b);
    files_sync(s);
    files_accept(s, 2, 1);
    files_sync(s);
    segment_close(s);
    files_flip("00000001.seg", (long)offset + 44);
    content_name(an_id(1), name);
    put_file(name);
    struct recovery *r = recovered();
    size_t at = 0;
    assert_int_equal(recovery_message_count(r), 1);
    assert_null(recovery_orphan(r, &at));
    recovery_free(r);
}

/* Batches -------------------------------------------------------------------------------------- */

static struct id numbered(uint32_t n)
{
    struct id id = {{0}};
    memcpy(id.bytes, &n, sizeof n);
    return id;
}

/* Two segments of so many, and the states of all in a third; each third message is over. */
#define MANY (2 * RECOVERY_BATCH_MESSAGES)

static struct segment *large_segment(uint32_t number)
{
    struct segment *s = NULL;
    assert_int_equal(segment_prepare(files.disk, number, files_spool_id, 64 * FILES_BYTES),
                     FAULT_NONE);
    assert_int_equal(segment_open(files.disk, number, files_spool_id, (uint64_t)number * 10, &s),
                     FAULT_NONE);
    return s;
}

static void write_many(void)
{
    for (uint32_t number = 1; number <= 3; number++) {
        struct segment *s = large_segment(number);
        struct buffer base = an_envelope(1, 1, "", false), state = a_state(1, 1, "451 later");
        for (uint32_t n = number == 2 ? MANY : 0; n < (number == 1 ? MANY : 2 * MANY); n++) {
            if (number < 3)
                files_add(s, RECORD_ACCEPTED, numbered(n), 0, buffer_span(&base));
            else if (n % 3 == 0)
                files_add(s, RECORD_DONE, numbered(n), 0, nothing);
            else
                files_add(s, RECORD_OUTCOME, numbered(n), 1, buffer_span(&state));
            if (n % 256 == 0)
                files_sync(s);
        }
        files_sync(s);
        segment_close(s);
        buffer_fini(&base);
        buffer_fini(&state);
    }
}

/* Each message that lives is given once, in either way; given once, it is forgotten. */
static void many_are_given_in_batches(void **state)
{
    (void)state;
    write_many();
    for (int once = 0; once < 2; once++) {
        struct recovery *r = recovered();
        uint32_t given = 0, next = 0, batches = 0;
        if (once == 1)
            recovery_give_once(r);
        for (uint32_t i = 0; i < 3; i++) {
            struct recovery_position at = {0};
            do {
                assert_int_equal(recovery_messages(r, i, &at, &batch), FAULT_NONE);
                assert_int_equal(batch.message_count, batch.place_count);
                for (uint32_t m = 0; m < batch.message_count; m++, next++) {
                    next += next % 3 == 0;
                    assert_true(id_equal(batch.messages[m].id, numbered(next)));
                    assert_true(id_equal(batch.places[m].id, numbered(next)));
                    assert_int_equal(batch.places[m].base.segment, i + 1);
                    assert_int_equal(batch.places[m].state.segment, 3);
                    assert_int_equal(batch.messages[m].state.recipient_count, 1);
                    assert_int_equal(batch.messages[m].envelope.recipient_count, 1);
                }
                given += batch.message_count;
                batches += batch.message_count > 0;
            } while (batch.place_count > 0);
        }
        assert_int_equal(given, 2 * MANY - (2 * MANY + 2) / 3);
        assert_int_equal(given, recovery_message_count(r));
        assert_int_equal(batches, 4);
        recovery_free(r);
    }
}

static void orphans_are_known_after_all_was_given(void **state)
{
    (void)state;
    char name[CONTENT_NAME_MAX];
    struct segment *s = files_segment(1);
    for (uint8_t n = 1; n <= 2; n++) {
        struct buffer b = an_envelope(n, 1, "", true);
        files_add(s, RECORD_ACCEPTED, an_id(n), 0, buffer_span(&b));
        buffer_fini(&b);
    }
    files_add(s, RECORD_DONE, an_id(2), 0, nothing);
    files_sync(s);
    segment_close(s);
    for (uint8_t n = 1; n <= 3; n++) {
        content_name(an_id(n), name);
        put_file(name);
    }
    struct recovery *r = recovered();
    recovery_give_once(r);
    recovery_give_once(r);         /* again, after some other fault */
    assert_null(message_of(r, 3)); /* all are given */
    assert_null(message_of(r, 1));
    size_t at = 0;
    for (uint8_t n = 2; n <= 3; n++) {
        content_name(an_id(n), name);
        assert_string_equal(recovery_orphan(r, &at), name);
    }
    assert_null(recovery_orphan(r, &at));
    recovery_free(r);
}

/* Damage --------------------------------------------------------------------------------------- */

static void damaged_payloads_lose_no_message(void **state)
{
    (void)state;
    struct recovered_place place;
    struct segment *s = files_segment(1);
    files_accept(s, 1, 2);
    files_outcome(s, 1, 3, 5); /* for five recipients */
    files_accept(s, 2, 1);
    files_add(s, RECORD_OUTCOME, an_id(2), 1, SPAN("no state"));
    files_add(s, RECORD_ACCEPTED, an_id(3), 0, SPAN("no envelope"));
    files_accept(s, 4, 1);
    files_sync(s);
    segment_close(s);
    struct recovery *r = recovered();
    for (int round = 0; round < 2; round++) {
        struct recovery_position at = {0};
        assert_int_equal(recovery_messages(r, 0, &at, &batch), FAULT_NONE);
        assert_int_equal(batch.message_count, 3);
        assert_int_equal(batch.place_count, 4);
        const struct recovered_message *messages = batch.messages;
        assert_true(messages[0].version == 3 && messages[0].state.recipient_count == 0);
        assert_int_equal(messages[0].envelope.recipient_count, 2);
        assert_true(messages[1].version == 1 && messages[1].state.recipient_count == 0);
        assert_true(id_equal(messages[2].id, an_id(4)));
    }
    assert_int_equal(segment_of(r, 1)->damage_count, 3); /* each is counted once */
    assert_true(place_of(r, 3, &place));                 /* it stays on the disk */
    recovery_free(r);
}

static void damage_in_the_middle_is_reported_and_the_rest_lives(void **state)
{
    (void)state;
    struct recovered_place place;
    uint32_t offsets[5];
    struct segment *s = files_segment(1);
    for (uint8_t n = 1; n <= 4; n++) {
        offsets[n] = files_accept(s, n, 1);
        files_sync(s);
    }
    segment_close(s);
    files_flip("00000001.seg", (long)offsets[2] + 50);
    struct recovery *r = recovered();
    assert_int_equal(segment_of(r, 1)->damage_count, 1);
    assert_int_equal(recovery_message_count(r), 3);
    assert_true(place_of(r, 1, &place) && place_of(r, 3, &place) && place_of(r, 4, &place));
    recovery_free(r);
}

/* The last batch, of two messages over three pages, cut at every page and overwritten from there
   with each class of bytes: what was synced before it is there, and nothing is damage. */
static void a_tail_torn_anywhere_is_told_from_damage(void **state)
{
    enum { BATCH_PAGES = 3 };
    static uint8_t before[FILES_BYTES], after[FILES_BYTES], noise[SPOOL_PAGE];
    size_t got;
    struct file *f;
    char content[6000];
    memset(content, 'x', sizeof content);
    content[sizeof content - 1] = '\0';
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 131 + 7);
    for (unsigned pages = 0; pages < 1u << BATCH_PAGES; pages++) {
        for (int class = 0; class < 3; class ++) { /* not written, zeros, noise */
            struct recovered_place place;
            assert_int_equal(files_begin(state), 0);
            struct segment *s = files_segment(1);
            files_accept(s, 1, 1);
            files_sync(s);
            assert_int_equal(file_open(files.disk, "00000001.seg", DISK_WRITE, &f), FAULT_NONE);
            assert_int_equal(file_read(f, 0, before, sizeof before, &got), FAULT_NONE);
            uint64_t at = segment_synced(s);
            files_accept(s, 2, 1);
            struct buffer b = an_envelope(3, 1, content, false);
            files_add(s, RECORD_ACCEPTED, an_id(3), 0, buffer_span(&b));
            buffer_fini(&b);
            files_sync(s);
            assert_int_equal(segment_synced(s), at + BATCH_PAGES * SPOOL_PAGE - SPOOL_PAGE);
            segment_close(s);
            assert_int_equal(file_read(f, 0, after, sizeof after, &got), FAULT_NONE);
            for (unsigned page = 0; page < BATCH_PAGES; page++) {
                static const uint8_t zeros[SPOOL_PAGE];
                uint64_t offset = at + page * SPOOL_PAGE;
                const uint8_t *with[] = {before + offset, zeros, noise};
                struct span part = span_of(with[class], SPOOL_PAGE);
                if ((pages & 1u << page) == 0)
                    assert_int_equal(file_write(f, offset, &part, 1), FAULT_NONE);
            }
            file_close(f);
            struct recovery *r = recovered();
            assert_true(place_of(r, 1, &place));
            assert_int_equal(segment_of(r, 1)->damage_count, 0);
            bool first = (pages & 1u) != 0, second = (pages & 3u) == 3u;
            assert_int_equal(place_of(r, 2, &place), first);
            assert_int_equal(place_of(r, 3, &place), second);
            recovery_free(r);
            assert_int_equal(files_finish(state), 0);
        }
    }
}

/* Indexes -------------------------------------------------------------------------------------- */

static void digest_message(struct buffer *out, const struct recovered_message *m)
{
    assert_true(buffer_put(out, id_span(&m->id)) && buffer_put_u32(out, m->version) &&
                buffer_put_u8(out, m->sending) && buffer_put(out, m->envelope.reverse_path) &&
                buffer_put(out, m->envelope.prefix) &&
                buffer_put_u64(out, m->envelope.content_bytes));
    for (uint32_t i = 0; i < m->envelope.recipient_count; i++)
        assert_true(buffer_put(out, m->envelope.recipients[i].path));
    for (uint32_t i = 0; i < m->state.recipient_count; i++)
        assert_true(buffer_put_u8(out, (uint8_t)m->state.recipients[i].standing) &&
                    buffer_put_u16(out, m->state.recipients[i].attempts));
}

/* Everything that a recovery says, as bytes. */
static struct buffer digest(void)
{
    struct buffer out;
    struct recovered_place p;
    size_t at = 0;
    uint32_t segments;
    buffer_init(&out, 1024 * 1024);
    struct recovery *r = recovered();
    while (recovery_place(r, &at, &p))
        assert_true(buffer_printf(&out, "%u %u %u+%u %u %u+%u;", p.version, p.base.segment,
                                  p.base.offset, p.base.bytes, p.state.segment, p.state.offset,
                                  p.state.bytes));
    const struct recovered_segment *s = recovery_segments(r, &segments);
    for (uint32_t i = 0; i < segments; i++) {
        struct recovery_position from = {0};
        do {
            assert_int_equal(recovery_messages(r, i, &from, &batch), FAULT_NONE);
            for (uint32_t m = 0; m < batch.message_count; m++)
                digest_message(&out, &batch.messages[m]);
        } while (batch.place_count > 0);
        assert_true(buffer_printf(&out, "|%u %u %u %u", s[i].number, s[i].damage_count,
                                  (unsigned)s[i].live_bytes, s[i].live_records));
        for (uint32_t w = 0; w < s[i].waits_for_count; w++)
            assert_true(buffer_put_u32(&out, s[i].waits_for[w]));
    }
    recovery_free(r);
    return out;
}

static void write_some_spool(void)
{
    struct segment *s = files_segment(1);
    uint32_t offset = 0;
    for (uint8_t n = 1; n <= 6; n++) {
        if (n == 3)
            offset = files_accept(s, n, 2);
        else
            files_accept(s, n, 2);
        files_sync(s);
    }
    segment_close(s);
    files_flip("00000001.seg", (long)offset + 44);
    s = files_segment(2);
    files_accept(s, 2, 2); /* a copy */
    files_outcome(s, 1, 1, 2);
    files_add(s, RECORD_DONE, an_id(4), 0, nothing);
    put_group(s, 5, 1);
    files_sync(s);
    files_add(s, RECORD_SENDING, an_id(6), 0, nothing);
    files_outcome(s, 1, 2, 2);
    files_sync(s);
    segment_close(s);
}

static void with_any_index_or_none_the_same_is_recovered(void **state)
{
    (void)state;
    write_some_spool();
    struct recovery *r = NULL;
    assert_int_equal(recovery_look(files.disk, &r), FAULT_NONE);
    assert_int_equal(recovery_scan(r, 0), FAULT_NONE);
    recovery_free(r);
    assert_false(files_has("00000001.idx"));
    struct buffer first = digest(); /* by the walk */
    assert_true(files_has("00000001.idx") && files_has("00000002.idx"));
    for (int round = 0; round < 4; round++) {
        if (round == 1)
            assert_int_equal(index_unlink(files.disk, 1), FAULT_NONE);
        if (round == 2)
            files_flip("00000002.idx", 150);
        if (round == 3) /* of another life, under this one's name */
            assert_int_equal(disk_rename(files.disk, "00000001.idx", "00000002.idx"), FAULT_NONE);
        struct buffer again = digest();
        assert_true(span_equal(buffer_span(&first), buffer_span(&again)));
        buffer_fini(&again);
    }
    buffer_fini(&first);
}

static void the_pairs_of_a_set_are_kept_once(void **state)
{
    (void)state;
    struct segment *s;
    enum { SEGMENTS = 6 };
    /* Many messages ended in the next segment: each segment waits for one other, told once. */
    for (uint32_t number = 1; number <= SEGMENTS; number++) {
        s = files_segment(number);
        for (uint8_t n = 0; n < 40; n++) {
            struct id ended = an_id(n), begun = an_id(n);
            begun.bytes[8] = (uint8_t)number;
            ended.bytes[8] = (uint8_t)(number - 1);
            files_add(s, RECORD_DONE, ended, 0, nothing);
            struct buffer b = an_envelope(n, 1, "", false);
            files_add(s, RECORD_ACCEPTED, begun, 0, buffer_span(&b));
            buffer_fini(&b);
        }
        files_sync(s);
        segment_close(s);
    }
    struct recovery *r = recovered();
    for (uint32_t number = 2; number <= SEGMENTS; number++) {
        assert_int_equal(segment_of(r, number)->waits_for_count, 1);
        assert_true(waits(r, number, number - 1));
    }
    assert_int_equal(recovery_message_count(r), 40);
    recovery_free(r);
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, files_begin, files_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_of_a_message),
        IN_A_DIRECTORY(places_are_where_the_records_lie),
        IN_A_DIRECTORY(of_copies_the_latest_life_is_the_place_and_waits_for_the_others),
        IN_A_DIRECTORY(the_scan_may_go_in_any_order),
        IN_A_DIRECTORY(a_done_waits_for_every_copy_of_its_base),
        IN_A_DIRECTORY(the_highest_version_counts_wherever_it_lies),
        IN_A_DIRECTORY(an_empty_directory_is_a_new_spool),
        IN_A_DIRECTORY(segments_are_told_by_their_headers),
        IN_A_DIRECTORY(a_later_format_and_another_spool_are_refused),
        IN_A_DIRECTORY(content_files_without_a_message_are_orphans),
        IN_A_DIRECTORY(while_anything_is_damaged_no_content_is_an_orphan),
        IN_A_DIRECTORY(many_are_given_in_batches),
        IN_A_DIRECTORY(orphans_are_known_after_all_was_given),
        IN_A_DIRECTORY(damaged_payloads_lose_no_message),
        IN_A_DIRECTORY(damage_in_the_middle_is_reported_and_the_rest_lives),
        cmocka_unit_test(a_tail_torn_anywhere_is_told_from_damage),
        IN_A_DIRECTORY(with_any_index_or_none_the_same_is_recovered),
        IN_A_DIRECTORY(the_pairs_of_a_set_are_kept_once),
    };
    if (!recovered_batch_init(&batch))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    recovered_batch_fini(&batch);
    return failed;
}
