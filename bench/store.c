#include "store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"

struct store {
    const char *directory;
    unsigned last;
};

static void path_of(const struct store *store, const char *suffix, char out[PATH_MAX])
{
    if (snprintf(out, PATH_MAX, "%s/%06u%s", store->directory, store->last, suffix) >= PATH_MAX)
        die("--save: the path is too long");
}

static void skip_existing(struct store *store)
{
    char path[PATH_MAX];

    do {
        store->last++;
        path_of(store, ".eml", path);
    } while (access(path, F_OK) == 0);
}

struct store *store_open(const char *directory)
{
    struct store *store;

    if (directory == NULL)
        return NULL;
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        die("%s: %s", directory, strerror(errno));
    store = calloc(1, sizeof *store);
    if (store == NULL)
        die("out of memory");
    store->directory = directory;
    return store;
}

void store_close(struct store *store)
{
    free(store);
}

static void put_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
            fprintf(file, "\\u%04x", *p);
        else
            fputc(*p, file);
    }
    fputc('"', file);
}

static void put_envelope(FILE *file, const struct store_envelope *envelope)
{
    fputs("{\"helo\":", file);
    put_string(file, envelope->helo);
    fputs(",\"mail\":", file);
    put_string(file, envelope->mail);
    fputs(",\"recipients\":[", file);
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        if (i > 0)
            fputc(',', file);
        put_string(file, envelope->recipients[i]);
    }
    fputs("]}\n", file);
}

static FILE *begin_file(const struct store *store)
{
    char path[PATH_MAX];
    FILE *file;

    path_of(store, ".new", path);
    file = fopen(path, "wxe");
    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    return file;
}

static void finish_file(const struct store *store, FILE *file, const char *suffix)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    int failed = ferror(file);

    path_of(store, ".new", from);
    path_of(store, suffix, to);
    if (fclose(file) != 0 || failed != 0 || rename(from, to) != 0)
        die("%s: %s", to, strerror(errno));
}

void store_save(struct store *store, const struct store_envelope *envelope, const char *content,
                size_t length)
{
    FILE *file;

    skip_existing(store);
    file = begin_file(store);
    fwrite(content, 1, length, file);
    finish_file(store, file, ".eml");
    file = begin_file(store);
    put_envelope(file, envelope);
    finish_file(store, file, ".json");
}
