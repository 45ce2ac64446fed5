#include "agent/command.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "expect.h"
#include "os/linux/real_world.h"

#define CONTENT "Subject: x\r\n\r\nhello\r\n"

static char folder[] = "/tmp/postrider-command-XXXXXX";

static int begin(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as a hand does */
    return mkdtemp(folder) == NULL;
}

static int end(void **state)
{
    char command[100];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct agent_result run_with(struct span arguments, uint32_t time_ms, struct span content,
                                    uint64_t said_bytes)
{
    struct world *w;
    struct enclosure *e;
    assert_int_equal(world_new_real(&w), FAULT_NONE);
    assert_int_equal(enclosure_of_bytes(w, &content, 1, &e), FAULT_NONE);
    struct message_put put = {.address = SPAN("ann@example.org"),
                              .sender = SPAN("bob@example.net"),
                              .user = SPAN("ann"),
                              .home = span_text(folder),
                              .arguments = arguments,
                              .content_bytes = said_bytes,
                              .time_ms = time_ms};
    struct agent_result r = command_run(&put, e);
    enclosure_close(e);
    world_free_real(w);
    return r;
}

/* Of a script for the shell, which is here only what is run. */
static struct agent_result run_script(const char *script, uint32_t time_ms)
{
    char words[1000];
    int len = snprintf(words, sizeof words, "/bin/sh%c-c%c%s%cscript%c", 0, 0, script, 0, 0);
    return run_with(span_of(words, (size_t)len), time_ms, SPAN(CONTENT), strlen(CONTENT));
}

static void expect_result(struct agent_result r, enum message_end expected, const char *text)
{
    if (!span_equal(result_text(&r), span_text(text)))
        print_error("%.*s\n", SPAN_PRINT(result_text(&r)));
    assert_true(span_equal(result_text(&r), span_text(text)));
    assert_int_equal(r.end, expected);
}

static void gives_the_message_and_a_clean_environment(void **state)
{
    (void)state;
    char text[2000], path[100];
    setenv("SECRET", "x", 1);
    int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    expect_result(run_script("cat > out; env | sort >> out; pwd >> out; umask >> out; "
                             "ls /proc/self/fd | wc -l >> out",
                             10000),
                  MESSAGE_DELIVERED, "250 2.0.0 the command has taken it");
    (void)snprintf(path, sizeof path, "%s/out", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text - 1, f);
    text[len] = '\0';
    fclose(f);
    close(leaked);
    char expected[2000];
    (void)snprintf(
        expected, sizeof expected,
        "Return-Path: <bob@example.net>\nDelivered-To: ann@example.org\nSubject: x\n\n"
        "hello\nHOME=%s\nLOGNAME=ann\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=%s\n"
        "RECIPIENT=ann@example.org\nSENDER=bob@example.net\nSHELL=/bin/sh\nUSER=ann\n%s\n",
        folder, folder, folder);
    assert_true(span_starts_with(span_text(text), span_text(expected)));
    /* ls has its standard three and the folder. */
    assert_true(span_ends_with_nocase(span_text(text), SPAN("\n4\n")));
}

static void knows_what_a_status_means(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        enum message_end end;
        const char *text;
    } cases[] = {
        {"exit 67", MESSAGE_FAILED, "550 5.1.1 user unknown"},
        {"exit 75", MESSAGE_DEFERRED, "451 4.3.0 temporary failure"},
        {"exit 77", MESSAGE_FAILED, "554 5.7.0 permission denied"},
        {"exit 1", MESSAGE_DEFERRED, "451 4.3.0 the command ended with status 1"},
        {"exit 99", MESSAGE_DEFERRED, "451 4.3.0 the command ended with status 99"},
        {"kill -9 $$", MESSAGE_DEFERRED, "451 4.3.0 the command was ended by signal 9"},
        {"echo no such luck; exit 65", MESSAGE_FAILED,
         "554 5.6.0 data format error: no such luck\\x0a"},
        {"printf '\\033[2J\\r\\n250 ok' >&2; exit 67", MESSAGE_FAILED,
         "550 5.1.1 user unknown: \\x1b[2J\\x0d\\x0a250 ok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_result(run_script(cases[i].script, 10000), cases[i].end, cases[i].text);
}

static void says_why_it_cannot_be_run(void **state)
{
    (void)state;
    expect_result(run_with(SPAN("/nowhere/x\0"), 1000, SPAN(CONTENT), strlen(CONTENT)),
                  MESSAGE_DEFERRED,
                  "451 4.3.0 the command cannot be run: No such file or directory");
    expect_result(run_with(SPAN("/etc/passwd\0"), 1000, SPAN(CONTENT), strlen(CONTENT)),
                  MESSAGE_DEFERRED, "451 4.3.0 the command cannot be run: Permission denied");
    static const struct span wrong[] = {{(const uint8_t *)"", 0},
                                        {(const uint8_t *)"/bin/true", 9},
                                        {(const uint8_t *)"true\0", 5}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct agent_result r = run_with(wrong[i], 1000, SPAN(CONTENT), strlen(CONTENT));
        assert_int_equal(r.end, MESSAGE_DEFERRED);
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned children(void)
{
    char path[100], pids[1000];
    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(pids, 1, sizeof pids, f);
    fclose(f);
    return (unsigned)len;
}

static void ends_what_never_ends(void **state)
{
    (void)state;
    int64_t begun = now_ms();
    expect_result(run_script("echo busy; sleep 100", 300), MESSAGE_DEFERRED,
                  "451 4.3.0 the command took too long: busy\\x0a");
    assert_true(now_ms() - begun < 3000);
    /* It may not mind SIGTERM. */
    begun = now_ms();
    expect_result(run_script("trap '' TERM; while :; do sleep 0.1; done", 300), MESSAGE_DEFERRED,
                  "451 4.3.0 the command took too long");
    assert_true(now_ms() - begun < COMMAND_GRACE_MS + 3000);
    assert_int_equal(children(), 0);
}

/* Whether they stay in its group or leave it, and whatever they hold open. */
static void ends_what_it_leaves_running(void **state)
{
    (void)state;
    static const char *scripts[] = {"sleep 100 & exit 0", "setsid sleep 100 & exit 0",
                                    "(setsid sh -c 'sleep 100 & sleep 100' &) ; sleep 0.2; exit 0"};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        int64_t begun = now_ms();
        expect_result(run_script(scripts[i], 20000), MESSAGE_DELIVERED,
                      "250 2.0.0 the command has taken it");
        assert_true(now_ms() - begun < 3000);
        assert_int_equal(children(), 0);
    }
}

/* More than a pipe holds, of a program that reads nothing, or says more than anybody hears. */
static void waits_for_no_pipe(void **state)
{
    (void)state;
    static char content[1 << 20];
    memset(content, 'x', sizeof content);
    struct span all = span_of(content, sizeof content);
    struct span nothing = SPAN("/bin/true\0");
    struct agent_result r = run_with(nothing, 10000, all, all.len);
    assert_int_equal(r.end, MESSAGE_DELIVERED);
    struct span talks = SPAN("/bin/sh\0-c\0yes | head -c 1000000; cat >/dev/null; exit 75\0");
    r = run_with(talks, 10000, all, all.len);
    assert_int_equal(r.end, MESSAGE_DEFERRED);
    assert_true(r.text_len < RESULT_TEXT_MAX);
}

/* It never takes a part for the whole. */
static void ends_before_damaged_content_does(void **state)
{
    (void)state;
    char path[100];
    static char content[300000];
    memset(content, 'x', sizeof content);
    struct span script = SPAN("/bin/sh\0-c\0rm -f whole; cat >/dev/null; touch whole\0");
    struct agent_result r =
        run_with(script, 10000, span_of(content, sizeof content), sizeof content + 5);
    expect_result(r, MESSAGE_DEFERRED, "451 4.3.0 stored data is damaged");
    (void)snprintf(path, sizeof path, "%s/whole", folder);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_message_and_a_clean_environment),
        cmocka_unit_test(knows_what_a_status_means),
        cmocka_unit_test(says_why_it_cannot_be_run),
        cmocka_unit_test(ends_what_never_ends),
        cmocka_unit_test(ends_what_it_leaves_running),
        cmocka_unit_test(waits_for_no_pipe),
        cmocka_unit_test(ends_before_damaged_content_does),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
