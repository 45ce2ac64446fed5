#include "receive/drop_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "mail/drop_file.h"
#include "mail/header.h"
#include "mail/received.h"
#include "route/recipient.h"
#include "smtp/content.h"

#define READ_BYTES      (64u * 1024)
#define ENVELOPE_MAX    (64u * 1024 * 1024)         /* of addresses */
#define BEGUN_MS        (INT64_C(24) * 3600 * 1000) /* a file that is still not whole is nobody's */
#define DROP_CLIENT_MAX 24

/* What is gathered from the file while it is read. */
struct reading {
    struct drop_import *import;
    struct arena arena;
    struct envelope envelope;
    uint32_t capacity; /* of its recipients */
    struct content_reader content;
    struct header_scan hops;
    uint32_t crc; /* of the content */
    char client[DROP_CLIENT_MAX];
};

static void name_of(struct id id, const char *suffix, char name_out[DROP_NAME_MAX])
{
    char text[ID_TEXT_LEN + 1];
    id_format(id, text);
    (void)snprintf(name_out, DROP_NAME_MAX, "%s%s", text, suffix);
}

static bool bad(struct drop_import *d, const char *why)
{
    d->fault = FAULT_DAMAGED;
    d->why = why;
    return false;
}

static bool short_of_memory(struct drop_import *d)
{
    d->fault = FAULT_NO_MEMORY;
    return false;
}

/* Reading ------------------------------------------------------------------------------------- */

static uint8_t notify_of(struct span text)
{
    static const struct {
        struct span word;
        uint8_t bit;
    } words[] = {{SPAN("NEVER"), NOTIFY_NEVER},
                 {SPAN("SUCCESS"), NOTIFY_SUCCESS},
                 {SPAN("FAILURE"), NOTIFY_FAILURE},
                 {SPAN("DELAY"), NOTIFY_DELAY}};
    uint8_t set = 0;
    while (text.len > 0) {
        struct span word;
        text = span_split(text, ',', &word);
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (span_equal_nocase(word, words[i].word))
                set |= words[i].bit;
    }
    return set;
}

static bool grow(struct reading *r, size_t more)
{
    struct envelope *e = &r->envelope;
    if (e->recipient_count + more <= r->capacity)
        return true;
    size_t capacity = r->capacity * 2 + more + 8;
    if (capacity > ENVELOPE_RECIPIENTS_MAX)
        return bad(r->import, "it has too many recipients");
    struct envelope_recipient *to = arena_alloc(&r->arena, capacity * sizeof *to);
    if (to == NULL)
        return short_of_memory(r->import);
    if (e->recipient_count > 0)
        memcpy(to, e->recipients, e->recipient_count * sizeof *to);
    e->recipients = to;
    r->capacity = (uint32_t)capacity;
    return true;
}

/* An address that only SMTPUTF8 can carry (RFC 6531 3.4). */
static void note_utf8(struct reading *r, struct span path)
{
    for (size_t i = 0; i < path.len; i++)
        r->envelope.smtputf8 = r->envelope.smtputf8 || path.data[i] > 127;
}

/* Who is meant by the address. Where nobody is, the address stays as it is: its delivery will
   fail, and the sender is told. */
static bool take_recipient(struct reading *r, struct span text)
{
    static const struct recipient_client client = {.may_relay = true};
    struct envelope *e = &r->envelope;
    struct address address;
    struct recipient_result to = {.path_count = 0};
    struct span path = arena_copy(&r->arena, text);
    if (path.data == NULL)
        return short_of_memory(r->import);
    if (address_parse(path, ADDRESS_POSTMASTER_OK | ADDRESS_UTF8_OK, &r->arena, &address) !=
        FAULT_NONE)
        return bad(r->import, "a recipient is no address");
    note_utf8(r, path);
    enum fault fault = recipient_resolve(r->import->settings, &address, &client, &r->arena, &to);
    if (fault != FAULT_NONE)
        to.path_count = 0;
    if (!grow(r, to.path_count == 0 ? 1 : to.path_count))
        return false;
    for (uint32_t i = 0; i < to.path_count; i++)
        e->recipients[e->recipient_count++] =
            (struct envelope_recipient){.path = to.paths[i], .original = path};
    if (to.path_count == 0)
        e->recipients[e->recipient_count++] = (struct envelope_recipient){.path = path};
    return true;
}

