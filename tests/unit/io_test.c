/* Files: whole reads, durable writes with every fault point failing or killing, folders, packed streams, SHA-256. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#ifdef HAVE_LZMA
#include <lzma.h>
#endif

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/sha256.h"
#include "src/base/rng.h"
#include "tests/tap.h"

static char dir[] = "/tmp/hone-io-XXXXXX";
static char path_of[3][128];
static const char *at(const char *name) { /* three live at once */
    static int turn;
    char *p = path_of[turn++ % 3];
    snprintf(p, sizeof path_of[0], "%s/%s", dir, name);
    return p;
}

static void raw(const char *path, const void *p, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n) abort();
    fclose(f);
}

static void test_read(void) {
    struct err e = {0};
    struct buf b = BUF_INIT;
    tap_ok(io_write_file(at("a"), "hello", 5, &e) == 0 && io_read_file(at("a"), 5, &b, &e) == 0 && strcmp(b.data, "hello") == 0, "write and read");
    tap_ok(io_read_file(at("a"), 4, &b, &e) == -1 && b.len == 5, "too large: %s", e.text);
    tap_ok(io_read_file(at("none"), 4, &b, &e) == -1 && strstr(e.text, "No such file"), "missing: %s", e.text);
    tap_ok(io_read_file(dir, 4, &b, &e) == -1 && strstr(e.text, "folder"), "folder: %s", e.text);
    mkfifo(at("fifo"), 0600);
    tap_ok(io_read_file(at("fifo"), 4, &b, &e) == -1 && strstr(e.text, "FIFO"), "FIFO: %s", e.text);
    tap_ok(io_read_file("/dev/zero", 4, &b, &e) == -1 && strstr(e.text, "device"), "device: %s", e.text);
    buf_clear(&b);
    tap_ok(io_read_file("/proc/self/status", 1 << 20, &b, &e) == 0 && b.len > 100, "a file that does not tell its size");
    buf_release(&b);
    tap_ok(io_write_file(at("no/such"), "x", 1, &e) == -1, "no folder: %s", e.text);
    tap_ok(io_mkdirs(at("p/q/r"), 0755, &e) == 0 && io_is_dir(at("p/q/r")) && io_mkdirs(at("p/q"), 0755, &e) == 0, "io_mkdirs");
    tap_ok(io_mkdirs(at("a/b"), 0755, &e) == -1, "a file in the way: %s", e.text);
    raw(at("keep"), "k", 1);
    if (symlink(at("keep"), at("p/link")) != 0 || symlink(dir, at("p/q/up")) != 0) abort();
    raw(at("p/q/f"), "k", 1);
    tap_ok(io_remove_tree(at("p"), &e) == 0 && !io_exists(at("p")) && io_exists(at("keep")), "io_remove_tree does not follow links");
    char *j = io_join("a", "b"), *k = io_join("a/", "b"), *x = io_exe_dir();
    tap_ok(strcmp(j, "a/b") == 0 && strcmp(k, "a/b") == 0 && io_is_dir(x) && x[0] == '/', "io_join, io_exe_dir");
    free(j), free(k), free(x);
}

/* In a child, because the environment is read once. Returns its wait status; the parent then looks at the file. */
static int write_with_fault(const char *fault, bool *failed_well) {
    int status;
    fflush(stdout);
    pid_t p = fork();
    if (p == 0) {
        struct err e = {0};
        setenv("HONE_FAULT", fault, 1);
        int rc = io_write_file(at("w"), "new", 3, &e);
        _exit(rc == 0 ? 0 : strstr(e.text, at("w")) || strstr(e.text, dir) ? 1 : 2);
    }
    waitpid(p, &status, 0);
    *failed_well = WIFEXITED(status) && WEXITSTATUS(status) == 1;
    return status;
}

static void slurp(const char *path, struct buf *b) { /* not io_read_file: it would read the environment here */
    char t[64];
    FILE *f = fopen(path, "rb");
    buf_clear(b);
    if (!f) return;
    buf_add(b, t, fread(t, 1, sizeof t, f));
    fclose(f);
}

static void test_faults(void) {
    static const char *const points[] = {"write.open", "write.write", "write.sync", "write.rename", "write.sync_dir"};
    for (size_t i = 0; i < LEN(points); i++) {
        struct buf b = BUF_INIT;
        char fault[64];
        bool well;
        raw(at("w"), "old", 3);
        snprintf(fault, sizeof fault, "%s:1:ENOSPC", points[i]);
        write_with_fault(fault, &well);
        slurp(at("w"), &b);
        tap_ok(well && strcmp(b.data, i == 4 ? "new" : "old") == 0, "%s: an error, whole content: %s", fault, b.data);
        raw(at("w"), "old", 3);
        snprintf(fault, sizeof fault, "%s:1:kill", points[i]);
        int status = write_with_fault(fault, &well);
        slurp(at("w"), &b);
        tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && strcmp(b.data, i == 4 ? "new" : "old") == 0, "%s: whole content: %s", fault, b.data);
        buf_release(&b);
    }
    bool well;
    tap_ok(write_with_fault("write.write:2:EIO", &well) == 0, "the second pass does not come");
    tap_ok(write_with_fault("write.write:1:EINTR", &well) == 0, "EINTR is tried again");
}

static void pack(const char *path, const char *mode, const void *p, size_t n) {
    gzFile g = gzopen(path, mode);
    if (!g || gzwrite(g, p, (unsigned)n) != (int)n) abort();
    gzclose(g);
}

