/*
 * disk_cases: what every disk does, real or simulated: the contract of os/disk.h. Each case begins
 * with an empty directory.
 */
#ifndef TESTS_UNIT_DISK_CASES_H
#define TESTS_UNIT_DISK_CASES_H

#include "expect.h"
#include "os/disk.h"

struct disk_case {
    struct world *world;
    const char *path;
    struct disk *disk; /* of `path` */
};

static inline struct file *case_open(struct disk_case *c, const char *name, enum disk_open how)
{
    struct file *f = NULL;
    assert_int_equal(file_open(c->disk, name, how, &f), FAULT_NONE);
    return f;
}

static inline void case_writes_and_reads(struct disk_case *c)
{
    struct span parts[] = {SPAN("one "), SPAN(""), SPAN("two "), SPAN("three")};
    char bytes[64];
    size_t got = 0;
    uint64_t size = 0;
    struct file *f = case_open(c, "a", DISK_CREATE);
    assert_int_equal(file_write(f, 0, parts, 4), FAULT_NONE);
    assert_int_equal(file_write(f, 4, &SPAN("TWO"), 1), FAULT_NONE);
    assert_int_equal(file_write(f, 0, NULL, 0), FAULT_NONE);
    assert_int_equal(file_sync(f), FAULT_NONE);
    assert_int_equal(disk_sync(c->disk), FAULT_NONE);
    file_close(f);

    f = case_open(c, "a", DISK_READ);
    assert_int_equal(file_size(f, &size), FAULT_NONE);
    assert_int_equal(size, 13);
    assert_int_equal(file_read(f, 0, bytes, sizeof bytes, &got), FAULT_NONE);
    assert_int_equal(got, 13);
    assert_memory_equal(bytes, "one TWO three", 13);
    assert_int_equal(file_read(f, 8, bytes, 3, &got), FAULT_NONE);
    assert_int_equal(got, 3);
    assert_memory_equal(bytes, "thr", 3);
    assert_int_equal(file_read(f, 13, bytes, 1, &got), FAULT_NONE);
    assert_int_equal(got, 0);
    assert_int_equal(file_read(f, 1000, bytes, 1, &got), FAULT_NONE);
    assert_int_equal(got, 0);
    assert_int_not_equal(file_write(f, 0, parts, 1), FAULT_NONE); /* opened to read */
    file_close(f);
}

/* More parts than one system call takes, and a hole. */
static inline void case_many_parts(struct disk_case *c)
{
    enum { PARTS = 3000 };
    static struct span parts[PARTS];
    static char bytes[PARTS * 3 + 10];
    size_t got = 0;
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = i % 7 == 0 ? SPAN("") : i % 2 ? SPAN("abc") : SPAN("de");
    struct file *f = case_open(c, "many", DISK_CREATE);
    assert_int_equal(file_write(f, 5, parts, PARTS), FAULT_NONE);
    assert_int_equal(file_read(f, 0, bytes, sizeof bytes, &got), FAULT_NONE);
    size_t at = 5;
    assert_memory_equal(bytes, "\0\0\0\0\0", 5);
    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].len > 0)
            assert_memory_equal(bytes + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    assert_int_equal(got, at);
    file_close(f);
}

static inline void case_refuses(struct disk_case *c)
{
    struct file *f = NULL;
    struct disk *d = NULL;
    assert_int_equal(file_open(c->disk, "absent", DISK_READ, &f), FAULT_NOT_FOUND);
    assert_int_equal(file_open(c->disk, "absent", DISK_WRITE, &f), FAULT_NOT_FOUND);
    file_close(case_open(c, "there", DISK_CREATE));
    assert_int_equal(file_open(c->disk, "there", DISK_CREATE, &f), FAULT_EXISTS);
    assert_int_equal(disk_unlink(c->disk, "absent"), FAULT_NOT_FOUND);
    assert_int_equal(disk_rename(c->disk, "absent", "there"), FAULT_NOT_FOUND);
    assert_int_equal(disk_new(c->world, "/nonexistent/folder", &d), FAULT_NOT_FOUND);
    assert_null(d);
    assert_null(f);
}

struct names {
    int count;
    bool a, b;
};

static inline void on_name(void *context, const char *name)
{
    struct names *n = context;
    n->count++;
    n->a = n->a || strcmp(name, "a") == 0;
    n->b = n->b || strcmp(name, "b") == 0;
}

static inline void case_lists(struct disk_case *c)
{
    struct names n = {0};
    assert_int_equal(disk_list(c->disk, on_name, &n), FAULT_NONE);
    assert_int_equal(n.count, 0);
    file_close(case_open(c, "a", DISK_CREATE));
    file_close(case_open(c, "x", DISK_CREATE));
    assert_int_equal(disk_rename(c->disk, "x", "b"), FAULT_NONE);
    for (int i = 0; i < 2; i++) { /* twice: each listing begins anew */
        n = (struct names){0};
        assert_int_equal(disk_list(c->disk, on_name, &n), FAULT_NONE);
        assert_int_equal(n.count, 2);
        assert_true(n.a && n.b);
    }
    assert_int_equal(disk_rename(c->disk, "a", "b"), FAULT_NONE);
    assert_int_equal(disk_unlink(c->disk, "b"), FAULT_NONE);
    n = (struct names){0};
    assert_int_equal(disk_list(c->disk, on_name, &n), FAULT_NONE);
    assert_int_equal(n.count, 0);
}

static inline void case_one_owner(struct disk_case *c)
{
    struct disk *other = NULL;
    assert_int_equal(disk_new(c->world, c->path, &other), FAULT_NONE);
    assert_int_equal(disk_lock(c->disk), FAULT_NONE);
    assert_int_equal(disk_lock(c->disk), FAULT_NONE); /* it is ours */
    assert_int_equal(disk_lock(other), FAULT_DISK_LOCKED);
    disk_free(c->disk);
    assert_int_equal(disk_lock(other), FAULT_NONE);
    c->disk = other;
}

#endif
