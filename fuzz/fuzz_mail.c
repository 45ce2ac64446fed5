/*
 * The syntax of messages and addresses. The first byte chooses a parser, the second its flags or
 * the size of the pieces; what is accepted is written again and means the same, and nothing that a
 * peer says breaks the fields that are made of it.
 */
#include "base/check.h"
#include "mail/address.h"
#include "mail/domain.h"
#include "mail/header.h"
#include "mail/received.h"
#include "mail/status.h"

#define ARENA_BYTES_MAX 4096
#define OUTPUT_MAX      (4u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_address(struct span text, unsigned flags)
{
    struct arena arena;
    struct buffer again;
    struct address a, b;
    arena_init(&arena, ARENA_BYTES_MAX);
    buffer_init(&again, ADDRESS_MAX);
    enum fault fault = address_parse(text, flags % 16, &arena, &a);
    check(fault == FAULT_NONE || fault == FAULT_SYNTAX || fault == FAULT_TOO_LONG);
    if (fault == FAULT_NONE) {
        check(a.local.len <= ADDRESS_LOCAL_MAX && a.domain.len <= DOMAIN_MAX);
        check(!address_is_empty(&a) || (flags & ADDRESS_EMPTY_OK) != 0);
        check(address_format(&again, &a) && again.len <= text.len);
        check(address_parse(buffer_span(&again), flags % 16, &arena, &b) == FAULT_NONE);
        check(address_equal(&a, &b) && a.quoted == b.quoted && a.literal == b.literal);
    }
    buffer_fini(&again);
    arena_fini(&arena);
}

static void read_domain(struct span text, unsigned flags)
{
    struct arena arena;
    struct literal literal;
    arena_init(&arena, ARENA_BYTES_MAX);
    bool is_name = domain_check(text, flags % 4) == FAULT_NONE;
    bool is_literal = literal_parse(text, &literal) == FAULT_NONE;
    check(!is_name || !is_literal);
    if (is_name) {
        struct span lower = domain_lower(&arena, text);
        check(domain_check(lower, flags % 4) == FAULT_NONE && domain_equal(lower, text));
        check(domain_is_within(text, lower) && domain_lower(&arena, lower).data == lower.data);
    }
    if (is_literal && literal.kind == LITERAL_GENERAL)
        check(literal.tag.len + literal.content.len + 3 == text.len);
    arena_fini(&arena);
}

/* The fields lie one behind the other, and the scan in pieces counts what the walk does. */
static void read_header(struct span message, size_t piece)
{
    struct header h = header_over(message);
    struct header_field field;
    struct header_scan scan;
    struct buffer unfolded;
    size_t walked = 0;
    buffer_init(&unfolded, OUTPUT_MAX);
    while (header_next(&h, &field)) {
        check(field.whole.data == message.data + walked);
        walked += field.whole.len;
        check(field.name.len > 0 && field.value.len < field.whole.len);
        buffer_reset(&unfolded);
        check(header_unfold(&unfolded, field.value) && unfolded.len <= field.value.len);
        check(span_find(buffer_span(&unfolded), SPAN("\r\n"), 0) == unfolded.len);
    }
    check(h.ended && walked + h.rest.len <= message.len);
    header_scan_init(&scan);
    for (struct span rest = message; rest.len > 0; rest = span_skip(rest, piece))
        header_scan_feed(&scan, span_sub(rest, 0, piece));
    check(scan.received == header_count(message, SPAN("Received")));
    buffer_fini(&unfolded);
}

static void read_status(struct span text, unsigned hundreds)
{
    char written[STATUS_TEXT_MAX + 1];
    struct status s, again;
    if (status_parse(text, &s)) {
        status_format(s, written);
        check(status_parse(span_text(written), &again) && status_equal(s, again));
    }
    int code = (int)hundreds * 4;
    s = status_of_reply(code, text);
    check(s.class == 2 || s.class == 4 || s.class == 5);
    check(code < 200 || code > 599 || code / 100 == 3 || s.class == code / 100);
}

/* Our own field: one, whole, of printable ASCII, whatever the peer said. */
static void write_received(struct span said, size_t first)
{
    struct received r = {.helo = span_sub(said, 0, first), .by = SPAN("mx.example")};
    struct span rest = span_skip(said, first);
    struct buffer out;
    r.recipient = span_split(rest, 0, &r.peer_name);
    r.peer_address = SPAN("192.0.2.1");
    r.with = SPAN("ESMTP");
    buffer_init(&out, RECEIVED_MAX);
    check(received_format(&out, &r));
    check(header_count(buffer_span(&out), SPAN("Received")) == 1);
    struct header_field field;
    check(header_find(buffer_span(&out), SPAN("Received"), &field) && field.whole.len == out.len);
    for (size_t i = 0; i < out.len; i++) {
        uint8_t byte = out.data[i];
        check((byte >= 32 && byte < 127) || byte == '\r' || byte == '\n' || byte == '\t');
    }
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span text = span_of(data + 2, size - 2);
    switch (data[0] % 5) {
    case 0:
        read_address(text, data[1]);
        break;
    case 1:
        read_domain(text, data[1]);
        break;
    case 2:
        read_header(text, 1 + data[1] % 64u);
        break;
    case 3:
        read_status(text, data[1]);
        break;
    default:
        write_received(text, data[1]);
    }
    return 0;
}
