/*
 * crc32c: the Castagnoli CRC of RFC 3720 (appendix B.4), by SSE4.2 where the processor has it, else
 * by table. Pure, any thread.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/span.h"

/* CRC of `s` continued from `crc` (0 to begin): crc32c(crc32c(0, a), b) == crc32c(0, ab). */
uint32_t crc32c(uint32_t crc, struct span s);

/* The same without the instruction, whatever the processor has; for its test. */
uint32_t crc32c_by_table(uint32_t crc, struct span s);

#endif
