#include "tests/powercut/forget.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECTOR           512U
#define PAGE             4096U
#define SECTORS_PER_PAGE (PAGE / SECTOR)

/* Unsynced bytes of a file: the page as the program sees it, and which sectors of it are new. */
struct page {
    size_t number;
    uint8_t dirty;
    uint8_t bytes[PAGE];
};

struct entry {
    char *name;
    struct node *node;
};

/* A change of a folder that is not durable yet: `name` now means `node`, or nothing if NULL. */
struct change {
    char *name;
    struct node *node;
    bool with_next; /* both or neither: a rename is two changes */
};

/*
 * A file or a folder. References: one for each name in memory, each pending change and each open.
 * The last one gone, the second link in the orphans' folder goes as well; a name that is still in
 * the backing folder keeps its bytes by itself.
 */
struct node {
    unsigned number; /* its name in the orphans' folder */
    unsigned references;
    unsigned opens;
    bool is_folder;
    struct node *previous, *next; /* all nodes, for the cut */

    /* a file */
    int descriptor;   /* of the backing file while it is open, else -1 */
    off_t size;       /* as the program sees it */
    off_t backed;     /* bytes of the backing file that still count: less after a truncation */
    bool size_is_new; /* size or backed differ from the backing file's */
    struct page **pages;
    size_t page_count, page_room;

    /* a folder */
    int folder; /* descriptor; stays valid wherever the folder is moved */
    struct entry *entries;
    size_t entry_count, entry_room;
    struct change *changes;
    size_t change_count, change_room;
};

struct forget {
    pthread_mutex_t lock;
    struct forget_options options;
    struct forget_counts counts;
    uint64_t random;
    uint64_t operations;
    unsigned last_number;
    char *orphans_path;
    int orphans;
    struct node *root;
    struct node nodes; /* head of the ring of all */
};

/* ---- small things ---- */

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("forgetfs: out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* Makes room for one more element of an array that grows. */
static void *grow(void *array, size_t count, size_t *room, size_t element)
{
    if (count < *room)
        return array;
    *room = *room == 0 ? 8 : *room * 2;
    return must(realloc(array, *room * element));
}

/* splitmix64 */
static uint64_t draw(struct forget *disk)
{
    disk->random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = disk->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static const char *orphan_name(const struct node *node, char name_out[16])
{
    snprintf(name_out, 16, "%u", node->number);
    return name_out;
}

/* ---- nodes ---- */

static struct node *node_new(struct forget *disk, bool is_folder)
{
    struct node *node = must(calloc(1, sizeof *node));
    node->number = ++disk->last_number;
    node->is_folder = is_folder;
    node->descriptor = -1;
    node->folder = -1;
    node->next = &disk->nodes;
    node->previous = disk->nodes.previous;
    node->previous->next = node;
    disk->nodes.previous = node;
    return node;
}

static void node_forget_pages(struct node *node)
{
    for (size_t i = 0; i < node->page_count; i++)
        free(node->pages[i]);
    node->page_count = 0;
}

static void node_release(struct forget *disk, struct node *node);

static void node_forget_changes(struct forget *disk, struct node *folder, size_t first)
{
    for (size_t i = first; i < folder->change_count; i++) {
        free(folder->changes[i].name);
        node_release(disk, folder->changes[i].node);
    }
    folder->change_count = first;
}

static void node_release(struct forget *disk, struct node *node)
{
    if (node == NULL || --node->references > 0)
        return;
    char name[16];
    if (!node->is_folder)
        unlinkat(disk->orphans, orphan_name(node, name), 0);
    for (size_t i = 0; i < node->entry_count; i++) {
        free(node->entries[i].name);
        node_release(disk, node->entries[i].node);
    }
    node_forget_changes(disk, node, 0);
    node_forget_pages(node);
    if (node->descriptor >= 0)
        close(node->descriptor);
    if (node->folder >= 0)
        close(node->folder);
    node->previous->next = node->next;
    node->next->previous = node->previous;
    free(node->pages);
    free(node->entries);
    free(node->changes);
    free(node);
}

static struct entry *entry_find(struct node *folder, const char *name)
{
    for (size_t i = 0; i < folder->entry_count; i++) {
        if (strcmp(folder->entries[i].name, name) == 0)
            return &folder->entries[i];
    }
    return NULL;
}

/* In memory only: `name` now means `node`, or nothing if NULL. */
static void entry_set(struct forget *disk, struct node *folder, const char *name, struct node *node)
{
    struct entry *entry = entry_find(folder, name);
    if (node != NULL)
        node->references++;
    if (entry == NULL && node != NULL) {
        folder->entries = grow(folder->entries, folder->entry_count, &folder->entry_room,
                               sizeof *folder->entries);
        folder->entries[folder->entry_count++] =
            (struct entry){.name = must(strdup(name)), .node = node};
    } else if (entry != NULL) {
        struct node *before = entry->node;
        entry->node = node;
        if (node == NULL) {
            free(entry->name);
            *entry = folder->entries[--folder->entry_count];
        }
        node_release(disk, before);
    }
}

/* The node at a path; NULL if there is none. */
static struct node *node_at(struct forget *disk, const char *path)
{
    struct node *node = disk->root;
    while (node != NULL) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 0)
            return node;
        char name[NAME_MAX + 1];
        if (!node->is_folder || len > NAME_MAX)
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        struct entry *entry = entry_find(node, name);
        node = entry == NULL ? NULL : entry->node;
        path += len;
    }
    return NULL;
}

