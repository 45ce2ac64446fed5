/*
 * content_file: the steps of content.h on the disk, without its letters.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "spool/content_block.h"

#define STRIDE (CONTENT_HEADER_BYTES + CONTENT_BLOCK_BYTES)

void content_begin(struct content *c, struct disk *d, struct id id)
{
    *c = (struct content){.disk = d, .id = id};
}

void content_fini(struct content *c)
{
    enclosure_close(c->enclosed);
    file_close(c->file);
    free(c->block);
    c->enclosed = NULL;
    c->file = NULL;
    c->block = NULL;
    c->block_len = 0;
}

/* Faults that mean what content.h says; all else is the disk's. */
static enum fault told(enum fault fault)
{
    bool known = fault == FAULT_NONE || fault == FAULT_DISK_FULL || fault == FAULT_NO_MEMORY ||
                 fault == FAULT_DAMAGED || fault == FAULT_NOT_FOUND;
    return known ? fault : FAULT_DISK_ERROR;
}

/* At the first step: memory for a block (with room for one byte that must not be there), file. */
static enum fault open_file(struct content *c, enum disk_open how)
{
    char name[CONTENT_NAME_MAX];
    if (c->block == NULL)
        c->block = malloc(STRIDE + 1);
    if (c->block == NULL)
        return FAULT_NO_MEMORY;
    if (c->file != NULL)
        return FAULT_NONE;
    content_name(c->id, name);
    enum fault fault = file_open(c->disk, name, how, &c->file);
    if (fault != FAULT_NONE)
        c->file = NULL;
    c->is_created = fault == FAULT_NONE && how == DISK_CREATE;
    return fault;
}

static enum fault write_block(struct content *c, struct span bytes, bool last)
{
    uint8_t header[CONTENT_HEADER_BYTES];
    content_block_encode(c->id, c->block_number, bytes, last, header);
    struct span parts[] = {span_of(header, sizeof header), bytes};
    enum fault fault = file_write(c->file, c->block_number * STRIDE, parts, 2);
    if (fault == FAULT_NONE)
        c->block_number++;
    return fault;
}

/* Whole blocks go out as they came; only what is less than one is copied. */
static enum fault write_bytes(struct content *c)
{
    struct span rest = c->bytes;
    enum fault fault = open_file(c, DISK_CREATE);
    while (fault == FAULT_NONE && rest.len > 0) {
        size_t take = CONTENT_BLOCK_BYTES - c->block_len;
        if (c->block_len == 0 && rest.len >= take) {
            fault = write_block(c, span_sub(rest, 0, take), false);
        } else {
            take = take < rest.len ? take : rest.len;
            memcpy(c->block + c->block_len, rest.data, take);
            c->block_len += (uint32_t)take;
            if (c->block_len == CONTENT_BLOCK_BYTES) {
                fault = write_block(c, span_of(c->block, c->block_len), false);
                c->block_len = 0;
            }
        }
        rest = span_skip(rest, take);
    }
    if (fault == FAULT_NONE)
        c->total_bytes += c->bytes.len;
    return fault;
}

static enum fault finish(struct content *c)
{
    enum fault fault = open_file(c, DISK_CREATE);
    if (fault == FAULT_NONE)
        fault = write_block(c, span_of(c->block, c->block_len), true);
    if (fault == FAULT_NONE)
        fault = file_sync(c->file);
    if (fault == FAULT_NONE)
        fault = disk_sync(c->disk);
    if (fault == FAULT_NONE)
        content_fini(c);
    return fault;
}

/* A name that was never ours is left alone: it may be another message's. */
static enum fault drop(struct content *c)
{
    char name[CONTENT_NAME_MAX];
    content_fini(c);
    if (!c->is_created)
        return FAULT_NONE;
    c->is_created = false;
    content_name(c->id, name);
    return disk_unlink(c->disk, name);
}

static enum fault read_block(struct content *c)
{
    size_t got = 0;
    c->bytes = (struct span){NULL, 0};
    if (c->is_over)
        return FAULT_NONE;
    enum fault fault = open_file(c, DISK_READ);
    if (fault == FAULT_NONE)
        fault = file_read(c->file, c->block_number * STRIDE, c->block, STRIDE + 1, &got);
    if (fault == FAULT_NONE)
        fault = content_block_decode(c->id, c->block_number, span_of(c->block, got), &c->bytes,
                                     &c->is_over);
    if (fault != FAULT_NONE)
        return fault;
    c->block_number++;
    c->total_bytes += c->bytes.len;
    return FAULT_NONE;
}

static enum fault enclose(struct content *c)
{
    enum fault fault = open_file(c, DISK_READ);
    if (fault == FAULT_NONE)
        fault = enclosure_of_file(c->file, &c->enclosed);
    if (fault != FAULT_NONE)
        c->enclosed = NULL;
    file_close(c->file);
    c->file = NULL;
    return fault;
}

static enum fault do_step(struct content *c)
{
    switch (c->step) {
    case CONTENT_WRITE:
        return c->is_over ? FAULT_DISK_ERROR : write_bytes(c);
    case CONTENT_FINISH:
        return c->is_over ? FAULT_DISK_ERROR : finish(c);
    case CONTENT_DROP:
        return drop(c);
    case CONTENT_READ:
        return read_block(c);
    case CONTENT_CLOSE:
        content_fini(c);
        return FAULT_NONE;
    case CONTENT_ENCLOSE:
        return enclose(c);
    }
    return FAULT_UNKNOWN;
}

void content_do(struct content *c, enum content_step step)
{
    c->step = step;
    c->fault = told(do_step(c));
    bool writes = step == CONTENT_WRITE || step == CONTENT_FINISH;
    if (writes && c->fault != FAULT_NONE)
        c->is_over = true;
}
