/*
 * interface: the addresses of this machine. In the real world only.
 */
#ifndef OS_INTERFACE_H
#define OS_INTERFACE_H

#include "os/socket.h"

/* Those of all interfaces but the loopback's (MX records with these are somebody's mistake and not
   us), of one family; at most `max`, port 0. How many. */
size_t interface_addresses(uint8_t family, struct endpoint *out, size_t max);

#endif
