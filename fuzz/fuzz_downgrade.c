/*
 * 8-bit to 7-bit: whatever the bytes, every split gives the same, the result has 7 bits and the
 * same structure, and is within its bounds. The first byte of an input is the size of the pieces.
 */
#include "base/check.h"
#include "mail/downgrade.h"
#include "mail/mime.h"

#define OUTPUT_MAX (64u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum downgrade_verdict run(struct span content, size_t piece, struct buffer *out)
{
    struct downgrade *d = downgrade_new();
    if (d == NULL)
        return DOWNGRADE_NEEDLESS;
    for (struct span rest = content; rest.len > 0; rest = span_skip(rest, piece))
        downgrade_survey(d, span_sub(rest, 0, piece));
    enum downgrade_verdict verdict = downgrade_conclude(d);
    if (verdict == DOWNGRADE_POSSIBLE) {
        downgrade_begin(d);
        for (struct span rest = content; rest.len > 0; rest = span_skip(rest, piece))
            check(downgrade_put(d, span_sub(rest, 0, piece), out));
        check(downgrade_end(d, out));
        check(out->len <= content.len * DOWNGRADE_GROWTH_MAX + DOWNGRADE_EXTRA_MAX +
                              64 * DOWNGRADE_ENTITIES_MAX);
    }
    downgrade_free(d);
    return verdict;
}

static uint32_t count_entities(struct span content)
{
    struct mime m;
    mime_init(&m);
    while (content.len > 0) {
        struct span line = span_sub(content, 0, span_find_byte(content, '\n', 0) + 1);
        bool is_long = line.len > DOWNGRADE_LINE_MAX;
        (void)mime_line(&m, is_long ? span_sub(line, 0, DOWNGRADE_LINE_MAX) : line, true);
        content = span_skip(content, line.len);
    }
    return m.entity.number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole, split, again;
    if (size < 1)
        return 0;
    struct span content = span_of(data + 1, size - 1);
    buffer_init(&whole, OUTPUT_MAX);
    buffer_init(&split, OUTPUT_MAX);
    buffer_init(&again, OUTPUT_MAX);
    enum downgrade_verdict verdict = run(content, content.len + 1, &whole);
    check(run(content, 1 + data[0], &split) == verdict);
    check(span_equal(buffer_span(&whole), buffer_span(&split)));
    if (verdict == DOWNGRADE_POSSIBLE) {
        check(run(buffer_span(&whole), 100, &again) == DOWNGRADE_NEEDLESS);
        check(count_entities(content) == count_entities(buffer_span(&whole)));
    }
    buffer_fini(&whole);
    buffer_fini(&split);
    buffer_fini(&again);
    return 0;
}
