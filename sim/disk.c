/*
 * disk: the disk of the simulated world; see os/disk.h.
 *
 * Each operation may fail by chance, costs its thread time, and may be the one in the middle of
 * which the life dies. A ghost's operations fault and change nothing.
 */
#include "os/disk.h"

#include <stdlib.h>
#include <string.h>

#include "sim/store.h"

struct disk {
    struct world *world;
    struct store *store;
};

struct file {
    struct world *world;
    struct inode *inode;
    bool may_write;
};

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
        store_write_back(s);
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
        store_sync_in_part(d->store);
        return dies ? die(d->world) : FAULT_DISK_ERROR;
    }
    store_sync(d->store);
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
    store_change(s, from, to, inode);
    return dies ? die(w) : FAULT_NONE;
}

enum fault disk_unlink(struct disk *d, const char *name)
{
    check_name(name);
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    if (store_look_up(d->store, name) == NULL)
        return FAULT_NOT_FOUND;
    return try_change(d->world, d->store, name, NULL, NULL);
}

enum fault disk_rename(struct disk *d, const char *from, const char *to)
{
    check_name(from);
    check_name(to);
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    struct inode *inode = store_look_up(d->store, from);
    if (inode == NULL)
        return FAULT_NOT_FOUND;
    if (strcmp(from, to) == 0)
        return FAULT_NONE;
    return try_change(d->world, d->store, from, to, inode);
}

/* In an order drawn: whoever relies on one is found out. */
enum fault disk_list(struct disk *d, void (*on_name)(void *context, const char *name),
                     void *context)
{
    struct sim *sim = d->world->sim;
    if (!begin_operation(d->world, d->store, CHEAP) ||
        random_chance(&sim->random, sim->options.read_error))
        return FAULT_DISK_ERROR;
    store_shuffle(d->store);
    list_each(node, &d->store->cached)
        on_name(context, container_of(node, struct name, node)->text);
    return FAULT_NONE;
}

enum fault disk_room(struct disk *d, uint64_t *bytes_free_out)
{
    if (!begin_operation(d->world, d->store, CHEAP))
        return FAULT_DISK_ERROR;
    uint64_t used = store_used(d->store);
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
    struct inode *inode = store_look_up(d->store, name);
    if (how == DISK_CREATE)
        return inode != NULL ? FAULT_EXISTS : create(d, name, file_out);
    sim_note_bytes(sim, NOTE_OPEN, span_text(name));
    if (inode == NULL)
        return FAULT_NOT_FOUND;
    if (random_chance(&sim->random, sim->options.open_error))
        return FAULT_DISK_ERROR;
    *file_out = file_new(d->world, inode, how == DISK_WRITE);
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

/* Nobody else is in this world: every file is root's. */
enum fault file_look(struct file *f, struct file_look *look_out)
{
    *look_out = (struct file_look){.is_regular = true, .links = 1, .mode = 0640};
    return file_size(f, &look_out->bytes);
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
        store_sync(s);
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

/* What a killed process had written of `len` bytes at `offset`: it ends where a sector does. A
   kernel dies between pages, so what is less than a sector is there or not. */
static size_t killed_at(struct random *r, uint64_t offset, size_t len)
{
    size_t part = (size_t)random_below(r, len + 1);
    size_t over = (size_t)((offset + part) % IMAGE_SECTOR_BYTES);
    if (part == len)
        return len;
    return part > over ? part - over : 0;
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
            room = killed_at(&sim->random, offset, room);
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
    if (count == 1)
        return write_bytes(f, offset, parts[0]);
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
