/*
 * fairness: see fairness.h.
 */
#include "queue/fairness.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/domain.h"

#define KEY_MAX 64

struct sender {
    uint32_t references;
    uint32_t key_len;
    uint8_t key[];
};

/* What waits of one sender in one place. */
struct share {
    struct list turn;
    struct list entries;
    const struct sender *sender;
};

static struct span key_of_sender(const void *object)
{
    const struct sender *s = object;
    return span_of(s->key, s->key_len);
}

static struct span key_of_share(const void *object)
{
    return key_of_sender(((const struct share *)object)->sender);
}

void senders_init(struct senders *s, uint64_t secret)
{
    map_init(&s->map, key_of_sender, secret);
}

void senders_fini(struct senders *s)
{
    check(s->map.count == 0);
    map_fini(&s->map);
}

/* The network that the client is in: 3 bytes of IPv4, 8 of IPv6; a client that is no address (or
   ourselves, empty) is itself. */
static struct span network_of(struct span client, uint8_t bytes[16])
{
    if (literal_parse_ipv4(client, bytes))
        return span_of(bytes, 3);
    if (literal_parse_ipv6(client, bytes))
        return span_of(bytes, 8);
    return span_sub(client, 0, KEY_MAX);
}

struct sender *sender_get(struct senders *s, struct span client)
{
    uint8_t bytes[16];
    struct span key = network_of(client, bytes);
    struct sender *sender = map_get(&s->map, key);
    if (sender != NULL) {
        sender->references++;
        return sender;
    }
    sender = malloc(sizeof *sender + key.len);
    if (sender == NULL)
        return NULL;
    *sender = (struct sender){.references = 1, .key_len = (uint32_t)key.len};
    if (key.len > 0)
        memcpy(sender->key, key.data, key.len);
    if (!map_put(&s->map, sender)) {
        free(sender);
        return NULL;
    }
    return sender;
}

void sender_release(struct senders *s, struct sender *sender)
{
    check(sender->references > 0);
    if (--sender->references > 0)
        return;
    (void)map_remove(&s->map, key_of_sender(sender));
    free(sender);
}

void fairness_init(struct fairness *f, uint64_t secret)
{
    map_init(&f->shares, key_of_share, secret);
    list_init(&f->turns);
    f->count = 0;
}

void fairness_fini(struct fairness *f)
{
    list_each(node, &f->turns) free(container_of(node, struct share, turn));
    map_fini(&f->shares);
    list_init(&f->turns);
    f->count = 0;
}

static struct share *share_of(struct fairness *f, const struct sender *sender)
{
    struct share *share = map_get(&f->shares, key_of_sender(sender));
    if (share != NULL)
        return share;
    share = malloc(sizeof *share);
    if (share == NULL)
        return NULL;
    share->sender = sender;
    list_init(&share->entries);
    if (!map_put(&f->shares, share)) {
        free(share);
        return NULL;
    }
    list_append(&f->turns, &share->turn);
    return share;
}

bool fairness_add(struct fairness *f, const struct sender *sender, struct list *entry)
{
    struct share *share = share_of(f, sender);
    if (share == NULL)
        return false;
    list_append(&share->entries, entry);
    f->count++;
    return true;
}

struct list *fairness_first(const struct fairness *f)
{
    if (list_empty(&f->turns))
        return NULL;
    struct share *share = container_of(f->turns.next, struct share, turn);
    check(!list_empty(&share->entries));
    return share->entries.next;
}

void fairness_pass(struct fairness *f)
{
    struct list *first = list_take_first(&f->turns);
    if (first != NULL)
        list_append(&f->turns, first);
}

void fairness_remove(struct fairness *f, const struct sender *sender, struct list *entry)
{
    struct share *share = map_get(&f->shares, key_of_sender(sender));
    check(share != NULL && f->count > 0);
    list_remove(entry);
    f->count--;
    if (!list_empty(&share->entries))
        return;
    (void)map_remove(&f->shares, key_of_sender(sender));
    list_remove(&share->turn);
    free(share);
}
