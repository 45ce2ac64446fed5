/*
 * world: the real one; see os/world.h. Threads are POSIX threads that take no signals.
 */
#include "os/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "os/linux/real_world.h"

#define THREAD_NAME_MAX 15

/* Nothing to hold: the kernel is the world. */
struct world {
    char nothing;
};

struct thread {
    pthread_t pthread;
    thread_turn turn;
    void *context;
    char name[THREAD_NAME_MAX + 1];
};

enum fault world_new_real(struct world **world_out)
{
    struct world *w = calloc(1, sizeof *w);
    if (w == NULL)
        return FAULT_NO_MEMORY;
    /* Sends carry MSG_NOSIGNAL; this is for what libraries write by themselves. */
    signal(SIGPIPE, SIG_IGN);
    *world_out = w;
    return FAULT_NONE;
}

void world_free_real(struct world *w)
{
    free(w);
}

static void *run(void *context)
{
    struct thread *t = context;
    (void)pthread_setname_np(pthread_self(), t->name);
    while (t->turn(t->context)) {
    }
    return NULL;
}

enum fault thread_start(struct world *w, const char *name, struct loop *loop, thread_turn turn,
                        void *context, struct thread **thread_out)
{
    (void)w;
    (void)loop;
    check(strlen(name) <= THREAD_NAME_MAX);
    struct thread *t = calloc(1, sizeof *t);
    if (t == NULL)
        return FAULT_NO_MEMORY;
    t->turn = turn;
    t->context = context;
    strcpy(t->name, name);

    /* Signals belong to the main thread: a new one starts with all of them blocked. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&t->pthread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        free(t);
        return FAULT_NO_MEMORY; /* EAGAIN: no memory or no more threads allowed */
    }
    *thread_out = t;
    return FAULT_NONE;
}

void thread_join(struct thread *t)
{
    check(pthread_join(t->pthread, NULL) == 0);
    free(t);
}
