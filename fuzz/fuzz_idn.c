/*
 * Addresses as ASCII: whatever the bytes, the result is ASCII, an address of the same local part,
 * no longer than one may be, and its own ASCII form; ASCII is given back as it is.
 */
#include "base/check.h"
#include "mail/address.h"
#include "mail/idn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct span ascii, again, address = span_of(data, size);
    arena_init(&arena, 16 * 1024);
    enum fault fault = idn_address_to_ascii(&arena, address, &ascii);
    check(fault == FAULT_NONE || fault == FAULT_NO_UTF8 || fault == FAULT_NO_MEMORY);
    if (fault == FAULT_NONE) {
        size_t at = address.len;
        while (at > 0 && address.data[at - 1] != '@')
            at--;
        check(idn_is_ascii(ascii) && span_starts_with(ascii, span_sub(address, 0, at)));
        check(idn_is_ascii(address) ? span_equal(address, ascii) : ascii.len <= ADDRESS_MAX);
        check(idn_address_to_ascii(&arena, ascii, &again) == FAULT_NONE);
        check(span_equal(ascii, again));
    }
    arena_fini(&arena);
    return 0;
}
