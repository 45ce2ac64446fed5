/*
 * sim: runs simulated lives of the whole engine, one for each seed.
 *
 *   sim --seed N [--trace]
 *   sim --seeds COUNT|FROM..TO [--jobs J] [--verify-every V]
 *
 * A failing seed prints `FAILED seed N: ` and which promise is broken; the last line is `N seeds
 * passed, N failed`. The seeds of sim/seeds.txt (--kept FILE) come first. Every V-th seed runs
 * twice and must give the same hash. Each job is a process of its own, so that one that dies or
 * hangs costs one seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/span.h"
#include "sim/scenario/scenario.h"

#define JOBS_MAX     64
#define SEEDS_MAX    10000000
#define SEED_LIMIT_S 180 /* of real time: a turn that never ends */
#define KEPT_USUAL   "sim/seeds.txt"
#define VERIFY_USUAL 50
#define SENTENCE_MAX 512
#define EXIT_USAGE   64

struct options {
    bool has_seed, is_traced;
    uint64_t seed;
    uint64_t from, to;
    uint32_t jobs, verify_every;
    const char *kept;
};

/* What a job tells about a seed. */
enum word { WORD_BEGUN, WORD_PASSED, WORD_BROKEN };

struct message {
    enum word word;
    uint64_t index;
    char sentence[SENTENCE_MAX];
};

struct job {
    pid_t pid;
    int pipe;      /* -1: over */
    uint64_t next; /* index of the seed it is at, or comes to */
    bool is_at_seed;
};

struct run {
    const struct options *options;
    uint64_t *seeds;
    uint64_t count, passed, failed;
    struct job jobs[JOBS_MAX];
    time_t told;
};

/* The command line. ------------------------------------------------------------------------------
 */

static bool take_range(const char *text, struct options *o)
{
    struct span s = span_text(text), first;
    size_t dots = span_find(s, SPAN(".."), 0);
    if (dots == s.len) {
        o->from = 1;
        return span_parse_u64(s, SEEDS_MAX, &o->to);
    }
    first = span_sub(s, 0, dots);
    return span_parse_u64(first, UINT64_MAX - 1, &o->from) &&
           span_parse_u64(span_skip(s, dots + 2), UINT64_MAX - 1, &o->to) && o->from <= o->to &&
           o->to - o->from < SEEDS_MAX;
}

static bool take_number(const char *text, uint64_t most, uint32_t *out)
{
    uint64_t value;
    if (!span_parse_u64(span_text(text), most, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool take_options(int count, char **words, struct options *o)
{
    *o = (struct options){
        .from = 1, .to = 0, .jobs = 1, .verify_every = VERIFY_USUAL, .kept = KEPT_USUAL};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : "";
        bool ok = false;
        if (strcmp(word, "--trace") == 0) {
            o->is_traced = true;
            continue;
        }
        if (strcmp(word, "--seed") == 0)
            ok = o->has_seed = span_parse_u64(span_text(value), UINT64_MAX, &o->seed);
        else if (strcmp(word, "--seeds") == 0)
            ok = take_range(value, o);
        else if (strcmp(word, "--jobs") == 0)
            ok = take_number(value, JOBS_MAX, &o->jobs) && o->jobs > 0;
        else if (strcmp(word, "--verify-every") == 0)
            ok = take_number(value, UINT32_MAX, &o->verify_every);
        else if (strcmp(word, "--kept") == 0)
            ok = (o->kept = value)[0] != '\0';
        if (!ok)
            return false;
        i++;
    }
    return o->has_seed || o->to >= o->from;
}

/* One seed. --------------------------------------------------------------------------------------
 */

static struct verdict run_seed(uint64_t seed, bool is_traced, bool verifies)
{
    struct verdict v = scenario_run(seed, is_traced);
    if (!verifies || v.is_broken)
        return v;
    struct verdict again = scenario_run(seed, false);
    if (again.hash != v.hash) {
        v.is_broken = true;
        (void)snprintf(v.sentence, sizeof v.sentence,
                       "the run does not repeat: %016" PRIx64 ", then %016" PRIx64, v.hash,
                       again.hash);
    }
    return v;
}

static void print_failure(uint64_t seed, const char *sentence)
{
    printf("FAILED seed %" PRIu64 ": %s\n       repeat it with: build/sim --seed %" PRIu64
           " --trace\n",
           seed, sentence, seed);
    (void)fflush(stdout);
}

static int run_one(const struct options *o)
{
    struct verdict v = run_seed(o->seed, o->is_traced, true);
    if (v.is_broken)
        print_failure(o->seed, v.sentence);
    printf("seed %" PRIu64 ": hash %016" PRIx64 ", %" PRIu64 " turns, %" PRIu64 " lives, %lld s\n",
           o->seed, v.hash, v.turns, v.lives, (long long)(v.virtual_us / 1000000));
    printf("%d seeds passed, %d failed\n", !v.is_broken, v.is_broken);
    return v.is_broken ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Jobs. ------------------------------------------------------------------------------------------
 */

static void tell(int to, enum word word, uint64_t index, const char *sentence)
{
    struct message m = {.word = word, .index = index};
    (void)snprintf(m.sentence, sizeof m.sentence, "%s", sentence);
    ssize_t n = write(to, &m, sizeof m); /* at most PIPE_BUF: whole or not at all */
    check(n == (ssize_t)sizeof m);
}

static void work(const struct run *r, uint64_t first, int to)
{
    const struct options *o = r->options;
    for (uint64_t i = first; i < r->count; i += o->jobs) {
        uint64_t seed = r->seeds[i];
        bool verifies = o->verify_every > 0 && seed % o->verify_every == 0;
        tell(to, WORD_BEGUN, i, "");
        (void)alarm(SEED_LIMIT_S);
        struct verdict v = run_seed(seed, false, verifies);
        tell(to, v.is_broken ? WORD_BROKEN : WORD_PASSED, i, v.sentence);
    }
}

static bool job_begin(struct run *r, struct job *j, uint64_t first)
{
    int ends[2];
    j->pipe = -1;
    j->next = first;
    j->is_at_seed = false;
    if (first >= r->count)
        return true;
    if (pipe(ends) != 0)
        return false;
    (void)fflush(stdout);
    j->pid = fork();
    if (j->pid == 0) {
        (void)close(ends[0]);
        work(r, first, ends[1]);
        _exit(EXIT_SUCCESS);
    }
    (void)close(ends[1]);
    j->pipe = ends[0];
    return j->pid > 0;
}

static void on_broken(struct run *r, uint64_t index, const char *sentence)
{
    r->failed++;
    print_failure(r->seeds[index], sentence);
}

/* It ended, or died in the middle of a seed: then another one takes the rest. */
static bool on_job_end(struct run *r, struct job *j)
{
    char sentence[SENTENCE_MAX];
    int status = 0;
    (void)close(j->pipe);
    j->pipe = -1;
    while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!j->is_at_seed)
        return true;
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal_number == SIGALRM)
        (void)snprintf(sentence, sizeof sentence, "it hangs: no end after %d s", SEED_LIMIT_S);
    else
        (void)snprintf(sentence, sizeof sentence, "the process died (%s %d)",
                       signal_number != 0 ? "signal" : "exit code",
                       signal_number != 0 ? signal_number : WEXITSTATUS(status));
    on_broken(r, j->next, sentence);
    return job_begin(r, j, j->next + r->options->jobs);
}

static bool on_job(struct run *r, struct job *j)
{
    struct message m;
    ssize_t n = read(j->pipe, &m, sizeof m);
    if (n < 0 && errno == EINTR)
        return true;
    if (n != (ssize_t)sizeof m)
        return on_job_end(r, j);
    j->next = m.index;
    j->is_at_seed = m.word == WORD_BEGUN;
    if (m.word == WORD_PASSED)
        r->passed++;
    else if (m.word == WORD_BROKEN)
        on_broken(r, m.index, m.sentence);
    return true;
}

static void tell_progress(struct run *r)
{
    time_t now = time(NULL);
    if (now == r->told || isatty(STDERR_FILENO) == 0)
        return;
    r->told = now;
    fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed ",
            r->passed + r->failed, r->count, r->failed);
}

