/*
 * log_file: a log's sink over an inherited descriptor (a file, a pipe, a terminal).
 *
 * Never waits: what a pipe has no room for is refused, and the log counts it. Any thread may write;
 * each write is whole lines of at most PIPE_BUF bytes, so that lines of threads never mix.
 */
#ifndef SUPERVISOR_LOG_FILE_H
#define SUPERVISOR_LOG_FILE_H

#include "base/log.h"

struct log_file {
    int descriptor;
};

struct log_sink log_file_sink(struct log_file *f);

#endif
