#include "base/restart.h"

static int64_t delay_ms(uint32_t deaths, int64_t most)
{
    int64_t delay = 0;
    if (deaths > 1)
        delay = RESTART_DELAY_FIRST_MS * (INT64_C(1) << (deaths < 20 ? deaths - 2 : 18));
    return delay < most ? delay : most;
}

int64_t restart_after_death(struct restart *r, bool has_lived, int64_t lived_ms)
{
    if (!has_lived) {
        r->deaths += r->deaths < UINT32_MAX;
        return delay_ms(r->deaths, RESTART_DELAY_MS_MAX);
    }
    r->deaths = 0;
    r->deaths_well =
        lived_ms < RESTART_WELL_AFTER_MS && r->deaths_well < UINT32_MAX ? r->deaths_well + 1 : 1;
    return delay_ms(r->deaths_well, RESTART_DELAY_WELL_MS_MAX);
}
