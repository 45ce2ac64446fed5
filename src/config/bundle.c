#include "config/bundle.h"

#include "base/cursor.h"

bool bundle_put_head(struct buffer *out, const struct bundle_file *f, uint64_t text_bytes)
{
    return buffer_put_u32(out, (uint32_t)f->path.len) && buffer_put_u32(out, f->mode) &&
           buffer_put_u32(out, f->uid) && buffer_put_u32(out, f->gid) &&
           buffer_put_u64(out, text_bytes) && buffer_put(out, f->path);
}

bool bundle_next(struct span *rest, struct bundle_file *file_out)
{
    struct cursor c = cursor_over(*rest);
    uint32_t path_bytes = cursor_u32(&c);
    struct bundle_file f = {.mode = cursor_u32(&c), .uid = cursor_u32(&c), .gid = cursor_u32(&c)};
    uint64_t text_bytes = cursor_u64(&c);
    f.path = cursor_bytes(&c, path_bytes);
    f.text = cursor_bytes(&c, text_bytes);
    if (!cursor_ok(&c))
        return false;
    *file_out = f;
    *rest = c.rest;
    return true;
}

bool bundle_find(struct span bundle, struct span path, struct bundle_file *file_out)
{
    struct bundle_file f;
    while (bundle_next(&bundle, &f)) {
        if (span_equal(f.path, path)) {
            *file_out = f;
            return true;
        }
    }
    return false;
}
