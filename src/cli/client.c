#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "ipc/control.h"

#define PATH_BYTES_MAX 4096

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = CLIENT_WAIT_S};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return -1;
    (void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(s, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(s);
        errno = error;
        return -1;
    }
    return s;
}

static bool send_request(int s, const char *const *words, size_t count)
{
    struct span spans[CONTROL_WORDS_MAX];
    struct buffer line;
    if (count > CONTROL_WORDS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        spans[i] = span_text(words[i]);
    buffer_init(&line, CONTROL_REQUEST_MAX);
    bool ok = control_request_format(&line, spans, count);
    if (!ok)
        errno = EINVAL;
    ok = ok && send(s, line.data, line.len, MSG_NOSIGNAL) == (ssize_t)line.len;
    buffer_fini(&line);
    return ok;
}

/* True when it was the last line. */
static bool on_line(struct cli *c, const char *line, int *code_out,
                    void (*on_row)(struct cli *c, const char *line, json_t *row))
{
    json_error_t error;
    json_t *row = json_loads(line, 0, &error);
    bool is_end = row != NULL && json_is_true(json_object_get(row, "end"));
    if (row == NULL) {
        fprintf(stderr, "postrider: the server's answer cannot be read: %s\n", error.text);
        *code_out = EX_PROTOCOL;
    } else if (is_end) {
        const char *message = row_text(row, "message");
        *code_out = (int)row_number(row, "exit");
        if (message[0] != '\0')
            fprintf(stderr, "postrider: %s\n", message);
    } else if (on_row != NULL) {
        on_row(c, line, row);
    }
    json_decref(row);
    return is_end || row == NULL;
}

int client_ask(struct cli *c, const char *const *words, size_t count,
               void (*on_row)(struct cli *c, const char *line, json_t *row))
{
    int code;
    struct buffer control;
    buffer_init(&control, PATH_BYTES_MAX);
    if (!cli_control(c, &control)) {
        buffer_fini(&control);
        return EX_CONFIG;
    }
    const char *path = (const char *)control.data;
    int s = connect_to(path);
    FILE *answer = NULL;
    if (s >= 0 && send_request(s, words, count))
        answer = fdopen(s, "re");
    if (answer == NULL) {
        bool is_denied = errno == EACCES || errno == EPERM;
        fprintf(stderr, "postrider: cannot reach the server at %s: %s; %s\n", path, strerror(errno),
                is_denied ? "root, the server's user and the members of control-group may"
                          : "is it running?");
        if (s >= 0)
            close(s);
        buffer_fini(&control);
        return is_denied ? EX_NOPERM : EX_UNAVAILABLE;
    }
    buffer_fini(&control);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    bool is_over = false;
    while (!is_over && (len = getline(&line, &capacity, answer)) > 0) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        is_over = on_line(c, line, &code, on_row);
    }
    if (!is_over) {
        fprintf(stderr, "postrider: the server ended its answer too soon\n");
        code = EX_TEMPFAIL;
    }
    free(line);
    (void)fclose(answer);
    return code;
}

bool client_is_there(const struct cli *c)
{
    struct buffer control;
    buffer_init(&control, PATH_BYTES_MAX);
    int s = cli_control(c, &control) ? connect_to((const char *)control.data) : -1;
    buffer_fini(&control);
    if (s >= 0)
        close(s);
    return s >= 0;
}

const char *row_text(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text == NULL ? "" : text;
}

long long row_number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}