/* Of all addresses that the last recipient has led to. */
static void take_notify(struct reading *r, uint8_t set)
{
    struct envelope *e = &r->envelope;
    struct span original = e->recipients[e->recipient_count - 1].original;
    for (uint32_t i = e->recipient_count; i-- > 0;) {
        struct envelope_recipient *to = &e->recipients[i];
        if (i + 1 < e->recipient_count && (original.len == 0 || to->original.data != original.data))
            return;
        to->notify = set;
    }
}

static bool take_sender(struct reading *r, struct span text)
{
    struct address address;
    struct span path = arena_copy(&r->arena, text);
    if (text.len > 0 && path.data == NULL)
        return short_of_memory(r->import);
    if (address_parse(text, ADDRESS_EMPTY_OK | ADDRESS_UTF8_OK, &r->arena, &address) != FAULT_NONE)
        return bad(r->import, "the sender is no address");
    r->envelope.reverse_path = path;
    note_utf8(r, path);
    return true;
}

/* Content has the form of DATA's: lines that end with CRLF, no CR or LF alone (RFC 5321 2.3.8). */
static bool take_data(struct reading *r, struct span bytes)
{
    struct content_facts *facts = &r->content.facts;
    header_scan_feed(&r->hops, bytes);
    r->crc = crc32c(r->crc, bytes);
    while (bytes.len > 0) {
        struct span run;
        size_t used = content_read(&r->content, bytes, &run);
        bytes = span_skip(bytes, used);
        if (used == 0)
            break;
    }
    if (bytes.len > 0 || facts->bare_cr || facts->bare_lf || facts->nul)
        return bad(r->import, "its lines do not end with CRLF, or it has a NUL");
    if (facts->bytes > r->import->settings->message_bytes_max)
        return bad(r->import, "it is bigger than limits message-size");
    if (r->hops.received > r->import->settings->hops_max)
        return bad(r->import, "it goes round in circles");
    return true;
}

static bool take_item(struct reading *r, const struct drop_item *item)
{
    struct envelope *e = &r->envelope;
    switch (item->type) {
    case DROP_SENDER:
        return take_sender(r, item->bytes);
    case DROP_RECIPIENT:
        return take_recipient(r, item->bytes);
    case DROP_NOTIFY:
        take_notify(r, notify_of(item->bytes));
        return true;
    case DROP_RETURN:
        e->ret = span_equal_nocase(item->bytes, SPAN("HDRS")) ? RETURN_HEADERS : RETURN_FULL;
        return true;
    case DROP_ENVID:
        e->envid = arena_copy(&r->arena, item->bytes);
        return e->envid.data != NULL || short_of_memory(r->import);
    case DROP_DATA:
        return take_data(r, item->bytes);
    case DROP_END:
        break;
    }
    return true;
}

/* Walks over the file's records; `take` gets the items. */
static bool walk(struct drop_import *d, struct file *f,
                 bool (*take)(void *context, const struct drop_item *item), void *context)
{
    struct drop_reader *reader = malloc(sizeof *reader);
    uint8_t *bytes = malloc(READ_BYTES);
    enum drop_step step = DROP_MORE;
    uint64_t at = 0;
    size_t got = READ_BYTES;
    bool ok = reader != NULL && bytes != NULL;
    if (!ok)
        d->fault = FAULT_NO_MEMORY;
    else
        drop_reader_init(reader);
    while (ok && got == READ_BYTES) {
        struct drop_item item;
        d->fault = file_read(f, at, bytes, READ_BYTES, &got);
        ok = d->fault == FAULT_NONE;
        struct span input = span_of(bytes, ok ? got : 0);
        at += input.len;
        while (ok && (step = drop_read(reader, &input, &item)) == DROP_ITEM)
            ok = take(context, &item);
        if (ok && step == DROP_BAD)
            ok = bad(d, "it is malformed");
    }
    if (ok && step != DROP_ENDED)
        ok = bad(d, "its end is missing");
    free(reader);
    free(bytes);
    return ok;
}

static bool take_first(void *context, const struct drop_item *item)
{
    return take_item(context, item);
}

