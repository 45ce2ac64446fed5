#include "os/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

#define CAPABILITIES_MAX 64

bool privilege_gain_none(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* Of the bounding set; the kernel knows fewer than we ask for, and says so with EINVAL. */
static bool forget_capabilities(void)
{
    for (unsigned long c = 0; c < CAPABILITIES_MAX; c++)
        if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0)
            return errno == EINVAL || errno == EPERM;
    return true;
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, sets) != 0)
        return true;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if ((sets[i].effective | sets[i].permitted | sets[i].inheritable) != 0)
            return true;
    return false;
}

static bool is_only(uint32_t uid, uint32_t gid, size_t group_count)
{
    uid_t u[3];
    gid_t g[3];
    if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (u[i] != uid || g[i] != gid)
            return false;
    return getgroups(0, NULL) == (int)group_count;
}

const char *privilege_drop(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t group_count)
{
    check(uid != 0 && group_count <= PRIVILEGE_GROUPS_MAX);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!forget_capabilities())
        return "cannot give up capabilities";
    if (setgroups(group_count, groups) != 0)
        return "cannot leave its groups";
    if (setresgid(gid, gid, gid) != 0)
        return "cannot take its group";
    if (setresuid(uid, uid, uid) != 0)
        return "cannot become its user";
    if (!privilege_gain_none())
        return "cannot give up gaining privileges";
    errno = EPERM;
    if (!is_only(uid, gid, group_count) || setuid(0) == 0 || setgid(0) == 0 || has_capabilities())
        return "still has privileges";
    return NULL;
}

uint64_t privilege_descriptors(uint64_t wanted)
{
    struct rlimit limit;
    struct rlimit more = {.rlim_cur = wanted, .rlim_max = wanted};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_max >= wanted || setrlimit(RLIMIT_NOFILE, &more) != 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}