/* The folder that holds the last name of a path, and that name. */
static struct node *folder_of(struct forget *disk, const char *path, const char **name_out)
{
    const char *slash = strrchr(path, '/');
    char *folder = must(strndup(path, (size_t)(slash - path)));
    struct node *node = node_at(disk, folder);
    free(folder);
    *name_out = slash + 1;
    return node != NULL && node->is_folder ? node : NULL;
}

/* ---- what is durable: the backing folder ---- */

static int backing_open(struct forget *disk, struct node *node)
{
    char name[16];
    if (node->descriptor < 0)
        node->descriptor = openat(disk->orphans, orphan_name(node, name), O_RDWR | O_CLOEXEC);
    return node->descriptor < 0 ? -errno : 0;
}

static int write_whole(int descriptor, const uint8_t *bytes, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t written = pwrite(descriptor, bytes, len, at);
        if (written < 0)
            return -errno;
        bytes += written;
        len -= (size_t)written;
        at += written;
    }
    return 0;
}

/* Writes the sectors of `which` of a page, but nothing beyond the file's end. */
static int persist_sectors(struct node *node, const struct page *page, uint8_t which)
{
    int result = 0;
    for (unsigned i = 0; i < SECTORS_PER_PAGE && result == 0; i++) {
        off_t at = (off_t)(page->number * PAGE + i * SECTOR);
        if ((which & (1U << i)) == 0 || at >= node->size)
            continue;
        size_t len = node->size - at < (off_t)SECTOR ? (size_t)(node->size - at) : SECTOR;
        result = write_whole(node->descriptor, page->bytes + i * SECTOR, len, at);
    }
    return result;
}

static int persist_file(struct forget *disk, struct node *node)
{
    int result = backing_open(disk, node);
    if (result == 0 && node->size_is_new && ftruncate(node->descriptor, node->backed) != 0)
        result = -errno;
    for (size_t i = 0; i < node->page_count && result == 0; i++)
        result = persist_sectors(node, node->pages[i], node->pages[i]->dirty);
    if (result == 0 && node->size_is_new && ftruncate(node->descriptor, node->size) != 0)
        result = -errno;
    if (result == 0) {
        node_forget_pages(node);
        node->backed = node->size;
        node->size_is_new = false;
    }
    return result;
}

/* A name of the backing folder goes; a folder is put aside, since memory may still use it. */
static int persist_removal(struct forget *disk, int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    char aside[32];
    snprintf(aside, sizeof aside, "removed-%u", ++disk->last_number);
    return renameat(folder, name, disk->orphans, aside) == 0 ? 0 : -errno;
}

