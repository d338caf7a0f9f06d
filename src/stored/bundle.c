/* Bundles: one gzip-compressed tar file with the plain files of runs (what was asked, metrics, curves, journal, log, tags and notes), which any tar
 * opens and every command that takes a run reads in place. Reading accepts what writing makes and nothing else: plain files of known names in one
 * folder per run, of bounded size. Links, devices, sparse files and long names of hostile archives are not even looked at, which is why the forty
 * lines of ustar are here instead of an archive library. Helper thread or line mode. */
#include "config.h"

#include "src/stored/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/run/store.h"

enum { BLOCK = 512, RATIO = 300, SLACK = 4 << 20, RUNS_MAX = 1000, PIECE = 1 << 16 };
/* A bundle may unpack to RATIO times its size: recorded numbers shrink tenfold at most, a bomb a thousandfold. */

static const struct {
    const char *name;
    int64_t max;
} files[] = {{"run.json", 16 << 20}, {"metrics.bin", (int64_t)64 << 30}, {"series.bin", 16 << 20}, {"journal.lua", 64 << 20}, {"log.txt", (int64_t)1 << 30},
    {"about.json", 4 << 20}};

/* ---- writing ---- */

static void octal_put(char *p, int64_t v) { /* eleven digits: up to 8 GiB */
    for (int i = 10; i >= 0; i--, v >>= 3) p[i] = (char)('0' + (v & 7));
}

/* POSIX.1-1988 ustar: numbers are octal text, the checksum is the sum of all bytes with its own field as blanks. */
static void header(char h[BLOCK], const char *name, int64_t size, int64_t mtime) {
    unsigned sum = 0;
    memset(h, 0, BLOCK);
    memcpy(h, name, strnlen(name, 99));
    memcpy(h + 100, "0000644", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    octal_put(h + 124, size);
    octal_put(h + 136, mtime > 0 ? mtime : 0);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar", 6);
    memcpy(h + 263, "00", 2);
    for (int i = 0; i < BLOCK; i++) sum += (unsigned char)h[i];
    for (int i = 5; i >= 0; i--, sum >>= 3) h[148 + i] = (char)('0' + (sum & 7));
    h[154] = 0;
}

static int put_file(gzFile z, const char *dir, const char *run, const char *name, struct err *e) {
    char *path = io_join(dir, name), full[200], block[BLOCK];
    struct stat st;
    static const char zeros[BLOCK];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), rc = 0;
    bool there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    int64_t left = there ? st.st_size : 0;
    if (there && left >= (int64_t)8 << 30) rc = err_set(e, "%s has %lld bytes; a bundle takes files of up to 8 GiB", path, (long long)left);
    snprintf(full, sizeof full, "%s/%s", run, name);
    if (there && rc == 0) {
        header(block, full, left, st.st_mtim.tv_sec);
        if (gzwrite(z, block, BLOCK) != BLOCK) rc = -1;
    }
    char *piece = X_NEW(char, PIECE);
    while (there && left > 0 && rc == 0) { /* exactly as many bytes as promised, even where the file grows meanwhile */
        ssize_t n = read(fd, piece, left < PIECE ? (size_t)left : PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) rc = err_sys(e, "read", path);
        else if (gzwrite(z, piece, (unsigned)n) != n) rc = -1;
        left -= n > 0 ? n : 0;
    }
    int pad = there ? (int)((BLOCK - st.st_size % BLOCK) % BLOCK) : 0;
    if (rc == 0 && pad && gzwrite(z, zeros, (unsigned)pad) != pad) rc = -1;
    free(piece);
    if (fd >= 0) close(fd);
    free(path);
    return rc;
}

struct bundle_args {
    struct val *runs;
    char *out;
};

static int write_all(const struct folder *f, size_t n, const char *path, struct err *e) {
    static const char end[2 * BLOCK];
    char tmp[4096];
    if (snprintf(tmp, sizeof tmp, "%s.tmp-%ld", path, (long)getpid()) >= (int)sizeof tmp) return err_set(e, "the path %.200s is too long", path);
    gzFile z = gzopen(tmp, "wbe6");
    if (!z) return err_sys(e, "write", path);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        for (size_t k = 0; k < LEN(files) && rc == 0; k++) rc = put_file(z, f[i].dir, f[i].name, files[k].name, e);
    if (rc == 0 && gzwrite(z, end, sizeof end) != sizeof end) rc = -1;
    if (gzclose(z) != Z_OK) rc = -1;
    if (rc == 0 && rename(tmp, path) != 0) rc = -1;
    if (rc != 0) {
        if (e && !e->code) err_sys(e, "write", path);
        unlink(tmp);
    }
    return rc;
}

