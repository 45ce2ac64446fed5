/* examine: what an administrator is told of a directory that is in order, and of one that is not.
 */
#include "spool_files.h"

#include "spool/content.h"
#include "spool/examine.h"
#include "spool/recover.h"

static char *told;
static size_t told_bytes;

static bool verified(enum examine_format format)
{
    bool clean = false;
    free(told);
    FILE *out = open_memstream(&told, &told_bytes);
    assert_non_null(out);
    assert_int_equal(examine_verify(files.world, files.path, format, out, &clean), FAULT_NONE);
    fclose(out);
    return clean;
}

static enum fault dumped(enum examine_format format)
{
    free(told);
    FILE *out = open_memstream(&told, &told_bytes);
    assert_non_null(out);
    enum fault fault = examine_dump(files.world, files.path, format, out);
    fclose(out);
    return fault;
}

static enum fault exported(void)
{
    char to[128];
    free(told);
    FILE *out = open_memstream(&told, &told_bytes);
    assert_non_null(out);
    files_path("export", to);
    enum fault fault = examine_export(files.world, files.path, to, out);
    fclose(out);
    return fault;
}

static bool tells(const char *text)
{
    bool found = strstr(told, text) != NULL;
    if (!found)
        print_message("not told: %s\n%s\n", text, told);
    return found;
}

static uint32_t count_lines(void)
{
    uint32_t lines = 0;
    for (size_t i = 0; i < told_bytes; i++)
        lines += told[i] == '\n';
    return lines;
}

static void export_path(uint8_t n, const char *suffix, char path[128])
{
    char name[64], id[ID_TEXT_LEN + 1];
    id_format(an_id(n), id);
    snprintf(name, sizeof name, "export/%s.%s", id, suffix);
    files_path(name, path);
}

static bool exported_text(uint8_t n, const char *suffix, char *text, size_t max)
{
    char path[128];
    export_path(n, suffix, path);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    size_t len = fread(text, 1, max - 1, f);
    text[len] = '\0';
    fclose(f);
    return true;
}

static void write_content(uint8_t n, const char *text)
{
    struct content c;
    content_begin(&c, files.disk, an_id(n));
    c.bytes = span_text(text);
    content_do(&c, CONTENT_WRITE);
    content_do(&c, CONTENT_FINISH);
    assert_int_equal(c.fault, FAULT_NONE);
}

/* 1: inline, with a state. 2: content in a file. 3: ended. 4: in a group with a state of 1. */
static uint32_t offset_of_2;

static void fill(void)
{
    struct segment *s = files_segment(1);
    files_accept(s, 1, 2);
    files_outcome(s, 1, 1, 2);
    struct buffer b = an_envelope(2, 1, "a large content\r\n", true);
    offset_of_2 = files_add(s, RECORD_ACCEPTED, an_id(2), 0, buffer_span(&b));
    buffer_fini(&b);
    files_accept(s, 3, 1);
    files_sync(s);
    files_add(s, RECORD_DONE, an_id(3), 0, (struct span){NULL, 0});
    files_sync(s);
    segment_close(s);
    s = files_segment(2);
    struct buffer group, outcome = a_state(2, 9, "550 \"no\"\x1b"),
                         dsn = an_envelope(4, 1, "dsn", false);
    buffer_init(&group, 65536);
    assert_true(group_put(&group, RECORD_OUTCOME, an_id(1), 2, buffer_span(&outcome)));
    assert_true(group_put(&group, RECORD_ACCEPTED, an_id(4), 0, buffer_span(&dsn)));
    files_add(s, RECORD_GROUP, (struct id){{0}}, 0, buffer_span(&group));
    files_sync(s);
    segment_close(s);
    buffer_fini(&group);
    buffer_fini(&outcome);
    buffer_fini(&dsn);
    write_content(2, "a large content\r\n");
}

static void write_indexes(void)
{
    struct index *x;
    for (uint32_t number = 1; number <= 2; number++) {
        assert_int_equal(index_read(files.disk, number, (uint64_t)number * 10, &x), FAULT_NONE);
        index_free(x);
    }
}

static void a_spool_in_order_is_clean_and_unchanged(void **state)
{
    (void)state;
    fill();
    assert_int_equal(segment_prepare(files.disk, 3, files_spool_id, FILES_BYTES), FAULT_NONE);
    assert_true(verified(EXAMINE_TEXT));
    assert_true(tells("3: 2 live, 1 free") && tells("messages       3, of which 0"));
    assert_true(tells("records        7") && tells("content files  1, and 0") &&
                tells("\nclean\n"));
    assert_false(files_has("00000001.idx"));
    write_indexes();
    assert_true(verified(EXAMINE_JSON));
    assert_int_equal(count_lines(), 1);
    assert_true(tells("\"indexes\":2") && tells("\"damages\":0") && tells("\"clean\":true"));
}

