#include "base/pattern.h"

#include <string.h>

/* The parser's place, and what it is making. */
struct making {
    struct span text;
    size_t at;
    struct pattern *pattern;
    const char *why;
};

static bool fail(struct making *m, const char *why)
{
    m->why = why;
    return false;
}

static bool has_more(const struct making *m)
{
    return m->at < m->text.len;
}

static uint8_t peek(const struct making *m)
{
    return m->text.data[m->at];
}

static bool is_letter(uint8_t byte)
{
    return byte_lower(byte) >= 'a' && byte_lower(byte) <= 'z';
}

static void take(struct making *m, uint8_t byte)
{
    uint64_t bit = UINT64_C(1) << m->pattern->atom_count;
    m->pattern->of_byte[byte] |= bit;
    if (is_letter(byte))
        m->pattern->of_byte[byte ^ 0x20] |= bit;
}

static bool parse_class(struct making *m)
{
    uint64_t bit = UINT64_C(1) << m->pattern->atom_count;
    bool is_inverted = has_more(m) && peek(m) == '^';
    m->at += is_inverted;
    size_t first = m->at;
    while (has_more(m) && (peek(m) != ']' || m->at == first)) {
        uint8_t low = peek(m), high = low;
        m->at++;
        bool is_range = m->at + 1 < m->text.len && peek(m) == '-' && m->text.data[m->at + 1] != ']';
        if (is_range) {
            high = m->text.data[m->at + 1];
            if (high < low)
                return fail(m, "this range goes backwards");
            m->at += 2;
        }
        for (unsigned byte = low; byte <= high; byte++)
            take(m, (uint8_t)byte);
    }
    if (!has_more(m))
        return fail(m, "a ] is missing");
    m->at++;
    for (unsigned byte = 0; is_inverted && byte < 256; byte++)
        m->pattern->of_byte[byte] ^= bit;
    return true;
}

static bool parse_atom(struct making *m)
{
    uint8_t byte = peek(m);
    if (m->pattern->atom_count == PATTERN_ATOMS_MAX)
        return fail(m, "the pattern is too long");
    if (byte == '*' || byte == '+' || byte == '?')
        return fail(m, "there is nothing that this could repeat");
    if (byte == '(' || byte == ')' || byte == '|' || byte == '{' || byte == '}')
        return fail(m, "patterns have no groups; put a \\ before it to mean the byte itself");
    m->at++;
    if (byte == '[')
        return parse_class(m);
    if (byte == '\\' && !has_more(m))
        return fail(m, "nothing follows the \\");
    if (byte == '\\')
        byte = m->text.data[m->at++];
    else if (byte == '.') {
        for (unsigned any = 0; any < 256; any++)
            take(m, (uint8_t)any);
        return true;
    }
    take(m, byte);
    return true;
}

static void parse_repetition(struct making *m)
{
    uint64_t bit = UINT64_C(1) << m->pattern->atom_count;
    uint8_t byte = has_more(m) ? peek(m) : 0;
    if (byte == '*' || byte == '?')
        m->pattern->optional |= bit;
    if (byte == '*' || byte == '+')
        m->pattern->repeated |= bit;
    m->at += byte == '*' || byte == '+' || byte == '?';
}

bool pattern_parse(struct span text, struct pattern *pattern_out, size_t *at_out,
                   const char **why_out)
{
    struct making m = {.text = text, .pattern = pattern_out};
    memset(pattern_out, 0, sizeof *pattern_out);
    pattern_out->at_start = text.len > 0 && text.data[0] == '^';
    m.at = pattern_out->at_start;
    bool ok = true;
    while (ok && has_more(&m)) {
        pattern_out->at_end = peek(&m) == '$' && m.at + 1 == text.len;
        if (pattern_out->at_end)
            break;
        ok = parse_atom(&m);
        if (ok) {
            parse_repetition(&m);
            pattern_out->atom_count++;
        }
    }
    *at_out = m.at;
    *why_out = m.why;
    return ok;
}

/* State i: the first i atoms are over. From there, past what may be left out. */
static uint64_t spread(const struct pattern *p, uint64_t states)
{
    uint64_t more = states, all = states;
    while ((more = (more & p->optional) << 1 & ~all) != 0)
        all |= more;
    return all;
}

bool pattern_matches(const struct pattern *p, struct span text)
{
    const uint64_t end = UINT64_C(1) << p->atom_count;
    uint64_t states = spread(p, 1);
    for (size_t i = 0; i < text.len; i++) {
        if ((states & end) != 0 && !p->at_end)
            return true;
        uint64_t taken = p->of_byte[text.data[i]];
        /* An atom that goes on stays in the state behind it, which remembers it. */
        uint64_t next = (states & taken) << 1 | (states & (taken & p->repeated) << 1);
        states = spread(p, next | (p->at_start ? 0 : 1));
    }
    return (states & end) != 0;
}
