/* Pictures, archives and folders of them, CIFAR and plain texts: what Pillow reads from the same files, and broken files refused by one sentence each. */
#include "config.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#include "datasets/formats/image.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static char tmp[64];
static int good, total;
static const char *top;

static void check(const char *path, const struct read_opts *o, const char *want) {
    struct err e = {0};
    struct table t;
    int r = format_read(path, o, &t, &e);
    total++;
    if (r && strstr(e.text, want) && strstr(e.text, tmp) && !strchr(e.text, '\n')) good++;
    else tap_ok(false, "case %d: \"%s\", wanted \"%s\"", total, r ? e.text : "it was read", want);
    if (!r) table_free(&t);
}
static void refused(const char *file, const void *p, size_t n, const char *want) {
    struct err e = {0};
    struct read_opts o = {.header = -1, .quote = -1};
    char *path = io_join(tmp, file);
    if (io_write_file(path, p, n, &e)) BUG("%s", e.text);
    check(path, &o, want);
    free(path);
}
static void done(const char *what, int least) {
    tap_ok(good == total && total >= least, "%s: %d of %d broken files refused by the right sentence", what, good, total);
    good = total = 0;
}

static struct buf corpus(const char *name) {
    struct buf b = BUF_INIT, path = BUF_INIT;
    struct err e = {0};
    buf_addf(&path, "%s/tests/fuzz/corpus/%s", top, name);
    if (io_read_file(path.data, 1 << 20, &b, &e)) BUG("%s", e.text);
    buf_release(&path);
    return b;
}

/* ---- what is read ---- */
static int difference(const struct image *m, const char *pixels) { /* largest, of interleaved pixels to numbers in planar order; -1: another number of them */
    int worst = 0;
    char *end;
    size_t n = (size_t)m->w * (size_t)m->h;
    for (size_t i = 0; i < n * (size_t)m->c; i++) {
        long v = strtol(pixels, &end, 10);
        if (end == pixels) return -1;
        int d = abs((int)v - m->p[i % n * (size_t)m->c + i / n]);
        worst = d > worst ? d : worst;
        pixels = end;
    }
    return *pixels && *pixels != '\n' ? -1 : worst;
}

static void one_line(char *line) {
    char name[64], hex[65], want[65];
    int w, h, c, size, at = 0;
    struct err e = {0};
    bool fit = sscanf(line, "fit %63s %d %n", name, &size, &at) == 2;
    if (!fit && sscanf(line, "%63s %d %d %d %64s", name, &w, &h, &c, want) != 5) BUG("line \"%s\"", line);
    struct buf b = corpus(name);
    struct bytes in = {name, (unsigned char *)b.data, b.len};
    struct image m;
    bool here = true;
#ifndef HAVE_PNG
    here = here && strncmp(name, "png/", 4);
#endif
#ifndef HAVE_JPEG
    here = here && strncmp(name, "jpeg/", 5);
#endif
    if (!here) tap_skip(name, "built without its library");
    else if (fit) {
        int r = image_decode(&in, &m, &e) || image_fit(&m, size, name, &e);
        tap_ok(!r && difference(&m, line + at) >= 0 && difference(&m, line + at) <= 1, "%s scaled to %d as Pillow does, to 1 of 255%s%s", name, size,
            *e.text ? ": " : "", e.text);
        free(m.p);
    } else {
        struct table t = {0};
        int r = format_image.read(&in, NULL, &t, &e);
        if (!r) io_sha256(t.col[0].data, (size_t)t.col[0].width, hex);
        tap_ok(!r && t.col[0].dim[2] == w && t.col[0].dim[1] == h && t.col[0].dim[0] == c && !strcmp(hex, want), "%s: the pixels that Pillow reads%s%s", name,
            *e.text ? ": " : "", e.text);
        table_free(&t);
    }
    buf_release(&b);
}

static void golden(void) {
    struct buf b = BUF_INIT, path = BUF_INIT;
    struct err e = {0};
    buf_addf(&path, "%s/tests/golden/images.txt", top);
    if (io_read_file(path.data, 1 << 20, &b, &e)) BUG("%s", e.text);
    buf_addc(&b, 0);
    for (char *line = b.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        one_line(line);
    }
    buf_release(&path);
    buf_release(&b);
}

