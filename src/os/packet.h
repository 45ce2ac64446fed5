/*
 * packet: messages between processes of one machine, each whole or not at all, with something
 * enclosed that the receiver reads but cannot change.
 *
 * An *end* is one of a pair; it belongs to its loop's thread. Pairs come about in two ways: one is
 * offered through a door, at whose other side the other process listens (so that either of the two
 * may die and come again, and nobody in between has to hand anything on); or a process has one from
 * its parent. What comes from the other side may be anything: it is given as it is, and never more
 * than PACKET_BYTES_MAX. Nothing here waits: a packet that has no room is not sent.
 */
#ifndef OS_PACKET_H
#define OS_PACKET_H

#include "base/span.h"
#include "os/disk.h"
#include "os/loop.h"

#define PACKET_BYTES_MAX (16 * 1024)

struct packet_end;
struct packet_door;
struct enclosure;

struct packet_events {
    /* The bytes are valid only during the call; `enclosed` (NULL: nothing) is the callee's. */
    void (*on_packet)(void *context, struct span bytes, struct enclosure *enclosed);
    /* The other side is gone, or sent what no packet may be. Only packet_close remains. */
    void (*on_end)(void *context);
};

/* Makes a pair and hands its other end through the door, where it lies until somebody listens.
   LIMIT: too many lie there. NO_DESCRIPTORS, NO_MEMORY. */
must_use enum fault packet_offer(struct loop *l, int door, const struct packet_events *events,
                                 void *context, struct packet_end **end_out);
/* An end that this process has as a descriptor, which is taken, also on a fault. In the real world
   only. */
must_use enum fault packet_open(struct loop *l, int descriptor, const struct packet_events *events,
                                void *context, struct packet_end **end_out);
/* on_offer gives each end that came through the door: packet_adopt or packet_close it. */
must_use enum fault packet_listen(struct loop *l, int door,
                                  void (*on_offer)(void *context, struct packet_end *end),
                                  void *context, struct packet_door **door_out);
void packet_unlisten(struct packet_door *d); /* the door itself stays open */
void packet_adopt(struct packet_end *end, const struct packet_events *events, void *context);

/* Neither empty nor longer than PACKET_BYTES_MAX (checked). LIMIT: there is no room until the other
   side has read; CONNECTION_LOST: it is gone, which on_end tells too. `enclosed` (may be NULL)
   stays the caller's. */
must_use enum fault packet_send(struct packet_end *end, struct span bytes,
                                const struct enclosure *enclosed);
void packet_close(struct packet_end *end); /* no call-back comes after it */

/* Bytes that can be read and never changed. Any thread, one at a time. */
must_use enum fault enclosure_of_bytes(struct world *w, const struct span *parts, size_t count,
                                       struct enclosure **enclosure_out);
/* A whole file, opened to be read; the file may be closed right after. */
must_use enum fault enclosure_of_file(struct file *f, struct enclosure **enclosure_out);
uint64_t enclosure_bytes(const struct enclosure *e); /* how long it was when it came */
/* As file_read. */
must_use enum fault enclosure_read(const struct enclosure *e, uint64_t offset, void *bytes_out,
                                   size_t len, size_t *got_out);
void enclosure_close(struct enclosure *e); /* NULL is let be */

#endif
