/*
 * fault: see fault.h.
 */
#include "base/fault.h"

#include <errno.h>
#include <stddef.h>

enum kind { TEMPORARY, PERMANENT };

struct row {
    const char *name;
    const char *enhanced;
    const char *text;
    enum kind kind;
    int code;
};

static const struct row rows[FAULT_COUNT] = {
    [FAULT_NONE] = {"NONE", "2.0.0", "success", TEMPORARY, 250},
#define FAULT(name, kind, code, enhanced, text) \
    [FAULT_##name] = {#name, enhanced, text, kind, code},
#include "base/fault.def"
#undef FAULT
};

/* A value out of range (from another process, from disk) is treated as UNKNOWN: doubt is
   temporary. */
static const struct row *row_of(enum fault f)
{
    unsigned index = (unsigned)f;
    return &rows[index < FAULT_COUNT ? index : FAULT_UNKNOWN];
}

bool fault_is_temporary(enum fault f)
{
    return row_of(f)->kind == TEMPORARY;
}

int fault_smtp_code(enum fault f)
{
    return row_of(f)->code;
}

const char *fault_enhanced(enum fault f)
{
    return row_of(f)->enhanced;
}

const char *fault_text(enum fault f)
{
    return row_of(f)->text;
}

const char *fault_name(enum fault f)
{
    return row_of(f)->name;
}

static const struct {
    int error;
    enum fault fault;
} errnos[] = {
    {0, FAULT_NONE},
    {ENOMEM, FAULT_NO_MEMORY},
    {ENOBUFS, FAULT_NO_MEMORY},
    {ECONNREFUSED, FAULT_CONNECT_REFUSED},
    {ETIMEDOUT, FAULT_CONNECT_TIMEOUT},
    {ENETUNREACH, FAULT_UNREACHABLE},
    {EHOSTUNREACH, FAULT_UNREACHABLE},
    {ENETDOWN, FAULT_UNREACHABLE},
    {EHOSTDOWN, FAULT_UNREACHABLE},
    {EAFNOSUPPORT, FAULT_UNREACHABLE}, /* a host without IPv6 */
    {ECONNRESET, FAULT_CONNECTION_LOST},
    {ECONNABORTED, FAULT_CONNECTION_LOST},
    {ENETRESET, FAULT_CONNECTION_LOST},
    {EPIPE, FAULT_CONNECTION_LOST},
    {ENOTCONN, FAULT_CONNECTION_LOST},
    {EADDRINUSE, FAULT_ADDRESS_IN_USE},
    {EADDRNOTAVAIL, FAULT_NO_PORTS}, /* what connect says when the port range is used up */
    {EMFILE, FAULT_NO_DESCRIPTORS},
    {ENFILE, FAULT_NO_DESCRIPTORS},
    {ENOSPC, FAULT_DISK_FULL},
    {EDQUOT, FAULT_DISK_FULL},
    {EIO, FAULT_DISK_ERROR},
    {EROFS, FAULT_DISK_ERROR},
    {ENOENT, FAULT_NOT_FOUND},
    {EEXIST, FAULT_EXISTS},
    {EACCES, FAULT_DENIED},
    {EPERM, FAULT_DENIED},
    {EFBIG, FAULT_TOO_BIG},
};

enum fault fault_of_errno(int error)
{
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
        if (errnos[i].error == error)
            return errnos[i].fault;
    }
    return FAULT_UNKNOWN;
}
