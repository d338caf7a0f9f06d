/* Points as bytes: packed payloads come back to the same bits whatever the doubles are, are shorter than plain ones, and mutated bytes are refused or read
 * whole. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/run/points.h"
#include "tests/tap.h"

static uint64_t state;
static uint64_t next(void) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}
static double bits(uint64_t v) {
    double d;
    memcpy(&d, &v, 8);
    return d;
}

struct again {
    struct buf rows;
    int64_t n;
    const char *const *names;
};
static bool write_again(void *ctx, const struct point *p) {
    struct again *a = ctx;
    int ids[RUN_MAX_METRICS];
    for (size_t i = 0; i < p->n; i++) {
        ids[i] = -1;
        for (int k = 0; a->names[k]; k++)
            if (strcmp(p->names[i], a->names[k]) == 0) ids[i] = k;
    }
    points_row(&a->rows, p->step, p->t, p->epoch, ids, p->values, p->n);
    a->n++;
    return true;
}

static const char *const names[] = {"loss", "acc", "lr", "grad_norm", "examples_s", "step_ms", "a name of thirty one bytes full", NULL};
enum { NAMES = 7 };

/* One row of a kind: 0 as a run on a small net writes them, 1 any bits and any shape. */
static void row(struct buf *rows, int kind, int64_t i) {
    int ids[NAMES] = {0, 1, 2, 3, 4, 5, -1};
    double v[NAMES];
    if (kind == 0) {
        double noise[3] = {(double)(next() >> 11) * 0x1p-53, (double)(next() >> 11) * 0x1p-53, (double)(next() >> 11) * 0x1p-53};
        double all[] = {2.3 / (1 + (double)i / 1000) + 0.1 * noise[0], (double)(i % 33) / 32, 1e-3 * (1 - (double)i / 1e6), 1 + noise[1], 1.4e6,
            0.05 + 0.001 * noise[2], 0};
        memcpy(v, all, sizeof v);
        points_row(rows, i, 100 + (double)i * 5e-5 + 1e-6 * noise[2], (double)(i * 32) / 60000, ids, v, NAMES);
        return;
    }
    static const double odd[] = {0, -0.0, INFINITY, -INFINITY, 1, 5e-324, 1.7e308};
    for (int k = 0; k < NAMES; k++) {
        v[k] = next() % 3 == 0 ? odd[next() % LEN(odd)] : bits(next());
        if (next() % 7 == 0) ids[k] = -1;
    }
    points_row(rows, (int64_t)next(), bits(next()), bits(next()), ids, v, next() % 5 ? NAMES : next() % (NAMES + 1));
}

static bool same(int kind, int64_t n, double *ratio) {
    struct buf head = BUF_INIT, rows = BUF_INIT, out = BUF_INIT;
    struct again a = {BUF_INIT, 0, names};
    points_names(&head, names, NAMES);
    for (int64_t i = 0; i < n; i++) row(&rows, kind, i);
    points_pack(&out, &head, &rows);
    int rc = points_each((const unsigned char *)out.data, out.len, write_again, &a);
    bool ok = rc == 1 && a.n == n && a.rows.len == rows.len && (!rows.len || memcmp(a.rows.data, rows.data, rows.len) == 0);
    *ratio = (double)(head.len + rows.len) / (double)out.len;
    buf_release(&head);
    buf_release(&rows);
    buf_release(&out);
    buf_release(&a.rows);
    return ok;
}

static bool count(void *ctx, const struct point *p) {
    ++*(int64_t *)ctx;
    return p->n <= RUN_MAX_METRICS;
}

/* Bytes changed at random: either refused or read; the sanitizers and the memory's bounds are the judges. */
static void mutated(void) {
    struct buf head = BUF_INIT, rows = BUF_INIT, out = BUF_INIT;
    int64_t refused = 0, seen = 0;
    points_names(&head, names, NAMES);
    for (int64_t i = 0; i < 300; i++) row(&rows, 0, i);
    points_pack(&out, &head, &rows);
    for (int i = 0; i < 20000; i++) {
        unsigned char *p = mem_new(out.len, 1);
        size_t n = next() % 10 ? out.len : next() % out.len;
        memcpy(p, out.data, out.len);
        for (size_t k = next() % 3 + 1; k > 0; k--) p[next() % (i & 1 ? head.len + 12 : out.len)] ^= (unsigned char)(1u << next() % 8);
        refused += points_each(p, n, count, &seen) < 0;
        free(p);
    }
    tap_ok(refused > 5000, "20,000 payloads with flipped bits or cut short: %lld refused, the others read whole", (long long)refused);
    tap_ok(out.data[0] == 2, "they were packed");
    buf_release(&head);
    buf_release(&rows);
    buf_release(&out);
}

int main(void) {
    double ratio = 0, worst = 1e9;
    bool good = true;
    state = 88172645463325252u;
    bool small = same(0, 5000, &ratio);
    tap_ok(small && ratio > 2.5, "5,000 steps of a small net: the same bits in %.1f times fewer bytes", ratio);
    for (int64_t n = 0; n < 40; n++) {
        good = same((int)(n & 1), n, &ratio) && good;
        worst = ratio < worst ? ratio : worst;
    }
    for (int i = 0; i < 100; i++) good = same(1, (int64_t)(next() % 200), &ratio) && good;
    tap_ok(good && worst >= 1, "any doubles in rows of any shape come back to the same bits, never in more bytes");
    mutated();
    return tap_done();
}