static int persist_change(struct forget *disk, struct node *folder, const struct change *change)
{
    char orphan[16], temporary[32];
    if (change->node == NULL)
        return persist_removal(disk, folder->folder, change->name);
    orphan_name(change->node, orphan);
    if (change->node->is_folder) /* moved once: later changes of its name find it in place */
        return renameat(disk->orphans, orphan, folder->folder, change->name) == 0 ? 0 : -errno;
    snprintf(temporary, sizeof temporary, "linked-%u", change->node->number);
    if (linkat(disk->orphans, orphan, disk->orphans, temporary, 0) != 0)
        return -errno;
    int result = 0;
    if (renameat(disk->orphans, temporary, folder->folder, change->name) != 0)
        result = -errno;
    unlinkat(disk->orphans, temporary, 0); /* still there if both were the same file already */
    return result;
}

/* Makes the first `count` changes of a folder durable and forgets all of them. */
static int persist_changes(struct forget *disk, struct node *folder, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = persist_change(disk, folder, &folder->changes[i]);
    node_forget_changes(disk, folder, 0);
    return result;
}

static void change_add(struct forget *disk, struct node *folder, const char *name,
                       struct node *node, bool with_next)
{
    folder->changes =
        grow(folder->changes, folder->change_count, &folder->change_room, sizeof *folder->changes);
    if (node != NULL)
        node->references++;
    folder->changes[folder->change_count++] =
        (struct change){.name = must(strdup(name)), .node = node, .with_next = with_next};
    entry_set(disk, folder, name, node);
    disk->counts.changes++;
}

/* ---- the power cut ---- */

/* Which sectors of a page survive: each with the same chance of `sixteenths`. */
static uint8_t survivors(struct forget *disk, const struct page *page, unsigned sixteenths)
{
    uint8_t alive = 0;
    for (unsigned i = 0; i < SECTORS_PER_PAGE; i++) {
        if ((page->dirty & (1U << i)) == 0)
            continue;
        if (draw(disk) % 16 < sixteenths) {
            alive = (uint8_t)(alive | (1U << i));
            disk->counts.sectors_survived++;
        } else {
            disk->counts.sectors_lost++;
        }
    }
    return alive;
}

static void cut_file(struct forget *disk, struct node *node)
{
    unsigned sixteenths = disk->options.tear ? (unsigned)(draw(disk) % 17) : 0;
    bool truncated = node->size_is_new && disk->options.tear && draw(disk) % 2 == 0;
    if (sixteenths > 0 || truncated) {
        if (backing_open(disk, node) != 0)
            return;
        if (truncated && ftruncate(node->descriptor, node->backed) != 0)
            perror("forgetfs: ftruncate");
    }
    for (size_t i = 0; i < node->page_count; i++) {
        if (persist_sectors(node, node->pages[i], survivors(disk, node->pages[i], sixteenths)) != 0)
            perror("forgetfs: write");
    }
    node_forget_pages(node);
}

static void cut_folder(struct forget *disk, struct node *folder)
{
    size_t count = disk->options.tear ? draw(disk) % (folder->change_count + 1) : 0;
    while (count > 0 && folder->changes[count - 1].with_next)
        count--;
    disk->counts.changes_survived += count;
    disk->counts.changes_lost += folder->change_count - count;
    if (persist_changes(disk, folder, count) != 0)
        fputs("forgetfs: a change of a folder could not be written\n", stderr);
}

static void cut(struct forget *disk)
{
    if (disk->counts.cut)
        return;
    disk->counts.cut = true;
    /* Changes first: they may free nodes, but never the one they are changes of. */
    for (struct node *node = disk->nodes.next; node != &disk->nodes; node = node->next) {
        node->references++;
        if (node->is_folder)
            cut_folder(disk, node);
        else
            cut_file(disk, node);
        node->references--;
    }
}

void forget_cut(struct forget *disk)
{
    pthread_mutex_lock(&disk->lock);
    cut(disk);
    pthread_mutex_unlock(&disk->lock);
}

/* Every operation begins here: false when there is no power. */
static bool powered(struct forget *disk)
{
    pthread_mutex_lock(&disk->lock);
    return !disk->counts.cut;
}

