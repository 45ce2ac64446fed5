#include "config/bundle_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int to, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(to, bytes, len);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* As many bytes as were promised, or an error: a file that is being written has no use. */
static bool copy(int from, int to, off_t left)
{
    uint8_t bytes[16384];
    while (left > 0) {
        ssize_t n = read(from, bytes, sizeof bytes);
        if (n <= 0 || n > left)
            return errno = EIO, false;
        if (!write_all(to, bytes, (size_t)n))
            return false;
        left -= n;
    }
    return true;
}

static int add_open_file(int bundle, int file, struct span path)
{
    struct stat status;
    struct buffer head;
    if (fstat(file, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    if (status.st_size > BUNDLE_FILE_BYTES_MAX)
        return EFBIG;
    struct bundle_file f = {path, {NULL, 0}, status.st_mode, status.st_uid, status.st_gid};
    buffer_init(&head, BUNDLE_PATH_MAX + 64);
    errno = ENOMEM;
    bool ok = bundle_put_head(&head, &f, (uint64_t)status.st_size) &&
              write_all(bundle, head.data, head.len) && copy(file, bundle, status.st_size);
    int error = ok ? 0 : errno;
    buffer_fini(&head);
    return error;
}

int bundle_copy(int bundle, struct span path)
{
    char name[BUNDLE_PATH_MAX];
    off_t end = lseek(bundle, 0, SEEK_CUR);
    if (path.len == 0 || path.len >= sizeof name)
        return ENAMETOOLONG;
    memcpy(name, path.data, path.len);
    name[path.len] = '\0';
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0)
        return errno;
    int error = add_open_file(bundle, file, path);
    close(file);
    if (error != 0 && (ftruncate(bundle, end) != 0 || lseek(bundle, end, SEEK_SET) != end))
        return EIO;
    return error;
}
