/* Points as bytes. A packed payload keeps every double: rows of one shape in a row become columns, a column the differences of its 64-bit patterns of the
 * order that leaves the fewest bits, those the planes of their bytes, and zlib packs the planes. Constants, steps and schedules vanish, noise stays. */
#include "config.h"

#include "src/run/points.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/base/mem.h"

enum { PLAIN = 1, PACKED = 2 }; /* formats */
enum { FIXED = 26, PAIR = 10 }; /* bytes of a row without its values, of a value with its name */
enum { ORDERS = 3, LOOK = 512 }; /* of differences: values, first and second; how many values choose */
enum { LEVEL = 1, RATIO = 1100 }; /* of zlib, which packs at most 1032 to 1 */

struct cursor {
    const unsigned char *p, *end;
};
static bool take(struct cursor *c, void *out, size_t n) {
    if ((size_t)(c->end - c->p) < n) return false;
    memcpy(out, c->p, n);
    c->p += n;
    return true;
}

void points_names(struct buf *out, const char *const *names, size_t n) {
    uint8_t format = PLAIN;
    uint16_t count = (uint16_t)n;
    buf_add(out, &format, 1);
    buf_add(out, &count, 2);
    for (size_t i = 0; i < n; i++) {
        uint8_t len = (uint8_t)strlen(names[i]);
        buf_add(out, &len, 1);
        buf_add(out, names[i], len);
    }
}

void points_row(struct buf *out, int64_t step, double t, double epoch, const int *ids, const double *values, size_t n) {
    uint16_t m = 0;
    for (size_t i = 0; i < n; i++) m = (uint16_t)(m + (ids[i] >= 0));
    buf_add(out, &step, 8);
    buf_add(out, &t, 8);
    buf_add(out, &epoch, 8);
    buf_add(out, &m, 2);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0) continue;
        uint16_t id = (uint16_t)ids[i];
        buf_add(out, &id, 2);
        buf_add(out, &values[i], 8);
    }
}

/* ---- packing ---- */

/* Where the 8 bytes of column k of a row begin: step, t, epoch, then the values. */
static size_t at_column(size_t k) { return k < 3 ? 8 * k : FIXED + PAIR * (k - 3) + 2; }

static size_t row_bytes(const char *row) {
    uint16_t m;
    memcpy(&m, row + 24, 2);
    return FIXED + (size_t)PAIR * m;
}
static bool same_shape(const char *a, const char *b, size_t bytes) {
    bool same = memcmp(a + 24, b + 24, 2) == 0;
    for (size_t i = FIXED; same && i < bytes; i += PAIR) same = memcmp(a + i, b + i, 2) == 0;
    return same;
}

/* Differences modulo 2^64, so that they always lead back; the sign goes to the lowest bit. */
static uint64_t folded(uint64_t d) { return d << 1 ^ (d >> 63 ? ~UINT64_C(0) : 0); }
static uint64_t unfolded(uint64_t z) { return z >> 1 ^ (z & 1 ? ~UINT64_C(0) : 0); }

static uint64_t difference(const uint64_t *v, size_t i, int order) {
    uint64_t one = i > 0 ? v[i - 1] : 0, two = i > 1 ? v[i - 2] : 0;
    return order == 0 || i == 0 ? v[i] : order == 1 || i == 1 ? v[i] - one : v[i] - 2 * one + two;
}

/* By the values in the middle, which stand for the rest. */
static int best_order(const uint64_t *v, size_t n) {
    uint64_t least = UINT64_MAX;
    size_t from = n > LOOK ? (n - LOOK) / 2 : 0, to = n > LOOK ? from + LOOK : n;
    int best = 0;
    for (int order = 0; order < ORDERS; order++) {
        uint64_t bits = 0;
        for (size_t i = from; i < to; i++) {
            uint64_t z = folded(difference(v, i, order));
            bits += z ? 64 - (uint64_t)__builtin_clzll(z) : 0;
        }
        if (bits < least) least = bits, best = order;
    }
    return best;
}

/* A stream of zlib's in which noise is stored as it is: looking for repetitions in it takes most of the time and finds none. */
struct packer {
    z_stream z;
    int level, rc; /* rc: Z_OK until something failed, as when there is no room */
};