/* As powered(), for what changes the disk: the one that the cut was ordered for never happens. */
static bool powered_for_change(struct forget *disk)
{
    if (!powered(disk))
        return false;
    disk->operations++;
    if (disk->options.cut_after > 0 && disk->operations >= disk->options.cut_after)
        cut(disk);
    return !disk->counts.cut;
}

static int done(struct forget *disk, int result)
{
    pthread_mutex_unlock(&disk->lock);
    return result;
}

/* ---- a file's bytes ---- */

static struct page *page_find(struct node *node, size_t number)
{
    size_t low = 0, high = node->page_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (node->pages[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < node->page_count && node->pages[low]->number == number ? node->pages[low] : NULL;
}

/* Bytes of the backing file that still count; zeros where it has none. */
static int read_backing(struct forget *disk, struct node *node, uint8_t *bytes_out, size_t len,
                        off_t at)
{
    memset(bytes_out, 0, len);
    if (at >= node->backed)
        return 0;
    if ((off_t)len > node->backed - at)
        len = (size_t)(node->backed - at);
    int result = backing_open(disk, node);
    while (result == 0 && len > 0) {
        ssize_t got = pread(node->descriptor, bytes_out, len, at);
        if (got <= 0)
            return got < 0 ? -errno : 0;
        bytes_out += got;
        len -= (size_t)got;
        at += got;
    }
    return result;
}

static int page_make(struct forget *disk, struct node *node, size_t number, struct page **page_out)
{
    *page_out = page_find(node, number);
    if (*page_out != NULL)
        return 0;
    struct page *page = must(calloc(1, sizeof *page));
    page->number = number;
    int result = read_backing(disk, node, page->bytes, PAGE, (off_t)(number * PAGE));
    if (result != 0) {
        free(page);
        return result;
    }
    node->pages = grow(node->pages, node->page_count, &node->page_room, sizeof *node->pages);
    size_t place = node->page_count;
    while (place > 0 && node->pages[place - 1]->number > number)
        place--;
    memmove(node->pages + place + 1, node->pages + place,
            (node->page_count - place) * sizeof(*node->pages));
    node->pages[place] = page;
    node->page_count++;
    *page_out = page;
    return 0;
}

static void resize(struct node *node, off_t size)
{
    if (size < node->size) {
        size_t kept = 0;
        for (size_t i = 0; i < node->page_count; i++) {
            struct page *page = node->pages[i];
            off_t begins = (off_t)(page->number * PAGE);
            if (begins >= size) {
                free(page);
                continue;
            }
            /* What is behind the new end reads as zeros if the file grows again. */
            if (size - begins < (off_t)PAGE)
                memset(page->bytes + (size - begins), 0, (size_t)((off_t)PAGE - (size - begins)));
            node->pages[kept++] = page;
        }
        node->page_count = kept;
        if (size < node->backed)
            node->backed = size;
    }
    if (size != node->size)
        node->size_is_new = true;
    node->size = size;
}

ssize_t forget_read(struct forget *disk, struct node *node, void *bytes_out, size_t len, off_t at)
{
    if (!powered(disk))
        return done(disk, -EIO);
    if (at >= node->size)
        return done(disk, 0);
    if ((off_t)len > node->size - at)
        len = (size_t)(node->size - at);
    uint8_t *out = bytes_out;
    for (size_t rest = len; rest > 0;) {
        size_t within = (size_t)at % PAGE;
        size_t part = PAGE - within < rest ? PAGE - within : rest;
        const struct page *page = page_find(node, (size_t)at / PAGE);
        int result = 0;
        if (page != NULL)
            memcpy(out, page->bytes + within, part);
        else
            result = read_backing(disk, node, out, part, at);
        if (result != 0)
            return done(disk, result);
        out += part;
        at += (off_t)part;
        rest -= part;
    }
    pthread_mutex_unlock(&disk->lock);
    return (ssize_t)len;
}

ssize_t forget_write(struct forget *disk, struct node *node, const void *bytes, size_t len,
                     off_t at)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    disk->counts.writes++;
    const uint8_t *in = bytes;
    for (size_t rest = len; rest > 0;) {
        size_t within = (size_t)at % PAGE;
        size_t part = PAGE - within < rest ? PAGE - within : rest;
        struct page *page;
        int result = page_make(disk, node, (size_t)at / PAGE, &page);
        if (result != 0)
            return done(disk, result);
        memcpy(page->bytes + within, in, part);
        for (size_t i = within / SECTOR; i <= (within + part - 1) / SECTOR; i++)
            page->dirty = (uint8_t)(page->dirty | (1U << i));
        in += part;
        at += (off_t)part;
        rest -= part;
    }
    if (at > node->size)
        resize(node, at);
    pthread_mutex_unlock(&disk->lock);
    return (ssize_t)len;
}

static void sync_delay(const struct forget *disk)
{
    struct timespec delay = {.tv_sec = disk->options.sync_delay_ms / 1000,
                             .tv_nsec = disk->options.sync_delay_ms % 1000 * 1000000L};
    nanosleep(&delay, NULL);
}

int forget_sync(struct forget *disk, struct node *node)
{
    sync_delay(disk);
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    disk->counts.syncs++;
    return done(disk, persist_file(disk, node));
}

int forget_truncate(struct forget *disk, const char *path, struct node *node, off_t size)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    if (node == NULL)
        node = node_at(disk, path);
    if (node == NULL || node->is_folder)
        return done(disk, node == NULL ? -ENOENT : -EISDIR);
    resize(node, size);
    return done(disk, 0);
}

