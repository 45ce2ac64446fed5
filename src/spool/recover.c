#include "spool/recover.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "spool/recover_inside.h"
#include "spool/segment.h"

#define LISTED_BYTES_MAX (1024u * 1024 * 1024)
#define COPIES_BYTES_MAX (1024u * 1024 * 1024)
#define TOUCH_AHEAD      8u /* entries: the table is larger than the cache */

/* Opening ------------------------------------------------------------------------------------- */

/* Only names as segment_name makes them: "1.seg" is not ours. */
static bool is_segment_name(const char *name, uint32_t *number_out)
{
    char canonical[SEGMENT_NAME_MAX];
    struct span text = span_text(name);
    uint64_t number = 0;
    if (!span_ends_with_nocase(text, SPAN(".seg")) ||
        !span_parse_u64(span_sub(text, 0, text.len - 4), UINT32_MAX, &number))
        return false;
    segment_name((uint32_t)number, canonical);
    *number_out = (uint32_t)number;
    return strcmp(name, canonical) == 0;
}

static bool is_content_name(const char *name, struct id *id_out)
{
    char canonical[CONTENT_NAME_MAX];
    struct span text = span_text(name);
    if (text.len != ID_TEXT_LEN + 4 || !id_parse(span_sub(text, 0, ID_TEXT_LEN), id_out))
        return false;
    content_name(*id_out, canonical);
    return strcmp(name, canonical) == 0;
}

static bool is_aside_name(const char *name)
{
    char canonical[SEGMENT_NAME_MAX];
    struct span text = span_text(name);
    uint64_t number = 0;
    if (!span_ends_with_nocase(text, SPAN(".bad")) ||
        !span_parse_u64(span_sub(text, 0, text.len - 4), UINT32_MAX, &number))
        return false;
    segment_aside_name((uint32_t)number, canonical);
    return strcmp(name, canonical) == 0;
}

/* No memory marks the buffer as full: looked at when the list is over. */
static void on_name(void *context, const char *name)
{
    struct recovery *r = context;
    struct recovered_segment segment = {0};
    struct content_file file = {0};
    if (is_segment_name(name, &segment.number)) {
        buffer_put(&r->listed_segments, span_of(&segment, sizeof segment));
    } else if (is_content_name(name, &file.id)) {
        content_name(file.id, file.name);
        buffer_put(&r->listed_files, span_of(&file, sizeof file));
    } else if (is_aside_name(name)) {
        r->has_aside = true;
    }
}

static int compare_segments(const void *a, const void *b)
{
    uint32_t one = ((const struct recovered_segment *)a)->number;
    uint32_t other = ((const struct recovered_segment *)b)->number;
    return (one > other) - (one < other);
}

static int compare_files(const void *a, const void *b)
{
    const struct content_file *one = a, *other = b;
    return id_compare(one->id, other->id);
}

/* Sorted, so that what is found does not depend on the order in which a directory is read. */
static enum fault list_files(struct recovery *r)
{
    enum fault fault = disk_list(r->disk, on_name, r);
    if (fault != FAULT_NONE)
        return fault;
    if (r->listed_segments.full || r->listed_files.full)
        return FAULT_NO_MEMORY;
    r->segments = (void *)r->listed_segments.data;
    r->segment_count = (uint32_t)(r->listed_segments.len / sizeof *r->segments);
    r->content_files = (void *)r->listed_files.data;
    r->content_file_count = (uint32_t)(r->listed_files.len / sizeof *r->content_files);
    if (r->segment_count > 0)
        qsort(r->segments, r->segment_count, sizeof *r->segments, compare_segments);
    if (r->content_file_count > 0)
        qsort(r->listed_files.data, r->content_file_count, sizeof *r->content_files, compare_files);
    return FAULT_NONE;
}

/* A file that was being prepared has zeros where its header belongs, or ends before it. */
static bool is_blank(struct span page)
{
    for (size_t i = 0; i < page.len; i++)
        if (page.data[i] != 0)
            return false;
    return true;
}

