/*
 * rehearsal: the throw-away child that parses and checks a configuration before it comes in force,
 * as nobody, so that the supervisor need not understand a byte of it.
 *
 * It asks its parent to put each file that it wants to read into the bundle (config/bundle.h), says
 * every error at once, and at the end what the parent has to know to open what the configuration
 * names.
 */
#ifndef ENGINE_REHEARSAL_H
#define ENGINE_REHEARSAL_H

#include "base/log.h"
#include "config/config.h"
#include "os/privilege.h"

#define REHEARSAL_WAIT_MS     30000
#define REHEARSAL_ACCOUNT_MAX 33
#define REHEARSAL_SPOOL_MAX   1001
#define REHEARSAL_CONTROL_MAX 108
#define REHEARSAL_LOG_MAX     4001

/* What a configuration says to the supervisor. */
struct rehearsal_result {
    bool is_good; /* else there is only text */
    bool has_control_group, has_log_file;
    uint32_t uid, gid, control_gid;        /* of the server's user, as root would start it */
    uint32_t groups[PRIVILEGE_GROUPS_MAX]; /* its others, as the system has them */
    uint32_t group_count;
    char user[REHEARSAL_ACCOUNT_MAX];
    char spool[REHEARSAL_SPOOL_MAX];
    char control[REHEARSAL_CONTROL_MAX];
    char log_file[REHEARSAL_LOG_MAX];
    enum log_format log_format;
    enum log_level log_level;
    uint32_t descriptors; /* that the engine may need */
    struct endpoint listeners[CONFIG_LISTENERS_MAX];
    uint32_t listener_count;
};

/* Who runs it and what it is given. */
struct rehearsal {
    const char *path; /* of the configuration */
    int parent;       /* ipc/handover.h */
    int bundle;       /* what the parent writes */
    int before;       /* the bundle in force, or -1 */
    bool is_root;
};

/* The exit code: 0 when a result was sent. */
int rehearsal_process(const struct rehearsal *r);

/* Of any child: the settings in a bundle that was rehearsed. The bundle is mapped, *map_out is to
   be unmapped (munmap) by the caller also after a fault. NULL: it says why on standard error. */
struct settings *rehearsal_settings(int bundle, const char *path, struct span *map_out);

#endif