static void others(void) {
    struct table t;
    struct err e = {0};
    struct buf b = corpus("pnm/deep");
    struct bytes in = {"deep", (unsigned char *)b.data, b.len};
    memset(&t, 0, sizeof t);
    int r = format_image.read(&in, NULL, &t, &e);
    tap_ok(!r && !memcmp(t.col[0].data, "\0\xff\x80\1", 4), "values of 16 bits are scaled to 8%s", e.text);
    table_free(&t);
    buf_release(&b);
    b = corpus("cifar/two");
    in = (struct bytes){"two.bin", (unsigned char *)b.data, b.len};
    r = format_cifar.read(&in, NULL, &t, &e);
    tap_ok(!r && t.n == 2 && ((uint8_t *)t.col[1].data)[1] == 9 && !memcmp((char *)t.col[0].data + 3072, b.data + 3074, 3072),
        "CIFAR-10: labels and pixels of both records%s", e.text);
    table_free(&t);
    buf_release(&b);
    static const char *const tars[] = {"tar/ustar", "tar/gnu", "tar/pax"};
    for (size_t i = 0; i < LEN(tars); i++) {
        struct read_opts test = {.pick = "test"}, dev = {.pick = "val", .optional = true};
        size_t n = 0;
        b = corpus(tars[i]);
        in = (struct bytes){"a.tar", (unsigned char *)b.data, b.len};
        memset(&t, 0, sizeof t);
        r = format_tar.read(&in, &test, &t, &e);
        tap_ok(!r && t.n == 4 && !strncmp(table_text(&t, 1, 2, &n), "dog", 3) && n == 3 && strstr(t.origin[0], "/test/cat/0.ppm"),
            "%s: the test folder, in order of names%s", tars[i], e.text);
        table_free(&t);
        r = format_tar.read(&in, &dev, &t, &e);
        tap_ok(!r && !t.n, "%s: a part that is not there has no rows%s", tars[i], e.text);
        table_free(&t);
        buf_release(&b);
    }
}

/* ---- broken files ---- */
static void pnm_cases(void) {
#define PNM(text, want) refused("a.ppm", text, sizeof text - 1, want)
    PNM("", "is empty");
    PNM("P6", "too short for a picture");
    PNM("P3\n1 1\n255\n1 2 3\n", "of kind P3; P5 and P6 are read");
    PNM("P6\n\n# only a comment", "has no width");
    PNM("P6\nx 2 255\n", "has no width");
    PNM("P6\n3\n# end\n", "has no height");
    PNM("P6\n3 x 255\n", "has no height");
    PNM("P6\n3 2\n", "has no largest value");
    PNM("P6\n3 2 65536\n123456", "has no largest value");
    PNM("P6\n70000 2 255\n123456", "has no width");
    PNM("P6\n1 1 0\n123", "largest value in its header is 0");
    PNM("P6\n1 1 255", "ends after its header");
    PNM("P6\n1 1 255x123", "other bytes there");
    PNM("P6\n2 2 255\n12345678901", "is cut short: 2 x 2 pixels are 12 bytes, but only 11 follow");
    PNM("P5\n2 2 65535\n1234567", "are 8 bytes, but only 7 follow");
    PNM("P6\n2 2 255\n1234567890123", "has 1 bytes after its 2 x 2 pixels");
    PNM("P6\n0 2 255\n", "a picture of 0 x 2 pixels");
    PNM("P6\n2 0 255\n", "a picture of 2 x 0 pixels");
    PNM("P5\n60000 60000 255\n", "is cut short");
    PNM("P5\n2 1 3\n\1\4", "value 2 is 4, above the 3 of its header");
    PNM("P7\nWIDTH 1\n", "is no picture that can be read: it begins with bytes 50 37");
    PNM("GIF89a..", "is no picture that can be read: it begins with bytes 47 49 46 38");
    PNM("\0\0\0\0\0\0\0\0", "is no picture that can be read");
    struct buf b = BUF_INIT;
    buf_adds(&b, "P5\n40000 1 255\n");
    for (int i = 0; i < 40000; i++) buf_addc(&b, 'x');
    refused("a.ppm", b.data, b.len, "40000 x 1 pixels; at most 32768 a side");
    buf_release(&b);
    done("PNM", 20);
}

