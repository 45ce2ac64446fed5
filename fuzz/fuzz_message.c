/*
 * Bytes from another process: whatever decodes is a message that encodes to the same bytes again.
 */
#include <stddef.h>
#include <stdint.h>

#include "ipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ipc_message m;
    struct buffer again;
    if (message_decode(span_of(data, size), &m) != FAULT_NONE)
        return 0;
    buffer_init(&again, MESSAGE_BYTES_MAX);
    check(message_encode(&m, &again));
    check(span_equal(buffer_span(&again), span_of(data, size)));
    buffer_fini(&again);
    return 0;
}
