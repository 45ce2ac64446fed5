/*
 * forgetfs: a FUSE file system that forgets what was not synced, see forget.h.
 *
 *   forgetfs BACKING MOUNTPOINT [--tear SEED] [--cut-after N] [--sync-delay-ms N]
 *
 * Stays in the foreground. SIGUSR1 cuts the power; from then on every operation answers EIO.
 * SIGTERM or an unmount end the program, which prints what it counted as one line of JSON; without
 * a cut, what was not synced is lost as well: whoever wants it kept has to sync it.
 */
#include <errno.h>
#include <fuse.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/powercut/forget.h"

static struct forget *disk_of_request(void)
{
    return fuse_get_context()->private_data;
}

static struct node *node_of(const struct fuse_file_info *info)
{
    return info == NULL ? NULL : (struct node *)(uintptr_t)info->fh;
}

static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    config->hard_remove = 1; /* an open file that is unlinked has no name at all */
    config->nullpath_ok = 1;
    return disk_of_request();
}

static int on_getattr(const char *path, struct stat *status_out, struct fuse_file_info *info)
{
    return forget_status(disk_of_request(), path, node_of(info), status_out);
}

static int on_open(const char *path, struct fuse_file_info *info)
{
    struct node *node = NULL;
    int result = forget_open(disk_of_request(), path, info->flags, 0, &node);
    info->fh = (uintptr_t)node;
    return result;
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    struct node *node = NULL;
    int result = forget_open(disk_of_request(), path, info->flags | O_CREAT, mode, &node);
    info->fh = (uintptr_t)node;
    return result;
}

static int on_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    forget_close(disk_of_request(), node_of(info));
    return 0;
}

static int on_read(const char *path, char *bytes_out, size_t len, off_t at,
                   struct fuse_file_info *info)
{
    (void)path;
    return (int)forget_read(disk_of_request(), node_of(info), bytes_out, len, at);
}

static int on_write(const char *path, const char *bytes, size_t len, off_t at,
                    struct fuse_file_info *info)
{
    (void)path;
    return (int)forget_write(disk_of_request(), node_of(info), bytes, len, at);
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path;
    (void)data_only;
    return forget_sync(disk_of_request(), node_of(info));
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    return forget_truncate(disk_of_request(), path, node_of(info), size);
}

static int on_fallocate(const char *path, int mode, off_t at, off_t len,
                        struct fuse_file_info *info)
{
    (void)path;
    if (mode != 0)
        return -EOPNOTSUPP;
    return forget_grow(disk_of_request(), node_of(info), at + len);
}

static int on_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    return forget_chmod(disk_of_request(), path, node_of(info), mode);
}

static int on_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *info)
{
    return forget_chown(disk_of_request(), path, node_of(info), user, group);
}

static int on_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info)
{
    (void)path;
    (void)times;
    (void)info;
    return 0; /* times are not modelled */
}

static int on_unlink(const char *path)
{
    return forget_unlink(disk_of_request(), path);
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
    if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
        return -EINVAL;
    return forget_rename(disk_of_request(), from, to, (flags & RENAME_NOREPLACE) != 0);
}

static int on_mkdir(const char *path, mode_t mode)
{
    return forget_make_folder(disk_of_request(), path, mode);
}

static int on_rmdir(const char *path)
{
    return forget_remove_folder(disk_of_request(), path);
}

static int on_opendir(const char *path, struct fuse_file_info *info)
{
    /* Without a path of its own a later fsyncdir could not tell which folder is meant. */
    info->fh = (uintptr_t)strdup(path);
    return info->fh == 0 ? -ENOMEM : 0;
}

static int on_releasedir(const char *path, struct fuse_file_info *info)
{
    (void)path;
    free((char *)(uintptr_t)info->fh);
    return 0;
}

struct listing {
    void *buffer;
    fuse_fill_dir_t fill;
};

static void list_name(void *context, const char *name)
{
    struct listing *listing = context;
    listing->fill(listing->buffer, name, NULL, 0, 0);
}

static int on_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)path;
    (void)at;
    (void)flags;
    struct listing listing = {.buffer = buffer, .fill = fill};
    list_name(&listing, ".");
    list_name(&listing, "..");
    return forget_list(disk_of_request(), (const char *)(uintptr_t)info->fh, list_name, &listing);
}

static int on_fsyncdir(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path;
    (void)data_only;
    return forget_sync_folder(disk_of_request(), (const char *)(uintptr_t)info->fh);
}

static int on_statfs(const char *path, struct statvfs *room_out)
{
    (void)path;
    return forget_room(disk_of_request(), room_out);
}

static const struct fuse_operations operations = {
    .init = on_init,
    .getattr = on_getattr,
    .open = on_open,
    .create = on_create,
    .release = on_release,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .truncate = on_truncate,
    .fallocate = on_fallocate,
    .chmod = on_chmod,
    .chown = on_chown,
    .utimens = on_utimens,
    .unlink = on_unlink,
    .rename = on_rename,
    .mkdir = on_mkdir,
    .rmdir = on_rmdir,
    .opendir = on_opendir,
    .releasedir = on_releasedir,
    .readdir = on_readdir,
    .fsyncdir = on_fsyncdir,
    .statfs = on_statfs,
};

static void *wait_for_cut(void *disk)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    for (int signal; sigwait(&signals, &signal) == 0;)
        forget_cut(disk);
    return NULL;
}

static void print_counts(struct forget *disk)
{
    struct forget_counts counts = forget_counts(disk);
    printf("{\"cut\": %s, \"writes\": %" PRIu64 ", \"syncs\": %" PRIu64
           ", \"folder_syncs\": %" PRIu64 ", \"changes\": %" PRIu64 ", \"sectors_lost\": %" PRIu64
           ", \"sectors_survived\": %" PRIu64 ", \"changes_lost\": %" PRIu64
           ", \"changes_survived\": %" PRIu64 "}\n",
           counts.cut ? "true" : "false", counts.writes, counts.syncs, counts.folder_syncs,
           counts.changes, counts.sectors_lost, counts.sectors_survived, counts.changes_lost,
           counts.changes_survived);
}

static int serve(struct forget *disk, const char *program, const char *mountpoint)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* inherited by every thread of FUSE */
    pthread_t waiter;
    if (pthread_create(&waiter, NULL, wait_for_cut, disk) != 0)
        return 1;
    char *arguments[] = {(char *)(uintptr_t)program, "-f", (char *)(uintptr_t)mountpoint, NULL};
    int status = fuse_main(3, arguments, &operations, disk);
    pthread_cancel(waiter);
    pthread_join(waiter, NULL);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"tear", required_argument, NULL, 't'},
                                                 {"cut-after", required_argument, NULL, 'c'},
                                                 {"sync-delay-ms", required_argument, NULL, 'd'},
                                                 {NULL, 0, NULL, 0}};
    struct forget_options options = {0};
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == 't') {
            options.tear = true;
            options.seed = strtoull(optarg, NULL, 10);
        } else if (option == 'c') {
            options.cut_after = strtoull(optarg, NULL, 10);
        } else if (option == 'd') {
            options.sync_delay_ms = (unsigned)strtoul(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    if (argc - optind != 2) {
        fputs("usage: forgetfs BACKING MOUNTPOINT [--tear SEED] [--cut-after N]"
              " [--sync-delay-ms N]\n",
              stderr);
        return 2;
    }
    options.backing = argv[optind];
    struct forget *disk = forget_new(&options);
    if (disk == NULL)
        return 1;
    int status = serve(disk, argv[0], argv[optind + 1]);
    print_counts(disk);
    forget_free(disk);
    return status;
}
