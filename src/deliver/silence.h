/*
 * silence: addresses that did not answer when they were last asked, so that the next delivery does
 * not wait for them first.
 *
 * They are put behind the others for SILENCE_MS, never left out: what was silent may be the only
 * one that is left. Of one worker; at most SILENCE_MAX are known, the oldest makes room. Pure.
 */
#ifndef DELIVER_SILENCE_H
#define DELIVER_SILENCE_H

#include "os/socket.h"

#define SILENCE_MAX 64
#define SILENCE_MS  INT64_C(300000)

struct silence {
    uint32_t count;
    struct silent_address {
        struct endpoint at;
        int64_t until_us;
    } known[SILENCE_MAX];
};

/* True: it was not known to be silent. */
bool silence_add(struct silence *s, struct endpoint at, int64_t now_us);
void silence_remove(struct silence *s, struct endpoint at); /* it has answered */
bool silence_has(const struct silence *s, struct endpoint at, int64_t now_us);

#endif
