/*
 * spool_files: a spool's directory under /tmp, filled record by record, for the tests of what reads
 * one. Asserts with cmocka.
 */
#ifndef TESTS_SPOOL_FILES_H
#define TESTS_SPOOL_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "os/linux/real_world.h"
#include "spool/envelope.h"
#include "spool/index.h"
#include "spool/segment.h"
#include "spool/state.h"

#define FILES_PAGES 16u
#define FILES_BYTES (FILES_PAGES * SPOOL_PAGE)

static const struct id files_spool_id = {{1, 2, 3}};

struct files {
    struct world *world;
    struct disk *disk;
    char path[64];
};

static struct files files;

static inline int files_begin(void **state)
{
    (void)state;
    snprintf(files.path, sizeof files.path, "/tmp/postrider-spool-XXXXXX");
    return mkdtemp(files.path) == NULL || world_new_real(&files.world) != FAULT_NONE ||
           disk_new(files.world, files.path, &files.disk) != FAULT_NONE;
}

static inline int files_finish(void **state)
{
    char command[128];
    (void)state;
    disk_free(files.disk);
    world_free_real(files.world);
    snprintf(command, sizeof command, "rm -rf %s", files.path);
    return system(command) == 0 ? 0 : 1;
}

static inline struct id an_id(uint8_t n)
{
    struct id id = {{n, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, n}};
    return id;
}

/* A live segment with its number as epoch times ten, so that later numbers are later lives. */
static inline struct segment *files_segment(uint32_t number)
{
    struct segment *s = NULL;
    assert_int_equal(segment_prepare(files.disk, number, files_spool_id, FILES_BYTES), FAULT_NONE);
    assert_int_equal(segment_open(files.disk, number, files_spool_id, (uint64_t)number * 10, &s),
                     FAULT_NONE);
    return s;
}

static inline uint32_t files_add(struct segment *s, enum record_type type, struct id id,
                                 uint32_t version, struct span payload)
{
    uint64_t offset = 0;
    assert_int_equal(segment_add(s, type, id, version, &payload, 1, crc32c(0, payload), &offset),
                     FAULT_NONE);
    return (uint32_t)offset;
}

static inline void files_sync(struct segment *s)
{
    assert_int_equal(segment_sync(s), FAULT_NONE);
}

/* The payload of an ACCEPTED record, with `count` recipients; free its buffer. */
static inline struct buffer an_envelope(uint8_t n, uint32_t count, const char *content,
                                        bool in_file)
{
    char texts[64][32], sender[32];
    struct envelope_recipient recipients[64];
    assert_true(count <= 64);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "r%u.%u@b.example", n, i);
        recipients[i] = (struct envelope_recipient){.path = span_text(texts[i])};
    }
    snprintf(sender, sizeof sender, "s%u@a.example", n);
    struct envelope e = {.arrival_wall_ms = 1764000000000 + n,
                         .reverse_path = span_text(sender),
                         .client = SPAN("192.0.2.7"),
                         .helo = SPAN("a.example"),
                         .prefix = SPAN("Received: from a.example\r\n"),
                         .content_bytes = strlen(content),
                         .content_in_file = in_file,
                         .recipients = recipients,
                         .recipient_count = count};
    struct buffer b;
    buffer_init(&b, RECORD_PAYLOAD_MAX);
    assert_true(envelope_encode(&e, &b));
    if (!in_file)
        assert_true(buffer_put_text(&b, content));
    return b;
}

static inline uint32_t files_accept(struct segment *s, uint8_t n, uint32_t count)
{
    struct buffer b = an_envelope(n, count, "Subject: x\r\n\r\nbody\r\n", false);
    uint32_t offset = files_add(s, RECORD_ACCEPTED, an_id(n), 0, buffer_span(&b));
    buffer_fini(&b);
    return offset;
}

/* A state in which all of `count` recipients wait after `attempts`. */
static inline struct buffer a_state(uint32_t count, uint16_t attempts, const char *reply)
{
    struct recipient_state recipients[64];
    struct span replies[] = {span_text(reply)};
    assert_true(count <= 64);
    for (uint32_t i = 0; i < count; i++)
        recipients[i] =
            (struct recipient_state){RECIPIENT_WAITING, attempts, 0, 1764000009999, REPORT_NONE};
    struct message_state s = {
        .recipients = recipients, .recipient_count = count, .replies = replies, .reply_count = 1};
    struct buffer b;
    buffer_init(&b, RECORD_PAYLOAD_MAX);
    assert_true(state_encode(&s, &b));
    return b;
}

static inline uint32_t files_outcome(struct segment *s, uint8_t n, uint32_t version, uint32_t count)
{
    struct buffer b = a_state(count, (uint16_t)version, "451 4.3.0 later");
    uint32_t offset = files_add(s, RECORD_OUTCOME, an_id(n), version, buffer_span(&b));
    buffer_fini(&b);
    return offset;
}

static inline void files_path(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", files.path, name);
}

static inline bool files_has(const char *name)
{
    char path[128];
    files_path(name, path);
    FILE *f = fopen(path, "rb");
    if (f != NULL)
        fclose(f);
    return f != NULL;
}

/* Writes `bytes` into a file at `offset`, behind the back of everybody. */
static inline void files_patch(const char *name, long offset, struct span bytes)
{
    char path[128];
    files_path(name, path);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
    fclose(f);
}

static inline void files_flip(const char *name, long offset)
{
    char path[128];
    files_path(name, path);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_true(byte != EOF);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_true(fputc(byte ^ 0x10, f) != EOF);
    fclose(f);
}

#endif
