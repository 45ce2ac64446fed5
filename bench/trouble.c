#include "trouble.h"

/* SplitMix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static enum trouble one_of(struct trouble_plan *plan, enum trouble first, enum trouble last)
{
    unsigned count = (unsigned)last - (unsigned)first + 1;

    return (enum trouble)((unsigned)first + (unsigned)(next_random(&plan->random) % count));
}

enum trouble trouble_draw(struct trouble_plan *plan)
{
    double percent;

    if (plan->tempfail_percent + plan->reject_percent + plan->drop_percent <= 0)
        return TROUBLE_NONE;
    percent = (double)(next_random(&plan->random) >> 11) * 0x1p-53 * 100;
    if (percent < plan->tempfail_percent)
        return one_of(plan, TROUBLE_TEMPFAIL_RCPT, TROUBLE_TEMPFAIL_DOT);
    percent -= plan->tempfail_percent;
    if (percent < plan->reject_percent)
        return one_of(plan, TROUBLE_REJECT_RCPT, TROUBLE_REJECT_DOT);
    percent -= plan->reject_percent;
    if (percent < plan->drop_percent)
        return one_of(plan, TROUBLE_DROP_MAIL, TROUBLE_DROP_REPLY);
    return TROUBLE_NONE;
}