#ifdef HAVE_PNG
static void chunk(struct buf *b, const char *type, const void *p, size_t n, uint32_t spoil) {
    unsigned char head[8] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n};
    memcpy(head + 4, type, 4);
    uint32_t crc = (uint32_t)crc32(crc32(0, head + 4, 4), p, (uInt)n) ^ spoil;
    char tail[4] = {(char)(crc >> 24), (char)(crc >> 16), (char)(crc >> 8), (char)crc};
    buf_add(b, head, 8);
    buf_add(b, p, n);
    buf_add(b, tail, 4);
}

enum { BAD_CRC = 1, NO_DATA = 2, BAD_ZLIB = 4, SHORT_DATA = 8, NO_END = 16, CUT_HEADER = 32 };
static void png(uint32_t w, uint32_t h, int depth, int colour, int flaws, const char *want) {
    struct buf b = BUF_INIT;
    unsigned char ihdr[13] = {(unsigned char)(w >> 24), (unsigned char)(w >> 16), (unsigned char)(w >> 8), (unsigned char)w, (unsigned char)(h >> 24),
        (unsigned char)(h >> 16), (unsigned char)(h >> 8), (unsigned char)h, (unsigned char)depth, (unsigned char)colour, 0, 0, 0},
                  raw[64] = {0}, packed[128];
    uLongf n = sizeof packed;
    if (compress(packed, &n, raw, flaws & SHORT_DATA ? 5 : sizeof raw) != Z_OK) BUG("compress");
    if (flaws & BAD_ZLIB) packed[0] ^= 0xff;
    buf_add(&b, "\x89PNG\r\n\x1a\n", 8);
    chunk(&b, "IHDR", ihdr, 13, flaws & BAD_CRC);
    if (flaws & CUT_HEADER) b.len -= 10;
    else {
        if (!(flaws & NO_DATA)) chunk(&b, "IDAT", packed, n, 0);
        if (!(flaws & NO_END)) chunk(&b, "IEND", "", 0, 0);
    }
    refused("a.png", b.data, b.len, want);
    buf_release(&b);
}

static void png_cases(void) {
    refused("a.png", "\x89PNG\r\n\x1a\n", 8, "is not a PNG picture that can be read");
    png(4, 4, 8, 2, CUT_HEADER, "is not a PNG picture that can be read");
    png(4, 4, 8, 2, BAD_CRC, "is not a PNG picture that can be read");
    png(0, 4, 8, 2, 0, "is not a PNG picture that can be read");
    png(4, 0, 8, 2, 0, "is not a PNG picture that can be read");
    png(4, 4, 3, 2, 0, "is not a PNG picture that can be read");
    png(4, 4, 8, 5, 0, "is not a PNG picture that can be read");
    png(4, 4, 8, 3, 0, "PNG picture that can be read"); /* a palette picture without a palette */
    png(4, 4, 8, 2, NO_DATA, "PNG picture that can be read");
    png(4, 4, 8, 2, BAD_ZLIB, "is damaged");
    png(4, 4, 8, 2, SHORT_DATA, "is damaged");
    png(4, 4, 8, 2, NO_DATA | NO_END, "PNG picture that can be read");
    png(0x7fffffff, 4, 8, 2, 0, "a PNG picture that can be read");
    png(40000, 4, 8, 2, 0, "40000 x 4 pixels; at most 32768 a side");
    png(20000, 20000, 8, 2, 0, "20000 x 20000 pixels are more than 200 times its");
    struct buf b = corpus("png/rgb");
    refused("a.png", b.data, b.len / 2, "is damaged");
    refused("a.png", b.data, 40, "PNG picture that can be read");
    b.data[60] ^= 0x55;
    refused("a.png", b.data, b.len, "is damaged");
    buf_release(&b);
    done("PNG", 18);
}
#else
static void png_cases(void) {
    refused("a.png", "\x89PNG\r\n\x1a\n", 8, "was built without libpng");
    done("PNG", 1);
}
#endif

