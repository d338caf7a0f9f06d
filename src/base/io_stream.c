/* A reader of plain, gzip and xz files as one stream of bytes; the kind is found from the first bytes. A packed file that ends early,
 * fails its checksum or has other bytes after its end is an error. One thread at a time. */
#include "config.h"

#include "src/base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#ifdef HAVE_LZMA
#include <lzma.h>
#endif

#include "src/base/mem.h"

enum { IN = 65536 };
enum stream_kind { PLAIN, GZIP, XZ };
struct io_stream {
    int fd;
    enum stream_kind kind;
    char *path;
    unsigned char in[IN];
    size_t pos, len;
    bool eof; /* of the file */
    bool done; /* of the unpacked data */
    z_stream z;
    bool z_open;
#ifdef HAVE_LZMA
    lzma_stream x;
#endif
};

static int fill(struct io_stream *s, struct err *e) {
    if (s->pos < s->len || s->eof) return 0;
    ssize_t n;
    do n = io_fault("stream.read") == 0 ? read(s->fd, s->in, IN) : -1;
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_sys(e, "read", s->path);
    s->pos = 0;
    s->len = (size_t)n;
    s->eof = n == 0;
    return 0;
}

struct io_stream *io_stream_open(const char *path, struct err *e) {
    static const unsigned char xz_magic[] = {0xfd, '7', 'z', 'X', 'Z', 0};
    int fd = io_open_file(path, NULL, e);
    if (fd < 0) return NULL;
    struct io_stream *s = X_NEW(struct io_stream, 1);
    s->fd = fd;
    s->path = mem_str(path);
    if (fill(s, e) != 0) goto fail;
    if (s->len >= 2 && s->in[0] == 0x1f && s->in[1] == 0x8b) {
        s->kind = GZIP;
        if (inflateInit2(&s->z, 15 + 16) != Z_OK) {
            err_set(e, "cannot read %s: there is no memory to unpack it", path);
            goto fail;
        }
        s->z_open = true;
    } else if (s->len >= sizeof xz_magic && memcmp(s->in, xz_magic, sizeof xz_magic) == 0) {
        s->kind = XZ;
#ifdef HAVE_LZMA
        s->x = (lzma_stream)LZMA_STREAM_INIT;
        if (lzma_stream_decoder(&s->x, UINT64_C(256) << 20, LZMA_CONCATENATED) != LZMA_OK) {
            err_set(e, "cannot read %s: there is no memory to unpack it", path);
            goto fail;
        }
#else
        err_set(e, "cannot read %s: it is an xz file and this hone was built without liblzma; unpack it with xz -dk", path);
        goto fail;
#endif
    }
    return s;
fail:
    io_stream_close(s);
    return NULL;
}

/* After the end of a gzip member: another member goes on, zeros (tape padding) are skipped, anything else is an error. */
static int gzip_next(struct io_stream *s, struct err *e) {
    for (;;) {
        if (fill(s, e) != 0) return -1;
        if (s->eof) {
            s->done = true;
            return 0;
        }
        if (s->in[s->pos] == 0x1f) return inflateReset(&s->z) == Z_OK ? 0 : err_set(e, "cannot unpack %s", s->path);
        if (s->in[s->pos] != 0) return err_set(e, "%s is damaged: there are other bytes after the end of its gzip data", s->path);
        s->pos++;
    }
}

static ssize_t read_gzip(struct io_stream *s, void *p, size_t n, struct err *e) {
    size_t want = n < UINT32_MAX ? n : UINT32_MAX;
    s->z.next_out = p;
    s->z.avail_out = (uInt)want;
    while (s->z.avail_out == want && !s->done) {
        if (fill(s, e) != 0) return -1;
        if (s->eof) return err_set(e, "%s is damaged: its gzip data ends too early", s->path);
        s->z.next_in = s->in + s->pos;
        s->z.avail_in = (uInt)(s->len - s->pos);
        int rc = inflate(&s->z, Z_NO_FLUSH);
        s->pos = s->len - s->z.avail_in;
        if (rc == Z_STREAM_END) {
            if (gzip_next(s, e) != 0) return -1;
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) return err_set(e, "%s is damaged: %s", s->path, s->z.msg ? s->z.msg : "its gzip data cannot be unpacked");
    }
    return (ssize_t)(want - s->z.avail_out);
}

#ifdef HAVE_LZMA
static ssize_t read_xz(struct io_stream *s, void *p, size_t n, struct err *e) {
    s->x.next_out = p;
    s->x.avail_out = n;
    while (s->x.avail_out == n && !s->done) {
        if (fill(s, e) != 0) return -1;
        s->x.next_in = s->in + s->pos;
        s->x.avail_in = s->len - s->pos;
        lzma_ret rc = lzma_code(&s->x, s->eof ? LZMA_FINISH : LZMA_RUN);
        s->pos = s->len - s->x.avail_in;
        if (rc == LZMA_STREAM_END) s->done = true;
        else if (rc == LZMA_MEMLIMIT_ERROR) return err_set(e, "%s needs more than 256 MiB to unpack; unpack it with xz -dk", s->path);
        else if (rc == LZMA_BUF_ERROR) return err_set(e, "%s is damaged: its xz data ends too early", s->path);
        else if (rc != LZMA_OK) return err_set(e, "%s is damaged: its xz data cannot be unpacked", s->path);
    }
    return (ssize_t)(n - s->x.avail_out);
}
#endif

static ssize_t read_plain(struct io_stream *s, void *p, size_t n, struct err *e) {
    if (fill(s, e) != 0) return -1;
    size_t take = s->len - s->pos < n ? s->len - s->pos : n;
    memcpy(p, s->in + s->pos, take);
    s->pos += take;
    return (ssize_t)take;
}

ssize_t io_stream_read(struct io_stream *s, void *p, size_t n, struct err *e) {
    if (n == 0) return 0;
    if (s->kind == GZIP) return read_gzip(s, p, n, e);
#ifdef HAVE_LZMA
    if (s->kind == XZ) return read_xz(s, p, n, e);
#endif
    return read_plain(s, p, n, e);
}

void io_stream_close(struct io_stream *s) {
    if (!s) return;
    if (s->z_open) inflateEnd(&s->z);
#ifdef HAVE_LZMA
    if (s->kind == XZ) lzma_end(&s->x);
#endif
    close(s->fd);
    free(s->path);
    free(s);
}
