/* pattern: what it matches, what it does not, and what is none. */
#include "base/pattern.h"

#include <string.h>

#include "expect.h"

static const struct {
    const char *pattern, *text;
    bool matches;
} rows[] = {
    {"", "", true},
    {"", "anything", true},
    {"a", "", false},
    {"a", "a", true},
    {"a", "xay", true},
    {"A", "xay", true},
    {"a", "xAy", true},
    {"^a", "ab", true},
    {"^a", "ba", false},
    {"a$", "ba", true},
    {"a$", "ab", false},
    {"^$", "", true},
    {"^$", "a", false},
    {"^a$", "a", true},
    {"^a$", "aa", false},
    {"4.7", "450 4.7.1 greylisted", true},
    {"4\\.7", "450 4.7.1", true},
    {"4\\.7", "447", false},
    {"4.7", "457", true},
    {"ab*c", "ac", true},
    {"ab*c", "abbbc", true},
    {"ab*c", "abbb", false},
    {"ab+c", "ac", false},
    {"ab+c", "abc", true},
    {"ab+c", "abbbbc", true},
    {"^ab+$", "abbbx", false},
    {"ab?c", "ac", true},
    {"ab?c", "abc", true},
    {"^ab?c$", "abbc", false},
    {"a.c", "abc", true},
    {"a.c", "ac", false},
    {"a.*c", "a whole c", true},
    {"^.*$", "", true},
    {"^.+$", "", false},
    {"[abc]x", "bx", true},
    {"[abc]x", "dx", false},
    {"[a-c]x", "Bx", true},
    {"[^a-c]x", "dx", true},
    {"[^a-c]x", "ax", false},
    {"[]]", "]", true},
    {"[-a]", "-", true},
    {"[a-]", "-", true},
    {"[0-9]+ times", "try 17 times", true},
    {"\\*", "a*b", true},
    {"\\*", "ab", false},
    {"a$b", "a$b", true},
    {"a^b", "a^b", true},
    {"x*y*z*", "", true},
    {"^x*y*z*$", "xxyz", true},
    {"^x*y*z*$", "zx", false},
    {"^x+y+$", "xyx", false},
    {"^a*a*a*a*a*a*a*a*a*a*b$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
    {"^[ab]*a[ab][ab]$", "bbabb", true},
    {"^[ab]*a[ab][ab]$", "bbbbb", false},
};

static void matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct pattern p;
        size_t at;
        const char *why;
        if (!pattern_parse(span_text(rows[i].pattern), &p, &at, &why))
            fail_msg("%s: %s", rows[i].pattern, why);
        if (pattern_matches(&p, span_text(rows[i].text)) != rows[i].matches)
            fail_msg("\"%s\" and \"%s\"", rows[i].pattern, rows[i].text);
    }
}

static const struct {
    const char *pattern;
    size_t at;
} wrong[] = {
    {"*", 0},  {"^*", 1},  {"a**", 2},   {"+", 0},  {"?a", 0},   {"(a)", 0},
    {"a)", 1}, {"a|b", 1}, {"a{2}", 1},  {"a}", 1}, {"[", 1},    {"[a", 2},
    {"[]", 2}, {"[^]", 3}, {"[c-a]", 2}, {"\\", 1}, {"ab\\", 3},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(wrong); i++) {
        struct pattern p;
        size_t at;
        const char *why = NULL;
        assert_false(pattern_parse(span_text(wrong[i].pattern), &p, &at, &why));
        assert_non_null(why);
        if (at != wrong[i].at)
            fail_msg("%s: at %zu", wrong[i].pattern, at);
    }
}

static void at_the_limit(void **state)
{
    (void)state;
    char text[PATTERN_ATOMS_MAX + 2];
    struct pattern p;
    size_t at;
    const char *why;
    memset(text, 'a', sizeof text);
    assert_true(pattern_parse(span_of(text, PATTERN_ATOMS_MAX), &p, &at, &why));
    assert_true(pattern_matches(&p, span_of(text, PATTERN_ATOMS_MAX)));
    assert_false(pattern_matches(&p, span_of(text, PATTERN_ATOMS_MAX - 1)));
    assert_false(pattern_parse(span_of(text, PATTERN_ATOMS_MAX + 1), &p, &at, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(refused),
        cmocka_unit_test(at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
