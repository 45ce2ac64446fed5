/*
 * files: how a configuration reads the files that it names: whoever loads it says how, so that the
 * same code reads from the disk, from descriptors or copies that the supervisor made, or from a
 * test.
 */
#ifndef CONFIG_FILES_H
#define CONFIG_FILES_H

#include "base/fault.h"
#include "base/span.h"

struct config_file {
    struct span
        text;      /* valid until the next file is read, and while the caller of the loader says */
    uint32_t mode; /* permission bits, of S_IRWXU, S_IRWXG and S_IRWXO */
};

struct config_files {
    /* NOT_FOUND, DENIED, TOO_BIG (more than bytes_max), NO_MEMORY, or another. */
    enum fault (*read)(void *context, const char *path, size_t bytes_max,
                       struct config_file *file_out);
    void *context;
};

#endif
