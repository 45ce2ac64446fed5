/*
 * address: struct endpoint to and from the kernel's socket addresses. Pure.
 */
#ifndef OS_ADDRESS_H
#define OS_ADDRESS_H

#include <sys/socket.h>

#include "os/socket.h"

/* An IPv4-mapped IPv6 address becomes IPv4; anything but IP becomes family 0. */
struct endpoint address_decode(const struct sockaddr_storage *address);
/* The length of the address; e.family is 4 or 6. */
socklen_t address_encode(struct endpoint e, struct sockaddr_storage *address_out);

#endif