static void jpeg_cases(void) {
#ifdef HAVE_JPEG
    refused("a.jpg", "\xff\xd8\xff\xd9", 4, "JPEG picture that can be read");
    refused("a.jpg", "\xff\xd8\xff\xe0\0\x10JFIF", 10, "JPEG picture that can be read");
    refused("a.jpg", "\xff\xd8\xff\xdb\0\x04\0\0\xff\xd9", 10, "JPEG picture that can be read");
    struct buf b = corpus("jpeg/colour");
    size_t sof = 2;
    while (sof + 9 < b.len && !((unsigned char)b.data[sof] == 0xff && (unsigned char)b.data[sof + 1] == 0xc0)) sof++;
    for (size_t i = 1; i < 8; i++) refused("a.jpg", b.data, b.len * i / 8, "JPEG picture that can be read");
    static const struct {
        int at;
        unsigned char v;
        const char *want;
    } flaws[] = {{5, 0, NULL}, {9, 4, "JPEG picture that can be read"}, {9, 0, "JPEG picture that can be read"}, {4, 12, "JPEG picture that can be read"},
        {1, 0xc3, "JPEG picture that can be read"}, {3, 99, "JPEG picture that can be read"}, {11, 0x99, "JPEG picture that can be read"}};
    for (size_t i = 1; i < LEN(flaws); i++) {
        char old = b.data[sof + (size_t)flaws[i].at];
        b.data[sof + (size_t)flaws[i].at] = (char)flaws[i].v;
        refused("a.jpg", b.data, b.len, flaws[i].want);
        b.data[sof + (size_t)flaws[i].at] = old;
    }
    memcpy(b.data + sof + 5, "\0\0\0\x11", 4);
    refused("a.jpg", b.data, b.len, "JPEG picture that can be read"); /* height 0: left to a DNL marker */
    memcpy(b.data + sof + 5, "\xff\xdc\xff\xdc", 4);
    refused("a.jpg", b.data, b.len, "65500 x 65500 pixels; at most 32768");
    memcpy(b.data + sof + 5, "\x7f\xff\x7f\xff", 4);
    refused("a.jpg", b.data, b.len, "32767 x 32767 pixels are more than 200 times");
    buf_release(&b);
    done("JPEG", 18);
#else
    refused("a.jpg", "\xff\xd8\xff\xd9\0\0\0\0", 8, "was built without libjpeg");
    done("JPEG", 1);
#endif
}

static void rounding(void) {
    struct err e = {0};
    struct image m = {2, 2, 1, mem_new(4, 1)};
    m.p[1] = m.p[3] = 255;
    int r = image_fit(&m, 1, "half", &e);
    tap_ok(!r && m.w == 1 && m.p[0] == 128, "0 and 255 meet at 128: %d %s", r ? -1 : m.p[0], e.text);
    free(m.p);
}

/* Labels and pixels of records: of CIFAR-100 the fine label. */
static void cifar_values(void) {
    enum { PIXELS = 3072 };
    for (int hundred = 0; hundred < 2; hundred++) {
        size_t each = (size_t)PIXELS + 1 + (size_t)hundred;
        unsigned char *b = mem_new(3, each);
        struct err e = {0};
        struct table t = {0};
        for (size_t r = 0; r < 3; r++) {
            b[r * each] = (unsigned char)(3 + r);
            if (hundred) b[r * each + 1] = (unsigned char)(50 + r);
            for (size_t i = 0; i < PIXELS; i++) b[(r + 1) * each - PIXELS + i] = (unsigned char)(i / 1024 * 80 + i % 61 + r);
        }
        struct bytes in = {"a.bin", b, 3 * each};
        bool ok = format_cifar.read(&in, NULL, &t, &e) == 0 && t.n == 3 && t.n_col == 2;
        for (size_t r = 0; ok && r < 3; r++) {
            ok = ((uint8_t *)t.col[1].data)[r] == (hundred ? 50 : 3) + r;
            for (size_t i = 0; ok && i < PIXELS; i++) ok = ((uint8_t *)t.col[0].data)[r * PIXELS + i] == (unsigned char)(i / 1024 * 80 + i % 61 + r);
        }
        tap_ok(ok, "CIFAR-%d: labels and pixels of three records %s", hundred ? 100 : 10, e.text);
        table_free(&t);
        free(b);
    }
}

