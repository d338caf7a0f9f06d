/* Broken IDX, npy, npz and packed files: refused by one sentence, nothing allocated beyond what the file can hold. */
#include "config.h"

#include <stdlib.h>
#include <zlib.h>

#include "datasets/formats/format.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static char tmp[64];
static int good, total;

static void refused(const char *file, const void *p, size_t n, const char *want) {
    struct err e = {0};
    struct table t;
    struct read_opts o = {.header = -1, .quote = -1};
    char *path = io_join(tmp, file);
    if (io_write_file(path, p, n, &e)) BUG("%s", e.text);
    int r = format_read(path, &o, &t, &e);
    total++;
    if (r && strstr(e.text, want) && strstr(e.text, path) && !strchr(e.text, '\n')) good++;
    else tap_ok(false, "case %d: \"%s\", wanted \"%s\"", total, r ? e.text : "it was read", want);
    if (!r) table_free(&t);
    free(path);
}
static bool reads(const char *file, const void *p, size_t n, struct table *t, struct err *e) {
    struct read_opts o = {.header = -1, .quote = -1};
    char *path = io_join(tmp, file);
    if (io_write_file(path, p, n, e)) BUG("%s", e->text);
    int r = format_read(path, &o, t, e);
    free(path);
    return !r;
}
static void done(const char *what) {
    tap_ok(good == total, "%s: %d of %d broken files refused by the right sentence", what, good, total);
    good = total = 0;
}

