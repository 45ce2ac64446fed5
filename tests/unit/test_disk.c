/* disk: a real directory under /tmp. */
#include "os/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/linux/real_world.h"

static struct world *world;
static struct disk *disk;
static char path[64];

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/postrider-disk-XXXXXX");
    return mkdtemp(path) == NULL || world_new_real(&world) != FAULT_NONE ||
           disk_new(world, path, &disk) != FAULT_NONE;
}

static int finish(void **state)
{
    char command[128];
    (void)state;
    disk_free(disk);
    world_free_real(world);
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command) == 0 ? 0 : 1;
}

static struct file *opened(const char *name, enum disk_open how)
{
    struct file *f = NULL;
    assert_int_equal(file_open(disk, name, how, &f), FAULT_NONE);
    return f;
}

static void writes_and_reads(void **state)
{
    struct span parts[] = {SPAN("one "), SPAN(""), SPAN("two "), SPAN("three")};
    char bytes[64];
    size_t got = 0;
    uint64_t size = 0;
    (void)state;
    struct file *f = opened("a", DISK_CREATE);
    assert_int_equal(file_write(f, 0, parts, 4), FAULT_NONE);
    assert_int_equal(file_write(f, 4, &SPAN("TWO"), 1), FAULT_NONE);
    assert_int_equal(file_write(f, 0, NULL, 0), FAULT_NONE);
    assert_int_equal(file_sync(f), FAULT_NONE);
    assert_int_equal(disk_sync(disk), FAULT_NONE);
    file_close(f);

    f = opened("a", DISK_READ);
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
static void many_parts(void **state)
{
    enum { PARTS = 3000 };
    static struct span parts[PARTS];
    static char bytes[PARTS * 3 + 10];
    size_t got = 0;
    (void)state;
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = i % 7 == 0 ? SPAN("") : i % 2 ? SPAN("abc") : SPAN("de");
    struct file *f = opened("many", DISK_CREATE);
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

static void refuses(void **state)
{
    struct file *f = NULL;
    struct disk *d = NULL;
    (void)state;
    assert_int_equal(file_open(disk, "absent", DISK_READ, &f), FAULT_NOT_FOUND);
    assert_int_equal(file_open(disk, "absent", DISK_WRITE, &f), FAULT_NOT_FOUND);
    file_close(opened("there", DISK_CREATE));
    assert_int_equal(file_open(disk, "there", DISK_CREATE, &f), FAULT_EXISTS);
    assert_int_equal(disk_unlink(disk, "absent"), FAULT_NOT_FOUND);
    assert_int_equal(disk_rename(disk, "absent", "there"), FAULT_NOT_FOUND);
    assert_int_equal(disk_new(world, "/nonexistent/folder", &d), FAULT_NOT_FOUND);
    assert_int_equal(disk_new(world, "/etc/passwd", &d), FAULT_NOT_FOUND);
    assert_null(d);

    /* A symbolic link is not followed out of the directory. */
    char name[128];
    snprintf(name, sizeof name, "%s/link", path);
    assert_int_equal(symlink("/etc/passwd", name), 0);
    assert_int_not_equal(file_open(disk, "link", DISK_READ, &f), FAULT_NONE);
    assert_null(f);
}

struct names {
    int count;
    bool a, b;
};

static void on_name(void *context, const char *name)
{
    struct names *n = context;
    n->count++;
    n->a = n->a || strcmp(name, "a") == 0;
    n->b = n->b || strcmp(name, "b") == 0;
}

static void lists_files_only(void **state)
{
    struct names n = {0};
    char name[128];
    (void)state;
    assert_int_equal(disk_list(disk, on_name, &n), FAULT_NONE);
    assert_int_equal(n.count, 0);
    snprintf(name, sizeof name, "%s/folder", path);
    assert_int_equal(mkdir(name, 0700), 0);
    snprintf(name, sizeof name, "%s/.hidden", path);
    assert_int_equal(mkdir(name, 0700), 0);
    file_close(opened("a", DISK_CREATE));
    file_close(opened("x", DISK_CREATE));
    assert_int_equal(disk_rename(disk, "x", "b"), FAULT_NONE);
    for (int i = 0; i < 2; i++) { /* twice: each listing begins anew */
        n = (struct names){0};
        assert_int_equal(disk_list(disk, on_name, &n), FAULT_NONE);
        assert_int_equal(n.count, 2);
        assert_true(n.a && n.b);
    }
    assert_int_equal(disk_rename(disk, "a", "b"), FAULT_NONE);
    assert_int_equal(disk_unlink(disk, "b"), FAULT_NONE);
    n = (struct names){0};
    assert_int_equal(disk_list(disk, on_name, &n), FAULT_NONE);
    assert_int_equal(n.count, 0);
}

static void one_owner(void **state)
{
    struct disk *other = NULL;
    (void)state;
    assert_int_equal(disk_new(world, path, &other), FAULT_NONE);
    assert_int_equal(disk_lock(disk), FAULT_NONE);
    assert_int_equal(disk_lock(disk), FAULT_NONE); /* it is ours */
    assert_int_equal(disk_lock(other), FAULT_DISK_LOCKED);
    disk_free(disk);
    assert_int_equal(disk_lock(other), FAULT_NONE);
    disk = other;
}

/* A process that dies without a word leaves no lock behind. */
static void death_unlocks(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct disk *own = NULL;
        _exit(disk_new(world, path, &own) == FAULT_NONE && disk_lock(own) == FAULT_NONE ? 7 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(disk_lock(disk), FAULT_NONE);
}

/* /dev/full answers every write with ENOSPC. */
static void full_disk(void **state)
{
    struct disk *dev = NULL;
    struct file *f = NULL;
    uint64_t room = 0;
    (void)state;
    assert_int_equal(disk_room(disk, &room), FAULT_NONE);
    assert_true(room > 0);
    assert_int_equal(disk_new(world, "/dev", &dev), FAULT_NONE);
    assert_int_equal(file_open(dev, "full", DISK_WRITE, &f), FAULT_NONE);
    assert_int_equal(file_write(f, 0, &SPAN("x"), 1), FAULT_DISK_FULL);
    file_close(f);
    disk_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
        TEST(writes_and_reads), TEST(many_parts),    TEST(refuses),   TEST(lists_files_only),
        TEST(one_owner),        TEST(death_unlocks), TEST(full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