static void an_empty_spool_is_clean(void **state)
{
    (void)state;
    bool clean = true;
    assert_true(verified(EXAMINE_TEXT));
    assert_int_equal(dumped(EXAMINE_JSON), FAULT_NONE);
    assert_int_equal(told_bytes, 0);
    assert_int_equal(exported(), FAULT_NONE);
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    assert_int_equal(examine_verify(files.world, "/nonexistent/spool", EXAMINE_TEXT, out, &clean),
                     FAULT_NOT_FOUND);
    assert_false(clean);
    fclose(out);
}

static void each_damage_is_told_with_its_place(void **state)
{
    (void)state;
    char text[64], content[CONTENT_NAME_MAX];
    fill();
    write_indexes();
    content_name(an_id(2), content);

    files_flip("00000001.seg", (long)offset_of_2 + 3);
    assert_false(verified(EXAMINE_TEXT));
    snprintf(text, sizeof text, "00000001.seg: %u to 8192: was synced once", offset_of_2);
    assert_true(tells(text) && tells("NOT clean: damage in 1 places"));
    assert_false(verified(EXAMINE_JSON));
    snprintf(text, sizeof text, "{\"file\":\"00000001.seg\",\"from\":%u,\"to\":8192,", offset_of_2);
    assert_true(tells(text) && tells("\"clean\":false"));
    files_flip("00000001.seg", (long)offset_of_2 + 3);
    assert_true(verified(EXAMINE_TEXT));

    files_flip(content, 20);
    assert_false(verified(EXAMINE_TEXT));
    assert_true(tells(content) && tells("stored data is damaged"));
    files_flip(content, 20);

    files_flip("00000002.idx", 100);
    assert_false(verified(EXAMINE_TEXT));
    assert_true(tells("00000002.idx: 0: cannot be used"));
    files_flip("00000002.idx", 100);

    files_flip("00000001.seg", 20);
    assert_false(verified(EXAMINE_TEXT));
    assert_true(tells("00000001.seg: 0 to 64: the header is damaged"));
    files_flip("00000001.seg", 20);
    assert_true(verified(EXAMINE_TEXT));

    assert_int_equal(disk_unlink(files.disk, content), FAULT_NONE);
    assert_false(verified(EXAMINE_TEXT));
    assert_true(tells(content) && tells("not found"));
    write_content(2, "another length");
    assert_false(verified(EXAMINE_TEXT));
    assert_true(tells("has another length than its envelope says"));
}

static void what_passes_its_checksum_is_still_looked_at(void **state)
{
    (void)state;
    struct segment *s = files_segment(1);
    files_add(s, RECORD_ACCEPTED, an_id(1), 0, SPAN("no envelope"));
    files_accept(s, 2, 1);
    files_outcome(s, 2, 1, 3);
    files_sync(s);
    segment_close(s);
    assert_false(verified(EXAMINE_TEXT));
    assert_true(tells("4136: the envelope of a message cannot be read"));
    assert_true(tells("the state of a message cannot be read"));
    assert_true(tells("damage in 2 places"));
    assert_int_equal(dumped(EXAMINE_TEXT), FAULT_NONE);
    assert_true(tells("bytes=51 DAMAGED"));
}

/* An index that passes, of the right life, and says something else. */
static void an_index_that_lies_is_told(void **state)
{
    (void)state;
    fill();
    struct segment *s = files_segment(3);
    files_accept(s, 9, 1);
    files_sync(s);
    segment_close(s);
    struct index *x, *lie;
    assert_int_equal(index_look(files.disk, 3, 30, &x), FAULT_NONE);
    uint8_t *image;
    size_t len;
    assert_int_equal(segment_image(files.disk, 3, &image, &len), FAULT_NONE);
    memset(image + SPOOL_PAGE, 0, SPOOL_PAGE);
    assert_int_equal(index_build(span_of(image, len), 30, 0, 3, &lie), FAULT_NONE);
    struct file *f;
    struct span part = index_bytes(lie);
    assert_int_equal(file_open(files.disk, "00000003.idx", DISK_CREATE, &f), FAULT_NONE);
    assert_int_equal(file_write(f, 0, &part, 1), FAULT_NONE);
    file_close(f);
    assert_true(verified(EXAMINE_TEXT)); /* it says: nothing was synced; nobody can contradict */
    index_free(lie);
    image[SPOOL_PAGE] = 'B';
    assert_int_equal(index_build(span_of(image, len), 30, 2 * SPOOL_PAGE, 3, &lie), FAULT_NONE);
    assert_int_equal(index_damage_count(lie), 1);
    assert_int_equal(disk_unlink(files.disk, "00000003.idx"), FAULT_NONE);
    part = index_bytes(x);
    assert_int_equal(file_open(files.disk, "00000003.idx", DISK_CREATE, &f), FAULT_NONE);
    assert_int_equal(file_write(f, 0, &part, 1), FAULT_NONE);
    file_close(f);
    assert_true(verified(EXAMINE_TEXT));
    char path[128], command[256];
    files_path("00000003.seg", path);
    snprintf(command, sizeof command, "truncate -s 5000 %s", path);
    assert_int_equal(system(command), 0);
    assert_true(!verified(EXAMINE_TEXT) && tells("00000003.seg: 5000 to 8192: the file ends"));
    index_free(lie);
    index_free(x);
    free(image);
}

