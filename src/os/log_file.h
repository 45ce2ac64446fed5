/*
 * log_file: a log's sink over an inherited descriptor (a file, a pipe, a terminal).
 *
 * Never waits: what a pipe has no room for is refused, and the log counts it. Any thread may write;
 * each write is whole lines of at most PIPE_BUF bytes, so that lines of threads never mix.
 */
#ifndef OS_LOG_FILE_H
#define OS_LOG_FILE_H

#include "base/log.h"

/* The descriptor's number stays the same for ever; what is behind it may be replaced. */
struct log_file {
    int descriptor;
};

/* Over standard error. False: no descriptor. */
bool log_file_open(struct log_file *f);
/* Whatever stands behind `descriptor`, which is taken, is written to from now on, by threads that
   are just writing too. */
void log_file_replace(struct log_file *f, int descriptor);
/* Opens a file to be appended to, made when it is missing, of this owner when we are root; -1 and
   errno. */
int log_file_append_to(const char *path, uint32_t uid, uint32_t gid);
struct log_sink log_file_sink(struct log_file *f);

#endif
