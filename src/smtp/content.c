#include "smtp/content.h"

#include <string.h>

#include "base/check.h"

static const uint8_t carriage_return = '\r';

void content_reader_init(struct content_reader *r, bool dotted)
{
    *r = (struct content_reader){.at = CONTENT_LINE_START, .dotted = dotted};
}

bool content_ended(const struct content_reader *r)
{
    return r->at == CONTENT_ENDED;
}

/* Eight bytes at a time: is any of them over 127, is any of them zero (exact for "any", by the
 * classic borrow test). */
static void scan_bytes(struct content_facts *f, const uint8_t *data, size_t len)
{
    uint64_t high = 0, zero = 0;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, sizeof word);
        high |= word;
        zero |= (word - UINT64_C(0x0101010101010101)) & ~word;
    }
    for (; i < len; i++) {
        high |= data[i];
        if (data[i] == 0)
            f->nul = true;
    }
    if ((high & UINT64_C(0x8080808080808080)) != 0)
        f->has_8bit = true;
    if ((zero & UINT64_C(0x8080808080808080)) != 0)
        f->nul = true;
}

static struct span keep(struct content_reader *r, struct span run)
{
    r->facts.bytes += run.len;
    if (run.len > 0) {
        scan_bytes(&r->facts, run.data, run.len);
        r->facts.last_line_open = r->at != CONTENT_LINE_START;
    }
    return run;
}

/* The byte after a CR. CRLF begins a new line; anything else makes that CR a bare one, and the byte
 * is looked at as part of the line. */
static void after_cr(struct content_reader *r, uint8_t byte)
{
    if (byte == '\n') {
        r->at = CONTENT_LINE_START;
        return;
    }
    r->facts.bare_cr = true;
    r->at = byte == '\r' ? CONTENT_AFTER_CR : CONTENT_IN_LINE;
}

/*
 * Walks over bytes that are content as they stand, from line to line, and stops before a dot at the
 * start of a line (which needs a decision). Jumps from CR or LF to the next by memchr: on text that
 * is one call a line for each.
 */
static size_t walk_lines(struct content_reader *r, struct span input)
{
    const uint8_t *at = input.data, *end = input.data + input.len;
    while (at < end) {
        if (r->at == CONTENT_LINE_START && *at == '.') {
            if (r->dotted)
                break;
            r->facts.has_dot_lines = true;
        }
        if (r->at == CONTENT_AFTER_CR) {
            after_cr(r, *at++);
            continue;
        }
        const uint8_t *lf = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = lf != NULL ? lf : end;
        const uint8_t *cr = memchr(at, '\r', (size_t)(stop - at));
        r->at = CONTENT_IN_LINE;
        if (cr != NULL) {
            r->at = CONTENT_AFTER_CR;
            at = cr + 1;
        } else {
            if (lf != NULL)
                r->facts.bare_lf = true; /* it does not begin a new line */
            at = lf != NULL ? lf + 1 : end;
        }
    }
    return (size_t)(at - input.data);
}

/*
 * The decision about a dot at the start of a line. It is never content itself if a CRLF follows
 * (the end) or something else (stuffing); the bytes that turn out to be content after all come from
 * our own constants, since their input may be gone.
 */
static size_t decide_dot(struct content_reader *r, uint8_t byte, struct span *run_out)
{
    switch (r->at) {
    case CONTENT_LINE_START:
        r->at = CONTENT_AFTER_DOT;
        return 1;
    case CONTENT_AFTER_DOT:
        if (byte == '\r') {
            r->at = CONTENT_AFTER_DOT_CR;
            return 1;
        }
        if (byte == '.')
            r->facts.has_dot_lines = true; /* the stuffed one stays */
        r->at = CONTENT_IN_LINE;
        return 0;
    case CONTENT_AFTER_DOT_CR:
        if (byte == '\n') {
            r->at = CONTENT_ENDED;
            return 1;
        }
        r->at = CONTENT_AFTER_CR; /* the dot was stuffing, its line begins with this CR */
        *run_out = keep(r, span_of(&carriage_return, 1));
        return 0;
    case CONTENT_IN_LINE:
    case CONTENT_AFTER_CR:
    case CONTENT_ENDED:
        break;
    }
    check(false);
    return 0;
}

size_t content_read(struct content_reader *r, struct span input, struct span *run_out)
{
    *run_out = (struct span){NULL, 0};
    size_t used = 0;
    while (used < input.len && r->at != CONTENT_ENDED && run_out->len == 0) {
        bool deciding = r->at == CONTENT_AFTER_DOT || r->at == CONTENT_AFTER_DOT_CR;
        bool at_dot = r->dotted && r->at == CONTENT_LINE_START && input.data[used] == '.';
        if (deciding || at_dot) {
            used += decide_dot(r, input.data[used], run_out);
            continue;
        }
        size_t run = walk_lines(r, span_skip(input, used));
        *run_out = keep(r, span_sub(input, used, run));
        used += run;
    }
    return used;
}

struct span content_stuff(struct span *rest, bool *line_start, bool *stuff_out)
{
    *stuff_out = *line_start && rest->len > 0 && rest->data[0] == '.';
    size_t end = span_find(*rest, SPAN("\n."), 0);
    if (end < rest->len)
        end++; /* the LF goes out, the dot begins the next stretch */
    struct span run = span_sub(*rest, 0, end);
    *rest = span_skip(*rest, end);
    if (run.len > 0)
        *line_start = run.data[run.len - 1] == '\n';
    return run;
}
