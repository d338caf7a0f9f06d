/* npz: a zip file of npy arrays, stored or deflated. Read through the central directory; each member's sizes are checked against the
 * file, its local header and its CRC-32. Zip64 is read where a size needs it; encryption and other methods are refused. */
#include "datasets/formats/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "src/base/mem.h"

static uint32_t le16(const unsigned char *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t le32(const unsigned char *p) { return le16(p) | le16(p + 2) << 16; }
static uint64_t le64(const unsigned char *p) { return le32(p) | (uint64_t)le32(p + 4) << 32; }

struct member {
    char name[256];
    uint32_t method, flags, crc;
    uint64_t packed, size, at; /* bytes in the file, unpacked; offset of the local header */
};

static int64_t find_end(const struct bytes *in) {
    if (in->n < 22) return -1;
    size_t low = in->n > 22 + 65535 ? in->n - 22 - 65535 : 0;
    for (size_t i = in->n - 22;; i--) {
        if (!memcmp(in->p + i, "PK\5\6", 4)) return (int64_t)i;
        if (i == low) return -1;
    }
}

/* The zip64 extra field replaces the sizes that are all ones. */
static void zip64(struct member *m, const unsigned char *x, size_t n) {
    while (n >= 4) {
        size_t k = le16(x + 2);
        if (k > n - 4) return;
        if (le16(x) == 1) {
            const unsigned char *p = x + 4, *end = p + k;
            uint64_t *const f[] = {&m->size, &m->packed, &m->at};
            for (int i = 0; i < 3; i++)
                if (*f[i] == 0xffffffffu && end - p >= 8) *f[i] = le64(p), p += 8;
            return;
        }
        x += 4 + k;
        n -= 4 + k;
    }
}

static int unpack(const struct bytes *in, const struct member *m, const char *where, unsigned char **own, const unsigned char **out, struct err *e) {
    if (m->flags & 1) return err_set(e, "%s is encrypted; save the arrays without a password", where);
    if (m->method != 0 && m->method != 8) return err_set(e, "%s is packed with zip method %u; numpy.savez and savez_compressed can be read", where, m->method);
    if (m->at > in->n || in->n - m->at < 30 || memcmp(in->p + m->at, "PK\3\4", 4))
        return err_set(e, "%s: its place in the file, %llu, is wrong; the zip file is damaged", where, (unsigned long long)m->at);
    size_t head = 30 + le16(in->p + m->at + 26) + le16(in->p + m->at + 28), left = in->n - m->at;
    if (head > left || m->packed > left - head)
        return err_set(e, "%s is cut short: %llu bytes are announced, %zu are there; fetch the file again", where, (unsigned long long)m->packed,
            head > left ? 0 : left - head);
    const unsigned char *p = in->p + m->at + head;
    if (m->method == 0) {
        if (m->packed != m->size)
            return err_set(
                e, "%s: its two sizes, %llu and %llu, differ; the zip file is damaged", where, (unsigned long long)m->packed, (unsigned long long)m->size);
        *out = p;
    } else {
        if (m->size > (uint64_t)FORMAT_MAX_BYTES || m->size / 1032 > m->packed + 1) /* deflate cannot do better than 1032:1 */
            return err_set(e, "%s announces %llu bytes from %llu packed ones, which is impossible; the zip file is damaged", where, (unsigned long long)m->size,
                (unsigned long long)m->packed);
        if (m->packed > UINT32_MAX || m->size > UINT32_MAX) return err_set(e, "%s is larger than 4 GiB; save it with numpy.savez, not compressed", where);
        if (!(*own = mem_try((size_t)m->size + 1, 1, where, e))) return -1;
        z_stream z = {.next_in = (unsigned char *)(uintptr_t)p, .avail_in = (uInt)m->packed, .next_out = *own, .avail_out = (uInt)m->size};
        int r = inflateInit2(&z, -MAX_WBITS) == Z_OK ? inflate(&z, Z_FINISH) : Z_MEM_ERROR;
        inflateEnd(&z);
        if (r != Z_STREAM_END || z.total_out != m->size)
            return err_set(e, "%s cannot be unpacked after %lu bytes; the zip file is damaged, fetch it again", where, (unsigned long)z.total_out);
        *out = *own;
    }
    uint32_t crc = 0;
    for (uint64_t i = 0; i < m->size; i += 1u << 30) crc = (uint32_t)crc32(crc, *out + i, (uInt)(m->size - i < 1u << 30 ? m->size - i : 1u << 30));
    return crc == m->crc ? 0 : err_set(e, "%s: the checksum is %08x, not %08x; the zip file is damaged, fetch it again", where, crc, m->crc);
}

static int read_member(const struct bytes *in, struct member *m, struct table *out, struct err *e) {
    char where[600];
    size_t n = strlen(m->name);
    snprintf(where, sizeof where, "%s, array %s", in->name, m->name);
    if (n < 5 || strcmp(m->name + n - 4, ".npy")) return err_set(e, "%s: \"%.100s\" is no npy array; an npz file holds only arrays", in->name, m->name);
    m->name[n - 4] = 0;
    if (table_find(out, m->name) >= 0) return err_set(e, "%s holds the array %s twice", in->name, m->name);
    unsigned char *own = NULL;
    const unsigned char *p = NULL;
    int r = unpack(in, m, where, &own, &p, e);
    if (!r) {
        struct column *c = table_add(out, m->name, COL_F32);
        out->rows = X_GROW(out->rows, int64_t, (size_t)out->n_col);
        out->rows[out->n_col - 1] = 0;
        r = npy_read_column(where, p, (size_t)m->size, c, &out->rows[out->n_col - 1], e);
    }
    free(own);
    return r;
}

static int npz_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    (void)o;
    int64_t end = find_end(in);
    if (end < 0) return err_set(e, "%s is not a whole zip file: the directory at its end is missing; fetch it again", in->name);
    uint64_t n = le16(in->p + end + 10), at = le32(in->p + end + 16);
    if (n == 0xffff || at == 0xffffffffu) { /* zip64: the locator stands before the end record */
        if (end < 20 || memcmp(in->p + end - 20, "PK\6\7", 4)) return err_set(e, "%s: its zip64 directory is missing; the file is damaged", in->name);
        uint64_t z = le64(in->p + end - 12);
        if (z > in->n || in->n - z < 56 || memcmp(in->p + z, "PK\6\6", 4))
            return err_set(e, "%s: its zip64 directory is not at %llu; the file is damaged", in->name, (unsigned long long)z);
        n = le64(in->p + z + 32);
        at = le64(in->p + z + 48);
    }
    if (!n || n > 1024) return err_set(e, "%s holds %llu arrays; 1 to 1024 can be read", in->name, (unsigned long long)n);
    uint64_t total = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (at > in->n || in->n - at < 46 || memcmp(in->p + at, "PK\1\2", 4))
            return err_set(
                e, "%s: entry %llu of its directory is not at %llu; the zip file is damaged", in->name, (unsigned long long)i + 1, (unsigned long long)at);
        const unsigned char *p = in->p + at;
        size_t name = le16(p + 28), extra = le16(p + 30), note = le16(p + 32);
        if (name + extra + note > in->n - at - 46)
            return err_set(e, "%s ends inside entry %llu of its directory; fetch it again", in->name, (unsigned long long)i + 1);
        struct member m = {.flags = le16(p + 8), .method = le16(p + 10), .crc = le32(p + 16), .packed = le32(p + 20), .size = le32(p + 24), .at = le32(p + 42)};
        if (name >= sizeof m.name || memchr(p + 46, 0, name)) return err_set(e, "%s: the name of entry %llu is damaged", in->name, (unsigned long long)i + 1);
        memcpy(m.name, p + 46, name);
        zip64(&m, p + 46 + name, extra);
        bool possible = m.size <= (uint64_t)FORMAT_MAX_BYTES && m.size / 1032 <= m.packed + 1; /* else unpack says so */
        if (possible && format_bomb(in->n, total += m.size))
            return err_set(e,
                "%s: its arrays would take more than %d times its %zu bytes, as files do that are made to fill a memory; save them with numpy.savez if it is "
                "right",
                in->name, FORMAT_BOMB_RATIO, in->n);
        if (read_member(in, &m, out, e)) return -1;
        at += 46 + name + extra + note;
    }
    out->n = out->rows[0];
    out->named = true;
    return 0;
}

/* A zip file whose first member is an array. */
static bool npz_probe(const struct bytes *h) {
    if (h->n >= 4 && !memcmp(h->p, "PK\5\6", 4)) return true;
    if (h->n < 30 || memcmp(h->p, "PK\3\4", 4)) return false;
    size_t n = le16(h->p + 26);
    return n >= 4 && h->n >= 30 + n && !memcmp(h->p + 30 + n - 4, ".npy", 4);
}

static const char *const ext[] = {".npz", NULL};
const struct format format_npz = {"npz", "several NumPy arrays", ext, npz_probe, npz_read, NULL};
