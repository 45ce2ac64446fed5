/*
 * Delivery status notifications: whatever addresses, replies and headers hold, the message is one
 * that can be read back. The first bytes say how the rest is cut into fields.
 */
#include "dsn_check.h"

#include "base/cursor.h"

#define BYTES_MAX      (64 * 1024)
#define RECIPIENTS_MAX 120

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A length, then so many bytes; what is not there is empty. */
static struct span take(struct cursor *c)
{
    size_t len = cursor_u8(c);
    if (len >= 250)
        len = (len - 249) * 400;
    return cursor_bytes(c, len < c->rest.len ? len : c->rest.len);
}

static struct dsn_recipient take_recipient(struct cursor *c)
{
    uint8_t kind = cursor_u8(c);
    struct dsn_recipient r = {.action = (enum dsn_action)(kind % 5),
                              .diagnostic_is_reply = (kind & 8) != 0,
                              .last_attempt_ms = (kind & 16) != 0 ? 1764000000000 : 0,
                              .will_retry_until_ms = (kind & 32) != 0 ? 1764000000000 : 0,
                              .status = {kind, (uint16_t)(kind * 7), (uint16_t)(kind * 300)}};
    r.address = take(c);
    r.original = take(c);
    r.remote_mta = take(c);
    r.diagnostic = take(c);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dsn_recipient recipients[RECIPIENTS_MAX];
    if (size > BYTES_MAX)
        return 0;
    struct cursor c = cursor_over(span_of(data, size));
    struct dsn d = {.id = {{1, 2, 3}},
                    .reporting_mta = SPAN("mx.example.org"),
                    .now_ms = 1764000000000,
                    .recipients = recipients,
                    .recipient_count = 1 + cursor_u8(&c) % RECIPIENTS_MAX};
    d.is_international = d.recipient_count % 4 == 2;
    d.is_to_postmaster = d.recipient_count % 8 == 3;
    d.returns_all = d.recipient_count % 3 == 1;
    d.to = take(&c);
    d.envelope_id = take(&c);
    for (size_t i = 0; i < d.recipient_count; i++)
        recipients[i] = take_recipient(&c);
    d.original = cursor_bytes(&c, c.rest.len);
    struct buffer whole, small;
    buffer_init(&whole, 1 << 20);
    buffer_init(&small, size);
    check(dsn_format(&whole, &d));
    (void)dsn_check(buffer_span(&whole), &d);
    bool fits = dsn_format(&small, &d);
    check(fits == (whole.len <= size) && small.len <= size);
    buffer_fini(&whole);
    buffer_fini(&small);
    return 0;
}