static void beside_a_server_it_says_so(void **state)
{
    (void)state;
    fill();
    assert_int_equal(disk_lock(files.disk), FAULT_NONE);
    assert_true(verified(EXAMINE_TEXT) && tells("A server is using this spool"));
    assert_true(verified(EXAMINE_JSON) && tells("\"server_is_running\":true"));
    assert_int_equal(dumped(EXAMINE_TEXT), FAULT_NONE);
    assert_int_equal(exported(), FAULT_DISK_LOCKED);
    assert_true(tells("the spool is in use by another process"));
    assert_false(files_has("export/x") || files_has("00000001.idx"));
}

static void the_lock_is_not_kept(void **state)
{
    (void)state;
    fill();
    assert_true(verified(EXAMINE_TEXT));
    assert_int_equal(exported(), FAULT_NONE);
    assert_int_equal(disk_lock(files.disk), FAULT_NONE);
}

static void every_record_is_a_line(void **state)
{
    (void)state;
    fill();
    assert_int_equal(dumped(EXAMINE_TEXT), FAULT_NONE);
    assert_int_equal(count_lines(), 7);
    assert_true(tells("00000001.seg     4136 ACCEPTED ") && tells("from=<s1@a.example>"));
    assert_true(tells("to=<r1.0@b.example>,<r1.1@b.example> content=20\n"));
    assert_true(tells("OUTCOME ") && tells("waiting=2 reply=\"451 4.3.0 later\"\n"));
    assert_true(tells("content=17 file\n") &&
                tells("group waiting=2 reply=\"550 \\x22no\\x22\\x1b\"\n"));
    assert_int_equal(dumped(EXAMINE_JSON), FAULT_NONE);
    assert_int_equal(count_lines(), 7);
    assert_true(tells("{\"file\":\"00000001.seg\",\"offset\":4136,"));
    assert_true(tells("\"sender\":\"s1@a.example\",\"recipients\":[\"r1.0@b.example\","));
    assert_true(tells("\"waiting\":2,\"delivered\":0,\"failed\":0,\"removed\":0,\"held\":false"));
    assert_true(tells("\"replies\":[\"550 \\\"no\\\"\\u001b\"]"));
    assert_null(strchr(told, '\x1b'));
    files_flip("00000001.seg", (long)offset_of_2);
    assert_int_equal(dumped(EXAMINE_TEXT), FAULT_NONE);
    assert_true(tells("DAMAGE   to 8192\n"));
}

/* RFC 3461, and who was meant before an alias. */
static void fill_with_wishes(void)
{
    struct envelope_recipient to[] = {
        {.path = SPAN("plain@b.example")},
        {.path = SPAN("one@b.example"),
         .original = SPAN("list@b.example"),
         .orcpt = SPAN("rfc822;list@b.example"),
         .notify = NOTIFY_SUCCESS | NOTIFY_DELAY},
    };
    struct envelope e = {.arrival_wall_ms = 1764000000000,
                         .reverse_path = SPAN("s@a.example"),
                         .ret = RETURN_HEADERS,
                         .envid = SPAN("QQ+2B1"),
                         .smtputf8 = true,
                         .recipients = to,
                         .recipient_count = 2,
                         .content_bytes = 1};
    struct buffer b;
    buffer_init(&b, 4096);
    assert_true(envelope_encode(&e, &b) && buffer_put_u8(&b, 'x'));
    struct segment *s = files_segment(1);
    files_add(s, RECORD_ACCEPTED, an_id(1), 0, buffer_span(&b));
    files_sync(s);
    segment_close(s);
    buffer_fini(&b);
}

