#include "agent/hand.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/kind.h"
#include "agent/maildir.h"
#include "ipc/channel.h"

struct hand {
    struct ipc_channel channel;
    const char *hostname;
    uint32_t attempts;
    bool is_over;
};

static struct agent_result do_put(struct hand *h, const struct message_put *put,
                                  const struct enclosure *enclosed)
{
    switch ((enum agent_kind)put->kind) {
    case AGENT_MAILDIR:
        return maildir_put(put, enclosed, h->hostname, ++h->attempts);
    case AGENT_COMMAND:
        return command_run(put, enclosed);
    case AGENT_DISCARD:
        break;
    }
    return result_of_fault(FAULT_PROTOCOL);
}

/* Its answer finds room always: there is one at a time. */
static void on_message(void *context, const struct ipc_message *m, struct enclosure *enclosed)
{
    struct hand *h = context;
    struct agent_result r = do_put(h, &m->put, enclosed);
    enclosure_close(enclosed);
    struct ipc_message done = {
        .type = MESSAGE_TYPE_DONE,
        .done = {.number = m->put.number, .end = (uint8_t)r.end, .text = result_text(&r)}};
    if (channel_send(&h->channel, &done, NULL) != FAULT_NONE)
        h->is_over = true;
}

static void on_end(void *context, enum fault why)
{
    struct hand *h = context;
    (void)why;
    h->is_over = true;
}

static const struct channel_events events = {on_message, on_end};

/* Nothing of the agent's comes along: no other user's channel, no log, no door. */
static bool close_all_but(int *channel)
{
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(nothing, 2) < 0)
        return false;
    if (*channel != 3 && dup2(*channel, 3) != 3)
        return false;
    *channel = 3;
    return fcntl(3, F_SETFD, FD_CLOEXEC) == 0 && close_range(4, UINT32_MAX, 0) == 0;
}

static void take_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN); /* sent to all of a group, they are for the agent: it ends us */
    (void)signal(SIGINT, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int hand_process(struct world *w, const struct hand_process *p)
{
    struct hand h = {.hostname = p->hostname};
    struct loop *l;
    int descriptor = p->channel;
    take_signals();
    (void)umask(077);
    if (!close_all_but(&descriptor) || identity_become(p->as) != FAULT_NONE)
        return EX_NOPERM;
    /* After the change of user, which forgets it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != p->parent)
        return EX_OSERR;
    channel_init(&h.channel, SIDE_HAND, SIDE_AGENT, &events, &h);
    if (loop_new(w, &l) != FAULT_NONE || channel_open(&h.channel, l, descriptor) != FAULT_NONE)
        return EX_OSERR;
    while (!h.is_over)
        loop_poll(l, true);
    channel_close(&h.channel);
    loop_free(l);
    return EX_OK;
}