/* Do these bytes look evenly distributed? The sum of the squared counts is n + n (n - 1) / 256 then. */
static bool is_noise(const unsigned char *p, size_t n) {
    uint32_t count[256] = {0};
    uint64_t squares = 0;
    if (n < 256) return false; /* too few to tell */
    for (size_t i = 0; i < n; i++) count[p[i]]++;
    for (size_t i = 0; i < 256; i++) squares += (uint64_t)count[i] * count[i];
    return squares < n + (uint64_t)n * n / 256 * 5 / 4;
}

static void pack(struct packer *p, const void *bytes, size_t n, bool noise) {
    int level = noise ? 0 : LEVEL;
    if (p->rc == Z_OK && level != p->level) p->rc = deflateParams(&p->z, p->level = level, Z_DEFAULT_STRATEGY);
    if (p->rc != Z_OK) return;
    p->z.next_in = (unsigned char *)(uintptr_t)bytes;
    p->z.avail_in = (uInt)n;
    p->rc = deflate(&p->z, Z_NO_FLUSH);
    if (p->z.avail_in > 0) p->rc = Z_BUF_ERROR;
}

static void put_column(struct packer *out, const char *rows, size_t bytes, size_t n, size_t k, uint64_t *v, unsigned char *planes) {
    for (size_t i = 0; i < n; i++) memcpy(&v[i], rows + i * bytes + at_column(k), 8);
    uint8_t order = (uint8_t)best_order(v, n);
    pack(out, &order, 1, false);
    for (size_t i = 0; i < n; i++) {
        uint64_t z = folded(difference(v, i, order));
        for (size_t b = 0; b < 8; b++) planes[b * n + i] = (unsigned char)(z >> (8 * b));
    }
    for (size_t b = 0; b < 8; b++) pack(out, planes + b * n, n, is_noise(planes + b * n, n));
}

/* Rows as blocks of one shape: u32 count, u16 m, m x u16 name, and for each column u8 order, 8 planes of count bytes. */
static void put_blocks(struct packer *out, const struct buf *rows) {
    size_t most = rows->len / FIXED + 1;
    uint64_t *v = X_NEW(uint64_t, most);
    unsigned char *planes = X_NEW(unsigned char, 8 * most);
    for (const char *p = rows->data, *end = p + rows->len; p < end;) {
        size_t bytes = row_bytes(p);
        uint32_t n = 1;
        while (p + n * bytes < end && same_shape(p, p + n * bytes, bytes)) n++;
        pack(out, &n, 4, false);
        pack(out, p + 24, 2, false);
        for (size_t i = FIXED; i < bytes; i += PAIR) pack(out, p + i, 2, false);
        for (size_t k = 0; k < 3 + (bytes - FIXED) / PAIR; k++) put_column(out, p, bytes, n, k, v, planes);
        p += n * bytes;
    }
    free(v);
    free(planes);
}

void points_pack(struct buf *out, const struct buf *names, const struct buf *rows) {
    unsigned char *packed = X_NEW(unsigned char, rows->len + 1);
    struct packer p = {.z = {.next_out = packed, .avail_out = (uInt)rows->len}, .level = LEVEL};
    size_t at = out->len;
    p.rc = deflateInit(&p.z, LEVEL);
    if (rows->len) put_blocks(&p, rows);
    bool whole = p.rc == Z_OK && deflate(&p.z, Z_FINISH) == Z_STREAM_END;
    uint32_t head[2] = {(uint32_t)rows->len, (uint32_t)p.z.total_in};
    size_t size = p.z.total_out;
    deflateEnd(&p.z);
    buf_add(out, names->data, names->len);
    if (whole && size + sizeof head < rows->len) {
        out->data[at] = PACKED;
        buf_add(out, head, sizeof head);
        buf_add(out, packed, size);
    } else if (rows->len) buf_add(out, rows->data, rows->len);
    free(packed);
}

/* ---- reading ---- */

static bool take_column(struct cursor *c, unsigned char *rows, size_t bytes, size_t n, size_t k) {
    uint8_t order;
    uint64_t one = 0, two = 0;
    if (!take(c, &order, 1) || order >= ORDERS || (size_t)(c->end - c->p) / 8 < n) return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = 0, v;
        for (size_t b = 0; b < 8; b++) z |= (uint64_t)c->p[b * n + i] << (8 * b);
        v = unfolded(z);
        if (order >= 1 && i > 0) v += order == 1 || i == 1 ? one : 2 * one - two;
        memcpy(rows + i * bytes + at_column(k), &v, 8);
        two = one, one = v;
    }
    c->p += 8 * n;
    return true;
}

