/*
 * fetch: a stored message read back, on the disk pool, from a segment that is pinned meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "spool/spool_inside.h"

static uint32_t u32_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* The whole record, whose length its header claims; malloc'ed. */
static enum fault read_whole(struct file *f, uint32_t offset, uint8_t **memory_out, size_t *len_out)
{
    uint8_t header[RECORD_HEADER_BYTES];
    size_t got;
    enum fault fault = file_read(f, offset, header, sizeof header, &got);
    if (fault != FAULT_NONE)
        return fault;
    uint32_t payload_len = got == sizeof header ? u32_at(header) : UINT32_MAX;
    if (payload_len > RECORD_PAYLOAD_MAX)
        return FAULT_DAMAGED;
    size_t len = sizeof header + payload_len;
    uint8_t *memory = malloc(len);
    if (memory == NULL)
        return FAULT_NO_MEMORY;
    fault = file_read(f, offset, memory, len, &got);
    if (fault == FAULT_NONE && got != len)
        fault = FAULT_DAMAGED;
    if (fault != FAULT_NONE) {
        free(memory);
        return fault;
    }
    *memory_out = memory;
    *len_out = len;
    return FAULT_NONE;
}

static bool find_record(struct span bytes, uint64_t epoch, struct id id, enum record_type type,
                        struct span *payload_out)
{
    struct record r;
    size_t used;
    if (record_decode(bytes, epoch, &r, &used) != FAULT_NONE)
        return false;
    if (r.type != RECORD_GROUP) {
        *payload_out = r.payload;
        return r.type == type && id_equal(r.id, id);
    }
    struct cursor members = cursor_over(r.payload);
    struct record member;
    while (group_next(&members, &member)) {
        if (member.type != type || !id_equal(member.id, id))
            continue;
        *payload_out = member.payload;
        return true;
    }
    return false;
}

enum fault record_fetch(struct disk *d, uint32_t number, uint64_t epoch, uint32_t offset,
                        struct id id, enum record_type type, uint8_t **memory_out,
                        struct span *payload_out)
{
    char name[SEGMENT_NAME_MAX];
    struct file *f;
    size_t len;
    segment_name(number, name);
    enum fault fault = file_open(d, name, DISK_READ, &f);
    if (fault != FAULT_NONE)
        return fault == FAULT_NOT_FOUND ? FAULT_DAMAGED : fault;
    fault = read_whole(f, offset, memory_out, &len);
    file_close(f);
    if (fault != FAULT_NONE)
        return fault;
    if (find_record(span_of(*memory_out, len), epoch, id, type, payload_out))
        return FAULT_NONE;
    free(*memory_out);
    *memory_out = NULL;
    return FAULT_DAMAGED;
}

static void run(struct job *j)
{
    struct fetching *f = container_of(j, struct fetching, task.job);
    const struct life *l = f->life;
    uint8_t *memory;
    struct span payload;
    /* number and epoch do not change while the life is pinned */
    f->fault = record_fetch(f->spool->disk, l->number, l->epoch, f->offset, f->id, RECORD_ACCEPTED,
                            &memory, &payload);
    if (f->fault == FAULT_NONE)
        f->fault = mail_of_payload(f->id, memory, payload, &f->mail);
}

static void on_done(struct spool *s, struct task *t)
{
    struct fetching *f = container_of(t, struct fetching, task);
    struct fetch *asked = f->fetch;
    if (f->fault == FAULT_DAMAGED) {
        spool_count(&s->counters.damaged, 1);
        LOG(actor_log(s->actor), EVENT_SPOOL_DAMAGED, log_id("id", f->id),
            log_u64("segment", f->life->number), log_u64("offset", f->offset));
    }
    asked->mail = f->mail;
    asked->fault = f->fault;
    life_unpin(f->life);
    list_remove(&f->node);
    free(f);
    letter_answer(s->actor, &asked->letter);
}

void fetch_begin(struct spool *s, struct fetch *asked)
{
    const struct placed *p = places_find(&s->places, asked->id);
    struct fetching *f = NULL;
    asked->mail = NULL;
    asked->fault = p == NULL ? FAULT_NOT_FOUND : FAULT_NO_MEMORY;
    if (p != NULL)
        f = calloc(1, sizeof *f);
    if (f == NULL) {
        letter_answer(s->actor, &asked->letter);
        return;
    }
    f->spool = s;
    f->fetch = asked;
    f->id = asked->id;
    f->life = s->lives[p->base_segment];
    f->offset = p->base_offset;
    list_append(&s->fetchings, &f->node);
    life_pin(f->life);
    task_send(s, p->base_offset, &f->task, run, on_done);
}
