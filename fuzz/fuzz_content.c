/*
 * The reader of message data: any bytes, split anywhere, end at the same place with the same
 * content; and what is stuffed for sending is undone by reading.
 */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "smtp/content.h"

#define BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_in_steps(struct content_reader *r, struct span input, size_t step,
                            struct buffer *kept)
{
    size_t at = 0;
    content_reader_init(r, true);
    while (at < input.len && !content_ended(r)) {
        struct span run;
        size_t used = content_read(r, span_sub(input, at, step), &run);
        check(used > 0 || run.len > 0);
        check(buffer_put(kept, run));
        at += used;
    }
    check(r->facts.bytes == kept->len);
    return at;
}

static void stuffing_is_undone(struct span content)
{
    struct buffer wire, kept;
    struct content_reader r;
    bool line_start = true;
    buffer_init(&wire, 4 * BYTES_MAX);
    buffer_init(&kept, 4 * BYTES_MAX);
    for (struct span rest = content; rest.len > 0;) {
        bool stuff;
        struct span run = content_stuff(&rest, &line_start, &stuff);
        if (stuff)
            check(buffer_put_u8(&wire, '.'));
        check(buffer_put(&wire, run));
    }
    check(buffer_put_text(&wire, ".\r\n"));
    size_t used = read_in_steps(&r, buffer_span(&wire), wire.len, &kept);
    check(used == wire.len && content_ended(&r));
    check(span_equal(buffer_span(&kept), content));
    buffer_fini(&wire);
    buffer_fini(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct buffer whole, split;
    struct content_reader a, b;
    if (size == 0 || size > BYTES_MAX)
        return 0;
    buffer_init(&whole, 2 * BYTES_MAX);
    buffer_init(&split, 2 * BYTES_MAX);
    size_t used = read_in_steps(&a, input, size, &whole);
    check(read_in_steps(&b, input, 1 + data[0] % 7, &split) == used);
    check(span_equal(buffer_span(&whole), buffer_span(&split)));
    check(a.at == b.at && a.facts.bare_cr == b.facts.bare_cr && a.facts.bare_lf == b.facts.bare_lf);
    check(a.facts.nul == b.facts.nul && a.facts.has_dot_lines == b.facts.has_dot_lines);
    bool acceptable = !a.facts.bare_cr && !a.facts.bare_lf && !a.facts.last_line_open;
    if (content_ended(&a) && acceptable)
        stuffing_is_undone(buffer_span(&whole));
    buffer_fini(&whole);
    buffer_fini(&split);
    return 0;
}
