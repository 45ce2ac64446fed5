/*
 * replay: runs every file of a corpus through a fuzz target, without libFuzzer.
 *
 * Linked to each fuzz target in all variants but the fuzz one, so that `make test` proves each kept
 * input again under the sanitizers. Arguments are files or folders; it prints how many it ran.
 * A folder that is missing or empty is an error: a target without a corpus tests nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return -1;
    }
    /* Exactly as large as the input, so that ASan sees a read of one byte too many. */
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    int result = -1;
    if (data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s: cannot be read whole\n", path);
    } else {
        LLVMFuzzerTestOneInput(data, size);
        result = 0;
    }
    free(data);
    fclose(file);
    return result;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Returns how many inputs ran, or -1. */
static long replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(status.st_mode))
        return replay_file(path) == 0 ? 1 : -1;

    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    long ran = 0;
    for (int i = 0; i < count; i++) {
        char *name = NULL;
        if (ran >= 0 && asprintf(&name, "%s/%s", path, entries[i]->d_name) > 0) {
            long inside = replay(name);
            ran = inside < 0 ? -1 : ran + inside;
        }
        free(name);
        free(entries[i]);
    }
    free(entries);
    return count < 0 ? -1 : ran;
}

int main(int argc, char **argv)
{
    long total = 0;
    for (int i = 1; i < argc; i++) {
        long ran = replay(argv[i]);
        if (ran < 0)
            return 1;
        total += ran;
    }
    printf("%ld inputs replayed\n", total);
    return total > 0 ? 0 : 1;
}
