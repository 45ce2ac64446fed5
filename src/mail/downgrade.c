/*
 * downgrade: see downgrade.h.
 */
#include "mail/downgrade.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/mime.h"
#include "mail/transfer_encoding.h"

enum change {
    KEEP,
    TO_7BIT, /* it says 8bit or binary, and has no such byte; a container: not any more */
    TO_QUOTED_PRINTABLE,
    TO_BASE64
};

struct downgrade {
    struct mime mime;
    uint8_t line[DOWNGRADE_LINE_MAX]; /* what has come of a line */
    uint32_t line_len;
    bool is_line_begun; /* an earlier piece of it was handled already */

    /* The survey. */
    bool has_8bit, is_impossible;
    uint64_t bytes, body_bytes, body_8bit; /* of all; of the present entity's body */
    uint64_t growth;
    uint8_t changes[DOWNGRADE_ENTITIES_MAX]; /* enum change of each entity */

    /* The second pass. */
    struct buffer *out;
    bool is_dropping; /* the present field is left out */
    bool is_full;
    struct quoted_printable quoted;
    struct base64_lines base64;
};

struct downgrade *downgrade_new(void)
{
    struct downgrade *d = calloc(1, sizeof *d);
    if (d != NULL)
        mime_init(&d->mime);
    return d;
}

void downgrade_free(struct downgrade *d)
{
    free(d);
}

/* Lines --------------------------------------------------------------------------------------- */

typedef void handle_piece(struct downgrade *d, enum mime_place place, struct span piece,
                          bool is_begin);

static void hand_over(struct downgrade *d, handle_piece *handle)
{
    struct span piece = span_of(d->line, d->line_len);
    bool is_begin = !d->is_line_begun;
    d->is_line_begun = piece.data[piece.len - 1] != '\n';
    d->line_len = 0;
    handle(d, mime_line(&d->mime, piece, is_begin), piece, is_begin);
}

/* A piece ends with its line, or at the bound. */
static void split_lines(struct downgrade *d, struct span bytes, handle_piece *handle)
{
    while (bytes.len > 0) {
        size_t room = DOWNGRADE_LINE_MAX - d->line_len;
        size_t len = span_find_byte(bytes, '\n', 0);
        bool is_end = len < bytes.len && len < room;
        len = is_end ? len + 1 : len < room ? len : room;
        memcpy(d->line + d->line_len, bytes.data, len);
        d->line_len += (uint32_t)len;
        bytes = span_skip(bytes, len);
        if (is_end || d->line_len == DOWNGRADE_LINE_MAX)
            hand_over(d, handle);
    }
}

static void end_lines(struct downgrade *d, handle_piece *handle)
{
    if (d->line_len > 0)
        hand_over(d, handle);
}

/* The survey ---------------------------------------------------------------------------------- */

static uint64_t count_8bit(struct span s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.data[i] >> 7;
    return count;
}

static void set_change(struct downgrade *d, uint32_t number, enum change change)
{
    if (number < DOWNGRADE_ENTITIES_MAX)
        d->changes[number] = (uint8_t)change;
    else
        d->is_impossible = d->is_impossible || change > TO_7BIT;
}

static bool is_convertible(const struct mime_entity *e)
{
    bool is_identity =
        e->encoding == MIME_7BIT || e->encoding == MIME_8BIT || e->encoding == MIME_BINARY;
    return e->kind == MIME_LEAF && is_identity && !e->is_sealed;
}

/* A triple for each byte, or four for three: base64 wins where over a fifth has 8 bits. */
static void survey_body(struct downgrade *d, struct span piece, uint64_t count)
{
    d->body_bytes += piece.len;
    d->body_8bit += count;
    if (d->body_8bit == 0)
        return;
    if (!is_convertible(&d->mime.entity))
        d->is_impossible = true;
    set_change(d, d->mime.entity.number,
               d->body_8bit * 5 > d->body_bytes ? TO_BASE64 : TO_QUOTED_PRINTABLE);
}

static void survey_piece(struct downgrade *d, enum mime_place place, struct span piece,
                         bool is_begin)
{
    uint64_t count = count_8bit(piece);
    const struct mime_entity *ended = &d->mime.ended;
    (void)is_begin;
    d->has_8bit = d->has_8bit || count > 0;
    d->growth += count * 2;
    switch (place) {
    case MIME_BODY:
        survey_body(d, piece, count);
        return;
    case MIME_HEADER_END:
        d->body_bytes = d->body_8bit = 0;
        if (ended->kind != MIME_OPAQUE && !ended->is_sealed &&
            (ended->encoding == MIME_8BIT || ended->encoding == MIME_BINARY))
            set_change(d, ended->number, TO_7BIT);
        return;
    case MIME_HEADER:
    case MIME_OUTSIDE:
    case MIME_BOUNDARY:
        d->is_impossible = d->is_impossible || count > 0;
        return;
    }
}

