/*
 * signals: as something to be read, for processes that have no loop. In the real world only.
 */
#ifndef OS_SIGNALS_H
#define OS_SIGNALS_H

#include <stddef.h>

/* A descriptor (signalfd(2)) that never waits, closed on exec; these signals are blocked from now
   on. -1: errno. */
int signals_open(const int *numbers, size_t count);

#endif
