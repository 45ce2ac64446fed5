#include "histogram.h"

#define SUB (UINT64_C(1) << HISTOGRAM_SUB_BITS)

/* Values below 2 * SUB have a bucket each; above, the top SUB_BITS + 1 bits choose it. */
static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < 2 * SUB)
        return (unsigned)value;
    shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

static uint64_t bucket_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < 2 * SUB)
        return bucket;
    shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    return (((SUB | (bucket & (SUB - 1))) + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->total++;
    histogram->counts[bucket_of(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

uint64_t histogram_at(const struct histogram *histogram, double fraction)
{
    double wanted = fraction * (double)histogram->total;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t end = bucket_end(i);

        seen += histogram->counts[i];
        if (seen > 0 && (double)seen >= wanted)
            return end < histogram->max ? end : histogram->max;
    }
    return histogram->max;
}
