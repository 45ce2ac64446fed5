#include "engine/loading.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/bundle_copy.h"
#include "ipc/handover.h"

/* Until its result has come. */
static bool serve(int child, int bundle, struct rehearsal_result *result_out, struct buffer *text)
{
    static uint8_t bytes[HANDOVER_BYTES_MAX];
    int unwanted[HANDOVER_DESCRIPTORS_MAX];
    size_t len, count;
    for (uint32_t files = 0; files < BUNDLE_FILES_MAX; files++) {
        enum handover_kind kind =
            handover_receive(child, REHEARSAL_WAIT_MS, bytes, &len, unwanted, &count);
        for (size_t i = 0; i < count; i++)
            close(unwanted[i]);
        if (kind == HANDOVER_RESULT && len >= sizeof *result_out) {
            memcpy(result_out, bytes, sizeof *result_out);
            return buffer_put(text, span_of(bytes + sizeof *result_out, len - sizeof *result_out));
        }
        if (kind != HANDOVER_OPEN)
            return false;
        int error = bundle_copy(bundle, span_of(bytes, len));
        struct span answer = span_of(&error, sizeof error);
        if (!handover_send(child, HANDOVER_OPENED, &answer, 1, NULL, 0))
            return false;
    }
    return false;
}

/* Texts of a child's end where they should, and so do its counts. */
static bool is_sound(struct rehearsal_result *r)
{
    r->user[sizeof r->user - 1] = r->spool[sizeof r->spool - 1] = '\0';
    r->control[sizeof r->control - 1] = r->log_file[sizeof r->log_file - 1] = '\0';
    return r->is_good && r->listener_count <= CONFIG_LISTENERS_MAX &&
           r->group_count <= PRIVILEGE_GROUPS_MAX && r->spool[0] == '/' && r->control[0] == '/';
}

static bool rehearse(struct rehearsal *r, struct rehearsal_result *result_out, struct buffer *text)
{
    int ends[2];
    if (!handover_pair(ends))
        return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        r->parent = ends[1];
        exit(rehearsal_process(r));
    }
    close(ends[1]);
    bool is_told = child > 0 && serve(ends[0], r->bundle, result_out, text);
    close(ends[0]);
    if (child > 0) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    if (!is_told)
        (void)!buffer_printf(text, "postrider: %s could not be checked%s\n", r->path,
                             child < 0 ? ": no process for it" : "");
    return is_told && is_sound(result_out);
}

int loading_run(const char *path, bool is_root, int before, struct rehearsal_result *result_out,
                struct buffer *text)
{
    struct rehearsal r = {.path = path, .before = before, .is_root = is_root};
    r.bundle = memfd_create("postrider-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (r.bundle < 0) {
        (void)!buffer_printf(text, "postrider: no memory for %s: %s\n", path, strerror(errno));
        return -1;
    }
    *result_out = (struct rehearsal_result){.is_good = false};
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (rehearse(&r, result_out, text) && fcntl(r.bundle, F_ADD_SEALS, seals) == 0)
        return r.bundle;
    close(r.bundle);
    return -1;
}
