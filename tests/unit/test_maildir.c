#include "agent/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mailbox.h"
#include "expect.h"
#include "os/linux/real_world.h"

#define CONTENT "Subject: x\r\n\r\nhello\r\n"

struct bench {
    char base[64]; /* with a slash at its end */
    char path[200];
    struct world *world;
    struct enclosure *enclosed;
    struct message_put put;
};

static char *in(const struct bench *b, const char *more, char out[300])
{
    (void)snprintf(out, 300, "%s%s", b->base, more);
    return out;
}

static void begin(struct bench *b, const char *mailbox)
{
    struct span content = SPAN(CONTENT);
    strcpy(b->base, "/tmp/postrider-maildir-XXXXXX");
    assert_non_null(mkdtemp(b->base));
    strcat(b->base, "/");
    (void)snprintf(b->path, sizeof b->path, "%s%s", b->base, mailbox);
    assert_int_equal(world_new_real(&b->world), FAULT_NONE);
    assert_int_equal(enclosure_of_bytes(b->world, &content, 1, &b->enclosed), FAULT_NONE);
    b->put = (struct message_put){.recipient = 3,
                                  .address = SPAN("ann@example.org"),
                                  .sender = SPAN("bob@example.net"),
                                  .content_bytes = content.len,
                                  .path = span_text(b->path),
                                  .base_bytes = (uint32_t)strlen(b->base)};
    b->put.id.bytes[5] = 200;
}

static void end(struct bench *b)
{
    char command[100];
    (void)snprintf(command, sizeof command, "rm -rf %s", b->base);
    assert_int_equal(system(command), 0);
    enclosure_close(b->enclosed);
    world_free_real(b->world);
}

static unsigned count(const struct bench *b, const char *folder)
{
    char path[300];
    unsigned found = 0;
    DIR *d = opendir(in(b, folder, path));
    if (d == NULL)
        return 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        found += e->d_name[0] != '.';
    closedir(d);
    return found;
}

static struct agent_result do_put(struct bench *b)
{
    return maildir_put(&b->put, b->enclosed, "mx.example.org", 1);
}

static void expect_put(struct bench *b)
{
    struct agent_result r = do_put(b);
    assert_true(span_equal(result_text(&r), SPAN("")));
    assert_int_equal(r.end, MESSAGE_DELIVERED);
}

static void expect_refused(struct bench *b, enum message_end expected, const char *code)
{
    struct agent_result r = do_put(b);
    assert_int_equal(r.end, expected);
    assert_true(span_starts_with(result_text(&r), span_text(code)));
}

static void first_file(const struct bench *b, const char *folder, char name_out[300])
{
    char path[300];
    DIR *d = opendir(in(b, folder, path));
    assert_non_null(d);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL && e->d_name[0] == '.') {
    }
    assert_non_null(e);
    (void)snprintf(name_out, 300, "%s", e->d_name);
    closedir(d);
}

static void makes_and_fills_a_mailbox(void **state)
{
    (void)state;
    static const char expected[] = "Return-Path: <bob@example.net>\nDelivered-To: ann@example.org\n"
                                   "Subject: x\n\nhello\n";
    struct bench b;
    char path[300], name[300], file[700], text[500];
    struct stat status;
    begin(&b, "example.org/ann");
    expect_put(&b);
    static const char *folders[] = {"example.org", "example.org/ann", "example.org/ann/tmp",
                                    "example.org/ann/new", "example.org/ann/cur"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(stat(in(&b, folders[i], path), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0700);
    }
    assert_int_equal(count(&b, "example.org/ann/new"), 1);
    assert_int_equal(count(&b, "example.org/ann/tmp"), 0);
    first_file(&b, "example.org/ann/new", name);
    char prefix[MAILDIR_PREFIX_MAX];
    assert_true(span_starts_with(span_text(name), maildir_prefix(b.put.id, 3, prefix)));
    (void)snprintf(file, sizeof file, "%sexample.org/ann/new/%s", b.base, name);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    FILE *f = fopen(file, "r");
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
    end(&b);
}

static void sees_a_repeat(void **state)
{
    (void)state;
    struct bench b;
    char name[300], from[700], to[700];
    begin(&b, "ann");
    expect_put(&b);
    expect_put(&b); /* even when nobody says that it may be one */
    b.put.may_be_repeated = 1;
    expect_put(&b);
    assert_int_equal(count(&b, "ann/new"), 1);
    /* A reader has moved it, and given it a flag. */
    first_file(&b, "ann/new", name);
    (void)snprintf(from, sizeof from, "%sann/new/%s", b.base, name);
    (void)snprintf(to, sizeof to, "%sann/cur/%s:2,S", b.base, name);
    assert_int_equal(rename(from, to), 0);
    expect_put(&b);
    assert_int_equal(count(&b, "ann/new"), 0);
    assert_int_equal(count(&b, "ann/tmp"), 0);
    /* Others are others. */
    b.put.recipient = 33;
    expect_put(&b);
    b.put.id.bytes[15] = 1;
    expect_put(&b);
    assert_int_equal(count(&b, "ann/new"), 2);
    end(&b);
}

/* None of these may be followed, and nothing may come to be where they lead. */
static void follows_no_link(void **state)
{
    (void)state;
    static const char *links[] = {"a",           "a/b",         "a/b/ann",
                                  "a/b/ann/tmp", "a/b/ann/new", "a/b/ann/cur"};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        struct bench b;
        char path[300], command[700];
        begin(&b, "a/b/ann");
        (void)snprintf(command, sizeof command,
                       "mkdir -p -m 700 %sout/b/ann/new %sout/ann/new %sout/new; mkdir -p %s",
                       b.base, b.base, b.base, in(&b, links[i], path));
        assert_int_equal(system(command), 0);
        assert_int_equal(rmdir(path), 0);
        (void)snprintf(command, sizeof command, "chmod -R go-w %s; ln -s %sout %s", b.base, b.base,
                       path);
        assert_int_equal(system(command), 0);
        expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
        assert_int_equal(count(&b, "out/b/ann/new") + count(&b, "out/ann/new") +
                             count(&b, "out/new") + count(&b, "out/tmp") + count(&b, "out/b/tmp"),
                         0);
        end(&b);
    }
}

