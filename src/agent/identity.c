#include "agent/identity.h"

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

struct identity identity_own(void)
{
    return (struct identity){(uint32_t)geteuid(), (uint32_t)getegid()};
}

bool identity_equal(struct identity a, struct identity b)
{
    return a.uid == b.uid && a.gid == b.gid;
}

bool identity_is_root(void)
{
    return geteuid() == 0;
}

/* All three of each are what was asked for, and root is out of reach. */
static bool has_become(struct identity i)
{
    uid_t uid[3];
    gid_t gid[3];
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return false;
    for (int n = 0; n < 3; n++)
        if (uid[n] != i.uid || gid[n] != i.gid)
            return false;
    return getgroups(0, NULL) == 0 && setuid(0) != 0 && seteuid(0) != 0;
}

enum fault identity_become(struct identity i)
{
    if (!identity_is_root())
        return i.uid == (uint32_t)geteuid() ? FAULT_NONE : FAULT_DENIED;
    /* (uid_t)-1 would leave it as it is. */
    if (i.uid == 0 || i.gid == 0 || i.uid == UINT32_MAX || i.gid == UINT32_MAX)
        return FAULT_DENIED;
    if (setgroups(0, NULL) != 0 || setresgid(i.gid, i.gid, i.gid) != 0 ||
        setresuid(i.uid, i.uid, i.uid) != 0 || !has_become(i))
        return FAULT_UNKNOWN;
    /* Others of that user may not look into us, nor trace us. */
    return prctl(PR_SET_DUMPABLE, 0) == 0 ? FAULT_NONE : FAULT_UNKNOWN;
}
