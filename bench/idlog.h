/*
 * idlog: a file of message ids, one a line, appended in batches.
 *
 * The owner calls idlog_flush() once a loop turn: what was added is then in the file (in the page
 * cache: it survives a kill of any process, which is what crash tests do to the server).
 * A file that cannot be written ends the program: a bench that forgets ids proves nothing.
 */
#ifndef BENCH_IDLOG_H
#define BENCH_IDLOG_H

#include <stddef.h>

struct idlog;

/* Appends to path, which is created if missing. NULL path: a log that keeps nothing. */
struct idlog *idlog_open(const char *path);

/* One line: the id and, unless recipient is NULL, a blank and the recipient. */
void idlog_add(struct idlog *log, const char *id, size_t id_length, const char *recipient);

void idlog_flush(struct idlog *log);

/* Flushes and frees. */
void idlog_close(struct idlog *log);

#endif