static void be32(struct buf *b, uint32_t v) {
    char x[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    buf_add(b, x, 4);
}
static void le(struct buf *b, uint64_t v, int n) {
    for (; n > 0; n--, v >>= 8) buf_addc(b, (char)v);
}

static void idx(int type, int nd, const uint32_t *dim, size_t data, const char *want) {
    struct buf b = BUF_INIT;
    be32(&b, (uint32_t)(type << 8 | nd));
    for (int i = 0; i < nd; i++) be32(&b, dim[i]);
    for (size_t i = 0; i < data; i++) buf_addc(&b, (char)(i % 7));
    if (want) refused("a-idx3-ubyte", b.data, b.len, want);
    else {
        struct table t;
        struct err e = {0};
        tap_ok(reads("a-idx3-ubyte", b.data, b.len, &t, &e) && t.n == dim[0], "a good IDX file of type %02x is read%s%s", type, *e.text ? ": " : "", e.text);
        table_free(&t);
    }
    buf_release(&b);
}
#define D(...) \
    (const uint32_t[]) { __VA_ARGS__ }

static void idx_cases(void) {
    idx(0x08, 3, D(5, 2, 3), 30, NULL);
    idx(0x0d, 2, D(2, 3), 24, NULL);
    refused("a-idx3-ubyte", "", 0, "is empty");
    refused("a-idx3-ubyte", "\0", 1, "too short for an IDX header");
    refused("a-idx3-ubyte", "\0\0\x08", 3, "too short for an IDX header");
    refused("a-idx3-ubyte", "\0\0\x08\3\0\0\0\1", 8, "ends inside its header");
    refused("a-idx3-ubyte", "\1\0\x08\3\0\0\0\1", 8, "is not an IDX file: it begins with bytes 01 00 08 03");
    refused("a-idx3-ubyte", "text,label\n", 11, "is not an IDX file");
    refused("a-idx3-ubyte", "\x89PNG\r\n\x1a\n", 8, "is not an IDX file");
    for (int type = 0; type < 16; type++)
        if (type != 8 && type != 9 && type < 0xb) idx(type, 1, D(3), 3, "is unknown");
    idx(0x0a, 1, D(3), 3, "IDX type 0x0a is unknown");
    idx(0x0f, 1, D(3), 3, "is unknown");
    idx(0x08, 0, D(0), 0, "0 dimensions");
    idx(0x08, 5, D(1, 1, 1, 1, 1), 1, "5 dimensions");
    idx(0x08, 3, D(5, 2, 3), 29, "is cut short: its header says 5 examples, 30 bytes, but only 29 follow");
    idx(0x08, 3, D(5, 2, 3), 0, "is cut short");
    idx(0x08, 3, D(5, 2, 3), 31, "has 1 bytes after its 5 examples");
    idx(0x08, 3, D(0, 28, 28), 0, "size 1 of its header is 0");
    idx(0x08, 3, D(60000, 0, 28), 0, "size 2 of its header is 0");
    idx(0x08, 3, D(0xffffffff, 0xffffffff, 0xffffffff), 10, "do not fit in memory");
    idx(0x0e, 3, D(0xffffffff, 0xffffffff, 1), 10, "do not fit in memory");
    idx(0x0e, 4, D(0x10000, 0x10000, 0x10000, 0x2000), 10, "do not fit in memory");
    idx(0x08, 2, D(0xffffffff, 1), 10, "is cut short");
    idx(0x08, 1, D(0x7fffffff), 10, "is cut short");
    idx(0x0e, 1, D(3), 23, "is cut short");
    idx(0x0d, 1, D(1), 5, "1 bytes after");
    refused("a-idx3-ubyte", "\0\0\x0d\1\0\0\0\1\x7f\xc0\0\0", 12, "is not a finite number");
    refused("a-idx3-ubyte", "\0\0\x0d\1\0\0\0\1\xff\x80\0\0", 12, "is not a finite number");
    done("IDX");
}

static void npy_text(struct buf *b, int version, const char *head, size_t announced, const void *data, size_t n) {
    buf_add(b, "\x93NUMPY", 6);
    buf_addc(b, (char)version);
    buf_addc(b, 0);
    le(b, announced ? announced : strlen(head), version > 1 ? 4 : 2);
    buf_adds(b, head);
    buf_add(b, data, n);
}
static void npy(const char *head, size_t n, const char *want) {
    struct buf b = BUF_INIT;
    char *data = X_NEW(char, n + 1);
    npy_text(&b, 1, head, 0, data, n);
    if (want) refused("a.npy", b.data, b.len, want);
    else {
        struct table t;
        struct err e = {0};
        tap_ok(reads("a.npy", b.data, b.len, &t, &e), "a good npy array of %zu bytes is read %s", n, e.text);
        table_free(&t);
    }
    free(data);
    buf_release(&b);
}
#define H(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }\n"

static void npy_cases(void) {
    npy(H("<f4", "False", "(2, 3)"), 24, NULL);
    npy(H("|u1", "False", "(2, 4, 4, 3)"), 96, NULL);
    npy(H(">i8", "False", "(2,)"), 16, NULL);
    npy(H("<f2", "True", "(4,)"), 8, NULL);
    refused("a.npy", "\x93NUMP", 5, "is not an npy array");
    refused("a.npy", "PK\3\4aaaaaaaaaaaaaaa", 19, "is not an npy array");
    refused("a.npy", "\x93NUMPY\1\0\xff\xff", 10, "the header says it is 65535 bytes long, but the file has only 0");
    refused("a.npy", "\x93NUMPY\2\0\xff\xff", 10, "ends inside its header");
    refused("a.npy", "\x93NUMPY\2\0\xff\xff\xff\xff", 12, "the header says it is 4294967295 bytes long");
    refused("a.npy", "\x93NUMPY\x09\0\1\0{", 11, "npy version 9");
    refused("a.npy", "\x93NUMPY\0\0\1\0{", 11, "npy version 0");
    npy(H("|O", "False", "(3,)"), 24, "would run code when read");
    npy(H("<U2", "False", "(2, 3)"), 48, "holds 3 texts an example");
    npy(H("<f4", "False", "(2, 3)"), 23, "is cut short");
    npy(H("<f4", "False", "(2, 3)"), 25, "has 1 bytes after its values");
    npy(H("<f4", "False", "()"), 4, "0 dimensions");
    npy(H("<f4", "False", "(1, 1, 1, 1, 1, 1)"), 4, "6 dimensions");
    npy(H("<f4", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 4, "damaged");
    npy(H("<f4", "False", "(0, 3)"), 0, "holds no values");
    npy(H("<f4", "False", "(-2, 3)"), 24, "damaged");
    npy(H("<f4", "False", "(2; 3)"), 24, "damaged");
    npy(H("<f4", "False", "(9223372036854775807, 9)"), 24, "is cut short");
    npy(H("<f4", "False", "(99999999999999999999, 9)"), 24, "damaged");
    npy(H("<f8", "False", "(4611686018427387904,)"), 24, "is cut short");
    npy(H("<f4", "false", "(2, 3)"), 24, "damaged");
    npy(H("<c8", "False", "(2,)"), 16, "has dtype \"<c8\"");
    npy(H("<U0", "False", "(2,)"), 32, "has dtype \"<U0\"");
    npy(H("|S9999", "False", "(2,)"), 8, "has dtype \"|S9999\"");
    npy(H("<f16", "False", "(2,)"), 32, "has dtype \"<f16\"");
    npy(H("<u8", "False", "(2,)"), 16, "has dtype \"<u8\"");
    npy(H("<f999999999999", "False", "(2,)"), 16, "dtype");
    npy(H("", "False", "(2,)"), 16, "lacks descr");
    npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, "structured dtype");
    npy("{'fortran_order': False, 'shape': (2,), }", 8, "lacks descr");
    npy("{'descr': '<f4', 'shape': (2,), }", 8, "lacks descr");
    npy("{'descr': '<f4', 'fortran_order': False, }", 8, "lacks descr");
    npy("('descr', '<f4')", 8, "is not a Python dictionary");
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'evil': __import__('os'), }", 8, "damaged");
    npy("{'descr': '<f4", 8, "structured dtype");
    npy("{", 8, "damaged");
    npy("", 8, "is not a Python dictionary");
    struct buf b = BUF_INIT;
    char *big = X_NEW(char, 70001);
    memset(big, ' ', 70000);
    big[0] = '{';
    npy_text(&b, 2, big, 0, "", 0);
    refused("a.npy", b.data, b.len, "a header of 70000 bytes");
    free(big);
    buf_clear(&b);
    npy_text(&b, 1, H("<f4", "False", "(1,)"), 0, "\0\0\xc0\x7f", 4);
    refused("a.npy", b.data, b.len, "value 1 of example 1 is NaN");
    buf_clear(&b);
    npy_text(&b, 1, H("<i8", "False", "(1,)"), 0, "\0\0\0\0\1\0\0\0", 8);
    refused("a.npy", b.data, b.len, "does not fit into 32 bits");
    buf_release(&b);
    done("npy");
}

