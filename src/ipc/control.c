#include "ipc/control.h"

#include "base/encode.h"

static bool is_word(struct span word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.data[i] < 0x20 || word.data[i] == 0x7F)
            return false;
    return true;
}

bool control_request_format(struct buffer *out, const struct span *words, size_t count)
{
    size_t before = out->len;
    for (size_t i = 0; i < count; i++) {
        if (!is_word(words[i]) || !buffer_put(out, words[i]) ||
            !buffer_put_u8(out, i + 1 < count ? '\t' : '\n'))
            return false;
    }
    return count > 0 && count <= CONTROL_WORDS_MAX && out->len - before <= CONTROL_REQUEST_MAX;
}

bool control_request_parse(struct span line, struct span words_out[CONTROL_WORDS_MAX],
                           size_t *count_out)
{
    size_t count = 0;
    if (line.len == 0 || line.len >= CONTROL_REQUEST_MAX)
        return false;
    for (size_t at = 0; at <= line.len;) {
        size_t end = span_find_byte(line, '\t', at);
        struct span word = span_sub(line, at, end - at);
        if (count == CONTROL_WORDS_MAX || !is_word(word))
            return false;
        words_out[count++] = word;
        at = end + 1;
    }
    *count_out = count;
    return true;
}

bool control_end_format(struct buffer *out, enum control_exit code, const char *message)
{
    return buffer_printf(out, "{\"end\":true,\"exit\":%d,\"message\":", (int)code) &&
           encode_json_string(out, span_text(message)) && buffer_put_text(out, "}\n");
}
