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

/* ---- prefix beam search: prefixes are nodes of a tree, so that two paths to one prefix meet in one node; only those that were kept once have one */
struct node {
    int32_t parent, label; /* -1, 0: the empty one */
    int32_t at; /* place among those kept now, -1: not kept */
};
struct entry { /* a prefix kept, or one label longer than one (node -1) */
    int32_t node, parent, label;
    double blank, other; /* log-probability of the paths so far that end in the blank, in its last label */
    int64_t order; /* of equals the first is taken */
};
struct search {
    struct node *node;
    int64_t n_node, slots; /* slots: of the hash table, a power of two */
    int32_t *slot; /* (parent, label) -> node, -1: free */
    struct entry *kept, *next, *heap; /* (beam), (2 beam), (beam): the best prefixes of this frame, of the next, the best longer ones with the worst on top */
    int64_t n, n_heap, beam, classes;
};

static double log_add(double a, double b) {
    double m = a > b ? a : b;
    return m == -INFINITY ? m : m + log1p(exp((a > b ? b : a) - m));
}
/* Is a less likely than b? */
static bool below(const struct entry *a, const struct entry *b) {
    double x = log_add(a->blank, a->other), y = log_add(b->blank, b->other);
    return x < y || (x == y && a->order > b->order);
}
static int by_rank(const void *a, const void *b) { return below(a, b) - below(b, a); }

static int64_t slot_of(const struct search *s, int32_t parent, int32_t label) {
    uint64_t h = ((uint64_t)(uint32_t)parent << 32 | (uint32_t)label) * 0x9e3779b97f4a7c15u;
    int64_t i = (int64_t)(h >> 32) & (s->slots - 1);
    while (s->slot[i] >= 0 && (s->node[s->slot[i]].parent != parent || s->node[s->slot[i]].label != label)) i = (i + 1) & (s->slots - 1);
    return i;
}
static void more_slots(struct search *s) {
    free(s->slot);
    s->slots = s->slots ? 2 * s->slots : 256;
    s->slot = X_NEW(int32_t, (size_t)s->slots);
    memset(s->slot, -1, (size_t)s->slots * sizeof *s->slot);
    for (int64_t i = 0; i < s->n_node; i++) s->slot[slot_of(s, s->node[i].parent, s->node[i].label)] = (int32_t)i;
}
static int32_t node_of(struct search *s, int32_t parent, int32_t label) {
    int64_t i = slot_of(s, parent, label);
    if (s->slot[i] >= 0) return s->slot[i];
    s->node = X_GROW(s->node, struct node, (size_t)s->n_node + 1);
    s->node[s->n_node] = (struct node){parent, label, -1};
    s->slot[i] = (int32_t)s->n_node++;
    if (2 * s->n_node > s->slots) more_slots(s);
    return (int32_t)s->n_node - 1;
}

static void sift_down(struct search *s) {
    for (int64_t i = 0, k; (k = 2 * i + 1) < s->n_heap; i = k) {
        if (k + 1 < s->n_heap && below(&s->heap[k + 1], &s->heap[k])) k++;
        if (!below(&s->heap[k], &s->heap[i])) return;
        struct entry t = s->heap[i];
        s->heap[i] = s->heap[k], s->heap[k] = t;
    }
}
/* A longer prefix: kept if it is among the `beam` best of them. */
static void offer(struct search *s, struct entry e) {
    if (s->n_heap == s->beam) {
        if (!below(&s->heap[0], &e)) return;
        s->heap[0] = e;
        sift_down(s);
        return;
    }
    int64_t i = s->n_heap++;
    for (; i > 0 && below(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = e;
}
/* All paths of the i-th prefix one frame on. */
static void extend(struct search *s, int64_t i, const float *z, double norm) {
    struct entry old = s->kept[i], *same = &s->next[i];
    double all = log_add(old.blank, old.other);
    same->blank = log_add(same->blank, all + (double)z[0] - norm);
    if (old.label) same->other = log_add(same->other, old.other + (double)z[old.label] - norm);
    for (int32_t k = 1; k < s->classes; k++) {
        double from = (k == old.label ? old.blank : all) + (double)z[k] - norm; /* the same label again needs a blank between */
        if (from == -INFINITY) continue;
        int32_t child = s->slot[slot_of(s, old.node, k)];
        if (child >= 0 && s->node[child].at >= 0) s->next[s->node[child].at].other = log_add(s->next[s->node[child].at].other, from);
        else offer(s, (struct entry){-1, old.node, k, -INFINITY, from, s->n + i * s->classes + k});
    }
}
static double log_norm(const float *z, int64_t c) {
    double m = (double)z[largest(z, c)], sum = 0;
    for (int64_t k = 0; k < c; k++) sum += exp((double)z[k] - m);
    return m + log(sum);
}
static void frame(struct search *s, const float *z) {
    double norm = log_norm(z, s->classes);
    for (int64_t i = 0; i < s->n; i++) {
        s->next[i] = s->kept[i];
        s->next[i].blank = s->next[i].other = -INFINITY;
        s->next[i].order = i;
    }
    s->n_heap = 0;
    for (int64_t i = 0; i < s->n; i++) extend(s, i, z, norm);
    memcpy(s->next + s->n, s->heap, (size_t)s->n_heap * sizeof *s->heap);
    int64_t n = s->n + s->n_heap;
    qsort(s->next, (size_t)n, sizeof *s->next, by_rank);
    for (int64_t i = 0; i < s->n; i++) s->node[s->kept[i].node].at = -1;
    s->n = n < s->beam ? n : s->beam;
    memcpy(s->kept, s->next, (size_t)s->n * sizeof *s->next);
    for (int64_t i = 0; i < s->n; i++) {
        struct entry *e = &s->kept[i];
        if (e->node < 0) e->node = node_of(s, e->parent, e->label);
        s->node[e->node].at = (int32_t)i;
    }
}

int64_t decode_beam(const float *z, int64_t frames, int64_t classes, int64_t beam, int32_t *out, double *log_p) {
    struct search s = {.n = 1, .beam = beam, .classes = classes};
    s.kept = X_NEW(struct entry, (size_t)beam);
    s.next = X_NEW(struct entry, 2 * (size_t)beam);
    s.heap = X_NEW(struct entry, (size_t)beam);
    more_slots(&s);
    s.kept[0] = (struct entry){node_of(&s, -1, 0), -1, 0, 0, -INFINITY, 0};
    s.node[0].at = 0;
    for (int64_t t = 0; t < frames; t++) frame(&s, z + t * classes);
    int64_t length = 0, at;
    *log_p = log_add(s.kept[0].blank, s.kept[0].other);
    for (int32_t i = s.kept[0].node; i > 0; i = s.node[i].parent) length++;
    at = length;
    for (int32_t i = s.kept[0].node; i > 0; i = s.node[i].parent) out[--at] = s.node[i].label;
    free(s.node);
    free(s.slot);
    free(s.kept);
    free(s.next);
    free(s.heap);
    return length;
}