int forget_grow(struct forget *disk, struct node *node, off_t size)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    if (size > node->size)
        resize(node, size);
    return done(disk, 0);
}

/* ---- names ---- */

static int create(struct forget *disk, const char *path, mode_t mode, struct node **node_out)
{
    const char *name;
    char orphan[16];
    struct node *folder = folder_of(disk, path, &name);
    if (folder == NULL)
        return -ENOENT;
    if (strlen(name) > NAME_MAX)
        return -ENAMETOOLONG;
    struct node *node = node_new(disk, false);
    node->descriptor = openat(disk->orphans, orphan_name(node, orphan),
                              O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode | 0600);
    int result = node->descriptor < 0 ? -errno : 0;
    node->references++; /* of this function */
    if (result == 0) {
        change_add(disk, folder, name, node, false);
        *node_out = node;
    }
    node_release(disk, node);
    return result;
}

int forget_open(struct forget *disk, const char *path, int flags, mode_t mode,
                struct node **node_out)
{
    bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
    if (!(changes ? powered_for_change(disk) : powered(disk)))
        return done(disk, -EIO);
    struct node *node = node_at(disk, path);
    int result = 0;
    if (node == NULL)
        result = (flags & O_CREAT) != 0 ? create(disk, path, mode, &node) : -ENOENT;
    else if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
        result = -EEXIST;
    else if (node->is_folder)
        result = -EISDIR;
    else if ((flags & O_TRUNC) != 0)
        resize(node, 0);
    if (result == 0)
        result = backing_open(disk, node);
    if (result == 0) {
        node->references++;
        node->opens++;
        *node_out = node;
    }
    return done(disk, result);
}

void forget_close(struct forget *disk, struct node *node)
{
    pthread_mutex_lock(&disk->lock);
    if (--node->opens == 0) {
        close(node->descriptor);
        node->descriptor = -1;
    }
    node_release(disk, node);
    pthread_mutex_unlock(&disk->lock);
}

int forget_unlink(struct forget *disk, const char *path)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    const char *name;
    struct node *folder = folder_of(disk, path, &name);
    struct node *node = node_at(disk, path);
    if (folder == NULL || node == NULL)
        return done(disk, -ENOENT);
    if (node->is_folder)
        return done(disk, -EISDIR);
    change_add(disk, folder, name, NULL, false);
    return done(disk, 0);
}

