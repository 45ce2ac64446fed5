/*
 * histogram: latencies in log-linear buckets: 64 to each power of two, so that a percentile is at
 * most 1.6 % too high; the maximum is exact. Adding costs a few instructions and never allocates.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t total;
    uint64_t max;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* A zeroed struct is an empty histogram. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The smallest bucket end that at least `fraction` (0 to 1) of all values do not exceed; 0 if
 * there are none. */
uint64_t histogram_at(const struct histogram *histogram, double fraction);

#endif