/* The second time only the content is taken, into the draft or its file. */
struct keeping {
    struct mail_draft *draft;
    struct content *content; /* NULL: into the draft */
    uint32_t crc;
    enum fault fault;
};

static bool take_second(void *context, const struct drop_item *item)
{
    struct keeping *k = context;
    if (item->type != DROP_DATA)
        return true;
    k->crc = crc32c(k->crc, item->bytes);
    if (k->content == NULL) {
        k->fault = draft_add(k->draft, item->bytes);
    } else {
        k->content->bytes = item->bytes;
        content_do(k->content, CONTENT_WRITE);
        k->fault = k->content->fault;
    }
    return k->fault == FAULT_NONE;
}

static bool keep(struct drop_import *d, struct file *f, const struct reading *r, struct keeping *k)
{
    bool ok = walk(d, f, take_second, k);
    if (k->fault != FAULT_NONE)
        d->fault = k->fault == FAULT_LIMIT ? FAULT_DAMAGED : k->fault;
    if (ok && k->crc != r->crc)
        ok = bad(d, "it was changed while it was read");
    if (ok && k->content != NULL) {
        content_do(k->content, CONTENT_FINISH);
        d->fault = k->content->fault;
        ok = d->fault == FAULT_NONE;
    }
    return ok;
}

/* Into a mail object. */
static bool make_mail(struct drop_import *d, struct file *f, struct reading *r)
{
    struct content_facts *facts = &r->content.facts;
    bool is_large = facts->bytes > d->inline_bytes_max;
    struct content content = {.fault = FAULT_NONE};
    struct keeping k = {.draft = draft_new(d->id, &r->envelope, facts->bytes, d->inline_bytes_max)};
    if (k.draft == NULL)
        return short_of_memory(d);
    if (is_large) {
        content_begin(&content, d->spool, d->id);
        k.content = &content;
        draft_content_moved(k.draft);
    }
    bool ok = keep(d, f, r, &k);
    if (ok)
        d->fault =
            draft_finish(k.draft, facts->bytes, facts->has_8bit, facts->has_dot_lines, &d->mail);
    else
        draft_free(k.draft);
    ok = ok && d->fault == FAULT_NONE;
    if (!ok && is_large)
        content_do(&content, CONTENT_DROP);
    content_fini(&content);
    return ok;
}

static bool put_prefix(struct reading *r, struct buffer *out)
{
    struct drop_import *d = r->import;
    struct received received = {.by = span_text(d->settings->hostname),
                                .with = SPAN("local"),
                                .id = d->id,
                                .wall_ms = d->wall_ms};
    (void)snprintf(r->client, sizeof r->client, "uid:%u", d->owner);
    r->envelope.client = span_text(r->client);
    r->envelope.helo = SPAN("");
    r->envelope.arrival_wall_ms = d->wall_ms;
    bool made = received_format(out, &received);
    r->envelope.prefix = buffer_span(out);
    return made || short_of_memory(d);
}

/* Is it such a file as postrider-drop makes? */
static bool is_ours(struct drop_import *d, struct file *f, struct file_look *look)
{
    d->fault = file_look(f, look);
    if (d->fault != FAULT_NONE)
        return false;
    d->owner = look->owner;
    if (!look->is_regular)
        return bad(d, "it is no regular file");
    if (look->links != 1)
        return bad(d, "it has other names");
    if ((look->mode & 022) != 0)
        return bad(d, "others may write to it");
    if (look->bytes > d->settings->message_bytes_max + ENVELOPE_MAX)
        return bad(d, "it is too big");
    return true;
}

static bool read_file(struct drop_import *d, struct file *f)
{
    struct reading r = {.import = d};
    struct file_look before, after;
    struct buffer prefix;
    if (!is_ours(d, f, &before))
        return false;
    arena_init(&r.arena, 2 * ENVELOPE_MAX);
    buffer_init(&prefix, RECEIVED_MAX);
    content_reader_init(&r.content, false);
    header_scan_init(&r.hops);
    bool ok = walk(d, f, take_first, &r);
    if (ok && r.content.facts.last_line_open && r.content.facts.bytes > 0)
        ok = bad(d, "its last line has no end");
    ok = ok && put_prefix(&r, &prefix) && make_mail(d, f, &r);
    if (ok) {
        d->fault = file_look(f, &after);
        ok = d->fault == FAULT_NONE;
    }
    if (ok && after.bytes != before.bytes)
        ok = bad(d, "it was changed while it was read");
    buffer_fini(&prefix);
    arena_fini(&r.arena);
    return ok;
}