int forget_rename(struct forget *disk, const char *from, const char *to, bool exclusive)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    const char *from_name, *to_name;
    struct node *from_folder = folder_of(disk, from, &from_name);
    struct node *to_folder = folder_of(disk, to, &to_name);
    struct node *node = node_at(disk, from);
    struct node *replaced = node_at(disk, to);
    if (from_folder == NULL || to_folder == NULL || node == NULL)
        return done(disk, -ENOENT);
    if (replaced != NULL && exclusive)
        return done(disk, -EEXIST);
    if (node->is_folder || (replaced != NULL && replaced->is_folder))
        return done(disk, -EXDEV); /* folders stay where they are made */
    if (node == replaced)
        return done(disk, 0);
    node->references++;
    change_add(disk, to_folder, to_name, node, from_folder == to_folder);
    change_add(disk, from_folder, from_name, NULL, false);
    node_release(disk, node);
    return done(disk, 0);
}

int forget_make_folder(struct forget *disk, const char *path, mode_t mode)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    const char *name;
    char orphan[16];
    struct node *folder = folder_of(disk, path, &name);
    if (folder == NULL || node_at(disk, path) != NULL)
        return done(disk, folder == NULL ? -ENOENT : -EEXIST);
    struct node *node = node_new(disk, true);
    node->references++;
    int result = 0;
    orphan_name(node, orphan);
    if (mkdirat(disk->orphans, orphan, mode | 0700) != 0)
        result = -errno;
    else if ((node->folder = openat(disk->orphans, orphan, O_DIRECTORY | O_CLOEXEC)) < 0)
        result = -errno;
    else
        change_add(disk, folder, name, node, false);
    node_release(disk, node);
    return done(disk, result);
}

int forget_remove_folder(struct forget *disk, const char *path)
{
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    const char *name;
    struct node *folder = folder_of(disk, path, &name);
    struct node *node = node_at(disk, path);
    if (folder == NULL || node == NULL)
        return done(disk, -ENOENT);
    if (!node->is_folder || node->entry_count > 0)
        return done(disk, node->is_folder ? -ENOTEMPTY : -ENOTDIR);
    change_add(disk, folder, name, NULL, false);
    return done(disk, 0);
}

int forget_sync_folder(struct forget *disk, const char *path)
{
    sync_delay(disk);
    if (!powered_for_change(disk))
        return done(disk, -EIO);
    struct node *folder = node_at(disk, path);
    if (folder == NULL || !folder->is_folder)
        return done(disk, -ENOENT);
    disk->counts.folder_syncs++;
    return done(disk, persist_changes(disk, folder, folder->change_count));
}

int forget_list(struct forget *disk, const char *path,
                void (*on_name)(void *context, const char *name), void *context)
{
    if (!powered(disk))
        return done(disk, -EIO);
    struct node *folder = node_at(disk, path);
    if (folder == NULL || !folder->is_folder)
        return done(disk, -ENOTDIR);
    for (size_t i = 0; i < folder->entry_count; i++)
        on_name(context, folder->entries[i].name);
    return done(disk, 0);
}

/* ---- facts ---- */

static int descriptor_for_facts(struct forget *disk, struct node *node, char orphan[16])
{
    if (node->is_folder)
        return dup(node->folder);
    return openat(disk->orphans, orphan_name(node, orphan), O_PATH | O_CLOEXEC);
}

int forget_status(struct forget *disk, const char *path, struct node *node, struct stat *status_out)
{
    if (!powered(disk))
        return done(disk, -EIO);
    if (node == NULL)
        node = node_at(disk, path);
    if (node == NULL)
        return done(disk, -ENOENT);
    char orphan[16];
    int descriptor = descriptor_for_facts(disk, node, orphan);
    int result = descriptor < 0 || fstat(descriptor, status_out) != 0 ? -errno : 0;
    if (descriptor >= 0)
        close(descriptor);
    if (result == 0 && !node->is_folder) {
        status_out->st_size = node->size;
        status_out->st_blocks = (node->size + SECTOR - 1) / SECTOR;
        status_out->st_nlink = 1;
    }
    return done(disk, result);
}

