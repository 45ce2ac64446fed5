/*
 * privilege: giving up what a process started as root can do, for good.
 *
 * In the real world only. Of a process with one thread.
 */
#ifndef OS_PRIVILEGE_H
#define OS_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRIVILEGE_GROUPS_MAX 32

/*
 * From root to `uid` and `gid` with these other groups alone, no capability left and none to be
 * gained, by exec neither. Looked at afterwards: real, effective and saved ids are the new ones,
 * root cannot be had back, the sets of capabilities are empty. NULL: done; else what could not be
 * done, with errno, and the process has to end. uid is not 0.
 */
const char *privilege_drop(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t group_count);
/* For who is nobody special anyway: nothing can be gained by exec. */
bool privilege_gain_none(void);
/* So many descriptors where we may raise the limit, else as many as we are let. How many. */
uint64_t privilege_descriptors(uint64_t wanted);

#endif