static enum fault take_header(struct recovery *r, struct recovered_segment *s, struct span page)
{
    struct segment_header h;
    enum fault fault = segment_header_decode(page, &h);
    if (fault == FAULT_SYNTAX)
        return fault;
    if (fault != FAULT_NONE || h.number != s->number) {
        s->is_broken = true;
        s->damage_count = is_blank(page) ? 0 : 1;
        return FAULT_NONE;
    }
    if (r->has_spool_id && !id_equal(r->spool_id, h.spool_id))
        return FAULT_DAMAGED;
    r->has_spool_id = true;
    r->spool_id = h.spool_id;
    s->is_free = h.use == SEGMENT_FREE;
    s->epoch = h.epoch;
    if (h.epoch > r->epoch_max)
        r->epoch_max = h.epoch;
    return FAULT_NONE;
}

static enum fault read_header(struct recovery *r, struct recovered_segment *s)
{
    char name[SEGMENT_NAME_MAX];
    uint8_t page[SPOOL_PAGE];
    size_t got = 0;
    struct file *f;
    segment_name(s->number, name);
    enum fault fault = file_open(r->disk, name, DISK_READ, &f);
    if (fault != FAULT_NONE)
        return fault;
    fault = file_read(f, 0, page, sizeof page, &got);
    file_close(f);
    return fault == FAULT_NONE ? take_header(r, s, span_of(page, got)) : fault;
}

/*
 * What is seen may be the work of a process that was killed before it had synced it: a free header,
 * on which the end of DONE records elsewhere depends, and the name of a segment just made. Written
 * again, since a sync that has failed once may succeed the next time and do nothing.
 */
static enum fault settle(struct recovery *r)
{
    enum fault fault = disk_sync(r->disk);
    for (uint32_t i = 0; fault == FAULT_NONE && i < r->segment_count; i++)
        if (r->segments[i].is_free)
            fault = segment_free(r->disk, r->segments[i].number, r->spool_id);
    return fault;
}

static enum fault open_all(struct recovery *r)
{
    enum fault fault = list_files(r);
    if (fault != FAULT_NONE)
        return fault;
    r->scanned = calloc(r->segment_count + (size_t)1, sizeof *r->scanned);
    if (r->scanned == NULL)
        return FAULT_NO_MEMORY;
    for (uint32_t i = 0; fault == FAULT_NONE && i < r->segment_count; i++)
        fault = read_header(r, &r->segments[i]);
    if (fault == FAULT_NONE && !r->look_only)
        fault = settle(r);
    return fault;
}

/* Whoever chose the reply texts does not know the name of our spool. */
static uint64_t secret_of(struct id spool_id)
{
    uint64_t secret;
    memcpy(&secret, spool_id.bytes + sizeof spool_id.bytes - sizeof secret, sizeof secret);
    return secret;
}

static enum fault open_recovery(struct disk *d, bool look_only, struct recovery **recovery_out)
{
    struct recovery *r = calloc(1, sizeof *r);
    if (r == NULL)
        return FAULT_NO_MEMORY;
    r->disk = d;
    r->look_only = look_only;
    buffer_init(&r->listed_segments, LISTED_BYTES_MAX);
    buffer_init(&r->listed_files, LISTED_BYTES_MAX);
    buffer_init(&r->copies, COPIES_BYTES_MAX);
    recover_table_init(&r->table);
    pair_set_init(&r->waits);
    state_pool_init(&r->states, 0);
    enum fault fault = open_all(r);
    if (fault != FAULT_NONE) {
        recovery_free(r);
        return fault;
    }
    state_pool_init(&r->states, secret_of(r->spool_id));
    *recovery_out = r;
    return FAULT_NONE;
}

enum fault recovery_open(struct disk *d, struct recovery **recovery_out)
{
    return open_recovery(d, false, recovery_out);
}

enum fault recovery_look(struct disk *d, struct recovery **recovery_out)
{
    return open_recovery(d, true, recovery_out);
}

void recovery_free(struct recovery *r)
{
    if (r == NULL)
        return;
    index_free(r->index);
    recover_table_fini(&r->table);
    state_pool_fini(&r->states);
    pair_set_fini(&r->waits);
    buffer_fini(&r->listed_segments);
    buffer_fini(&r->listed_files);
    buffer_fini(&r->copies);
    free(r->scanned);
    free(r->waits_for);
    free(r);
}