/* One stored or deflated member; broken where a field of `x` says so. */
struct zip {
    const char *name;
    int method, flags;
    long size_by, packed_by, at_by, crc_by; /* added to the true values */
    size_t cut; /* bytes taken from the end */
    int entries;
    bool twice;
};
static void make_npz(struct buf *z, const struct zip *x) {
    struct buf a = BUF_INIT, p = BUF_INIT;
    char data[4096] = {0};
    npy_text(&a, 1, H("<f4", "False", "(4, 256)"), 0, data, sizeof data);
    uLongf n = compressBound(a.len);
    if (x->method == 8) {
        unsigned char *out = X_NEW(unsigned char, n);
        compress(out, &n, (unsigned char *)a.data, a.len);
        buf_add(&p, out + 2, n - 6); /* raw deflate: without the zlib header and sum */
        free(out);
    } else buf_add(&p, a.data, a.len);
    uint32_t crc = (uint32_t)crc32(0, (unsigned char *)a.data, (uInt)a.len);
    size_t name = strlen(x->name);
    buf_add(z, "PK\3\4", 4);
    le(z, 20, 2), le(z, (uint64_t)x->flags, 2), le(z, (uint64_t)x->method, 2), le(z, 0, 4), le(z, crc, 4), le(z, p.len, 4), le(z, a.len, 4), le(z, name, 2),
        le(z, 0, 2);
    buf_adds(z, x->name);
    buf_add(z, p.data, p.len);
    size_t dir = z->len;
    for (int i = 0; i < 1 + x->twice; i++) {
        buf_add(z, "PK\1\2", 4);
        le(z, 20, 2), le(z, 20, 2), le(z, (uint64_t)x->flags, 2), le(z, (uint64_t)x->method, 2), le(z, 0, 4), le(z, crc + (uint32_t)x->crc_by, 4);
        le(z, p.len + (size_t)x->packed_by, 4), le(z, a.len + (size_t)x->size_by, 4), le(z, name, 2), le(z, 0, 2), le(z, 0, 2), le(z, 0, 2), le(z, 0, 2),
            le(z, 0, 4), le(z, (uint64_t)x->at_by, 4);
        buf_adds(z, x->name);
    }
    size_t len = z->len - dir;
    buf_add(z, "PK\5\6", 4);
    le(z, 0, 4), le(z, (uint64_t)(x->entries ? x->entries : 1 + x->twice), 2), le(z, (uint64_t)(x->entries ? x->entries : 1 + x->twice), 2), le(z, len, 4),
        le(z, dir, 4), le(z, 0, 2);
    z->len -= x->cut;
    buf_release(&a);
    buf_release(&p);
}
static void npz(struct zip x, const char *want) {
    struct buf z = BUF_INIT;
    make_npz(&z, &x);
    if (want) refused("a.npz", z.data, z.len, want);
    else {
        struct table t;
        struct err e = {0};
        tap_ok(reads("a.npz", z.data, z.len, &t, &e) && t.n == 4 && t.col[0].width == 256, "a good npz file of method %d is read %s", x.method, e.text);
        table_free(&t);
    }
    buf_release(&z);
}

