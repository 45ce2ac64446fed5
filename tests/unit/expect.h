/*
 * expect: what cmocka lacks: comparing spans, and seeing that a call ends the process.
 *
 * The first headers are those that cmocka.h needs before it.
 */
#ifndef TESTS_UNIT_EXPECT_H
#define TESTS_UNIT_EXPECT_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/span.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static inline void print_span(const char *title, struct span s)
{
    print_error("  %s %zu bytes: ", title, s.len);
    for (size_t i = 0; i < s.len; i++)
        print_error(s.data[i] >= 32 && s.data[i] < 127 ? "%c" : "\\x%02x", s.data[i]);
    print_error("\n");
}

/* `got` has exactly these bytes; a difference is printed. */
static inline void expect_span_at(struct span got, struct span expected, const char *file, int line)
{
    if (span_equal(got, expected))
        return;
    print_error("%s:%d:\n", file, line);
    print_span("expected", expected);
    print_span("got", got);
    _fail(file, line);
}

#define expect_span(got, expected) expect_span_at((got), (expected), __FILE__, __LINE__)

/* The call aborts: a check() saw a programmer's error. */
static inline void expect_abort_at(void (*call)(void), const char *file, int line)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        call();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGABRT) {
        print_error("%s:%d: the call did not abort\n", file, line);
        _fail(file, line);
    }
}

#define expect_abort(call) expect_abort_at((call), __FILE__, __LINE__)

#endif