bool recovery_spool_id(const struct recovery *r, struct id *id_out)
{
    if (r->has_spool_id)
        *id_out = r->spool_id;
    return r->has_spool_id;
}

uint64_t recovery_epoch_max(const struct recovery *r)
{
    return r->epoch_max;
}

const struct recovered_segment *recovery_segments(const struct recovery *r, uint32_t *count_out)
{
    *count_out = r->segment_count;
    return r->segments;
}

enum fault recovery_index(struct recovery *r, uint32_t i, struct index **index_out)
{
    const struct recovered_segment *s = &r->segments[i];
    if (r->index != NULL && r->index_segment != i) {
        index_free(r->index);
        r->index = NULL;
    }
    if (r->index == NULL) {
        enum fault fault = r->look_only ? index_look(r->disk, s->number, s->epoch, &r->index)
                                        : index_read(r->disk, s->number, s->epoch, &r->index);
        if (fault != FAULT_NONE)
            return fault == FAULT_NO_MEMORY ? fault : FAULT_DISK_ERROR;
        r->index_segment = i;
    }
    *index_out = r->index;
    return FAULT_NONE;
}

/* Scanning ------------------------------------------------------------------------------------ */

/* Of two segments, is a's life the later one? */
static bool is_later(const struct recovery *r, uint32_t a, uint32_t b)
{
    return r->segments[a].epoch > r->segments[b].epoch;
}

static bool is_later_place(const struct recovery *r, const struct found_place *a,
                           const struct found_place *b)
{
    return b->bytes == 0 || is_later(r, a->segment, b->segment) ||
           (a->segment == b->segment && a->offset > b->offset);
}

static bool take_base(struct recovery *r, struct found *f, const struct found_place *place,
                      const struct index_entry *e)
{
    bool later = is_later_place(r, place, &f->base);
    uint32_t older = later ? f->base.segment : place->segment;
    if (f->base.bytes != 0 && f->base.segment != place->segment) {
        struct copy copy = {f, older};
        if (!buffer_put(&r->copies, span_of(&copy, sizeof copy)))
            return false;
    }
    if (later) {
        f->base = *place;
        f->in_file = envelope_is_in_file(e->payload);
    }
    return true;
}

static bool take_state(struct recovery *r, struct found *f, const struct found_place *place,
                       const struct index_entry *e)
{
    struct pooled_state payload;
    bool newer = f->state.bytes == 0 || e->version > f->version ||
                 (e->version == f->version && is_later_place(r, place, &f->state));
    if (!newer)
        return true;
    if (!state_pool_put(&r->states, e->payload, &payload))
        return false;
    state_pool_drop(&r->states, &f->state_payload);
    f->state_payload = payload;
    f->state = *place;
    f->version = e->version;
    return true;
}

static void take_sending(struct recovery *r, struct found *f, const struct found_place *place)
{
    struct found_place known = {f->sending_segment, f->sending_offset, f->has_sending ? 1 : 0, 0};
    if (is_later_place(r, place, &known)) {
        f->has_sending = true;
        f->sending_segment = place->segment;
        f->sending_offset = place->offset;
    }
}

static void take_done(struct recovery *r, struct found *f, uint32_t segment)
{
    if (!f->has_done || is_later(r, segment, f->done_segment))
        f->done_segment = segment;
    f->has_done = true;
}

static bool take_entry(struct recovery *r, uint32_t segment, const struct index_entry *e, size_t at)
{
    struct found *f = recover_table_make(&r->table, e->id);
    struct found_place place = {segment, e->offset, e->bytes, (uint32_t)at};
    if (f == NULL)
        return false;
    switch (e->type) {
    case RECORD_ACCEPTED:
        return take_base(r, f, &place, e);
    case RECORD_OUTCOME:
    case RECORD_CONTROL:
        return take_state(r, f, &place, e);
    case RECORD_SENDING:
        take_sending(r, f, &place);
        break;
    case RECORD_DONE:
        take_done(r, f, segment);
        break;
    case RECORD_GROUP: /* an index has their members instead */
        break;
    }
    return true;
}

