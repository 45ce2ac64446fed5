/*
 * disk: one real directory; see os/disk.h.
 *
 * All names are opened relative to the directory's descriptor, so that the directory may be moved
 * or hidden by a sandbox after the start. The lock is a flock on that same descriptor: no file of
 * its own, gone with the process.
 */
#include "os/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "os/linux/packet_inside.h"

#define PARTS_PER_WRITE 64
#define READ_BYTES_MAX  (1 << 30) /* of one system call: the kernel stops at 2 GiB */

struct disk {
    int directory;
};

struct file {
    int descriptor;
};

/* Their sync promises less than ours do, and their locks do not always hold. A FUSE file system may
   be either; it is left to the operator. Numbers: linux/magic.h, statfs(2). */
static bool is_network_file_system(uint32_t magic)
{
    static const uint32_t refused[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB2 */
        0x5346414F, /* AFS */
        0x6B414653, /* AFS of the kernel */
        0x00C36400, /* Ceph */
        0x73757245, /* Coda */
        0x564C,     /* NCP */
        0x0BD00BD0, /* Lustre */
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i] == magic)
            return true;
    return false;
}

enum fault disk_new(struct world *w, const char *path, struct disk **disk_out)
{
    (void)w;
    struct statfs status;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return errno == ENOTDIR ? FAULT_NOT_FOUND : fault_of_errno(errno);
    enum fault fault = FAULT_NONE;
    struct disk *d = NULL;
    if (fstatfs(directory, &status) != 0)
        fault = FAULT_DISK_ERROR;
    else if (is_network_file_system((uint32_t)status.f_type))
        fault = FAULT_UNREACHABLE;
    else if ((d = malloc(sizeof *d)) == NULL)
        fault = FAULT_NO_MEMORY;
    if (fault != FAULT_NONE) {
        close(directory);
        return fault;
    }
    d->directory = directory;
    *disk_out = d;
    return FAULT_NONE;
}

void disk_free(struct disk *d)
{
    if (d == NULL)
        return;
    close(d->directory);
    free(d);
}

enum fault disk_lock(struct disk *d)
{
    while (flock(d->directory, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return FAULT_DISK_LOCKED;
        if (errno != EINTR)
            return FAULT_DISK_ERROR;
    }
    return FAULT_NONE;
}

static enum fault sync_descriptor(int (*sync)(int descriptor), int descriptor)
{
    int result;
    do
        result = sync(descriptor);
    while (result != 0 && errno == EINTR);
    return result == 0 ? FAULT_NONE : fault_of_errno(errno);
}

enum fault disk_sync(struct disk *d)
{
    return sync_descriptor(fsync, d->directory);
}

static void check_name(const char *name)
{
    check(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL);
}

enum fault disk_unlink(struct disk *d, const char *name)
{
    check_name(name);
    return unlinkat(d->directory, name, 0) == 0 ? FAULT_NONE : fault_of_errno(errno);
}

enum fault disk_rename(struct disk *d, const char *from, const char *to)
{
    check_name(from);
    check_name(to);
    return renameat(d->directory, from, d->directory, to) == 0 ? FAULT_NONE : fault_of_errno(errno);
}

/* Names with a dot in front are not ours (".", "..", an editor's, NFS's). */
static bool is_file(struct disk *d, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_name[0] == '.')
        return false;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_REG;
    return fstatat(d->directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode);
}

enum fault disk_list(struct disk *d, void (*on_name)(void *context, const char *name),
                     void *context)
{
    /* Opened anew: a duplicate would share the position with any other reader. */
    int own = openat(d->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = own < 0 ? NULL : fdopendir(own);
    if (directory == NULL) {
        enum fault fault = fault_of_errno(errno);
        if (own >= 0)
            close(own);
        return fault;
    }
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (is_file(d, entry))
            on_name(context, entry->d_name);
        errno = 0;
    }
    enum fault fault = fault_of_errno(errno);
    closedir(directory);
    return fault;
}

enum fault disk_room(struct disk *d, uint64_t *bytes_free_out)
{
    struct statvfs status;
    if (fstatvfs(d->directory, &status) != 0)
        return fault_of_errno(errno);
    *bytes_free_out = (uint64_t)status.f_bavail * status.f_frsize;
    return FAULT_NONE;
}

