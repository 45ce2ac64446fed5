/* privilege: what a process that gave it up can still do. Each case is a child of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/privilege.h"

#define NOBODY 65534

/* What cannot be done any more; 0: all is as it should be. */
static int as_nobody(void)
{
    struct stat status;
    uint32_t other = 7;
    gid_t groups[2];
    if (privilege_drop(NOBODY, NOBODY, &other, 1) != NULL)
        return 1;
    if (geteuid() != NOBODY || getegid() != NOBODY || getgroups(2, groups) != 1 || groups[0] != 7)
        return 2;
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return 3;
    gid_t root = 0;
    if (setgroups(1, &root) == 0)
        return 4;
    if (open("/etc/shadow", O_RDONLY) >= 0)
        return 5;
    if (stat("/etc/passwd", &status) != 0 || chown("/tmp", NOBODY, NOBODY) == 0)
        return 6;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 7;
}

/* Who is not root has nothing to give up, and is told so. */
static int a_second_time(void)
{
    if (privilege_drop(NOBODY, NOBODY, NULL, 0) != NULL)
        return 1;
    return privilege_drop(NOBODY - 1, NOBODY, NULL, 0) != NULL ? 0 : 2;
}

static int gains_none(void)
{
    return privilege_gain_none() && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

static int lowers_no_limit(void)
{
    uint64_t allowed = privilege_descriptors(100);
    return allowed >= 100 && privilege_descriptors(UINT64_C(1) << 40) >= allowed ? 0 : 1;
}

static void in_a_child(int (*what)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(what());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void nobody_is_nobody_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    in_a_child(as_nobody);
    in_a_child(a_second_time);
}

static void anybody_can_gain_nothing(void **state)
{
    (void)state;
    in_a_child(gains_none);
    in_a_child(lowers_no_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_nobody_for_good),
        cmocka_unit_test(anybody_can_gain_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