enum fault recovery_scan(struct recovery *r, uint32_t i)
{
    check(i < r->segment_count);
    struct recovered_segment *s = &r->segments[i];
    struct index *x;
    struct index_entry e;
    if (s->is_free || s->is_broken || r->scanned[i].done)
        return FAULT_NONE;
    enum fault fault = recovery_index(r, i, &x);
    if (fault != FAULT_NONE)
        return fault;
    struct index_entry coming;
    size_t at = 0, entry_at = 0, ahead = 0;
    for (uint32_t n = 0; n < TOUCH_AHEAD && index_next(x, &ahead, &coming);)
        n++;
    while (index_next(x, &at, &e)) {
        if (index_next(x, &ahead, &coming))
            recover_table_touch(&r->table, coming.id);
        if (!take_entry(r, i, &e, entry_at))
            return FAULT_NO_MEMORY; /* what was taken is taken once more the next time: no harm */
        entry_at = at;
    }
    s->damage_count = index_damage_count(x);
    s->record_count = index_entry_count(x);
    r->scanned[i].done = true;
    return FAULT_NONE;
}

/* Resolving ----------------------------------------------------------------------------------- */

bool recovery_lives(const struct found *f)
{
    return f->base.bytes != 0 && !f->has_done;
}

/* Compaction copies a state and the SENDING that is newer in one group: at one place. */
bool recovery_is_sending(const struct recovery *r, const struct found *f)
{
    struct found_place sending = {f->sending_segment, f->sending_offset, 1, 0};
    return f->has_sending && (f->state.bytes == 0 || !is_later_place(r, &f->state, &sending));
}

static void add_live(struct recovery *r, const struct found_place *place)
{
    if (place->bytes == 0)
        return;
    r->segments[place->segment].live_bytes += place->bytes;
    r->segments[place->segment].live_records++;
}

static bool resolve_message(struct recovery *r, uint32_t i)
{
    struct found *f = recover_table_at(&r->table, i);
    if (f->base.bytes == 0) {
        r->counts.leftovers++;
    } else if (f->has_done) {
        r->counts.ended++;
        if (f->done_segment != f->base.segment)
            return pair_set_add(&r->waits, f->done_segment, f->base.segment);
    } else {
        r->counts.living++;
        r->counts.sending += recovery_is_sending(r, f);
        f->next = r->scanned[f->base.segment].first;
        r->scanned[f->base.segment].first = i;
        add_live(r, &f->base);
        add_live(r, &f->state);
        if (recovery_is_sending(r, f))
            add_live(r, &(struct found_place){f->sending_segment, f->sending_offset,
                                              RECORD_HEADER_BYTES, 0});
    }
    return true;
}

static bool resolve_copy(struct recovery *r, const struct copy *c)
{
    uint32_t waiting = c->found->has_done ? c->found->done_segment : c->found->base.segment;
    return waiting == c->segment || pair_set_add(&r->waits, waiting, c->segment);
}

/* The sorted pairs, cut into one list for each segment. */
static bool spread_waits(struct recovery *r)
{
    pair_set_sort(&r->waits);
    r->waits_for = malloc((r->waits.count + 1) * sizeof *r->waits_for);
    if (r->waits_for == NULL)
        return false;
    for (size_t i = 0; i < r->waits.count; i++) {
        struct recovered_segment *s = &r->segments[r->waits.pairs[i] >> 32];
        r->waits_for[i] = (uint32_t)r->waits.pairs[i];
        if (s->waits_for_count++ == 0)
            s->waits_for = &r->waits_for[i];
    }
    pair_set_fini(&r->waits);
    return true;
}

/* As it was before a resolve that had no memory for its end. */
static void unresolve(struct recovery *r)
{
    pair_set_fini(&r->waits);
    r->counts = (struct recovery_counts){0};
    for (uint32_t i = 0; i < r->segment_count; i++) {
        r->scanned[i].first = NOBODY;
        r->segments[i].live_bytes = 0;
        r->segments[i].live_records = 0;
    }
}