int forget_chmod(struct forget *disk, const char *path, struct node *node, mode_t mode)
{
    if (!powered(disk))
        return done(disk, -EIO);
    if (node == NULL)
        node = node_at(disk, path);
    if (node == NULL)
        return done(disk, -ENOENT);
    char orphan[16];
    int result = node->is_folder ? fchmod(node->folder, mode)
                                 : fchmodat(disk->orphans, orphan_name(node, orphan), mode, 0);
    return done(disk, result == 0 ? 0 : -errno);
}

int forget_chown(struct forget *disk, const char *path, struct node *node, uid_t user, gid_t group)
{
    if (!powered(disk))
        return done(disk, -EIO);
    if (node == NULL)
        node = node_at(disk, path);
    if (node == NULL)
        return done(disk, -ENOENT);
    char orphan[16];
    int result = node->is_folder
                     ? fchown(node->folder, user, group)
                     : fchownat(disk->orphans, orphan_name(node, orphan), user, group, 0);
    return done(disk, result == 0 ? 0 : -errno);
}

int forget_room(struct forget *disk, struct statvfs *room_out)
{
    if (!powered(disk))
        return done(disk, -EIO);
    return done(disk, fstatvfs(disk->root->folder, room_out) == 0 ? 0 : -errno);
}

struct forget_counts forget_counts(struct forget *disk)
{
    pthread_mutex_lock(&disk->lock);
    struct forget_counts counts = disk->counts;
    pthread_mutex_unlock(&disk->lock);
    return counts;
}

/* ---- beginning and end ---- */

static int load_file(struct forget *disk, struct node *folder, const char *name,
                     const struct stat *status)
{
    char orphan[16];
    struct node *node = node_new(disk, false);
    node->size = node->backed = status->st_size;
    entry_set(disk, folder, name, node);
    return linkat(folder->folder, name, disk->orphans, orphan_name(node, orphan), 0);
}

static int load_folder(struct forget *disk, struct node *folder)
{
    int copy = openat(folder->folder, ".", O_DIRECTORY | O_CLOEXEC);
    DIR *names = copy < 0 ? NULL : fdopendir(copy);
    if (names == NULL)
        return -1;
    int result = 0;
    for (struct dirent *found; result == 0 && (found = readdir(names)) != NULL;) {
        struct stat status;
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        result = fstatat(folder->folder, found->d_name, &status, AT_SYMLINK_NOFOLLOW);
        if (result == 0 && S_ISREG(status.st_mode)) {
            result = load_file(disk, folder, found->d_name, &status);
        } else if (result == 0 && S_ISDIR(status.st_mode)) {
            struct node *node = node_new(disk, true);
            entry_set(disk, folder, found->d_name, node);
            node->folder = openat(folder->folder, found->d_name, O_DIRECTORY | O_CLOEXEC);
            result = node->folder < 0 ? -1 : load_folder(disk, node);
        }
    }
    closedir(names);
    return result;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_tree(const char *path)
{
    if (access(path, F_OK) == 0)
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct forget *forget_new(const struct forget_options *options)
{
    struct forget *disk = must(calloc(1, sizeof *disk));
    pthread_mutex_init(&disk->lock, NULL);
    disk->options = *options;
    disk->random = options->seed;
    disk->nodes.next = disk->nodes.previous = &disk->nodes;
    if (asprintf(&disk->orphans_path, "%s.orphans", options->backing) < 0)
        must(NULL);
    remove_tree(disk->orphans_path);
    disk->root = node_new(disk, true);
    disk->root->references++;
    disk->root->folder = open(options->backing, O_DIRECTORY | O_CLOEXEC);
    disk->orphans = -1;
    if (mkdir(disk->orphans_path, 0700) == 0)
        disk->orphans = open(disk->orphans_path, O_DIRECTORY | O_CLOEXEC);
    if (disk->root->folder < 0 || disk->orphans < 0 || load_folder(disk, disk->root) != 0) {
        fprintf(stderr, "forgetfs: %s cannot be used: %s\n", options->backing, strerror(errno));
        forget_free(disk);
        return NULL;
    }
    return disk;
}

void forget_free(struct forget *disk)
{
    node_release(disk, disk->root);
    if (disk->orphans >= 0)
        close(disk->orphans);
    remove_tree(disk->orphans_path);
    free(disk->orphans_path);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}
