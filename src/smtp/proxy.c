#include "smtp/proxy.h"

#include <string.h>

#define V2_HEAD_BYTES 16 /* signature, version and command, family, length */

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* Version 1: one line of text ------------------------------------------------------------------ */

/* The next word of a line, parted from what follows by exactly one blank. */
static bool next_word(struct span *line, struct span *word_out)
{
    size_t n = 0;
    while (n < line->len && line->data[n] != ' ')
        n++;
    *word_out = span_sub(*line, 0, n);
    *line = span_skip(*line, n < line->len ? n + 1 : n);
    return n > 0;
}

/* A decimal without a sign or leading zeros. */
static bool parse_port(struct span word, uint16_t *port_out)
{
    uint32_t value = 0;
    if (word.len == 0 || word.len > 5 || (word.len > 1 && word.data[0] == '0'))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        value = value * 10 + word.data[i] - '0';
    }
    *port_out = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool parse_side(struct span address, struct span port, uint8_t family,
                       struct endpoint *endpoint_out)
{
    uint16_t number;
    bool is_v6_text = span_find(address, SPAN(":"), 0) < address.len;
    if (is_v6_text != (family == 6) || !endpoint_parse_ip(address, endpoint_out) ||
        !parse_port(port, &number))
        return false;
    endpoint_out->port = number;
    return true;
}

static bool parse_addresses(struct span line, uint8_t family, struct proxy_header *header_out)
{
    struct span words[4];
    struct endpoint destination;
    if (line.len == 0 || line.data[line.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < 4; i++)
        if (!next_word(&line, &words[i]))
            return false;
    header_out->is_relayed = true;
    return line.len == 0 && parse_side(words[0], words[2], family, &header_out->client) &&
           parse_side(words[1], words[3], family, &destination);
}

static bool parse_line(struct span line, struct proxy_header *header_out)
{
    struct span word;
    (void)next_word(&line, &word);
    (void)next_word(&line, &word);
    if (span_equal(word, SPAN("UNKNOWN")))
        return true; /* whatever follows is to be ignored */
    if (span_equal(word, SPAN("TCP4")))
        return parse_addresses(line, 4, header_out);
    return span_equal(word, SPAN("TCP6")) && parse_addresses(line, 6, header_out);
}

static enum proxy_progress read_v1(struct span bytes, size_t *used_out,
                                   struct proxy_header *header_out)
{
    size_t end = 0;
    while (end < bytes.len && end < PROXY_V1_MAX && bytes.data[end] != '\n')
        end++;
    if (end == PROXY_V1_MAX)
        return PROXY_FAULT;
    if (end == bytes.len)
        return PROXY_MORE;
    *used_out = end + 1;
    if (bytes.data[end - 1] != '\r' || !parse_line(span_sub(bytes, 0, end - 1), header_out))
        return PROXY_FAULT;
    return PROXY_DONE;
}

/* Version 2: a block of bytes ------------------------------------------------------------------ */

/* Both addresses, then both ports. */
static void take_client(struct span addresses, uint8_t family, struct proxy_header *header_out)
{
    size_t bytes = family == 4 ? 4 : 16;
    const uint8_t *port = addresses.data + 2 * bytes;
    header_out->is_relayed = true;
    header_out->client.family = family;
    memcpy(header_out->client.ip, addresses.data, bytes);
    header_out->client.port = (uint16_t)(port[0] << 8 | port[1]);
}

static enum proxy_progress read_v2(struct span bytes, size_t *used_out,
                                   struct proxy_header *header_out)
{
    if (bytes.len < V2_HEAD_BYTES)
        return PROXY_MORE;
    uint8_t command = bytes.data[12], family = bytes.data[13];
    size_t len = (size_t)bytes.data[14] << 8 | bytes.data[15];
    if ((command != 0x20 && command != 0x21) || len > PROXY_V2_MAX - V2_HEAD_BYTES)
        return PROXY_FAULT;
    if (command == 0x21 && ((family == 0x11 && len < 12) || (family == 0x21 && len < 36)))
        return PROXY_FAULT;
    if (bytes.len < V2_HEAD_BYTES + len)
        return PROXY_MORE;
    *used_out = V2_HEAD_BYTES + len;
    struct span addresses = span_sub(bytes, V2_HEAD_BYTES, len);
    if (command == 0x21 && family == 0x11)
        take_client(addresses, 4, header_out);
    else if (command == 0x21 && family == 0x21)
        take_client(addresses, 6, header_out);
    return PROXY_DONE;
}

static bool begins_with(struct span bytes, const void *text, size_t len)
{
    size_t n = bytes.len < len ? bytes.len : len;
    return memcmp(bytes.data, text, n) == 0;
}

enum proxy_progress proxy_read(struct span bytes, size_t *used_out, struct proxy_header *header_out)
{
    *header_out = (struct proxy_header){0};
    *used_out = 0;
    if (bytes.len == 0)
        return PROXY_MORE;
    if (begins_with(bytes, signature, sizeof signature))
        return read_v2(bytes, used_out, header_out);
    if (begins_with(bytes, "PROXY ", 6))
        return read_v1(bytes, used_out, header_out);
    return PROXY_FAULT;
}
