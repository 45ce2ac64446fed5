/*
 * listening: sockets that are opened for another process, and the folders that it is to find. In
 * the real world only; -1 and false go with errno.
 */
#ifndef OS_LISTENING_H
#define OS_LISTENING_H

#include <sys/types.h>

#include "os/socket.h"

/* Bound and listening, closed on exec. */
int listening_open(struct endpoint at);
/* A Unix socket at a path where none is, mode 0660; owned by these (-1: as we are). */
int listening_open_path(const char *path, uid_t owner, gid_t group);
/* Somebody listens on this Unix socket. */
bool listening_is_answered(const char *path);

/* The last folder of the path is made when it is missing, as `owner` and `group` when we are root.
 */
bool folder_make(const char *path, mode_t mode, uid_t owner, gid_t group);
/* The folder that the path lies in, likewise. */
bool folder_make_parent(const char *path, mode_t mode, uid_t owner, gid_t group);
/* What is synced in a folder is lost with it when the folder's own name was not durable, whoever
   made it. A parent that may not be read is left alone. */
void folder_sync_parent(const char *path);

#endif