/* bundle RUN.. FILE: without out= the last word is the file. */
static int bundle_run(struct call *c, const void *args, struct err *e) {
    const struct bundle_args *a = args;
    struct val *list = val_list();
    char *out = mem_str(a->out);
    size_t given = val_len(a->runs), take = !out && given > 1 ? given - 1 : given, n = 0;
    for (size_t i = 0; i < take; i++) val_push(list, val_copy(val_at(a->runs, i)));
    if (!out && take < given) out = folder_item(c, val_at(a->runs, take), e);
    struct folder *f = e->code ? NULL : folders_open(c, list, 1, &n, e);
    int rc = f ? 0 : -1;
    if (rc == 0 && !out) {
        struct buf b = BUF_INIT;
        buf_addf(&b, "%s.tar.gz", f[0].name);
        out = buf_take(&b);
    }
    if (rc == 0 && (io_is_dir(out) || store_name_ok(out)) && !strchr(out, '.'))
        rc = err_code(e, ERR_USAGE, "bundle: the last word is the file to write, such as runs.tar.gz, not \"%.100s\"", out);
    if (rc == 0 && io_exists(out) && !bundle_is(out))
        rc = err_code(e, ERR_USAGE, "bundle: %.200s is there and is no bundle: choose another name for the file", out);
    if (rc == 0) rc = write_all(f, n, out, e);
    if (rc == 0) call_result(c, val_str(out));
    folders_close(f, n);
    val_free(list);
    free(out);
    return rc;
}

/* ---- reading ---- */

bool bundle_is(const char *path) {
    unsigned char head[3] = {0};
    struct stat st;
    int fd = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool is = fd >= 0 && read(fd, head, 3) == 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
    if (fd >= 0) close(fd);
    return is;
}

struct unpacking {
    gzFile z;
    const char *path, *into;
    struct val *names;
    int64_t left; /* bytes that may still be unpacked */
};

static bool octal(const char *p, size_t n, int64_t *out) {
    int64_t v = 0;
    size_t i = 0;
    while (i < n && p[i] >= '0' && p[i] <= '7') {
        if (v >> 56) return false;
        v = v * 8 + (p[i++] - '0');
    }
    *out = v;
    return i > 0 && (i == n || p[i] == 0 || p[i] == ' ');
}

static int damaged(const struct unpacking *u, const char *why, struct err *e) {
    return err_set(e, "%s is no bundle of runs, or it is damaged: %s", u->path, why);
}

/* RUN/FILE of a header, checked. */
static int entry_name(struct unpacking *u, const char h[BLOCK], char run[64], const char **file, int64_t *size, struct err *e) {
    unsigned sum = 0;
    int64_t want;
    const char *slash = memchr(h, '/', 99);
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : (unsigned char)h[i];
    if (!octal(h + 148, 8, &want) || want != sum || memcmp(h + 257, "ustar", 5) != 0) return damaged(u, "a header's checksum is wrong", e);
    if (h[156] != '0' && h[156] != 0) return damaged(u, "it holds something else than plain files", e);
    if (!memchr(h, 0, 100) || h[345] || !slash || slash - h > 63) return damaged(u, "a name is not RUN/FILE", e);
    memcpy(run, h, (size_t)(slash - h));
    run[slash - h] = 0;
    *file = NULL;
    int64_t max = 0;
    for (size_t i = 0; i < LEN(files); i++)
        if (strcmp(slash + 1, files[i].name) == 0) *file = files[i].name, max = files[i].max;
    if (!store_name_ok(run) || !*file) return damaged(u, "a name is not RUN/FILE", e);
    if (!octal(h + 124, 12, size) || *size > max) return damaged(u, "a file in it is larger than such a file can be", e);
    if (*size > u->left) return damaged(u, "it would unpack to far more than it can hold", e);
    u->left -= *size;
    return 0;
}

static int copy_out(struct unpacking *u, int fd, const char *to, int64_t size, struct err *e) {
    char *piece = X_NEW(char, PIECE);
    int64_t left = size + (BLOCK - size % BLOCK) % BLOCK, data = size;
    int rc = 0;
    while (left > 0 && rc == 0) {
        int n = gzread(u->z, piece, left < PIECE ? (unsigned)left : PIECE);
        if (n <= 0) rc = damaged(u, "it ends too early", e);
        int64_t own = n < data ? n : data;
        if (rc == 0 && own > 0) rc = io_write_all(fd, piece, (size_t)own, to, e);
        left -= n > 0 ? n : 0;
        data -= own > 0 ? own : 0;
    }
    free(piece);
    return rc;
}

