/* The spool's readers: whatever lies on the disk, each of them ends with an answer. */
#include "base/arena.h"
#include "spool/envelope.h"
#include "spool/layout.h"
#include "spool/state.h"

#define ARENA_BYTES_MAX (1024 * 1024)
#define RECIPIENTS      3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_payload(struct span payload)
{
    struct arena arena;
    struct envelope envelope;
    struct message_state state;
    struct record member;
    arena_init(&arena, ARENA_BYTES_MAX);
    if (envelope_decode(payload, &arena, &envelope) == FAULT_NONE)
        arena_reset(&arena);
    if (state_decode(payload, RECIPIENTS, &arena, &state) == FAULT_NONE)
        arena_reset(&arena);
    struct cursor group = cursor_over(payload);
    while (group_next(&group, &member)) {
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct segment_header header;
    struct record record;
    struct walk walk;
    uint64_t offset;

    read_payload(bytes);
    (void)(segment_header_decode(bytes, &header) == FAULT_NONE);
    walk_init(&walk, bytes, 1, size);
    for (enum walk_step step; (step = walk_next(&walk, &record, &offset)) != WALK_OVER;)
        if (step == WALK_RECORD)
            read_payload(record.payload);
    return 0;
}
