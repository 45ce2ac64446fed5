/*
 * arguments: numbers and flags of a command line, and the one way a bench program gives up.
 *
 * Nothing here returns on bad input: a bench run with a misread option is worse than none.
 */
#ifndef BENCH_ARGUMENTS_H
#define BENCH_ARGUMENTS_H

#include <stdint.h>

/* Prints one sentence, prefixed by the program's name, and exits with status 2. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A decimal number between min and max, both included; dies otherwise, naming the option. */
uint64_t parse_number(const char *option, const char *text, uint64_t min, uint64_t max);

/* A decimal fraction between min and max, both included; dies otherwise, naming the option. */
double parse_fraction(const char *option, const char *text, double min, double max);

#endif