static void cifar_cases(void) {
    struct buf b = corpus("cifar/two"), h = corpus("cifar/hundred");
    refused("a.bin", "", 0, "is empty");
    refused("a.bin", b.data, 1, "is 1 bytes long, which is no whole number of records");
    refused("a.bin", b.data, 3072, "is 3072 bytes long");
    refused("a.bin", b.data, 3075, "3075 bytes long");
    refused("a.bin", b.data, b.len - 1, "is 6145 bytes long");
    b.data[3073] = 10;
    refused("a.bin", b.data, b.len, "record 2 has the label 10; CIFAR-10 has 0 to 9");
    b.data[0] = (char)255;
    refused("a.bin", b.data, b.len, "record 1 has the label 255");
    h.data[0] = 20;
    refused("a.bin", h.data, h.len, "record 1 has the coarse label 20; CIFAR-100 has 0 to 19");
    h.data[0] = 0;
    h.data[1] = 100;
    refused("a.bin", h.data, h.len, "record 1 has the label 100; CIFAR-100 has 0 to 99");
    h.data[1] = 0;
    struct err e = {0};
    char *names = io_join(tmp, "batches.meta.txt");
    if (io_write_file(names, "air\xff\n", 5, &e)) BUG("%s", e.text);
    refused("a.bin", h.data, h.len, "is not UTF-8; it holds one class name a line");
    remove(names);
    free(names);
    buf_release(&b);
    buf_release(&h);
    done("CIFAR", 10);
}

/* Spoils the header at `at` of an archive, its checksum right again if asked for. */
static void tar_bad(size_t at, const char *bytes, size_t n, bool sum, size_t len, const char *want) {
    struct buf b = corpus("tar/ustar");
    memcpy(b.data + at, bytes, n);
    if (sum) {
        unsigned s = 0;
        char text[9];
        size_t head = at - at % 512;
        memset(b.data + head + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++) s += (unsigned char)b.data[head + i];
        snprintf(text, sizeof text, "%06o", s);
        memcpy(b.data + head + 148, text, 7);
    }
    refused("a.tar", b.data, len ? len : b.len, want);
    buf_release(&b);
}

static void tar_cases(void) {
    char zeros[1024] = {0};
    refused("a.tar", zeros, sizeof zeros, "holds no pictures");
    refused("a.tar", "set/train", 9, "ends inside a member's header at offset 0");
    tar_bad(0, "x", 1, false, 0, "the member's header at offset 0 has a wrong checksum");
    tar_bad(1024, "x", 1, false, 0, "the member's header at offset 1024 has a wrong checksum");
    tar_bad(124, "77777777777", 11, true, 0, "is cut short: the member at offset 0 has 8589934591 bytes");
    tar_bad(124, "\x80\0\0\0\0\0\0\1\0\0\0\0", 12, true, 0, "is cut short: the member at offset 0 has 4294967296 bytes");
    tar_bad(124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, true, 0, "header at offset 0 has no size");
    tar_bad(124, "9x", 2, true, 0, "header at offset 0 has no size");
    tar_bad(124, "00000000000", 11, true, 512, "0.ppm is empty");
    tar_bad(0, "set", 3, false, 560, "is cut short: the member at offset 0 has 71 bytes, but only 48 follow");
    tar_bad(0, "set", 3, false, 1100, "ends inside a member's header at offset 1024");
    tar_bad(0, "\xff\xfe", 2, true, 0, "the name of the member at offset 0 is not UTF-8");
    tar_bad(0, "only.ppm\0", 9, true, 0, "only.ppm lies in no folder");
    tar_bad(0, "/only.ppm\0", 10, true, 0, "/only.ppm lies in no folder");
    tar_bad(156, "x", 1, true, 0, "a pax record at offset 512 is damaged");
    tar_bad(512, "XX", 2, false, 0, "0.ppm is no picture that can be read");
    tar_bad(515, "x", 1, false, 0, "0.ppm: its header has no width");
    for (size_t i = 1; i < 7; i++) tar_bad(100, "0", 1, false, 1024 * i + 512 + 5 * i, "is cut short");
    struct read_opts val = {.pick = "val"};
    struct buf b = corpus("tar/ustar");
    struct err e = {0};
    char *path = io_join(tmp, "b.tar");
    if (io_write_file(path, b.data, b.len, &e)) BUG("%s", e.text);
    check(path, &val, "has no pictures or sounds in a folder val");
    free(path);
    buf_release(&b);
    done("tar", 20);
}

