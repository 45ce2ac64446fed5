/*
 * store: the simulated disk: directories that outlive the lives of their machine; see os/disk.h.
 *
 * A name leads to an inode, which holds the content. The directory exists twice: as lives see it,
 * and as it is on the disk; in between lie the changes that no disk_sync has followed yet. Room
 * that a removed file took comes back at once, but never so that a power cut could bring the file
 * back into room that is used again: before that happens, the names are made durable, as file
 * systems do.
 */
#include "os/disk.h"

#include <stdlib.h>
#include <string.h>

#include "sim/image.h"
#include "sim/inside.h"

struct store {
    struct list node; /* in machine.stores */
    struct sim *sim;
    const char *path;
    uint64_t blocks;
    uint64_t held; /* blocks of all inodes */
    struct list inodes;
    struct list cached;   /* the directory as it is seen, of struct name */
    struct list durable;  /* as it is on the disk */
    struct list unsynced; /* changes between them, of struct change, the oldest first */
    struct disk *owner;   /* holds the lock */
};

struct inode {
    struct list node; /* in store.inodes */
    struct store *store;
    struct image *image;
    uint32_t references; /* names, changes and open files */
    uint32_t opens;
    bool is_named; /* scratch of count_used */
};

struct name {
    struct list node;
    struct inode *inode;
    char text[];
};

/* Create: to. Unlink: from. Rename: both. */
struct change {
    struct list node;
    struct inode *inode; /* that `to` leads to; else NULL */
    char *from, *to;     /* NULL: none */
    bool is_lost;        /* scratch of a power cut */
};

struct disk {
    struct world *world;
    struct store *store;
};

struct file {
    struct world *world;
    struct inode *inode;
    bool may_write;
};

/* Inodes and directories
 * -------------------------------------------------------------------------*/

static struct inode *inode_new(struct store *store)
{
    struct inode *inode = calloc(1, sizeof *inode);
    check(inode != NULL);
    inode->store = store;
    inode->image = image_new();
    inode->references = 1;
    list_append(&store->inodes, &inode->node);
    return inode;
}

static void inode_forget(struct inode *inode)
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

static void change_names(struct store *s, const char *from, const char *to, struct inode *inode)
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

static void sync_names(struct store *s)
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

/* Some of the changes reach the disk; the others stay unsynced. */
static void sync_names_by_chance(struct store *s, uint32_t chance)
{
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

static uint32_t some_chance(struct sim *s)
{
    return (uint32_t)random_below(&s->random, 4) * 333333 + 1;
}

/* Stores
 * -----------------------------------------------------------------------------------------*/

static struct store *store_find(struct machine *m, const char *path)
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
    sync_names_by_chance(s, some_chance(s->sim));
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
        sync_names(s);
        directory_clear(&s->cached);
        directory_clear(&s->durable);
        check(list_empty(&s->inodes) && s->held == 0);
        list_remove(&s->node);
        free(s);
    }
}

/* What the files take that a life can still reach. */
static uint64_t count_used(struct store *s)
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