enum fault file_open(struct disk *d, const char *name, enum disk_open how, struct file **file_out)
{
    static const int flags[] = {
        [DISK_READ] = O_RDONLY | O_NONBLOCK, /* of a FIFO, which is none of ours */
        [DISK_WRITE] = O_RDWR,
        [DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };
    check_name(name);
    struct file *f = malloc(sizeof *f);
    if (f == NULL)
        return FAULT_NO_MEMORY;
    f->descriptor = openat(d->directory, name, flags[how] | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->descriptor < 0) {
        enum fault fault = fault_of_errno(errno);
        free(f);
        return fault;
    }
    *file_out = f;
    return FAULT_NONE;
}

void file_close(struct file *f)
{
    if (f == NULL)
        return;
    close(f->descriptor);
    free(f);
}

enum fault file_look(struct file *f, struct file_look *look_out)
{
    struct stat status;
    if (fstat(f->descriptor, &status) != 0)
        return fault_of_errno(errno);
    *look_out = (struct file_look){.is_regular = S_ISREG(status.st_mode),
                                   .links = (uint32_t)status.st_nlink,
                                   .owner = (uint32_t)status.st_uid,
                                   .mode = (uint32_t)status.st_mode & 07777,
                                   .bytes = (uint64_t)status.st_size};
    return FAULT_NONE;
}

enum fault file_size(struct file *f, uint64_t *bytes_out)
{
    struct stat status;
    if (fstat(f->descriptor, &status) != 0)
        return fault_of_errno(errno);
    *bytes_out = (uint64_t)status.st_size;
    return FAULT_NONE;
}

enum fault file_read(struct file *f, uint64_t offset, void *bytes_out, size_t len, size_t *got_out)
{
    size_t got = 0;
    while (got < len) {
        size_t ask = len - got < READ_BYTES_MAX ? len - got : READ_BYTES_MAX;
        ssize_t n = pread(f->descriptor, (uint8_t *)bytes_out + got, ask, (off_t)(offset + got));
        if (n == 0)
            break;
        if (n > 0)
            got += (size_t)n;
        else if (errno != EINTR)
            return fault_of_errno(errno);
    }
    *got_out = got;
    return FAULT_NONE;
}

/* Writes vector[0 .. count) and cuts it as it goes; *offset moves on. */
static enum fault write_vector(int descriptor, struct iovec *vector, int count, uint64_t *offset)
{
    while (count > 0) {
        if (vector->iov_len == 0) {
            vector++;
            count--;
            continue;
        }
        ssize_t n = pwritev(descriptor, vector, count, (off_t)*offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? FAULT_DISK_ERROR : fault_of_errno(errno);
        *offset += (uint64_t)n;
        size_t left = (size_t)n;
        while (count > 0 && left >= vector->iov_len) {
            left -= vector->iov_len;
            vector++;
            count--;
        }
        if (left > 0) {
            vector->iov_base = (uint8_t *)vector->iov_base + left;
            vector->iov_len -= left;
        }
    }
    return FAULT_NONE;
}

enum fault file_write(struct file *f, uint64_t offset, const struct span *parts, size_t count)
{
    struct iovec vector[PARTS_PER_WRITE];
    enum fault fault = FAULT_NONE;
    for (size_t at = 0; at < count && fault == FAULT_NONE; at += PARTS_PER_WRITE) {
        size_t n = count - at < PARTS_PER_WRITE ? count - at : PARTS_PER_WRITE;
        for (size_t i = 0; i < n; i++)
            vector[i] = (struct iovec){(void *)(uintptr_t)parts[at + i].data, parts[at + i].len};
        fault = write_vector(f->descriptor, vector, (int)n, &offset);
    }
    return fault;
}

enum fault file_sync(struct file *f)
{
    return sync_descriptor(fdatasync, f->descriptor);
}

/* Its own descriptor, so that it outlives the file; of the same opening, to be read alone. */
enum fault enclosure_of_file(struct file *f, struct enclosure **enclosure_out)
{
    int mode = fcntl(f->descriptor, F_GETFL);
    check(mode >= 0 && (mode & O_ACCMODE) == O_RDONLY);
    int descriptor = fcntl(f->descriptor, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0)
        return fault_of_errno(errno);
    return enclosure_new(descriptor, enclosure_out);
}
