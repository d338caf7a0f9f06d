/* Greedy and prefix beam decoding. */
#include "config.h"

#include "engine/train/decode.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

static int32_t largest(const float *z, int64_t c) {
    int32_t best = 0;
    for (int32_t i = 1; i < c; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

int64_t decode_best_path(const float *z, int64_t frames, int64_t classes, int32_t *out) {
    int64_t n = 0;
    int32_t before = 0;
    for (int64_t t = 0; t < frames; t++) {
        int32_t k = largest(z + t * classes, classes);
        if (k && k != before) out[n++] = k;
        before = k;
    }
    return n;
}

int64_t decode_distance(const int32_t *a, int64_t n, const int32_t *b, int64_t m) {
    int64_t *row = X_NEW(int64_t, (size_t)m + 1); /* distances of what was read of a to each beginning of b */
    for (int64_t j = 0; j <= m; j++) row[j] = j;
    for (int64_t i = 0; i < n; i++) {
        int64_t corner = row[0]++;
        for (int64_t j = 0; j < m; j++) {
            int64_t best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            if (row[j] + 1 < best) best = row[j] + 1;
            row[j + 1] = corner + 1 < best ? corner + 1 : best;
        }
    }
    int64_t d = row[m];
    free(row);
    return d;
}

/* ---- prefix beam search: prefixes are nodes of a tree, so that two paths to one prefix meet in one node */
struct prefix {
    int32_t parent, label; /* -1, 0: the empty one */
    int64_t length;
    double blank, other; /* log-probability of the paths so far that end in the blank, in its last label */
    double next_blank, next_other; /* those of one frame more */
    int64_t seen; /* the frame in which it was last reached, so that it is listed once */
};
struct search {
    struct prefix *p;
    int64_t n;
    int32_t *child; /* (n, classes): -1 where there is none */
    int32_t *next; /* prefixes reached in this frame */
    int64_t n_next, classes;
};

static double log_add(double a, double b) {
    double m = a > b ? a : b;
    return m == -INFINITY ? m : m + log1p(exp((a > b ? b : a) - m));
}
static double total(const struct prefix *p) { return log_add(p->blank, p->other); }

static int32_t grow(struct search *s, int32_t parent, int32_t label) {
    s->p = X_GROW(s->p, struct prefix, (size_t)s->n + 1);
    s->child = X_GROW(s->child, int32_t, (size_t)((s->n + 1) * s->classes));
    s->next = X_GROW(s->next, int32_t, (size_t)s->n + 1);
    for (int64_t k = 0; k < s->classes; k++) s->child[s->n * s->classes + k] = -1;
    s->p[s->n] = (struct prefix){parent, label, parent < 0 ? 0 : s->p[parent].length + 1, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -1};
    if (parent >= 0) s->child[parent * s->classes + label] = (int32_t)s->n;
    return (int32_t)s->n++;
}
static struct prefix *reach(struct search *s, int32_t i, int64_t t) {
    struct prefix *p = &s->p[i];
    if (p->seen != t) {
        s->next[s->n_next++] = i;
        p->seen = t;
        p->next_blank = p->next_other = -INFINITY;
    }
    return p;
}
/* All paths of prefix i one frame on. */
static void extend(struct search *s, int32_t i, int64_t t, const float *z, double norm) {
    struct prefix old = s->p[i], *p = reach(s, i, t);
    double all = log_add(old.blank, old.other);
    p->next_blank = log_add(p->next_blank, all + (double)z[0] - norm);
    if (old.label) p->next_other = log_add(p->next_other, old.other + (double)z[old.label] - norm);
    for (int32_t k = 1; k < s->classes; k++) {
        double from = k == old.label ? old.blank : all; /* the same label again needs a blank between */
        if (from == -INFINITY) continue;
        int32_t c = s->child[i * s->classes + k];
        struct prefix *q = reach(s, c >= 0 ? c : grow(s, i, k), t);
        q->next_other = log_add(q->next_other, from + (double)z[k] - norm);
    }
}
static double log_norm(const float *z, int64_t c) {
    double m = (double)z[largest(z, c)], sum = 0;
    for (int64_t k = 0; k < c; k++) sum += exp((double)z[k] - m);
    return m + log(sum);
}
/* The `beam` best of those reached, in list; how many. */
static int64_t keep(struct search *s, int64_t beam, int32_t *list) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_next; i++) {
        struct prefix *p = &s->p[s->next[i]];
        p->blank = p->next_blank, p->other = p->next_other;
        int64_t at = n < beam ? n++ : beam;
        for (; at > 0 && total(p) > total(&s->p[list[at - 1]]); at--)
            if (at < beam) list[at] = list[at - 1];
        if (at < beam) list[at] = s->next[i];
    }
    return n;
}

int64_t decode_beam(const float *z, int64_t frames, int64_t classes, int64_t beam, int32_t *out, double *log_p) {
    struct search s = {.classes = classes};
    int32_t *list = X_NEW(int32_t, (size_t)beam + 1);
    int64_t n = 1;
    list[0] = grow(&s, -1, 0);
    s.p[0].blank = 0;
    for (int64_t t = 0; t < frames; t++) {
        double norm = log_norm(z + t * classes, classes);
        s.n_next = 0;
        for (int64_t i = 0; i < n; i++) extend(&s, list[i], t, z + t * classes, norm);
        n = keep(&s, beam, list);
    }
    const struct prefix *p = &s.p[list[0]];
    int64_t length = p->length;
    *log_p = total(p);
    for (int64_t i = length; i > 0; i--, p = &s.p[p->parent]) out[i - 1] = p->label;
    free(s.p);
    free(s.child);
    free(s.next);
    free(list);
    return length;
}
