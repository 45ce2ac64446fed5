/* The PROXY header: any bytes, in pieces of any size, give the same answer; it never reads on. */
#include "base/check.h"
#include "smtp/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;
    size_t used, n;
    enum proxy_progress end = proxy_read(span_of(data, size), &used, &whole);
    check(used <= size && used <= PROXY_V2_MAX);
    check(end != PROXY_MORE || size < PROXY_V2_MAX);
    check(!whole.is_relayed || end != PROXY_DONE || whole.client.family == 4 ||
          whole.client.family == 6);
    /* Before its end it wants more; what it once refused it does not take later. */
    for (size_t len = 0; len < size; len++) {
        enum proxy_progress now = proxy_read(span_of(data, len), &n, &part);
        if (end == PROXY_DONE && len < used)
            check(now == PROXY_MORE);
        if (end == PROXY_MORE)
            check(now == PROXY_MORE);
        if (now == PROXY_FAULT)
            check(end == PROXY_FAULT);
    }
    return 0;
}
