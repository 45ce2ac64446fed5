#include "agent/template.h"

#include "base/buffer.h"

#define COMPONENT_MAX 255
#define TEXT_MAX      2000

static bool has_control(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] == 0x7F)
            return true;
    return false;
}

bool template_is_component(struct span value)
{
    return value.len > 0 && value.len <= COMPONENT_MAX && value.data[0] != '.' &&
           span_find_byte(value, '/', 0) == value.len && !has_control(value);
}

static bool is_home(struct span value)
{
    return value.len > 1 && value.data[0] == '/' && !has_control(value) &&
           span_find(value, SPAN("/."), 0) == value.len;
}

/* The value of "{name}" at the beginning of the text; false: there is none of that name. */
static bool placeholder(struct span text, const struct template_values *v, struct span *value_out,
                        size_t *len_out)
{
    const struct {
        struct span name, value;
    } all[] = {{SPAN("{user}"), v->user},
               {SPAN("{domain}"), v->domain},
               {SPAN("{sender}"), v->sender},
               {SPAN("{home}"), v->home}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (span_starts_with(text, all[i].name)) {
            *value_out = all[i].value;
            *len_out = all[i].name.len;
            return true;
        }
    return false;
}

static enum fault done(struct buffer *b, enum fault fault, struct arena *arena, struct span *out)
{
    if (fault == FAULT_NONE && b->full)
        fault = FAULT_NO_MEMORY;
    if (fault == FAULT_NONE) {
        *out = arena_copy(arena, buffer_span(b));
        if (b->len > 0 && out->data == NULL)
            fault = FAULT_NO_MEMORY;
    }
    buffer_fini(b);
    return fault;
}

/* Paths. ------------------------------------------------------------------------------------- */

static enum fault fill_path(struct span text, const struct template_values *v, struct buffer *b,
                            size_t *base)
{
    bool is_filled = false;
    for (size_t at = 0, len; at < text.len; at += len) {
        struct span value;
        len = 1;
        if (text.data[at] != '{') {
            (void)buffer_put_u8(b, text.data[at]);
            if (text.data[at] == '/' && !is_filled)
                *base = b->len;
            continue;
        }
        if (!placeholder(span_skip(text, at), v, &value, &len))
            return FAULT_SYNTAX;
        bool is_at_home =
            value.data == v->home.data && span_starts_with(text, SPAN("{home}")) && at == 0;
        if (is_at_home ? !is_home(value) : !template_is_component(value))
            return FAULT_DENIED;
        is_filled = is_filled || !is_at_home;
        (void)buffer_put(b, value);
    }
    return FAULT_NONE;
}

enum fault template_path(struct span text, const struct template_values *v, struct arena *arena,
                         struct span *path_out, uint32_t *base_bytes_out)
{
    struct buffer b;
    size_t base = 0;
    buffer_init(&b, TEXT_MAX);
    enum fault fault = fill_path(text, v, &b, &base);
    if (fault == FAULT_NONE && (base == 0 || b.len == 0 || b.data[0] != '/'))
        fault = FAULT_SYNTAX;
    *base_bytes_out = (uint32_t)base;
    return done(&b, fault, arena, path_out);
}

/* Commands. ---------------------------------------------------------------------------------- */

static enum fault fill_word(struct span word, const struct template_values *v, struct buffer *b)
{
    size_t begin = b->len;
    for (size_t at = 0, len; at < word.len; at += len) {
        struct span value;
        len = 1;
        if (word.data[at] != '{') {
            (void)buffer_put_u8(b, word.data[at]);
            continue;
        }
        if (!placeholder(span_skip(word, at), v, &value, &len))
            return FAULT_SYNTAX;
        if (has_control(value) || (b->len == begin && value.len > 0 && value.data[0] == '-'))
            return FAULT_DENIED;
        (void)buffer_put(b, value);
    }
    (void)buffer_put_u8(b, '\0');
    return FAULT_NONE;
}

enum fault template_arguments(struct span text, const struct template_values *v,
                              struct arena *arena, struct span *arguments_out)
{
    struct buffer b;
    enum fault fault = FAULT_NONE;
    buffer_init(&b, TEXT_MAX);
    text = span_trim(text);
    if (text.len == 0 || text.data[0] != '/' || span_find_byte(text, '\0', 0) < text.len)
        fault = FAULT_SYNTAX;
    while (fault == FAULT_NONE && text.len > 0) {
        struct span word;
        text = span_trim(span_split(text, ' ', &word));
        fault = fill_word(word, v, &b);
    }
    return done(&b, fault, arena, arguments_out);
}
