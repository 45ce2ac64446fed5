/*
 * The text forms of bytes, ids, endpoints and requests. The first byte chooses one; what is read is
 * written again and is the same.
 */
#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "base/encode.h"
#include "base/id.h"
#include "ipc/control.h"
#include "os/socket.h"

#define OUTPUT_MAX (16u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct span text, bool (*encode)(struct buffer *out, struct span in),
                       bool (*decode)(struct buffer *out, struct span in), bool is_canonical)
{
    struct buffer written, read;
    buffer_init(&written, OUTPUT_MAX);
    buffer_init(&read, OUTPUT_MAX);
    check(encode(&written, text) && decode(&read, buffer_span(&written)));
    check(span_equal(buffer_span(&read), text));
    buffer_reset(&written);
    buffer_reset(&read);
    if (decode(&read, text)) {
        check(encode(&written, buffer_span(&read)));
        check(!is_canonical || span_equal(buffer_span(&written), text));
    } else {
        check(read.len == 0);
    }
    buffer_fini(&written);
    buffer_fini(&read);
}

/* Valid for somebody else's reader; valid UTF-8 comes back as it was. */
static void write_json(struct span text)
{
    struct buffer written;
    buffer_init(&written, OUTPUT_MAX);
    check(encode_json_string(&written, text));
    json_t *read =
        json_loadb((const char *)written.data, written.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    check(json_is_string(read));
    struct span back = span_of(json_string_value(read), json_string_length(read));
    check(!utf8_valid(text) || span_equal(back, text));
    json_decref(read);
    buffer_reset(&written);
    check(encode_escaped(&written, text));
    for (size_t i = 0; i < written.len; i++)
        check(written.data[i] >= 32 && written.data[i] < 127);
    buffer_fini(&written);
}

static void read_id(struct span text)
{
    char written[ID_TEXT_LEN + 1];
    struct id id = {{0}}, again;
    if (id_parse(text, &id)) {
        id_format(id, written);
        check(span_equal_nocase(span_text(written), text));
    }
    memcpy(id.bytes, text.data, text.len < sizeof id.bytes ? text.len : sizeof id.bytes);
    id_format(id, written);
    check(id_parse(span_text(written), &again) && id_equal(id, again));
}

static void read_endpoint(struct span text)
{
    char written[ENDPOINT_TEXT_MAX];
    struct endpoint e, again;
    if (endpoint_parse(text, &e)) {
        check(e.family == 4 || e.family == 6);
        check(endpoint_parse(endpoint_format(e, written), &again) && endpoint_equal(e, again));
    }
    if (endpoint_parse_ip(text, &e)) {
        check(endpoint_parse_ip(endpoint_format_ip(e, written), &again));
        check(endpoint_equal(e, again));
    }
}

static void read_request(struct span line)
{
    struct span words[CONTROL_WORDS_MAX];
    size_t count = 0;
    struct buffer again;
    if (!control_request_parse(line, words, &count))
        return;
    buffer_init(&again, CONTROL_REQUEST_MAX);
    check(count > 0 && control_request_format(&again, words, count));
    check(again.len == line.len + 1 &&
          span_equal(span_sub(buffer_span(&again), 0, line.len), line));
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span text = span_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        round_trip(text, encode_base64, decode_base64, true);
        break;
    case 1:
        round_trip(text, encode_xtext, decode_xtext, false);
        break;
    case 2:
        write_json(text);
        break;
    case 3:
        read_id(text);
        break;
    case 4:
        read_endpoint(text);
        break;
    default:
        read_request(text);
    }
    return 0;
}
