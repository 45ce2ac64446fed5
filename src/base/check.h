/*
 * check: assertions that are always compiled in.
 *
 * For programmer errors alone. Nothing that a peer, DNS, a file or another process sends may ever
 * reach one: such input is answered with a fault. A failed check prints file, line and condition to
 * standard error and aborts; the supervisor restarts.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#define check(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

_Noreturn void check_failed(const char *file, int line, const char *condition);

/* The object that contains `member` at `pointer`: for intrusive lists, heaps, timers and
   letters. */
#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
