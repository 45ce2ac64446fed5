/*
 * silence: see silence.h.
 */
#include "deliver/silence.h"

static uint32_t find(const struct silence *s, struct endpoint at)
{
    uint32_t i = 0;
    while (i < s->count && !endpoint_equal(s->known[i].at, at))
        i++;
    return i;
}

static uint32_t find_oldest(const struct silence *s)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < s->count; i++)
        if (s->known[i].until_us < s->known[oldest].until_us)
            oldest = i;
    return oldest;
}

bool silence_add(struct silence *s, struct endpoint at, int64_t now_us)
{
    bool is_new = !silence_has(s, at, now_us);
    uint32_t i = find(s, at);
    if (i == s->count && s->count == SILENCE_MAX)
        i = find_oldest(s);
    else if (i == s->count)
        s->count++;
    s->known[i] = (struct silent_address){at, now_us + SILENCE_MS * 1000};
    return is_new;
}

void silence_remove(struct silence *s, struct endpoint at)
{
    uint32_t i = find(s, at);
    if (i < s->count)
        s->known[i] = s->known[--s->count];
}

bool silence_has(const struct silence *s, struct endpoint at, int64_t now_us)
{
    uint32_t i = find(s, at);
    return i < s->count && s->known[i].until_us > now_us;
}
