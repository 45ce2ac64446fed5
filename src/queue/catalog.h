/*
 * catalog: all messages by id, in order.
 *
 * Sorted blocks of pointers under one sorted directory: ids rise with time, so that nearly all
 * messages are put at the end, where blocks are filled to the brim: 8 bytes a message. Owns the
 * blocks, not the messages. Finding is O(log n); putting and removing besides move at most one
 * block. The queue's thread only.
 */
#ifndef QUEUE_CATALOG_H
#define QUEUE_CATALOG_H

#include "queue/message.h"

struct catalog_block;

struct catalog {
    struct catalog_block **blocks;
    uint32_t block_count, block_capacity;
    uint64_t count;
};

void catalog_init(struct catalog *c);
void catalog_fini(struct catalog *c);

enum catalog_put { CATALOG_PUT, CATALOG_EXISTS, CATALOG_NO_MEMORY };
enum catalog_put catalog_put(struct catalog *c, struct message *m);
void catalog_remove(struct catalog *c, struct message *m);          /* it is there (checked) */
struct message *catalog_get(const struct catalog *c, struct id id); /* or NULL */
/* The first whose id is higher; NULL: none. From an id of zeros on it walks all. */
struct message *catalog_after(const struct catalog *c, struct id id);

#endif