/* Blocks back to rows, exactly `size` bytes of them. */
static bool take_blocks(struct cursor *c, unsigned char *rows, size_t size) {
    size_t at = 0;
    while (c->p < c->end) {
        uint32_t n;
        uint16_t m;
        if (!take(c, &n, 4) || !take(c, &m, 2) || m > RUN_MAX_METRICS || n == 0) return false;
        size_t bytes = FIXED + (size_t)PAIR * m;
        const unsigned char *ids = c->p;
        if ((size - at) / bytes < n || (size_t)(c->end - c->p) < 2 * (size_t)m) return false;
        c->p += 2 * (size_t)m;
        for (size_t i = 0; i < n; i++) {
            unsigned char *row = rows + at + i * bytes;
            memcpy(row + 24, &m, 2);
            for (size_t k = 0; k < m; k++) memcpy(row + FIXED + PAIR * k, ids + 2 * k, 2);
        }
        for (size_t k = 0; k < 3 + (size_t)m; k++)
            if (!take_column(c, rows + at, bytes, n, k)) return false;
        at += n * bytes;
    }
    return at == size;
}

/* Heap, or NULL: the bytes are no packed rows. */
static unsigned char *unpack(struct cursor *c, size_t *size) {
    uint32_t head[2];
    if (!take(c, head, sizeof head) || head[0] > POINTS_MAX || head[1] > POINTS_MAX || head[1] / RATIO > (size_t)(c->end - c->p) || head[0] / 2 > head[1])
        return NULL;
    uLongf got = head[1];
    unsigned char *blocks = X_NEW(unsigned char, head[1] + 1u), *rows = X_NEW(unsigned char, head[0] + 1u);
    bool ok = uncompress(blocks, &got, c->p, (uLong)(c->end - c->p)) == Z_OK && got == head[1];
    struct cursor in = {blocks, blocks + got};
    ok = ok && take_blocks(&in, rows, head[0]);
    free(blocks);
    if (!ok) free(rows);
    *size = head[0];
    return ok ? rows : NULL;
}

static int each_row(struct cursor *c, char name[][32], uint16_t n_names, bool (*fn)(void *ctx, const struct point *p), void *ctx) {
    while (c->p < c->end) {
        const char *names[RUN_MAX_METRICS];
        double values[RUN_MAX_METRICS];
        uint16_t m, id;
        struct point pt = {.names = names, .values = values};
        if (!take(c, &pt.step, 8) || !take(c, &pt.t, 8) || !take(c, &pt.epoch, 8) || !take(c, &m, 2) || m > RUN_MAX_METRICS) return -1;
        for (pt.n = 0; pt.n < m; pt.n++) {
            if (!take(c, &id, 2) || id >= n_names || !take(c, &values[pt.n], 8)) return -1;
            names[pt.n] = name[id];
        }
        if (!fn(ctx, &pt)) return 0;
    }
    return 1;
}

int points_each(const unsigned char *p, size_t n, bool (*fn)(void *ctx, const struct point *p), void *ctx) {
    if (!n) return -1; /* p may be NULL then */
    struct cursor c = {p, p + n};
    uint8_t format;
    uint16_t n_names;
    char name[RUN_MAX_METRICS][32];
    if (!take(&c, &format, 1) || (format != PLAIN && format != PACKED) || !take(&c, &n_names, 2) || n_names > RUN_MAX_METRICS) return -1;
    for (int i = 0; i < n_names; i++) {
        uint8_t len;
        if (!take(&c, &len, 1) || len > 31 || !take(&c, name[i], len)) return -1;
        name[i][len] = 0;
    }
    if (format == PLAIN) return each_row(&c, name, n_names, fn, ctx);
    size_t size;
    unsigned char *rows = unpack(&c, &size);
    if (!rows) return -1;
    struct cursor in = {rows, rows + size};
    int rc = each_row(&in, name, n_names, fn, ctx);
    free(rows);
    return rc;
}
