/*
 * retry: when something is tried again, and when it is too late; the two clocks.
 *
 * Due times live as monotonic milliseconds, so that a jump of the wall clock neither hurries nor
 * delays anything; they are persisted as wall time. A jump of more than RETRY_JUMP_MS begins a new
 * era: nothing expires in an era in which it has not been tried. Pure; one thread at a time.
 */
#ifndef QUEUE_RETRY_H
#define QUEUE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_JUMP_MS (INT64_C(3600) * 1000)
#define RETRY_NEVER   INT64_MAX

struct retry_clock {
    int64_t mono_ms, wall_ms;
    int64_t offset_ms; /* wall - mono at the last reading */
    uint8_t era;       /* never 0, which stands for: not in this life */
};

void retry_clock_init(struct retry_clock *c, int64_t mono_us, int64_t wall_ms);
/* Reads both clocks; true when an era began. */
bool retry_clock_read(struct retry_clock *c, int64_t mono_us, int64_t wall_ms);
/* RETRY_NEVER stays what it is. Results are clamped, never wrapped: wall times come from disk. */
int64_t retry_mono_of_wall(const struct retry_clock *c, int64_t wall_ms);
int64_t retry_wall_of_mono(const struct retry_clock *c, int64_t mono_ms);

/*
 * How long to wait after attempt number `attempts` (from 1): first_ms, doubled for each attempt
 * before it, at most max_ms; then moved by up to 10 % either way by `random` (any 32 bits), so that
 * what failed together does not come back together. At least 1.
 */
int64_t retry_delay_ms(int64_t first_ms, int64_t max_ms, uint32_t attempts, uint32_t random);

#endif
