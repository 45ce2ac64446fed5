/* drop_file: any bytes, whole and in pieces: the same content, the same verdict. */
#include <stdlib.h>
#include <string.h>

#include "mail/drop_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    enum drop_step verdict;
    uint64_t hash;
};

static struct seen read_in_pieces(struct span all, size_t piece)
{
    struct seen seen = {DROP_MORE, 14695981039346656037u};
    struct drop_reader r;
    struct drop_item item;
    drop_reader_init(&r);
    for (size_t at = 0; at < all.len && seen.verdict != DROP_BAD; at += piece) {
        struct span input = span_sub(all, at, piece);
        while ((seen.verdict = drop_read(&r, &input, &item)) == DROP_ITEM)
            for (size_t i = 0; i < item.bytes.len; i++)
                seen.hash =
                    (seen.hash ^ item.bytes.data[i] ^ (uint64_t)item.type << 8) * 1099511628211u;
    }
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = span_of(data, size);
    struct seen whole = read_in_pieces(all, size + 1);
    for (size_t piece = 1; piece < 20; piece += 6) {
        struct seen again = read_in_pieces(all, piece);
        if (again.verdict != whole.verdict ||
            (whole.verdict != DROP_BAD && again.hash != whole.hash))
            abort();
    }
    return 0;
}
