/*
 * letter: see letter.h.
 */
#include "letter/letter.h"

static const char *const names[LETTER_COUNT] = {
#define LETTER(name, from, to) [LETTER_##name] = #name,
#include "letter/letter.def"
#undef LETTER
};

const char *letter_name(enum letter_type type)
{
    return (unsigned)type < LETTER_COUNT ? names[type] : "UNKNOWN";
}
