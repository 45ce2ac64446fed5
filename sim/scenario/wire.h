/*
 * wire: a peer's end of a connection: bytes wait here until they are sent; some peers are slow, and
 * some vanish at the n-th byte.
 *
 * Owns its socket. What is put is sent later, from the loop, so that no call-back comes from inside
 * a wire_* call. The owner frees it at any time, also from inside on_input and on_gone.
 */
#ifndef SIM_SCENARIO_WIRE_H
#define SIM_SCENARIO_WIRE_H

#include "base/buffer.h"
#include "sim/world.h"

enum vanish { VANISH_CLOSE, VANISH_RESET, VANISH_HALF, VANISH_MUTE, VANISH_KINDS };

struct wire;

struct wire_events {
    void (*on_input)(void *context); /* more is in wire_input; the owner consumes */
    void (*on_gone)(void *context);  /* the connection is over; wire_free is all that remains */
};

struct wire_habits {
    size_t piece_bytes_max; /* sent at once; 0: all */
    int64_t pause_us;       /* between two pieces */
    uint64_t vanish_at;     /* after so many bytes; 0: never */
    enum vanish vanish;
    int64_t silence_us_max; /* without a byte from the other side it is given up */
};

struct wire *wire_connect(struct loop *l, struct endpoint to, struct endpoint source,
                          const struct wire_habits *habits, const struct wire_events *events,
                          void *context); /* NULL: not possible now */
struct wire *wire_adopt(struct loop *l, struct socket *socket, const struct wire_habits *habits,
                        const struct wire_events *events, void *context);
void wire_free(struct wire *w);

void wire_put(struct wire *w, struct span bytes);
void wire_put_text(struct wire *w, const char *text);
struct buffer *wire_input(struct wire *w);
/* The next line without its end (CRLF, or LF alone), which stays valid until the next call. False:
   none yet. */
bool wire_line(struct wire *w, struct span *line_out);
uint64_t wire_put_bytes(const struct wire *w);     /* so far */
uint64_t wire_sent_bytes(const struct wire *w);    /* of these, handed to the kernel */
void wire_hurry(struct wire *w);                   /* no more pauses: peace has begun */
void wire_close_when_sent(struct wire *w);         /* then on_gone */
void wire_vanish(struct wire *w, enum vanish how); /* after what has been put; then on_gone */
struct endpoint wire_peer(const struct wire *w);

#endif
