/*
 * packet_inside: what the real world's packets and files share; nobody else includes it.
 */
#ifndef OS_LINUX_PACKET_INSIDE_H
#define OS_LINUX_PACKET_INSIDE_H

#include "os/packet.h"

/* Takes the descriptor of a regular file that is readable, also on a fault. */
must_use enum fault enclosure_new(int descriptor, struct enclosure **enclosure_out);

#endif
