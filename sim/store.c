/*
 * store: see store.h.
 */
#include "sim/store.h"

#include <stdlib.h>
#include <string.h>

/* Create: to. Unlink: from. Rename: both. */
struct change {
    struct list node;
    struct inode *inode; /* that `to` leads to; else NULL */
    char *from, *to;     /* NULL: none */
    bool is_lost;        /* scratch of store_sync_in_part */
};

struct inode *inode_new(struct store *store)
{
    struct inode *inode = calloc(1, sizeof *inode);
    check(inode != NULL);
    inode->store = store;
    inode->image = image_new();
    inode->references = 1;
    list_append(&store->inodes, &inode->node);
    return inode;
}

void inode_forget(struct inode *inode)
{
    if (inode == NULL)
        return;
    check(inode->references > 0);
    if (--inode->references > 0)
        return;
    inode->store->held -= image_blocks(inode->image);
    image_free(inode->image);
    list_remove(&inode->node);
    free(inode);
}

static struct name *directory_find(const struct list *directory, const char *text)
{
    list_each(node, directory)
    {
        struct name *n = container_of(node, struct name, node);
        if (strcmp(n->text, text) == 0)
            return n;
    }
    return NULL;
}

struct inode *store_look_up(const struct store *s, const char *text)
{
    const struct name *n = directory_find(&s->cached, text);
    return n == NULL ? NULL : n->inode;
}

static void name_free(struct name *n)
{
    list_remove(&n->node);
    inode_forget(n->inode);
    free(n);
}

static void directory_remove(struct list *directory, const char *text)
{
    struct name *n = directory_find(directory, text);
    if (n != NULL)
        name_free(n);
}

static void directory_set(struct list *directory, const char *text, struct inode *inode)
{
    inode->references++;
    directory_remove(directory, text);
    size_t len = strlen(text) + 1;
    struct name *n = malloc(sizeof *n + len);
    check(n != NULL);
    n->inode = inode;
    memcpy(n->text, text, len);
    list_append(directory, &n->node);
}

static void change_apply(struct list *directory, const struct change *c)
{
    if (c->to != NULL)
        directory_set(directory, c->to, c->inode);
    if (c->from != NULL)
        directory_remove(directory, c->from);
}

static void change_free(struct change *c)
{
    list_remove(&c->node);
    inode_forget(c->inode);
    free(c->from);
    free(c->to);
    free(c);
}

static char *copy_of(const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);
    check(text == NULL || copy != NULL);
    return copy;
}

void store_change(struct store *s, const char *from, const char *to, struct inode *inode)
{
    struct change *c = calloc(1, sizeof *c);
    check(c != NULL);
    c->from = copy_of(from);
    c->to = copy_of(to);
    c->inode = inode;
    if (inode != NULL)
        inode->references++;
    list_append(&s->unsynced, &c->node);
    change_apply(&s->cached, c);
}

static bool is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool shares_a_name(const struct change *a, const struct change *b)
{
    return is_same(a->from, b->from) || is_same(a->from, b->to) || is_same(a->to, b->from) ||
           is_same(a->to, b->to);
}

void store_sync(struct store *s)
{
    while (!list_empty(&s->unsynced)) {
        struct change *c = container_of(s->unsynced.next, struct change, node);
        change_apply(&s->durable, c);
        change_free(c);
    }
}

/* A change depends on every earlier one of the same names. */
static bool follows_a_lost_one(const struct store *s, const struct change *c)
{
    list_each(node, &s->unsynced)
    {
        const struct change *earlier = container_of(node, struct change, node);
        if (earlier == c)
            return false;
        if (earlier->is_lost && shares_a_name(earlier, c))
            return true;
    }
    return false;
}

void store_sync_in_part(struct store *s)
{
    uint32_t chance = (uint32_t)random_below(&s->sim->random, 4) * 333333 + 1;
    list_each(node, &s->unsynced)
    {
        struct change *c = container_of(node, struct change, node);
        c->is_lost = follows_a_lost_one(s, c) || !random_chance(&s->sim->random, chance);
    }
    list_each(node, &s->unsynced)
    {
        struct change *c = container_of(node, struct change, node);
        if (c->is_lost)
            continue;
        change_apply(&s->durable, c);
        change_free(c);
    }
}

