/*
 * retry: see retry.h.
 */
#include "queue/retry.h"

#include "base/check.h"

#define TIME_MAX (INT64_MAX / 4) /* far beyond any date, and sums of two do not overflow */

static int64_t clamp(int64_t time)
{
    if (time > TIME_MAX)
        return TIME_MAX;
    return time < -TIME_MAX ? -TIME_MAX : time;
}

void retry_clock_init(struct retry_clock *c, int64_t mono_us, int64_t wall_ms)
{
    *c = (struct retry_clock){.mono_ms = mono_us / 1000, .wall_ms = wall_ms, .era = 1};
    c->offset_ms = c->wall_ms - c->mono_ms;
}

bool retry_clock_read(struct retry_clock *c, int64_t mono_us, int64_t wall_ms)
{
    c->mono_ms = mono_us / 1000;
    c->wall_ms = wall_ms;
    int64_t offset_ms = c->wall_ms - c->mono_ms;
    int64_t moved_ms = offset_ms - c->offset_ms;
    c->offset_ms = offset_ms;
    if (moved_ms <= RETRY_JUMP_MS && moved_ms >= -RETRY_JUMP_MS)
        return false;
    c->era = c->era == UINT8_MAX ? 1 : (uint8_t)(c->era + 1);
    return true;
}

int64_t retry_mono_of_wall(const struct retry_clock *c, int64_t wall_ms)
{
    return wall_ms == RETRY_NEVER ? RETRY_NEVER : clamp(clamp(wall_ms) - c->offset_ms);
}

int64_t retry_wall_of_mono(const struct retry_clock *c, int64_t mono_ms)
{
    return mono_ms == RETRY_NEVER ? RETRY_NEVER : clamp(clamp(mono_ms) + c->offset_ms);
}

int64_t retry_delay_ms(int64_t first_ms, int64_t max_ms, uint32_t attempts, uint32_t random)
{
    check(first_ms > 0 && max_ms >= first_ms && attempts > 0);
    int64_t delay_ms = first_ms;
    for (uint32_t i = 1; i < attempts && delay_ms < max_ms; i++)
        delay_ms = delay_ms > max_ms / 2 ? max_ms : delay_ms * 2;
    int64_t spread_ms = delay_ms / 10;
    delay_ms += (int64_t)(random % (uint64_t)(2 * spread_ms + 1)) - spread_ms;
    return delay_ms < 1 ? 1 : delay_ms;
}
