/* Frames by the pace of the link: each ends in a status request, and its answer tells that the terminal has read it, whatever lies between (mosh paces by the
 * link's round trips as well: mosh, README.md). The first answers measure delay and rate. A terminal that does not answer is
 * paced by what its client could write, as tmux does (tmux: tty.c). One thread. */
#ifndef HONE_UI_TERM_PACE_H
#define HONE_UI_TERM_PACE_H

#include <stdbool.h>
#include <stddef.h>

enum { PACE_SENT = 8 };
struct pace {
    bool answers; /* the terminal answered and has not stopped to */
    double delay, rate; /* shortest time of an answer in s, < 0: none yet; bytes a second, 0: not known */
    double clear; /* when what was sent has left the link's slow end */
    struct pace_sent {
        double t;
        size_t bytes;
        bool alone; /* nothing was on its way before it */
    } sent[PACE_SENT]; /* not answered yet, oldest first */
    int n;
    int lost; /* questions given up of a terminal that had answered; their answers come if the link was only away */
};
#define PACE_LOST_S 10.0 /* an answer that takes longer does not come */
#define PACE_ASK "\033[5n"

void pace_init(struct pace *p);
void pace_sent(struct pace *p, double now, size_t bytes); /* these went out and end in a question */
void pace_answer(struct pace *p, double now);
/* Seconds until a frame may go, 0: now. A frame by time waits until all is read; an answer to a key only while more than a tenth
 * of a second of bytes stands before it. */
double pace_wait(struct pace *p, double now, bool by_key);

#endif