static bool run_jobs(struct run *r)
{
    uint32_t jobs = r->options->jobs;
    for (uint32_t i = 0; i < jobs; i++)
        if (!job_begin(r, &r->jobs[i], i))
            return false;
    for (;;) {
        struct pollfd polls[JOBS_MAX];
        struct job *of[JOBS_MAX];
        nfds_t count = 0;
        for (uint32_t i = 0; i < jobs; i++) {
            if (r->jobs[i].pipe < 0)
                continue;
            of[count] = &r->jobs[i];
            polls[count++] = (struct pollfd){.fd = r->jobs[i].pipe, .events = POLLIN};
        }
        if (count == 0)
            return true;
        if (poll(polls, count, 1000) < 0 && errno != EINTR)
            return false;
        for (nfds_t i = 0; i < count; i++)
            if (polls[i].revents != 0 && !on_job(r, of[i]))
                return false;
        tell_progress(r);
    }
}

/* Seeds. -----------------------------------------------------------------------------------------
 */

/* One number a line; the rest of a line is for people. */
static uint64_t read_kept(const char *path, uint64_t *seeds, uint64_t most)
{
    char line[256];
    uint64_t count = 0;
    FILE *f = fopen(path, "r");
    while (f != NULL && count < most && fgets(line, sizeof line, f) != NULL) {
        size_t digits = strspn(line, "0123456789");
        if (span_parse_u64(span_of(line, digits), UINT64_MAX, &seeds[count]))
            count++;
    }
    if (f != NULL)
        (void)fclose(f);
    return count;
}

static int run_many(const struct options *o)
{
    static const uint64_t kept_max = 1000;
    struct run r = {.options = o};
    r.seeds = calloc(o->to - o->from + 1 + kept_max, sizeof *r.seeds);
    check(r.seeds != NULL);
    r.count = read_kept(o->kept, r.seeds, kept_max);
    for (uint64_t seed = o->from; seed <= o->to; seed++)
        r.seeds[r.count++] = seed;
    bool ok = run_jobs(&r);
    free(r.seeds);
    if (!ok) {
        fprintf(stderr, "sim: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    printf("%" PRIu64 " seeds passed, %" PRIu64 " failed\n", r.passed, r.failed);
    return r.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int count, char **words)
{
    struct options o;
    if (!take_options(count, words, &o)) {
        fprintf(stderr,
                "usage: sim --seed N [--trace]\n"
                "       sim --seeds COUNT|FROM..TO [--jobs J] [--verify-every V] [--kept FILE]\n");
        return EXIT_USAGE;
    }
    return o.has_seed ? run_one(&o) : run_many(&o);
}
