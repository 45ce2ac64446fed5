#include "mail/drop_file.h"

#include <string.h>

/* What may follow what: the types that a record may have after one of type `last`. */
static const char *followers(uint8_t last)
{
    switch (last) {
    case 0:
        return "F";
    case DROP_SENDER:
        return "TIR";
    case DROP_RETURN:
        return "IR";
    case DROP_ENVID:
        return "R";
    case DROP_RECIPIENT:
        return "RNDE";
    case DROP_NOTIFY:
        return "RDE";
    case DROP_DATA:
        return "DE";
    default:
        return "";
    }
}

void drop_reader_init(struct drop_reader *r)
{
    *r = (struct drop_reader){.magic = 0};
}

static uint8_t take_byte(struct span *input)
{
    uint8_t byte = input->data[0];
    *input = span_skip(*input, 1);
    return byte;
}

static bool take_magic(struct drop_reader *r, struct span *input)
{
    while (r->magic < DROP_MAGIC_LEN && input->len > 0) {
        if (take_byte(input) != (uint8_t)DROP_MAGIC[r->magic])
            return false;
        r->magic++;
    }
    return true;
}

/* A header is whole: may such a record stand here? */
static bool begin_record(struct drop_reader *r)
{
    uint8_t type = r->header[0];
    r->left = (uint32_t)r->header[1] | (uint32_t)r->header[2] << 8 | (uint32_t)r->header[3] << 16 |
              (uint32_t)r->header[4] << 24;
    r->text_len = 0;
    if (type == 0 || strchr(followers(r->last), type) == NULL)
        return false;
    r->last = type;
    r->recipients += type == DROP_RECIPIENT;
    if (r->recipients > DROP_RECIPIENTS_MAX)
        return false;
    if (type == DROP_END)
        return r->left == 0;
    if (type == DROP_DATA)
        return r->left > 0 && r->left <= DROP_RECORD_MAX;
    return r->left <= DROP_TEXT_MAX && (r->left > 0 || type == DROP_SENDER);
}

static bool take_header(struct drop_reader *r, struct span *input)
{
    while (r->header_len < sizeof r->header && input->len > 0)
        r->header[r->header_len++] = take_byte(input);
    return r->header_len < sizeof r->header || begin_record(r);
}

/* No text of an envelope holds a control character. */
static bool is_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < 32 || s.data[i] == 127)
            return false;
    return true;
}

static enum drop_step take_body(struct drop_reader *r, struct span *input, struct drop_item *item)
{
    struct span piece = span_sub(*input, 0, r->left);
    *input = span_skip(*input, piece.len);
    r->left -= (uint32_t)piece.len;
    item->type = (enum drop_type)r->header[0];
    item->bytes = piece;
    if (item->type != DROP_DATA) {
        if (piece.len > 0)
            memcpy(r->text + r->text_len, piece.data, piece.len);
        r->text_len += piece.len;
        item->bytes = span_of(r->text, r->text_len);
    }
    if (r->left == 0)
        r->header_len = 0;
    if (item->type == DROP_DATA)
        return piece.len > 0 ? DROP_ITEM : DROP_MORE;
    if (r->left > 0)
        return DROP_MORE;
    return is_text(item->bytes) ? DROP_ITEM : DROP_BAD;
}

static enum drop_step step(struct drop_reader *r, struct span *input, struct drop_item *item)
{
    if (r->ended)
        return input->len > 0 ? DROP_BAD : DROP_ENDED;
    if (!take_magic(r, input))
        return DROP_BAD;
    if (r->magic < DROP_MAGIC_LEN)
        return DROP_MORE;
    bool has_record = r->header_len == sizeof r->header;
    if (!has_record && !take_header(r, input))
        return DROP_BAD;
    if (r->header_len < sizeof r->header)
        return DROP_MORE;
    if (r->last != DROP_END)
        return take_body(r, input, item);
    r->ended = true;
    return input->len > 0 ? DROP_BAD : DROP_ENDED;
}

enum drop_step drop_read(struct drop_reader *r, struct span *input, struct drop_item *item_out)
{
    enum drop_step s = r->bad ? DROP_BAD : step(r, input, item_out);
    r->bad = s == DROP_BAD;
    return s;
}

bool drop_begin(struct buffer *out)
{
    return buffer_put_text(out, DROP_MAGIC);
}

bool drop_put(struct buffer *out, enum drop_type type, struct span bytes)
{
    size_t most = type == DROP_DATA ? DROP_RECORD_MAX : DROP_TEXT_MAX;
    return bytes.len <= most && is_text(type == DROP_DATA ? SPAN("") : bytes) &&
           buffer_put_u8(out, (uint8_t)type) && buffer_put_u32(out, (uint32_t)bytes.len) &&
           buffer_put(out, bytes);
}