static void what_was_asked_for_is_told(void **state)
{
    char text[4096];
    (void)state;
    fill_with_wishes();
    assert_int_equal(dumped(EXAMINE_TEXT), FAULT_NONE);
    assert_true(tells("to=<plain@b.example>,<one@b.example>(for list@b.example) "
                      "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;list@b.example RET=HDRS ENVID=QQ+2B1 "
                      "SMTPUTF8 content=1\n"));
    assert_int_equal(dumped(EXAMINE_JSON), FAULT_NONE);
    assert_true(tells("\"wishes\":[{\"recipient\":1,\"original\":\"list@b.example\","
                      "\"orcpt\":\"rfc822;list@b.example\",\"notify\":\"SUCCESS,DELAY\"}],"
                      "\"ret\":\"HDRS\",\"envid\":\"QQ+2B1\",\"smtputf8\":true"));
    assert_int_equal(exported(), FAULT_NONE);
    assert_true(exported_text(1, "envelope", text, sizeof text));
    assert_non_null(strstr(text, "\"envid\": \"QQ+2B1\",\n  \"ret\": \"HDRS\",\n  "
                                 "\"smtputf8\": true"));
    assert_non_null(strstr(text, "{\"address\": \"plain@b.example\", \"standing\""));
    assert_non_null(strstr(text, "{\"address\": \"one@b.example\", \"original\": "
                                 "\"list@b.example\", \"orcpt\": \"rfc822;list@b.example\", "
                                 "\"notify\": \"SUCCESS,DELAY\", \"standing\""));
}

static void living_messages_are_exported_whole(void **state)
{
    (void)state;
    char text[4096];
    fill();
    assert_int_equal(exported(), FAULT_NONE);
    assert_true(tells("3 messages exported, 0 not"));
    assert_true(exported_text(1, "eml", text, sizeof text));
    assert_string_equal(text, "Received: from a.example\r\nSubject: x\r\n\r\nbody\r\n");
    assert_true(exported_text(2, "eml", text, sizeof text));
    assert_string_equal(text, "Received: from a.example\r\na large content\r\n");
    assert_false(exported_text(3, "eml", text, sizeof text));
    assert_true(exported_text(4, "eml", text, sizeof text));
    assert_string_equal(text, "Received: from a.example\r\ndsn");
    assert_true(exported_text(1, "envelope", text, sizeof text));
    assert_non_null(strstr(text, "\"arrival\": \"2025-11-24T16:00:00.001Z\""));
    assert_non_null(strstr(text, "\"sender\": \"s1@a.example\""));
    assert_non_null(strstr(text, "{\"address\": \"r1.1@b.example\", \"standing\": \"waiting\", "
                                 "\"attempts\": 9, \"due\": \"2025-11-24T16:00:09.999Z\", "
                                 "\"reply\": \"550 \\\"no\\\"\\u001b\"}"));
    assert_true(exported_text(4, "envelope", text, sizeof text));
    assert_non_null(strstr(text, "\"standing\": \"waiting\", \"attempts\": 0}"));
    assert_int_equal(exported(), FAULT_DAMAGED); /* what is there is never replaced */
    assert_true(tells("exists already") && tells("0 messages exported, 3 not"));
}

static void what_cannot_be_exported_is_told_and_the_rest_goes_on(void **state)
{
    (void)state;
    char text[4096], content[CONTENT_NAME_MAX];
    fill();
    content_name(an_id(2), content);
    files_flip(content, 17);
    assert_int_equal(exported(), FAULT_DAMAGED);
    assert_true(tells("stored data is damaged") && tells("2 messages exported, 1 not"));
    assert_true(exported_text(1, "eml", text, sizeof text));
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, files_begin, files_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(a_spool_in_order_is_clean_and_unchanged),
        IN_A_DIRECTORY(an_empty_spool_is_clean),
        IN_A_DIRECTORY(each_damage_is_told_with_its_place),
        IN_A_DIRECTORY(what_passes_its_checksum_is_still_looked_at),
        IN_A_DIRECTORY(an_index_that_lies_is_told),
        IN_A_DIRECTORY(beside_a_server_it_says_so),
        IN_A_DIRECTORY(the_lock_is_not_kept),
        IN_A_DIRECTORY(every_record_is_a_line),
        IN_A_DIRECTORY(living_messages_are_exported_whole),
        IN_A_DIRECTORY(what_was_asked_for_is_told),
        IN_A_DIRECTORY(what_cannot_be_exported_is_told_and_the_rest_goes_on),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(told);
    return failed;
}
