/*
 * fairness: whose turn it is: waiting entries, first come first served for each sender, one sender
 * after the other, so that one's million never delays another's one (DESIGN §7).
 *
 * A *sender* is who mail comes from: for now the client's network, /24 of IPv4 or /64 of IPv6.
 * Senders are counted and shared by all messages. A `struct fairness` is one place where entries
 * wait (a site). It owns a share for each sender that has entries there; the entries belong to
 * whoever waits. All steps are O(1). The queue's thread only.
 */
#ifndef QUEUE_FAIRNESS_H
#define QUEUE_FAIRNESS_H

#include "base/list.h"
#include "base/map.h"

struct sender;

struct senders {
    struct map map;
};

void senders_init(struct senders *s, uint64_t secret);
void senders_fini(struct senders *s); /* all have been released */
/* `client` is the client's address as text; anything is taken. NULL: no memory. Counted. */
struct sender *sender_get(struct senders *s, struct span client);
void sender_release(struct senders *s, struct sender *sender);

struct fairness {
    struct map shares;
    struct list turns; /* of the shares: the first one's turn is next */
    uint32_t count;    /* entries of all shares */
};

void fairness_init(struct fairness *f, uint64_t secret);
void fairness_fini(struct fairness *f); /* entries are left as they are */
/* The entry is in no list. False: no memory. */
__attribute__((warn_unused_result)) bool fairness_add(struct fairness *f,
                                                      const struct sender *sender,
                                                      struct list *entry);
/* The entry that is next, which stays where it is; NULL: there is none. */
struct list *fairness_first(const struct fairness *f);
/* The first sender has had its turn. */
void fairness_pass(struct fairness *f);
/* The entry is one of f's, of this sender. */
void fairness_remove(struct fairness *f, const struct sender *sender, struct list *entry);

#endif