static void wants_folders_and_nothing_else(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct bench b;
        char path[300];
        begin(&b, "ann");
        expect_put(&b);
        char command[700];
        (void)snprintf(command, sizeof command, "rm -r %sann/new", b.base);
        assert_int_equal(system(command), 0);
        in(&b, "ann/new", path);
        if (i == 0)
            assert_int_equal(mkfifo(path, 0600), 0);
        else if (i == 1)
            close(open(path, O_CREAT | O_WRONLY, 0600));
        else if (i == 2)
            assert_int_equal(symlink("/dev/null", path), 0);
        else
            assert_true(mkdir(path, 0700) == 0 && chmod(path, 0777) == 0);
        b.put.recipient = 9;
        expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
        end(&b);
    }
}

static void believes_no_path(void **state)
{
    (void)state;
    static const char *paths[] = {
        "",      "..",   "../x", "a/../../x",
        "a/./b", "a/..", ".",    "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct bench b;
        begin(&b, paths[i]);
        expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
        end(&b);
    }
    struct bench b;
    begin(&b, "ann");
    struct span path = b.put.path;
    b.put.path = span_skip(path, 1);
    expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
    b.put.path = path;
    b.put.base_bytes--;
    expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
    b.put.base_bytes = 0;
    expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
    b.put.base_bytes = 1000000;
    expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
    b.put.path = SPAN("/nowhere/at/all/ann");
    b.put.base_bytes = 16;
    expect_refused(&b, MESSAGE_DEFERRED, "450 4.2.0");
    end(&b);
}

/* Without what stands under tmp of a process that was killed. */
static void keeps_to_the_quota(void **state)
{
    (void)state;
    struct bench b;
    char path[300];
    begin(&b, "ann");
    b.put.quota_bytes = 99;
    expect_put(&b);
    b.put.recipient = 4;
    expect_refused(&b, MESSAGE_DEFERRED, "452 4.2.2");
    b.put.quota_bytes = 5;
    expect_refused(&b, MESSAGE_FAILED, "552 5.2.2");
    assert_int_equal(count(&b, "ann/new"), 1);
    /* What was delivered already is delivered, full or not. */
    b.put.recipient = 3;
    b.put.may_be_repeated = 1;
    expect_put(&b);
    end(&b);
    /* Names that tell sizes, and names that do not; folders of the mailbox count. */
    begin(&b, "bob");
    b.put.quota_bytes = 1000;
    expect_put(&b);
    char command[700];
    (void)snprintf(command, sizeof command,
                   "mkdir -p %sbob/.Sent/cur; touch '%sbob/.Sent/cur/1.x,S=600:2,S'", b.base,
                   b.base);
    assert_int_equal(system(command), 0);
    struct mailbox m;
    uint64_t bytes;
    assert_int_equal(mailbox_open(&m, b.put.path, b.put.base_bytes), FAULT_NONE);
    assert_int_equal(mailbox_bytes(&m, &bytes), FAULT_NONE);
    assert_int_equal(bytes, 600 + 79);
    FILE *f = fopen(in(&b, "bob/cur/2.x", path), "w");
    assert_int_equal(fwrite("0123456789", 1, 10, f), 10);
    fclose(f);
    assert_int_equal(mailbox_bytes(&m, &bytes), FAULT_NONE);
    assert_int_equal(bytes, 600 + 79 + 10);
    mailbox_close(&m);
    end(&b);
}

static void tells_what_failed_calls_mean(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum fault expected;
    } cases[] = {
        {ENOSPC, FAULT_DISK_FULL},      {EDQUOT, FAULT_MAILBOX_FULL},
        {EACCES, FAULT_MAILBOX_DENIED}, {EPERM, FAULT_MAILBOX_DENIED},
        {EROFS, FAULT_DISK_ERROR},      {EIO, FAULT_DISK_ERROR},
        {ELOOP, FAULT_MAILBOX_UNSAFE},  {ENOTDIR, FAULT_MAILBOX_UNSAFE},
        {EMFILE, FAULT_NO_DESCRIPTORS}, {ENOMEM, FAULT_NO_MEMORY},
        {ENOENT, FAULT_MAILBOX_DENIED}, {ESTALE, FAULT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(mailbox_fault_of_errno(cases[i].error), cases[i].expected);
    for (int error = 1; error < 200; error++)
        assert_true(fault_is_temporary(mailbox_fault_of_errno(error)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_and_fills_a_mailbox),
        cmocka_unit_test(sees_a_repeat),
        cmocka_unit_test(follows_no_link),
        cmocka_unit_test(wants_folders_and_nothing_else),
        cmocka_unit_test(believes_no_path),
        cmocka_unit_test(keeps_to_the_quota),
        cmocka_unit_test(tells_what_failed_calls_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
