/*
 * The reader of a server's replies and of what it offers: any bytes, in pieces of any size, give
 * the same lines, codes and texts.
 */
#include "base/check.h"
#include "smtp/extension.h"
#include "smtp/reply.h"

#define OUTPUT_MAX (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_line(const struct reply *reply, struct buffer *out)
{
    struct extensions e = {0};
    check(reply->code >= 0 && reply->code <= 999);
    check(reply->line.len <= REPLY_LINE_MAX && reply->text.len <= REPLY_TEXT_MAX);
    extension_parse(&e, reply->line);
    check(buffer_printf(out, "%d%c%d %d %llu ", reply->code, reply->is_final ? ' ' : '-',
                        reply->is_first, e.size, (unsigned long long)e.size_max));
    check(buffer_put(out, reply->line));
    check(buffer_put_u8(out, '\n'));
    check(buffer_put(out, reply->text));
    check(buffer_put_u8(out, '\n'));
}

static void read_in_pieces(struct span input, size_t piece, struct buffer *out)
{
    struct reply_reader r;
    enum reply_progress progress = REPLY_MORE;
    reply_reader_init(&r);
    for (; progress != REPLY_FAULT && input.len > 0; input = span_skip(input, piece)) {
        struct span rest = span_sub(input, 0, piece);
        while (progress != REPLY_FAULT && rest.len > 0) {
            struct reply reply;
            size_t used;
            progress = reply_read(&r, rest, &used, &reply);
            check(used > 0 || progress == REPLY_FAULT);
            rest = span_skip(rest, used);
            if (progress == REPLY_LINE)
                put_line(&reply, out);
        }
    }
    check((progress == REPLY_FAULT) == (reply_reader_fault(&r) != FAULT_NONE));
    check(buffer_printf(out, "%s", fault_name(reply_reader_fault(&r))));
    reply_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole, split;
    if (size < 2)
        return 0;
    buffer_init(&whole, OUTPUT_MAX);
    buffer_init(&split, OUTPUT_MAX);
    read_in_pieces(span_of(data + 1, size - 1), size, &whole);
    read_in_pieces(span_of(data + 1, size - 1), 1 + data[0] % 64, &split);
    check(span_equal(buffer_span(&whole), buffer_span(&split)));
    buffer_fini(&whole);
    buffer_fini(&split);
    return 0;
}
