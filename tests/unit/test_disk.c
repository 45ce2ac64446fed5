/* disk: a real directory under /tmp. */
#include "os/disk.h"

#include <sys/stat.h>

#include "disk_cases.h"
#include "os/linux/real_world.h"

static char path[64];
static struct disk_case bench = {.path = path};

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/postrider-disk-XXXXXX");
    return mkdtemp(path) == NULL || world_new_real(&bench.world) != FAULT_NONE ||
           disk_new(bench.world, path, &bench.disk) != FAULT_NONE;
}

static int finish(void **state)
{
    char command[128];
    (void)state;
    disk_free(bench.disk);
    world_free_real(bench.world);
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command) == 0 ? 0 : 1;
}

static void writes_and_reads(void **state)
{
    (void)state;
    case_writes_and_reads(&bench);
}

static void many_parts(void **state)
{
    (void)state;
    case_many_parts(&bench);
}

static void refuses(void **state)
{
    struct file *f = NULL;
    struct disk *d = NULL;
    (void)state;
    case_refuses(&bench);
    assert_int_equal(disk_new(bench.world, "/etc/passwd", &d), FAULT_NOT_FOUND);
    assert_null(d);

    /* A symbolic link is not followed out of the directory. */
    char name[128];
    snprintf(name, sizeof name, "%s/link", path);
    assert_int_equal(symlink("/etc/passwd", name), 0);
    assert_int_not_equal(file_open(bench.disk, "link", DISK_READ, &f), FAULT_NONE);
    assert_null(f);
}

/* Folders and names with a dot in front are not ours. */
static void lists_files_only(void **state)
{
    char name[128];
    (void)state;
    snprintf(name, sizeof name, "%s/folder", path);
    assert_int_equal(mkdir(name, 0700), 0);
    snprintf(name, sizeof name, "%s/.hidden", path);
    assert_int_equal(mkdir(name, 0700), 0);
    case_lists(&bench);
}

static void one_owner(void **state)
{
    (void)state;
    case_one_owner(&bench);
}

/* A process that dies without a word leaves no lock behind. */
static void death_unlocks(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct disk *own = NULL;
        _exit(disk_new(bench.world, path, &own) == FAULT_NONE && disk_lock(own) == FAULT_NONE ? 7
                                                                                              : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(disk_lock(bench.disk), FAULT_NONE);
}

/* /dev/full answers every write with ENOSPC. */
static void full_disk(void **state)
{
    struct disk *dev = NULL;
    struct file *f = NULL;
    uint64_t room = 0;
    (void)state;
    assert_int_equal(disk_room(bench.disk, &room), FAULT_NONE);
    assert_true(room > 0);
    assert_int_equal(disk_new(bench.world, "/dev", &dev), FAULT_NONE);
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
