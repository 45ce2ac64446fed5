/*
 * store: keeps received messages as files, byte for byte, for tests that compare.
 *
 * DIR/000001.eml is the content with CRLF and without stuffed dots; DIR/000001.json its envelope.
 * Both are renamed into place, the envelope last: whoever sees it may read both. Numbers go on
 * after those that are there. Bytes of the envelope stand as U+0000 to U+00FF.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <stddef.h>

struct store;

/* NULL if directory is NULL; creates the directory if it is missing; dies if it cannot. */
struct store *store_open(const char *directory);
void store_close(struct store *store);

struct store_envelope {
    const char *helo;
    const char *mail;              /* what follows MAIL FROM:, parameters included */
    const char *const *recipients; /* what follows RCPT TO: */
    size_t recipient_count;
};

/* Dies when the disk does not take it: a test must not go on without its evidence. */
void store_save(struct store *store, const struct store_envelope *envelope, const char *content,
                size_t length);

#endif