void downgrade_survey(struct downgrade *d, struct span piece)
{
    d->bytes += piece.len;
    split_lines(d, piece, survey_piece);
}

enum downgrade_verdict downgrade_conclude(struct downgrade *d)
{
    end_lines(d, survey_piece);
    if (!d->has_8bit)
        return DOWNGRADE_NEEDLESS;
    return d->is_impossible ? DOWNGRADE_IMPOSSIBLE : DOWNGRADE_POSSIBLE;
}

uint64_t downgrade_bytes(const struct downgrade *d)
{
    uint64_t bytes = d->bytes + d->growth;
    return d->growth == 0 ? bytes : bytes + bytes / 20 + 1024;
}

/* The second pass ------------------------------------------------------------------------------ */

static enum change change_of(const struct downgrade *d, uint32_t number)
{
    return number < DOWNGRADE_ENTITIES_MAX ? (enum change)d->changes[number] : KEEP;
}

static void put(struct downgrade *d, struct span s)
{
    d->is_full = d->is_full || !buffer_put(d->out, s);
}

/* Its encoding is said anew at the end of the header. */
static bool is_encoding_field(struct span line)
{
    struct span name;
    (void)span_split(line, ':', &name);
    return name.len < line.len &&
           span_equal_nocase(span_trim(name), SPAN("content-transfer-encoding"));
}

static void put_header(struct downgrade *d, struct span piece, bool is_begin)
{
    bool is_fold = piece.len > 0 && (piece.data[0] == ' ' || piece.data[0] == '\t');
    if (is_begin && !is_fold)
        d->is_dropping = change_of(d, d->mime.entity.number) != KEEP && is_encoding_field(piece);
    if (!d->is_dropping)
        put(d, piece);
}

static void put_header_end(struct downgrade *d, struct span piece)
{
    static const char *const names[] = {[KEEP] = "",
                                        [TO_7BIT] = "7bit",
                                        [TO_QUOTED_PRINTABLE] = "quoted-printable",
                                        [TO_BASE64] = "base64"};
    const struct mime_entity *e = &d->mime.ended;
    enum change change = change_of(d, e->number);
    d->is_dropping = false;
    if (change != KEEP) {
        if (e->number == 0 && !e->has_version)
            put(d, SPAN("MIME-Version: 1.0\r\n"));
        if (e->number == 0 && !e->has_type)
            put(d, SPAN("Content-Type: text/plain; charset=unknown-8bit\r\n"));
        put(d, SPAN("Content-Transfer-Encoding: "));
        put(d, span_text(names[change]));
        put(d, SPAN("\r\n"));
    }
    put(d, piece);
}

static void put_body(struct downgrade *d, struct span piece)
{
    switch (change_of(d, d->mime.entity.number)) {
    case KEEP:
    case TO_7BIT:
        put(d, piece);
        break;
    case TO_QUOTED_PRINTABLE:
        d->is_full = d->is_full || !quoted_printable_put(&d->quoted, piece, d->out);
        break;
    case TO_BASE64:
        d->is_full = d->is_full || !base64_lines_put(&d->base64, piece, d->out);
        break;
    }
}

/* What an encoder still holds; nothing when it was not used. */
static void end_body(struct downgrade *d, bool is_at_boundary)
{
    d->is_full = d->is_full || !quoted_printable_end(&d->quoted, d->out) ||
                 !base64_lines_end(&d->base64, !is_at_boundary, d->out);
}

static void put_piece(struct downgrade *d, enum mime_place place, struct span piece, bool is_begin)
{
    switch (place) {
    case MIME_HEADER:
        put_header(d, piece, is_begin);
        break;
    case MIME_HEADER_END:
        put_header_end(d, piece);
        break;
    case MIME_BODY:
        put_body(d, piece);
        break;
    case MIME_BOUNDARY:
        end_body(d, true);
        d->is_dropping = false;
        put(d, piece);
        break;
    case MIME_OUTSIDE:
        put(d, piece);
        break;
    }
}

void downgrade_begin(struct downgrade *d)
{
    check(!d->is_impossible);
    mime_init(&d->mime);
    d->line_len = 0;
    d->is_line_begun = d->is_dropping = d->is_full = false;
    d->quoted = (struct quoted_printable){.column = 0};
    d->base64 = (struct base64_lines){.held_len = 0};
}

bool downgrade_put(struct downgrade *d, struct span piece, struct buffer *out)
{
    d->out = out;
    split_lines(d, piece, put_piece);
    return !d->is_full;
}

bool downgrade_end(struct downgrade *d, struct buffer *out)
{
    d->out = out;
    end_lines(d, put_piece);
    end_body(d, false);
    return !d->is_full;
}
