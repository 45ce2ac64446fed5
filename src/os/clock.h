/*
 * clock: the time, for processes that have no loop. In the real world only.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Monotonic. */
static inline int64_t clock_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* Unix time. */
static inline int64_t clock_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

#endif
