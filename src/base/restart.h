/*
 * restart: how long to wait before a process that died is started again (the crash-loop rule).
 *
 * One that had been well is followed at once, at the latest after RESTART_DELAY_WELL_MS_MAX when it
 * dies soon again and again; one that dies before its first sign of life again and again waits
 * longer each time, up to RESTART_DELAY_MS_MAX. Pure.
 */
#ifndef BASE_RESTART_H
#define BASE_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_DELAY_FIRST_MS    50
#define RESTART_DELAY_WELL_MS_MAX 400
#define RESTART_DELAY_MS_MAX      30000
#define RESTART_WELL_AFTER_MS     10000

/* Zeroed: none has died. */
struct restart {
    uint32_t deaths;      /* in a row, without a sign of life */
    uint32_t deaths_well; /* in a row, soon after the first one */
};

/* It has died after so long a life; has_lived: with a sign of life. The delay before the next. */
int64_t restart_after_death(struct restart *r, bool has_lived, int64_t lived_ms);

#endif
