/*
 * index_file: the part of index.h that uses the disk.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "spool/index.h"
#include "spool/segment.h"

#define PIECE_BYTES (1024u * 1024)

/* A whole file of at most `max` bytes (of a longer one that much). */
static enum fault read_whole(struct file *f, uint64_t max, uint8_t **memory_out, size_t *len_out)
{
    uint64_t size = 0;
    size_t got = 0;
    enum fault fault = file_size(f, &size);
    if (fault != FAULT_NONE)
        return fault;
    size_t len = (size_t)(size < max ? size : max);
    uint8_t *memory = malloc(len > 0 ? len : 1);
    if (memory == NULL)
        return FAULT_NO_MEMORY;
    fault = file_read(f, 0, memory, len, &got);
    if (fault != FAULT_NONE) {
        free(memory);
        return fault;
    }
    *memory_out = memory;
    *len_out = got;
    return FAULT_NONE;
}

static enum fault open_segment(struct disk *d, uint32_t number, struct file **file_out)
{
    char name[SEGMENT_NAME_MAX];
    segment_name(number, name);
    return file_open(d, name, DISK_READ, file_out);
}

enum fault segment_image(struct disk *d, uint32_t number, uint8_t **memory_out, size_t *len_out)
{
    struct file *f;
    enum fault fault = open_segment(d, number, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = read_whole(f, SEGMENT_BYTES, memory_out, len_out);
    file_close(f);
    return fault;
}

enum fault index_load(struct disk *d, uint32_t number, uint64_t epoch, struct index **index_out)
{
    char name[INDEX_NAME_MAX];
    struct file *f;
    uint8_t *memory;
    size_t len;
    index_name(number, name);
    enum fault fault = file_open(d, name, DISK_READ, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = read_whole(f, INDEX_BYTES_MAX, &memory, &len);
    file_close(f);
    return fault == FAULT_NONE ? index_decode(memory, len, number, epoch, index_out) : fault;
}

/* From the segment's first `end` bytes, which were synced if it is not 0. */
static enum fault index_of_segment(struct disk *d, uint32_t number, uint64_t epoch, uint64_t end,
                                   struct index **index_out)
{
    uint8_t *memory;
    size_t len;
    enum fault fault = segment_image(d, number, &memory, &len);
    if (fault != FAULT_NONE)
        return fault;
    if (end > 0 && end < len)
        len = (size_t)end;
    fault = index_build(span_of(memory, len), epoch, end < len ? end : len, number, index_out);
    free(memory);
    return fault;
}

static void new_name(uint32_t number, char name_out[INDEX_NAME_MAX])
{
    int len = snprintf(name_out, INDEX_NAME_MAX, "%08u.new", number);
    check(len > 0 && len < INDEX_NAME_MAX);
}

static enum fault unlink_if_there(struct disk *d, const char *name)
{
    enum fault fault = disk_unlink(d, name);
    return fault == FAULT_NOT_FOUND ? FAULT_NONE : fault;
}

static enum fault write_new(struct disk *d, const char *name, const struct index *x)
{
    struct file *f;
    struct span part = index_bytes(x);
    enum fault fault = unlink_if_there(d, name);
    if (fault == FAULT_NONE)
        fault = file_open(d, name, DISK_CREATE, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = file_write(f, 0, &part, 1);
    if (fault == FAULT_NONE)
        fault = file_sync(f);
    file_close(f);
    return fault;
}

/*
 * Durable before it has its name: an index that was believed once (it may leave out a batch whose
 * sync failed) must not be gone after the next power cut, for the walk would then find that batch.
 */
static enum fault write_file(struct disk *d, uint32_t number, const struct index *x)
{
    char name[INDEX_NAME_MAX], new[INDEX_NAME_MAX];
    index_name(number, name);
    new_name(number, new);
    enum fault fault = write_new(d, new, x);
    if (fault == FAULT_NONE)
        fault = disk_rename(d, new, name);
    return fault == FAULT_NONE ? disk_sync(d) : fault;
}

/* Whole pages from the batch that no later one confirms to the end of what was found. */
static enum fault write_again(struct file *f, struct span image, const struct index *x)
{
    uint64_t from = index_confirmed(x) / SPOOL_PAGE * SPOOL_PAGE;
    uint64_t end = page_round_up(index_synced(x));
    struct span part = span_sub(image, (size_t)from, end > from ? (size_t)(end - from) : 0);
    return part.len > 0 ? file_write(f, from, &part, 1) : FAULT_NONE;
}

/* An index of a segment without one; what it tells of is durable. */
static enum fault settle_segment(struct disk *d, uint32_t number, uint64_t epoch,
                                 struct index **index_out)
{
    char name[SEGMENT_NAME_MAX];
    struct file *f;
    struct index *x = NULL;
    uint8_t *memory = NULL;
    size_t len = 0;
    segment_name(number, name);
    enum fault fault = file_open(d, name, DISK_WRITE, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = read_whole(f, SEGMENT_BYTES, &memory, &len);
    if (fault == FAULT_NONE)
        fault = index_build(span_of(memory, len), epoch, 0, number, &x);
    if (fault == FAULT_NONE)
        fault = write_again(f, span_of(memory, len), x);
    if (fault == FAULT_NONE)
        fault = file_sync(f);
    file_close(f);
    free(memory);
    if (fault != FAULT_NONE) {
        index_free(x);
        return fault;
    }
    *index_out = x;
    return FAULT_NONE;
}

/* Anything else is the index file's own matter, and the segment knows the same. */
static bool is_answer(enum fault fault)
{
    return fault == FAULT_NONE || fault == FAULT_NO_MEMORY;
}

enum fault index_read(struct disk *d, uint32_t number, uint64_t epoch, struct index **index_out)
{
    enum fault fault = index_load(d, number, epoch, index_out);
    if (is_answer(fault))
        return fault;
    fault = settle_segment(d, number, epoch, index_out);
    if (fault != FAULT_NONE)
        return fault;
    enum fault not_written = write_file(d, number, *index_out);
    (void)not_written; /* no loss: the next start walks the segment again */
    return FAULT_NONE;
}

enum fault index_look(struct disk *d, uint32_t number, uint64_t epoch, struct index **index_out)
{
    enum fault fault = index_load(d, number, epoch, index_out);
    return is_answer(fault) ? fault : index_of_segment(d, number, epoch, 0, index_out);
}

struct reading {
    struct file *file;
    uint8_t *memory;
    size_t capacity;
};

static enum fault read_piece(void *context, uint64_t from, size_t least, struct span *piece_out)
{
    struct reading *r = context;
    size_t got = 0, wanted = least > PIECE_BYTES ? least : PIECE_BYTES;
    if (wanted > r->capacity) {
        free(r->memory);
        r->capacity = 0;
        r->memory = malloc(wanted);
        if (r->memory == NULL)
            return FAULT_NO_MEMORY;
        r->capacity = wanted;
    }
    enum fault fault = file_read(r->file, from, r->memory, wanted, &got);
    *piece_out = span_of(r->memory, fault == FAULT_NONE ? got : 0);
    return fault;
}

static enum fault index_by_pieces(struct disk *d, uint32_t number, uint64_t epoch, uint64_t synced,
                                  struct index **index_out)
{
    struct reading r = {0};
    struct index_source source = {read_piece, &r};
    enum fault fault = open_segment(d, number, &r.file);
    if (fault != FAULT_NONE)
        return fault;
    fault = index_build_pieces(&source, epoch, synced, number, index_out);
    file_close(r.file);
    free(r.memory);
    return fault;
}

/* By pieces: a whole segment in memory at each sealing was a quarter of the memory of a server with
   a million messages. */
enum fault index_write(struct disk *d, uint32_t number, uint64_t epoch, uint64_t synced)
{
    check(synced >= SPOOL_PAGE);
    struct index *x;
    enum fault fault = index_by_pieces(d, number, epoch, synced, &x);
    if (fault == FAULT_DAMAGED)
        fault = index_of_segment(d, number, epoch, synced, &x);
    if (fault != FAULT_NONE)
        return fault;
    fault = write_file(d, number, x);
    index_free(x);
    return fault;
}

enum fault index_unlink(struct disk *d, uint32_t number)
{
    char name[INDEX_NAME_MAX];
    new_name(number, name);
    enum fault fault = unlink_if_there(d, name);
    index_name(number, name);
    return fault == FAULT_NONE ? unlink_if_there(d, name) : fault;
}