static bool known(const struct val *names, const char *run) {
    for (size_t i = 0; i < val_len(names); i++)
        if (strcmp(val_at(names, i)->u.s.p, run) == 0) return true;
    return false;
}

static int take_entry(struct unpacking *u, const char h[BLOCK], struct err *e) {
    char run[64];
    const char *file = NULL;
    int64_t size = 0;
    if (entry_name(u, h, run, &file, &size, e) != 0) return -1;
    char *dir = io_join(u->into, run), *path = io_join(dir, file), *lock = io_join(dir, "lock");
    int rc = 0;
    if (!known(u->names, run)) {
        if (val_len(u->names) == RUNS_MAX) rc = damaged(u, "it holds too many runs", e);
        else if (mkdir(dir, 0777) != 0) rc = errno == EEXIST ? err_set(e, "there is a run named %s already; hone mv renames it", run) : err_sys(e, "make", dir);
        else val_push(u->names, val_str(run));
        int fd = rc == 0 ? open(lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
        if (fd >= 0) close(fd);
    }
    int fd = rc == 0 ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666) : -1;
    if (rc == 0 && fd < 0) rc = errno == EEXIST ? damaged(u, "a file stands in it twice", e) : err_sys(e, "write", path);
    if (rc == 0) rc = copy_out(u, fd, path, size, e);
    if (fd >= 0) close(fd);
    free(lock);
    free(path);
    free(dir);
    return rc;
}

int bundle_unpack(const char *path, const char *into, struct val *names, struct err *e) {
    struct stat st;
    struct unpacking u = {.z = stat(path, &st) == 0 ? gzopen(path, "rbe") : NULL, .path = path, .into = into, .names = names};
    char h[BLOCK];
    int rc = u.z ? 0 : err_sys(e, "open", path);
    if (rc == 0) u.left = SLACK + RATIO * (int64_t)st.st_size;
    while (rc == 0) {
        if (gzread(u.z, h, BLOCK) != BLOCK) rc = damaged(&u, "it ends too early", e);
        else if (h[0] == 0) break; /* the block of zeros at the end */
        else rc = take_entry(&u, h, e);
    }
    if (rc == 0 && !val_len(names)) rc = damaged(&u, "it holds no run", e);
    if (u.z) gzclose(u.z);
    for (size_t i = 0; rc != 0 && i < val_len(names); i++) { /* half a bundle is none */
        char *dir = io_join(into, val_at(names, i)->u.s.p);
        io_remove_tree(dir, NULL);
        free(dir);
    }
    return rc;
}

struct import_args {
    char *file;
};

static int import_run(struct call *c, const void *args, struct err *e) {
    const struct import_args *a = args;
    const char *dir = runs_dir(hub_runs(c->hub));
    struct val *names = val_list();
    int rc = !dir                  ? err_set(e, "runs are not kept on disk here")
             : !io_exists(a->file) ? err_set(e, "there is no file %.200s", a->file)
             : !bundle_is(a->file) ? err_set(e, "%s is no bundle of runs (a .tar.gz that hone bundle wrote)", a->file)
                                   : io_mkdirs(dir, 0777, e);
    if (rc == 0) rc = bundle_unpack(a->file, dir, names, e);
    if (rc == 0) call_result(c, names);
    else val_free(names);
    return rc;
}

/* ---- rows ---- */

static const struct arg bundle_table[] = {{"runs", "names of runs, then the file to write", NULL, NULL, ARG_TABLE, offsetof(struct bundle_args, runs),
                                              ARG_POSITIONAL | ARG_REST, 0, 0, 0, NULL, SRC_RUN},
    {"out", "file to write, a .tar.gz; RUN.tar.gz without it and without a last word", NULL, NULL, ARG_PATH, offsetof(struct bundle_args, out), 0, 0, 0, 0,
        NULL, SRC_FILE},
    {0}};
static const struct arg import_table[] = {
    {"file", "a bundle", NULL, NULL, ARG_PATH, offsetof(struct import_args, file), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_FILE}, {0}};
const struct cmd cmd_bundle = {{"bundle", "packs runs without their checkpoints into one file, which every command that takes a run can read",
                                   "hone.bundle{\"fashion-1\", \"fashion.tar.gz\"}", bundle_table, sizeof(struct bundle_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING, bundle_run, NULL};
const struct cmd cmd_import = {
    {"import", "unpacks a bundle into the folder of runs", "hone.import{\"fashion.tar.gz\"}", import_table, sizeof(struct import_args)}, OWNER_HELPER,
    CMD_LINE | CMD_WHILE_RUNNING, import_run, NULL};