static void npz_cases(void) {
    npz((struct zip){"x.npy"}, NULL);
    npz((struct zip){"x.npy", .method = 8}, NULL);
    refused("a.npz", "PK\3\4", 4, "is not a whole zip file");
    refused("a.npz", "not a zip file, but a long text in its place", 44, "is not a whole zip file");
    refused("a.npz", "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22, "holds 0 arrays");
    npz((struct zip){"x.npy", .cut = 1}, "is not a whole zip file");
    npz((struct zip){"x.npy", .cut = 22}, "is not a whole zip file");
    npz((struct zip){"x.npy", .cut = 100}, "is not a whole zip file");
    npz((struct zip){"x.npy", .flags = 1}, "is encrypted");
    npz((struct zip){"x.npy", .method = 12}, "packed with zip method 12");
    npz((struct zip){"x.npy", .size_by = 1}, "its two sizes");
    npz((struct zip){"x.npy", .method = 8, .size_by = 1}, "cannot be unpacked");
    npz((struct zip){"x.npy", .method = 8, .size_by = -1}, "cannot be unpacked");
    npz((struct zip){"x.npy", .method = 8, .size_by = 2000000000}, "which is impossible");
    npz((struct zip){"x.npy", .packed_by = 100000}, "is cut short");
    npz((struct zip){"x.npy", .method = 8, .packed_by = -20}, "cannot be unpacked");
    npz((struct zip){"x.npy", .at_by = 1}, "its place in the file, 1, is wrong");
    npz((struct zip){"x.npy", .at_by = 2000000000}, "its place in the file, 2000000000, is wrong");
    npz((struct zip){"x.npy", .crc_by = 1}, "the checksum is");
    npz((struct zip){"x.npy", .method = 8, .crc_by = 1}, "the checksum is");
    npz((struct zip){"x.npy", .entries = 2}, "entry 2 of its directory");
    npz((struct zip){"x.npy", .entries = 2000}, "holds 2000 arrays");
    npz((struct zip){"x.npy", .entries = 65535}, "zip64 directory is missing");
    npz((struct zip){"x.npy", .twice = true}, "holds the array x twice");
    npz((struct zip){"evil.pkl"}, "is no npy array");
    npz((struct zip){".npy"}, "is no npy array");
    npz((struct zip){"x.npy", .method = 8, .packed_by = 100000, .size_by = 80000000}, "more than 200 times its");
    done("npz");
}

static void packed(void) {
    struct buf b = BUF_INIT;
    for (int i = 0; i < 20000; i++) buf_addf(&b, "word%d some text,%d\n", i * 7919 % 10007, i % 2);
    char *path = io_join(tmp, "a.csv.gz");
    gzFile f = gzopen(path, "wb");
    gzwrite(f, b.data, (unsigned)b.len);
    gzclose(f);
    struct buf z = BUF_INIT;
    struct err e = {0};
    if (io_read_file(path, 1 << 24, &z, &e)) BUG("%s", e.text);
    struct table t;
    tap_ok(reads("a.csv.gz", z.data, z.len, &t, &e) && t.n == 20000, "a packed CSV file is read");
    table_free(&t);
    refused("a.csv.gz", z.data, z.len - 1, "a.csv.gz");
    refused("a.csv.gz", z.data, z.len / 2, "a.csv.gz");
    refused("a.csv.gz", z.data, 12, "a.csv.gz");
    z.data[z.len / 2] ^= 0x55;
    refused("a.csv.gz", z.data, z.len, "a.csv.gz");
    z.data[z.len / 2] ^= 0x55;
    z.data[z.len - 6] ^= 1; /* the checksum */
    refused("a.csv.gz", z.data, z.len, "a.csv.gz");
    static char zero[1 << 20];
    f = gzopen(path, "wb9");
    for (int i = 0; i < 66; i++) gzwrite(f, zero, sizeof zero);
    gzclose(f);
    z.len = 0;
    if (io_read_file(path, 1 << 24, &z, &e)) BUG("%s", e.text);
    refused("a.csv.gz", z.data, z.len, "unpacks to more than 200 times its");
    done("gzip");
    buf_release(&b);
    buf_release(&z);
    free(path);
}

int main(void) {
    snprintf(tmp, sizeof tmp, "/tmp/hone-data-test-XXXXXX");
    if (!mkdtemp(tmp)) return 1;
    idx_cases();
    npy_cases();
    npz_cases();
    packed();
    struct err e = {0};
    io_remove_tree(tmp, &e);
    return tap_done();
}