/* Reads all in pieces of `piece`: bytes, or -1. */
static ssize_t drain(const char *path, char *out, size_t room, size_t piece, struct err *e) {
    struct io_stream *s = io_stream_open(path, e);
    ssize_t n = 0, total = 0;
    if (!s) return -1;
    while (total < (ssize_t)room && (n = io_stream_read(s, out + total, piece < room - (size_t)total ? piece : room - (size_t)total, e)) > 0) total += n;
    io_stream_close(s);
    return n < 0 ? -1 : total;
}

static void test_stream(void) {
    enum { N = 300000 };
    char *data = mem_new(N, 1), *back = mem_new(2 * N + 10, 1);
    struct err e = {0};
    struct buf b = BUF_INIT;
    for (uint64_t i = 0; i < N; i++) data[i] = (char)(i % 7 ? rng_u32(1, 1, i) : 'x');
    raw(at("plain"), data, N);
    tap_ok(drain(at("plain"), back, 2 * N, 1000, &e) == N && memcmp(data, back, N) == 0, "plain stream");
    pack(at("z.gz"), "wb", data, N);
    tap_ok(drain(at("z.gz"), back, 2 * N, 777, &e) == N && memcmp(data, back, N) == 0, "gzip stream");
    pack(at("z.gz"), "ab", data, N);
    tap_ok(drain(at("z.gz"), back, 2 * N + 10, 65536, &e) == 2 * N && memcmp(data, back + N, N) == 0, "two gzip members");
    io_read_file(at("z.gz"), 1 << 22, &b, &e);
    raw(at("cut.gz"), b.data, b.len - 5);
    tap_ok(drain(at("cut.gz"), back, 2 * N + 10, 65536, &e) == -1 && strstr(e.text, "too early"), "truncated: %s", e.text);
    raw(at("cut.gz"), b.data, 4);
    tap_ok(drain(at("cut.gz"), back, 2 * N + 10, 65536, &e) == -1, "only a header: %s", e.text);
    b.data[b.len - 6] ^= 1;
    raw(at("bad.gz"), b.data, b.len);
    tap_ok(drain(at("bad.gz"), back, 2 * N + 10, 65536, &e) == -1 && strstr(e.text, "damaged"), "checksum: %s", e.text);
    b.data[b.len - 6] ^= 1;
    buf_add(&b, "\0\0\0", 3);
    raw(at("pad.gz"), b.data, b.len);
    tap_ok(drain(at("pad.gz"), back, 2 * N + 10, 65536, &e) == 2 * N, "zeros after the end");
    buf_add(&b, "junk", 4);
    raw(at("pad.gz"), b.data, b.len);
    tap_ok(drain(at("pad.gz"), back, 2 * N + 10, 65536, &e) == -1, "other bytes after the end: %s", e.text);
    raw(at("empty"), "", 0);
    tap_ok(drain(at("empty"), back, 10, 10, &e) == 0, "an empty file");
#ifdef HAVE_LZMA
    size_t out = 0;
    char *x = mem_new(2 * N, 1);
    if (lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, (const uint8_t *)data, N, (uint8_t *)x, &out, 2 * N) != LZMA_OK) abort();
    raw(at("a.xz"), x, out);
    tap_ok(drain(at("a.xz"), back, 2 * N, 4096, &e) == N && memcmp(data, back, N) == 0, "xz stream");
    raw(at("b.xz"), x, out - 10);
    tap_ok(drain(at("b.xz"), back, 2 * N, 4096, &e) == -1, "truncated xz: %s", e.text);
    x[out / 2] ^= 1;
    raw(at("b.xz"), x, out);
    tap_ok(drain(at("b.xz"), back, 2 * N, 4096, &e) == -1, "damaged xz: %s", e.text);
    free(x);
#else
    tap_skip("xz", "built without liblzma");
#endif
    free(data), free(back);
    buf_release(&b);
}

static void test_sha(void) {
    char hex[65], hex2[65];
    struct err e;
    int64_t n;
    io_sha256("", 0, hex);
    tap_is(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
    io_sha256("abc", 3, hex);
    tap_is(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");
    io_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    tap_is(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", "SHA-256 of two blocks");
    char *m = mem_new(1000000, 1);
    memset(m, 'a', 1000000);
    io_sha256(m, 1000000, hex);
    tap_is(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "SHA-256 of a million a");
    raw(at("m"), m, 1000000);
    int same = 0;
    for (size_t len = 0; len < 300; len++) {
        struct sha256 h[2];
        char by[2][65];
        for (int k = 0; k < 2; k++) {
            sha256_init(&h[k]);
            h[k].plain = k;
            sha256_add(&h[k], m, len / 3);
            sha256_add(&h[k], m + len / 3, len - len / 3);
            sha256_hex(&h[k], by[k]);
        }
        same += strcmp(by[0], by[1]) == 0;
    }
    tap_ok(same == 300, "the processor's SHA instructions give the digests of plain C, lengths 0 to 299 (%d)", same);
    tap_ok(io_sha256_file(at("m"), hex2, &n, &e) == 0 && strcmp(hex, hex2) == 0 && n == 1000000, "SHA-256 of a file");
    free(m);
}

int main(void) {
    struct err e;
    unsetenv("HONE_FAULT");
    if (!mkdtemp(dir)) return 99;
    test_faults(); /* first: the children must be the ones that read the environment */
    test_read();
    test_stream();
    test_sha();
    tap_ok(io_remove_tree(dir, &e) == 0, "all removed");
    return tap_done();
}
