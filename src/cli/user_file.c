#include "cli/user_file.h"

bool user_file_next(struct span text, size_t *at, struct span *name_out, struct span *line_out)
{
    while (*at < text.len) {
        size_t end = span_find_byte(text, '\n', *at);
        struct span line = span_sub(text, *at, end + 1 - *at);
        *at += line.len;
        struct span row = span_trim(span_sub(line, 0, line.len - (end < text.len)));
        size_t len = 0;
        while (len < row.len && row.data[len] != ':' && row.data[len] != ' ' &&
               row.data[len] != '\t' && row.data[len] != '\r')
            len++;
        *name_out = span_sub(row, 0, len);
        *line_out = line;
        if (len > 0 && row.data[0] != '#')
            return true;
    }
    return false;
}

/* The row of this name, or an empty span. */
static struct span find(struct span text, struct span name)
{
    struct span other, line;
    for (size_t at = 0; user_file_next(text, &at, &other, &line);)
        if (span_equal_nocase(other, name))
            return line;
    return (struct span){0};
}

static enum fault full_if_not(bool ok)
{
    return ok ? FAULT_NONE : FAULT_NO_MEMORY;
}

enum fault user_file_add(struct span text, struct span name, struct span hash, struct buffer *out)
{
    if (find(text, name).len > 0)
        return FAULT_EXISTS;
    bool has_end = text.len == 0 || text.data[text.len - 1] == '\n';
    return full_if_not(buffer_put(out, text) && (has_end || buffer_put_u8(out, '\n')) &&
                       buffer_put(out, name) && (hash.len == 0 || buffer_put_u8(out, ':')) &&
                       buffer_put(out, hash) && buffer_put_u8(out, '\n'));
}

/* The text before the row, what comes instead, and the text behind it. */
static bool replace(struct span text, struct span line, struct span with, struct buffer *out)
{
    size_t before = (size_t)(line.data - text.data);
    return buffer_put(out, span_sub(text, 0, before)) && buffer_put(out, with) &&
           buffer_put(out, span_skip(text, before + line.len));
}

static bool is_end_of_field(uint8_t byte)
{
    return byte == ':' || byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

enum fault user_file_set(struct span text, struct span name, struct span hash, struct buffer *out)
{
    struct span line = find(text, name);
    if (line.len == 0)
        return FAULT_NOT_FOUND;
    size_t from = (size_t)(span_trim(line).data - line.data) + name.len;
    size_t to = from;
    if (from < line.len && line.data[from] == ':')
        for (to = from + 1; to < line.len && !is_end_of_field(line.data[to]);)
            to++;
    struct buffer with;
    buffer_init(&with, line.len + hash.len + 1);
    bool ok = buffer_put(&with, span_sub(line, 0, from)) && buffer_put_u8(&with, ':') &&
              buffer_put(&with, hash) && buffer_put(&with, span_skip(line, to)) &&
              replace(text, line, buffer_span(&with), out);
    buffer_fini(&with);
    return full_if_not(ok);
}

enum fault user_file_remove(struct span text, struct span name, struct buffer *out)
{
    struct span line = find(text, name);
    if (line.len == 0)
        return FAULT_NOT_FOUND;
    return full_if_not(replace(text, line, (struct span){0}, out));
}
