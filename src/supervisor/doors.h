/*
 * doors: what the supervisor opens before the first engine starts: listening sockets, the control
 * socket, the spool's directory.
 *
 * Faults are said on standard error, one sentence each, with what to do about it where that is
 * known.
 */
#ifndef SUPERVISOR_DOORS_H
#define SUPERVISOR_DOORS_H

#include "config/config.h"

#define DOORS_ADDRESSES_MAX 256

struct doors {
    int listeners[CONFIG_LISTENERS_MAX];
    uint32_t listener_count;
    int control;
    struct endpoint own[DOORS_ADDRESSES_MAX]; /* where we listen: an MX with one of these is us */
    size_t own_count;
};

/* An exit code of sysexits; 0: all are open. Otherwise none is. */
int doors_open(struct doors *d, const struct settings *settings);
void doors_close(struct doors *d, const struct settings *settings);

#endif
