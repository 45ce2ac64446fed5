/*
 * bundle: the files of one generation of the configuration, as they were when it was read, in one
 * piece: the configuration, the tables and certificates that it names.
 *
 * The supervisor copies them into it (it opens what others may not) and understands nothing of
 * them; the engine and the others read from it, at their start and at a reload, so that all see the
 * same bytes however often they start. Pure; any thread. The reader believes nothing of the
 * lengths.
 */
#ifndef CONFIG_BUNDLE_H
#define CONFIG_BUNDLE_H

#include "base/buffer.h"

#define BUNDLE_PATH_MAX       4096
#define BUNDLE_FILES_MAX      1024
#define BUNDLE_FILE_BYTES_MAX (256u * 1024 * 1024)

struct bundle_file {
    struct span path;
    struct span text;
    uint32_t mode, uid, gid; /* of the file, as stat(2) tells them */
};

/* What stands before the text of a file, which follows at once. False: no memory. */
bool bundle_put_head(struct buffer *out, const struct bundle_file *f, uint64_t text_bytes);
/* The first file of `rest`, which is then what follows it. False: there is none, or what there is
   is damaged. */
bool bundle_next(struct span *rest, struct bundle_file *file_out);
/* False: there is no such file in it. */
bool bundle_find(struct span bundle, struct span path, struct bundle_file *file_out);

#endif