/* Steps --------------------------------------------------------------------------------------- */

static void take(struct drop_import *d)
{
    char name[DROP_NAME_MAX], taken[DROP_NAME_MAX];
    struct file *f;
    name_of(d->id, "", name);
    name_of(d->id, ".import", taken);
    if (!d->is_taken) {
        d->fault = disk_rename(d->folder, name, taken);
        if (d->fault != FAULT_NONE)
            return;
        d->is_taken = true;
    }
    /* Also when a life before has renamed it: what it did may not be durable yet. */
    d->fault = disk_sync(d->folder);
    if (d->fault == FAULT_NONE)
        d->fault = file_open(d->folder, taken, DISK_READ, &f);
    if (d->fault != FAULT_NONE)
        return;
    if (!read_file(d, f)) {
        check(d->fault != FAULT_NONE);
        mail_release(d->mail);
        d->mail = NULL;
    }
    file_close(f);
}

static void forget(struct drop_import *d)
{
    char taken[DROP_NAME_MAX];
    name_of(d->id, ".import", taken);
    d->fault = disk_unlink(d->folder, taken);
    if (d->fault == FAULT_NOT_FOUND) /* it is gone, though perhaps not durably */
        d->fault = FAULT_NONE;
    if (d->fault == FAULT_NONE)
        d->fault = disk_sync(d->folder);
}

static void set_aside(struct drop_import *d)
{
    char taken[DROP_NAME_MAX], aside[DROP_NAME_MAX];
    name_of(d->id, ".import", taken);
    name_of(d->id, ".bad", aside);
    d->fault = disk_rename(d->folder, taken, aside);
    if (d->fault == FAULT_NONE)
        d->fault = disk_sync(d->folder);
}

static void on_name(void *context, const char *name)
{
    struct drop_import *d = context;
    struct span text = span_text(name);
    struct id id;
    if (text.len < ID_TEXT_LEN || !id_parse(span_sub(text, 0, ID_TEXT_LEN), &id))
        return;
    struct span suffix = span_skip(text, ID_TEXT_LEN);
    bool is_taken = span_equal(suffix, SPAN(".import"));
    bool is_begun =
        span_equal(suffix, SPAN(".new")) && (int64_t)id_wall_ms(id) + BEGUN_MS < d->wall_ms;
    if (is_begun && d->step == DROP_IMPORT_LIST && d->name_count == 0)
        d->id = id; /* one a time is removed, below */
    bool is_wanted = is_taken || (suffix.len == 0 && !d->only_taken);
    if (is_wanted && d->name_count < DROP_LIST_MAX)
        d->names[d->name_count++] = (struct drop_name){id, is_taken};
}

static int by_id(const void *a, const void *b)
{
    return id_compare(((const struct drop_name *)a)->id, ((const struct drop_name *)b)->id);
}

static void list_names(struct drop_import *d)
{
    static const struct id none = {{0}};
    char begun[DROP_NAME_MAX];
    d->name_count = 0;
    d->id = none;
    d->fault = disk_list(d->folder, on_name, d);
    qsort(d->names, d->name_count, sizeof d->names[0], by_id);
    if (d->fault == FAULT_NONE && !id_equal(d->id, none)) {
        name_of(d->id, ".new", begun);
        (void)!disk_unlink(d->folder, begun);
    }
}

void drop_import_run(struct drop_import *d)
{
    d->fault = FAULT_NONE;
    d->why = NULL;
    switch (d->step) {
    case DROP_IMPORT_LIST:
        list_names(d);
        return;
    case DROP_IMPORT_TAKE:
        take(d);
        return;
    case DROP_IMPORT_FORGET:
        forget(d);
        return;
    case DROP_IMPORT_ASIDE:
        set_aside(d);
        return;
    }
}

static void run(struct job *j)
{
    drop_import_run(container_of(j, struct drop_import, job));
}

void drop_import_send(struct actor *from, struct disk_pool *pool, struct drop_import *d,
                      enum drop_import_step step)
{
    d->step = step;
    d->job.run = run;
    job_send(from, pool, 0, &d->job);
}