static char *put(const char *name, const void *p, size_t n) {
    struct err e = {0};
    char *path = io_join(tmp, name);
    if (io_write_file(path, p, n, &e)) BUG("%s", e.text);
    return path;
}

static void folder_cases(void) {
    struct read_opts o = {0};
    char *set = io_join(tmp, "set"), *cat = io_join(tmp, "set/cat"), *dog = io_join(tmp, "set/dog"), *bad = io_join(tmp, "set/\xff");
    mkdir(set, 0755), mkdir(cat, 0755), mkdir(dog, 0755);
    char *a = put("set/cat/a.ppm", "P5 1 1 255 x", 12), *notes = put("set/dog/notes.txt", "x", 1);
    check(set, &o, "dog holds no pictures");
    char *b = put("set/dog/b.ppm", "P5 2 1 255 xy", 13);
    check(set, &o, "b.ppm has 2 x 1 pixels, but ");
    free(put("set/dog/b.ppm", "", 0));
    check(set, &o, "b.ppm is empty");
    free(put("set/dog/b.ppm", "P5 2 2 255 xy", 13));
    check(set, &o, "b.ppm is cut short");
    free(put("set/dog/b.ppm", "hello, world", 12));
    check(set, &o, "b.ppm is no picture that can be read");
    remove(b);
    mkfifo(b, 0644);
    check(set, &o, "b.ppm");
    remove(b);
    free(put("set/dog/b.ppm", "P6 1 1 255 xyz", 14));
    struct table t;
    struct err e = {0};
    int r = format_read(set, &o, &t, &e);
    tap_ok(!r && t.n == 2 && t.col[0].dim[0] == 3 && !memcmp(t.col[0].data, "xxxxyz", 6), "a grey and a colour picture: both colour, other files left out%s%s",
        *e.text ? ": " : "", e.text);
    table_free(&t);
    o.size = 1;
    free(put("set/dog/b.ppm", "P6 3 1 255 123456789", 20));
    r = format_read(set, &o, &t, &e);
    tap_ok(!r && t.n == 2 && ((uint8_t *)t.col[0].data)[3] == '4', "size=1: the middle of a wide picture%s%s", *e.text ? ": " : "", e.text);
    table_free(&t);
    char wide[200] = "P5 100 1 255 ";
    memset(wide + 13, 'x', 100);
    free(put("set/dog/b.ppm", wide, 113));
    check(set, &o, "100 x 1 pixels are too far from a square for size=1");
    remove(b);
    free(put("set/dog/b.ppm", "P5 1 1 255 x", 12));
    if (mkdir(bad, 0755) == 0) check(set, &o, "is not UTF-8; it becomes the name of a class");
    done("folders", 7);
    free(set), free(cat), free(dog), free(bad), free(a), free(b), free(notes);
}

static void plain_cases(void) {
    struct read_opts o = {.stream = true};
    static const struct {
        const char *p;
        size_t n;
        const char *want;
    } bad[] = {{"", 0, "is empty"}, {"\xef\xbb\xbf", 3, "is empty"}, {"a\0b", 3, "holds a NUL byte at offset 1"},
        {"\xff\xfe"
         "a\0",
            4, "is UTF-16 text"},
        {"ab\n\xe4", 4, "line 2 is not UTF-8 (byte 0xe4 at offset 3)"}, {"\xc3", 1, "line 1 is not UTF-8"}, {"\xed\xa0\x80", 3, "is not UTF-8"}};
    for (size_t i = 0; i < LEN(bad); i++) {
        char *path = put("a.txt", bad[i].p, bad[i].n);
        check(path, &o, bad[i].want);
        free(path);
    }
    done("plain texts", 7);
}

int main(void) {
    top = getenv("top_srcdir");
    top = top ? top : ".";
    snprintf(tmp, sizeof tmp, "%s/hone-image-XXXXXX", getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(tmp)) BUG("no folder %s", tmp);
    golden();
    others();
    pnm_cases();
    png_cases();
    jpeg_cases();
    rounding();
    cifar_values();
    cifar_cases();
    tar_cases();
    folder_cases();
    plain_cases();
    struct err e = {0};
    io_remove_tree(tmp, &e);
    return tap_done();
}