struct store *store_find(struct machine *m, const char *path)
{
    list_each(node, &m->stores)
    {
        struct store *s = container_of(node, struct store, node);
        if (strcmp(s->path, path) == 0)
            return s;
    }
    return NULL;
}

void machine_disk(struct machine *m, const char *path, uint64_t bytes)
{
    check(store_find(m, path) == NULL);
    struct store *s = calloc(1, sizeof *s);
    check(s != NULL);
    s->sim = m->sim;
    s->path = path;
    s->blocks = bytes / IMAGE_BLOCK_BYTES;
    list_init(&s->inodes);
    list_init(&s->cached);
    list_init(&s->durable);
    list_init(&s->unsynced);
    list_append(&m->stores, &s->node);
}

void machine_disk_resize(struct machine *m, const char *path, uint64_t bytes)
{
    struct store *s = store_find(m, path);
    check(s != NULL);
    s->blocks = bytes / IMAGE_BLOCK_BYTES;
}

static void directory_clear(struct list *directory)
{
    while (!list_empty(directory))
        name_free(container_of(directory->next, struct name, node));
}

static void power_cut(struct store *s)
{
    store_sync_in_part(s);
    while (!list_empty(&s->unsynced))
        change_free(container_of(s->unsynced.next, struct change, node));
    directory_clear(&s->cached);
    list_each(node, &s->durable)
    {
        const struct name *n = container_of(node, struct name, node);
        directory_set(&s->cached, n->text, n->inode);
    }
    list_each(node, &s->inodes)
    {
        struct inode *inode = container_of(node, struct inode, node);
        s->held -= image_blocks(inode->image);
        image_power_cut(inode->image, &s->sim->random);
        sim_note(s->sim, NOTE_DEATH, image_size(inode->image));
        s->held += image_blocks(inode->image);
    }
}

void store_life_died(struct machine *m, bool is_power_cut)
{
    list_each(node, &m->stores)
    {
        struct store *s = container_of(node, struct store, node);
        s->owner = NULL;
        if (is_power_cut)
            power_cut(s);
    }
}

void store_free_all(struct machine *m)
{
    while (!list_empty(&m->stores)) {
        struct store *s = container_of(m->stores.next, struct store, node);
        store_sync(s);
        directory_clear(&s->cached);
        directory_clear(&s->durable);
        check(list_empty(&s->inodes) && s->held == 0);
        list_remove(&s->node);
        free(s);
    }
}

uint64_t store_used(struct store *s)
{
    uint64_t blocks = 0;
    list_each(node, &s->cached) container_of(node, struct name, node)->inode->is_named = true;
    list_each(node, &s->inodes)
    {
        struct inode *inode = container_of(node, struct inode, node);
        if (inode->is_named || inode->opens > 0)
            blocks += image_blocks(inode->image);
        inode->is_named = false;
    }
    return blocks;
}

void store_write_back(struct store *s)
{
    struct random *r = &s->sim->random;
    struct inode *chosen = NULL;
    uint64_t count = 0;
    if (random_chance(r, 250000)) {
        store_sync_in_part(s);
        return;
    }
    list_each(node, &s->inodes)
    {
        struct inode *inode = container_of(node, struct inode, node);
        if (image_is_dirty(inode->image) && random_below(r, ++count) == 0)
            chosen = inode;
    }
    if (chosen != NULL)
        image_write_back(chosen->image, r);
}

void store_shuffle(struct store *s)
{
    struct list drawn;
    uint64_t count = 0;
    list_init(&drawn);
    list_each(node, &s->cached) count++;
    for (; count > 0; count--) {
        struct list *node = s->cached.next;
        for (uint64_t skip = random_below(&s->sim->random, count); skip > 0; skip--)
            node = node->next;
        list_remove(node);
        list_append(&drawn, node);
    }
    for (struct list *node; (node = list_take_first(&drawn)) != NULL;)
        list_append(&s->cached, node);
}
