/* See the header. */
#include "config.h"

#include "ui/term/pace.h"

#include <string.h>

enum { MEASURE = 300 }; /* bytes from which on the time of an answer tells the rate */
static const double ahead_s = 0.1;

void pace_init(struct pace *p) { *p = (struct pace){.delay = -1}; }

void pace_sent(struct pace *p, double now, size_t bytes) {
    if (p->n == PACE_SENT) memmove(p->sent, p->sent + 1, sizeof p->sent - sizeof p->sent[0]), p->n--;
    p->sent[p->n] = (struct pace_sent){now, bytes, p->n == 0 || (p->n == 1 && p->sent[0].bytes == 0)};
    p->n++;
    if (p->clear < now) p->clear = now;
    if (p->rate > 0) p->clear += (double)bytes / p->rate;
}

void pace_answer(struct pace *p, double now) {
    if (p->lost > 0) { /* the link was away for a while: it is back, and what it still holds is answered first */
        p->lost--;
        p->answers = true;
        p->clear = now;
        return;
    }
    if (p->n == 0) return; /* nobody asked */
    struct pace_sent s = p->sent[0];
    memmove(p->sent, p->sent + 1, sizeof p->sent - sizeof p->sent[0]);
    p->n--;
    p->answers = true;
    double took = now - s.t;
    if (p->delay < 0 || took < p->delay) p->delay = took;
    if (s.bytes >= MEASURE && s.alone) {
        double rate = (double)s.bytes / (took - p->delay > 1e-3 ? took - p->delay : 1e-3);
        p->rate = p->rate > 0 ? 0.5 * p->rate + 0.5 * rate : rate;
    }
    if (p->n == 0) p->clear = now;
}

double pace_wait(struct pace *p, double now, bool by_key) {
    if (p->n && now - p->sent[0].t >= PACE_LOST_S) {
        p->lost += p->answers ? p->n : 0;
        p->n = 0;
        p->answers = false;
    }
    if (!p->answers || p->n == 0) return 0;
    double lost = p->sent[0].t + PACE_LOST_S - now, ahead = p->clear - now - ahead_s;
    if (!by_key || p->n == PACE_SENT || p->rate <= 0) return by_key && p->rate <= 0 && p->n < 2 ? 0 : lost;
    return ahead <= 0 ? 0 : ahead < lost ? ahead : lost;
}