/* The kernel writes back a little of what it should keep in mind. */
static void write_back(struct store *s)
{
    struct random *r = &s->sim->random;
    struct inode *chosen = NULL;
    uint64_t count = 0;
    if (random_chance(r, 250000)) {
        sync_names_by_chance(s, some_chance(s->sim));
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

/* Operations
 * -------------------------------------------------------------------------------------*/

enum cost { CHEAP = 1, COSTLY = 10 };

/* False for a ghost. */
static bool begin_operation(struct world *w, struct store *s, enum cost cost)
{
    struct sim *sim = w->sim;
    if (w->death != SIM_ALIVE)
        return false;
    if (sim->running != NULL && sim->options.disk_us_max > 0)
        sim->running->busy_us +=
            (int64_t)random_below(&sim->random, (uint64_t)sim->options.disk_us_max * cost + 1);
    if (random_chance(&sim->random, sim->options.write_back))
        write_back(s);
    return true;
}

/* True when the life dies in this one; the caller does a part of it and lets it die. */
static bool is_last_operation(struct world *w)
{
    return ++w->disk_operations == w->kill_at;
}

static enum fault die(struct world *w)
{
    life_kill(w, w->kill_how);
    return FAULT_DISK_ERROR;
}

static bool is_heads(struct sim *s)
{
    return random_chance(&s->random, 500000);
}

enum fault disk_new(struct world *w, const char *path, struct disk **disk_out)
{
    struct store *s = store_find(w->machine, path);
    if (w->death != SIM_ALIVE)
        return FAULT_DISK_ERROR;
    if (s == NULL)
        return FAULT_NOT_FOUND;
    struct disk *d = malloc(sizeof *d);
    if (d == NULL)
        return FAULT_NO_MEMORY;
    *d = (struct disk){.world = w, .store = s};
    w->disk_count++;
    *disk_out = d;
    return FAULT_NONE;
}

void disk_free(struct disk *d)
{
    if (d == NULL)
        return;
    if (d->store->owner == d)
        d->store->owner = NULL;
    d->world->disk_count--;
    free(d);
}

enum fault disk_lock(struct disk *d)
{
    if (d->world->death != SIM_ALIVE)
        return FAULT_DISK_ERROR;
    if (d->store->owner != NULL && d->store->owner != d)
        return FAULT_DISK_LOCKED;
    d->store->owner = d;
    return FAULT_NONE;
}

enum fault disk_sync(struct disk *d)
{
    struct sim *sim = d->world->sim;
    if (!begin_operation(d->world, d->store, COSTLY))
        return FAULT_DISK_ERROR;
    bool dies = is_last_operation(d->world);
    sim_note(sim, NOTE_SYNC, d->world->disk_operations);
    if (dies || random_chance(&sim->random, sim->options.sync_error)) {
        sync_names_by_chance(d->store, some_chance(sim));
        return dies ? die(d->world) : FAULT_DISK_ERROR;
    }
    sync_names(d->store);
    return FAULT_NONE;
}

static void check_name(const char *name)
{
    check(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL);
}

/* Does the change, unless it fails or the life dies before it is done. */
static enum fault try_change(struct world *w, struct store *s, const char *from, const char *to,
                             struct inode *inode)
{
    bool dies = is_last_operation(w);
    sim_note_bytes(w->sim, NOTE_NAME, span_text(to == NULL ? from : to));
    if (dies ? is_heads(w->sim) : random_chance(&w->sim->random, w->sim->options.open_error))
        return dies ? die(w) : FAULT_DISK_ERROR;
    change_names(s, from, to, inode);
    return dies ? die(w) : FAULT_NONE;
}

enum fault disk_unlink(struct disk *d, const char *name)
{
    check_name(name);
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    if (directory_find(&d->store->cached, name) == NULL)
        return FAULT_NOT_FOUND;
    return try_change(d->world, d->store, name, NULL, NULL);
}

enum fault disk_rename(struct disk *d, const char *from, const char *to)
{
    check_name(from);
    check_name(to);
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    const struct name *n = directory_find(&d->store->cached, from);
    if (n == NULL)
        return FAULT_NOT_FOUND;
    if (strcmp(from, to) == 0)
        return FAULT_NONE;
    return try_change(d->world, d->store, from, to, n->inode);
}

/* In an order drawn: whoever relies on one is found out. */
enum fault disk_list(struct disk *d, void (*on_name)(void *context, const char *name),
                     void *context)
{
    struct random *r = &d->world->sim->random;
    struct list drawn;
    uint64_t count = 0;
    if (!begin_operation(d->world, d->store, CHEAP) ||
        random_chance(r, d->world->sim->options.read_error))
        return FAULT_DISK_ERROR;
    list_init(&drawn);
    list_each(node, &d->store->cached) count++;
    for (; count > 0; count--) {
        struct list *node = d->store->cached.next;
        for (uint64_t skip = random_below(r, count); skip > 0; skip--)
            node = node->next;
        list_remove(node);
        list_append(&drawn, node);
    }
    for (struct list *node; (node = list_take_first(&drawn)) != NULL;)
        list_append(&d->store->cached, node);
    list_each(node, &d->store->cached)
        on_name(context, container_of(node, struct name, node)->text);
    return FAULT_NONE;
}

enum fault disk_room(struct disk *d, uint64_t *bytes_free_out)
{
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    uint64_t used = count_used(d->store);
    *bytes_free_out = used < d->store->blocks ? (d->store->blocks - used) * IMAGE_BLOCK_BYTES : 0;
    return FAULT_NONE;
}

static struct file *file_new(struct world *w, struct inode *inode, bool may_write)
{
    struct file *f = malloc(sizeof *f);
    check(f != NULL);
    *f = (struct file){.world = w, .inode = inode, .may_write = may_write};
    inode->references++;
    inode->opens++;
    w->file_count++;
    return f;
}

static enum fault create(struct disk *d, const char *name, struct file **file_out)
{
    struct inode *inode = inode_new(d->store);
    enum fault fault = try_change(d->world, d->store, NULL, name, inode);
    if (fault == FAULT_NONE)
        *file_out = file_new(d->world, inode, true);
    inode_forget(inode);
    return fault;
}

enum fault file_open(struct disk *d, const char *name, enum disk_open how, struct file **file_out)
{
    struct sim *sim = d->world->sim;
    check_name(name);
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    const struct name *n = directory_find(&d->store->cached, name);
    if (how == DISK_CREATE)
        return n != NULL ? FAULT_EXISTS : create(d, name, file_out);
    sim_note_bytes(sim, NOTE_OPEN, span_text(name));
    if (n == NULL)
        return FAULT_NOT_FOUND;
    if (random_chance(&sim->random, sim->options.open_error))
        return FAULT_DISK_ERROR;
    *file_out = file_new(d->world, n->inode, how == DISK_WRITE);
    return FAULT_NONE;
}

void file_close(struct file *f)
{
    if (f == NULL)
        return;
    f->world->file_count--;
    f->inode->opens--;
    inode_forget(f->inode);
    free(f);
}

enum fault file_size(struct file *f, uint64_t *bytes_out)
{
    if (f->world->death != SIM_ALIVE)
        return FAULT_DISK_ERROR;
    *bytes_out = image_size(f->inode->image);
    return FAULT_NONE;
}

enum fault file_read(struct file *f, uint64_t offset, void *bytes_out, size_t len, size_t *got_out)
{
    struct sim *sim = f->world->sim;
    if (!begin_operation(f->world, f->inode->store, CHEAP))
        return FAULT_DISK_ERROR;
    if (random_chance(&sim->random, sim->options.read_error))
        return FAULT_DISK_ERROR;
    *got_out = image_read(f->inode->image, offset, bytes_out, len);
    sim_note(sim, NOTE_READ, offset);
    sim_note_bytes(sim, NOTE_READ, span_of(bytes_out, *got_out));
    return FAULT_NONE;
}

/* As many of the bytes as there is room for. Room that only a power cut could want back is taken
   after the names are safe. */
static size_t fit(struct inode *inode, uint64_t offset, size_t len)
{
    struct store *s = inode->store;
    for (int i = 0; i < 2; i++) {
        uint64_t room = s->held < s->blocks ? s->blocks - s->held : 0;
        size_t fits = image_fits(inode->image, offset, len, room);
        if (fits == len || i == 1)
            return fits;
        sync_names(s);
    }
    return 0;
}

static void put(struct inode *inode, uint64_t offset, struct span bytes)
{
    inode->store->held -= image_blocks(inode->image);
    image_write(inode->image, offset, bytes);
    inode->store->held += image_blocks(inode->image);
}

/* A failed write: a piece at its end, or in its middle, is not written. */
static void put_in_part(struct inode *inode, uint64_t offset, struct span bytes)
{
    struct random *r = &inode->store->sim->random;
    size_t from = (size_t)random_below(r, bytes.len + 1);
    size_t to = bytes.len;
    if (random_chance(r, 300000))
        to = from + (size_t)random_below(r, bytes.len - from + 1);
    put(inode, offset, span_sub(bytes, 0, from));
    put(inode, offset + to, span_skip(bytes, to));
}

static enum fault write_bytes(struct file *f, uint64_t offset, struct span bytes)
{
    struct sim *sim = f->world->sim;
    size_t room = fit(f->inode, offset, bytes.len);
    bool dies = is_last_operation(f->world);
    sim_note(sim, NOTE_WRITE, offset);
    sim_note_bytes(sim, NOTE_WRITE, bytes);
    if (dies) {
        /* Of a kill, what was written so far; of a power cut, any sectors of all of it. */
        if (f->world->kill_how == SIM_KILLED)
            room = (size_t)random_below(&sim->random, room + 1);
        put(f->inode, offset, span_sub(bytes, 0, room));
        return die(f->world);
    }
    if (random_chance(&sim->random, sim->options.write_error)) {
        put_in_part(f->inode, offset, span_sub(bytes, 0, room));
        return FAULT_DISK_ERROR;
    }
    if (room < bytes.len) {
        put(f->inode, offset, span_sub(bytes, 0, (size_t)random_below(&sim->random, room + 1)));
        return FAULT_DISK_FULL;
    }
    put(f->inode, offset, bytes);
    return FAULT_NONE;
}

enum fault file_write(struct file *f, uint64_t offset, const struct span *parts, size_t count)
{
    size_t len = 0;
    if (!f->may_write)
        return FAULT_DENIED;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    if (!begin_operation(f->world, f->inode->store, CHEAP))
        return FAULT_DISK_ERROR;
    if (len == 0)
        return FAULT_NONE;
    uint8_t *bytes = malloc(len);
    check(bytes != NULL);
    size_t at = 0;
    for (size_t i = 0; i < count; at += parts[i++].len)
        if (parts[i].len > 0)
            memcpy(bytes + at, parts[i].data, parts[i].len);
    enum fault fault = write_bytes(f, offset, span_of(bytes, len));
    free(bytes);
    return fault;
}

enum fault file_sync(struct file *f)
{
    struct sim *sim = f->world->sim;
    struct image *image = f->inode->image;
    if (!begin_operation(f->world, f->inode->store, COSTLY))
        return FAULT_DISK_ERROR;
    bool dies = is_last_operation(f->world);
    sim_note(sim, NOTE_SYNC, image_size(image));
    if (dies) {
        if (is_heads(sim))
            image_sync(image);
        return die(f->world);
    }
    if (random_chance(&sim->random, sim->options.sync_error)) {
        image_sync_fail(image, &sim->random);
        return FAULT_DISK_ERROR;
    }
    image_sync(image);
    return FAULT_NONE;
}
