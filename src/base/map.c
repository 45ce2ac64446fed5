/*
 * map: see map.h.
 *
 * Linear probing; removal shifts the followers back, so there are no tombstones and a table that
 * lives for months stays fast. A free slot has a NULL value. The stored 32 bits of hash place an
 * object when the table grows, and spare most comparisons of keys.
 */
#include "base/map.h"

#include <stdlib.h>

#include "base/check.h"

#define CAPACITY_FIRST 8
#define CAPACITY_MAX   ((size_t)1 << 31) /* 32 bits of hash place no more */

void map_init(struct map *m, struct span (*key_of)(const void *object), uint64_t secret)
{
    *m = (struct map){.key_of = key_of, .secret = secret};
}

void map_fini(struct map *m)
{
    free(m->values);
    free(m->hashes);
    map_init(m, m->key_of, m->secret);
}

static uint32_t slot_hash(const struct map *m, struct span key)
{
    return (uint32_t)map_hash(key, m->secret);
}

/* The slot of the key, or the free slot where it would go. The load limit leaves a free one. */
static size_t find(const struct map *m, struct span key, uint32_t hash)
{
    size_t mask = m->capacity - 1;
    size_t at = hash & mask;
    while (m->values[at] != NULL) {
        if (m->hashes[at] == hash && span_equal(m->key_of(m->values[at]), key))
            break;
        at = (at + 1) & mask;
    }
    return at;
}

void *map_get(const struct map *m, struct span key)
{
    if (m->count == 0)
        return NULL;
    return m->values[find(m, key, slot_hash(m, key))];
}

static void place(struct map *m, void *object, uint32_t hash)
{
    size_t mask = m->capacity - 1;
    size_t at = hash & mask;
    while (m->values[at] != NULL)
        at = (at + 1) & mask;
    m->values[at] = object;
    m->hashes[at] = hash;
}

static bool grow(struct map *m)
{
    struct map larger = *m;
    if (m->capacity >= CAPACITY_MAX)
        return false;
    larger.capacity = m->capacity == 0 ? CAPACITY_FIRST : m->capacity * 2;
    larger.values = calloc(larger.capacity, sizeof *larger.values);
    larger.hashes = malloc(larger.capacity * sizeof *larger.hashes);
    if (larger.values == NULL || larger.hashes == NULL) {
        free(larger.values);
        free(larger.hashes);
        return false;
    }
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->values[i] != NULL)
            place(&larger, m->values[i], m->hashes[i]);
    }
    free(m->values);
    free(m->hashes);
    *m = larger;
    return true;
}

bool map_put(struct map *m, void *object)
{
    check(object != NULL);
    if (m->count + 1 > m->capacity - m->capacity / 4 && !grow(m))
        return false;
    struct span key = m->key_of(object);
    uint32_t hash = slot_hash(m, key);
    size_t at = find(m, key, hash);
    check(m->values[at] == NULL);
    m->values[at] = object;
    m->hashes[at] = hash;
    m->count++;
    return true;
}

/* Closes the hole at `at`: each follower moves back unless that would put it before its first
   choice. */
static void close_hole(struct map *m, size_t at)
{
    size_t mask = m->capacity - 1;
    size_t next = (at + 1) & mask;
    while (m->values[next] != NULL) {
        size_t first_choice = m->hashes[next] & mask;
        if (((next - first_choice) & mask) >= ((next - at) & mask)) {
            m->values[at] = m->values[next];
            m->hashes[at] = m->hashes[next];
            at = next;
        }
        next = (next + 1) & mask;
    }
    m->values[at] = NULL;
}

void *map_remove(struct map *m, struct span key)
{
    if (m->count == 0)
        return NULL;
    size_t at = find(m, key, slot_hash(m, key));
    void *object = m->values[at];
    if (object != NULL) {
        close_hole(m, at);
        m->count--;
    }
    return object;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->capacity) {
        void *object = m->values[(*at)++];
        if (object != NULL)
            return object;
    }
    return NULL;
}

/* SipHash-1-3 (Aumasson and Bernstein), whose key is stretched from the secret: made for short
   keys chosen by an enemy. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 = rotate_left(s->v2, 32);
}

static uint64_t load(const uint8_t *bytes, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t map_hash(struct span key, uint64_t secret)
{
    uint64_t k0 = secret;
    uint64_t k1 =
        rotate_left(secret, 29) * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0x517cc1b727220a95);
    struct sip s = {
        .v0 = k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t tail = key.len & 7;
    size_t whole = key.len - tail;
    for (size_t i = 0; i < whole; i += 8)
        sip_word(&s, load(key.data + i, 8));
    uint64_t last = tail == 0 ? 0 : load(key.data + whole, tail);
    sip_word(&s, last | (uint64_t)key.len << 56);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