enum fault recovery_resolve(struct recovery *r)
{
    if (r->waits_for != NULL)
        return FAULT_NONE;
    for (uint32_t i = 0; i < r->segment_count; i++)
        check(r->scanned[i].done || r->segments[i].is_free || r->segments[i].is_broken);
    unresolve(r);
    bool ok = true;
    for (uint32_t i = r->table.count; ok && i > 0; i--) /* so that the first comes first */
        ok = resolve_message(r, i - 1);
    const struct copy *copies = (const void *)r->copies.data;
    r->counts.copies = r->copies.len / sizeof *copies;
    for (size_t i = 0; ok && i < r->counts.copies; i++)
        ok = resolve_copy(r, &copies[i]);
    return ok && spread_waits(r) ? FAULT_NONE : FAULT_NO_MEMORY;
}

static struct place place_told(const struct recovery *r, const struct found_place *p)
{
    if (p->bytes == 0)
        return (struct place){0};
    return (struct place){r->segments[p->segment].number, p->offset, p->bytes};
}

struct recovered_place recovery_tell_place(const struct recovery *r, const struct found *f)
{
    struct recovered_place p = {.id = f->id,
                                .version = f->version,
                                .in_file = f->in_file,
                                .base = place_told(r, &f->base),
                                .state = place_told(r, &f->state)};
    struct found_place sending = {f->sending_segment, f->sending_offset, RECORD_HEADER_BYTES, 0};
    if (recovery_is_sending(r, f))
        p.sending = place_told(r, &sending);
    return p;
}

bool recovery_place(const struct recovery *r, size_t *at, struct recovered_place *place_out)
{
    while (*at < r->table.count) {
        const struct found *f = recover_table_at(&r->table, (uint32_t)(*at)++);
        if (recovery_lives(f)) {
            *place_out = recovery_tell_place(r, f);
            return true;
        }
    }
    return false;
}

bool recovery_place_of(const struct recovery *r, struct id id, struct recovered_place *place_out)
{
    const struct found *f = recover_table_get(&r->table, id);
    if (f == NULL || !recovery_lives(f))
        return false;
    *place_out = recovery_tell_place(r, f);
    return true;
}

uint64_t recovery_message_count(const struct recovery *r)
{
    return r->counts.living;
}

struct recovery_counts recovery_counts(const struct recovery *r)
{
    return r->counts;
}

static bool has_damage(const struct recovery *r)
{
    if (r->has_aside)
        return true;
    for (uint32_t i = 0; i < r->segment_count; i++)
        if (r->segments[i].damage_count > 0)
            return true;
    return false;
}

static bool is_orphan(const struct recovery *r, const struct content_file *file)
{
    const struct found *f = recover_table_get(&r->table, file->id);
    return f == NULL || !recovery_lives(f) || !f->in_file;
}

const char *recovery_orphan(const struct recovery *r, size_t *at)
{
    if (has_damage(r))
        return NULL;
    while (*at < r->content_file_count) {
        const struct content_file *file = &r->content_files[(*at)++];
        if (r->gives_once || is_orphan(r, file)) /* only orphans are left then */
            return file->name;
    }
    return NULL;
}

static void keep_orphans(struct recovery *r)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->content_file_count; i++)
        if (is_orphan(r, &r->content_files[i]))
            r->content_files[kept++] = r->content_files[i];
    r->content_file_count = kept;
}

void recovery_give_once(struct recovery *r)
{
    if (r->gives_once)
        return;
    check(r->waits_for != NULL);
    keep_orphans(r);
    r->gives_once = true;
    index_free(r->index);
    r->index = NULL;
    buffer_fini(&r->copies);
    recover_table_forget_ids(&r->table);
    for (uint32_t i = 0, count = r->table.count; i < count; i++)
        if (!recovery_lives(recover_table_at(&r->table, i)))
            recovery_drop(r, i);
}

void recovery_drop(struct recovery *r, uint32_t i)
{
    state_pool_drop(&r->states, &recover_table_at(&r->table, i)->state_payload);
    recover_table_drop(&r->table, i);
}
