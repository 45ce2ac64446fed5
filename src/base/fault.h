/*
 * fault: the one error type. FAULT_NONE (zero) is success; fault.def has a row for each of the
 * others.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

enum fault {
    FAULT_NONE = 0,
#define FAULT(name, kind, code, enhanced, text) FAULT_##name,
#include "base/fault.def"
#undef FAULT
    FAULT_COUNT
};

/* Results of this type must be used. */
#define must_use __attribute__((warn_unused_result))

bool fault_is_temporary(enum fault f); /* anything not known is temporary */
int fault_smtp_code(enum fault f);
const char *fault_enhanced(enum fault f); /* "4.3.0" */
const char *fault_text(enum fault f);
const char *fault_name(enum fault f); /* "DISK_FULL" */

/* The fault of an errno value after a system call; UNKNOWN when no row fits. */
enum fault fault_of_errno(int error);

#endif
