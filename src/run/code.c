/* git is asked with an argument list, never through a shell, with a time limit, and told to run nothing that the repository's own
 * configuration names (file monitor, external diff, text conversion). A folder that is in no work tree costs a few stat calls. */
#include "config.h"

#include "src/run/code.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/child.h"
#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/thread.h"

enum { DIFF_MAX = 64 << 10, LEVELS = 64 };
static const double LIMIT = 2; /* seconds for one program */

static bool in_work_tree(void) {
    char *dir = getcwd(NULL, 0);
    bool found = false;
    for (int i = 0; dir && !found && i < LEVELS; i++) {
        char *git = io_join(dir, ".git"), *slash = strrchr(dir, '/');
        found = io_exists(git);
        free(git);
        if (!slash || slash == dir) break;
        *slash = 0;
    }
    free(dir);
    return found;
}

/* What comes through fd until its end, the bound or the time limit. True: the end. */
static bool take_output(int fd, size_t max, struct buf *out, bool *cut) {
    double until = clock_now() + LIMIT;
    char piece[4096];
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int ms = (int)((until - clock_now()) * 1000);
        if (ms <= 0 || poll(&p, 1, ms) <= 0) return false;
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0;
        if (out->len + (size_t)n > max) {
            buf_add(out, piece, max - out->len);
            *cut = true;
            return false;
        }
        buf_add(out, piece, (size_t)n);
    }
}

/* True: it ended with 0, or was ended here because there was more than enough. */
static bool git(const char *const *arg, size_t n, size_t max, struct buf *out, bool *cut) {
    static const char *const always[] = {"git", "--no-optional-locks", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"};
    const char *argv[32];
    size_t k = 0;
    int p[2], status = -1;
    pid_t pid = -1;
    for (size_t i = 0; i < LEN(always); i++) argv[k++] = always[i];
    for (size_t i = 0; i < n; i++) argv[k++] = arg[i];
    argv[k] = NULL;
    if (pipe2(p, O_CLOEXEC) != 0) return false;
    struct child c = {.argv = argv, .fd = {CHILD_NULL, p[1], CHILD_NULL, CHILD_KEEP}};
    int rc = child_start(&c, &pid);
    close(p[1]);
    *cut = false;
    bool whole = rc == 0 && take_output(p[0], max, out, cut);
    close(p[0]);
    if (rc != 0) return false;
    if (!whole) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return *cut || (whole && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void line_set(struct val *v, const char *name, const struct buf *b) {
    size_t n = b->data ? strcspn(b->data, "\n") : 0;
    if (n) val_set(v, name, val_strn(b->data, n));
}

struct val *code_describe(void) {
    static const char *const head[] = {"rev-parse", "HEAD"}, *const branch[] = {"rev-parse", "--abbrev-ref", "HEAD"},
                             *const diff[] = {"diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD"};
    struct buf b = BUF_INIT;
    bool cut;
    if (!in_work_tree() || !git(head, LEN(head), 256, &b, &cut)) {
        buf_release(&b);
        return NULL;
    }
    struct val *v = val_table();
    line_set(v, "commit", &b);
    buf_clear(&b);
    if (git(branch, LEN(branch), 256, &b, &cut)) line_set(v, "branch", &b);
    buf_clear(&b);
    if (git(diff, LEN(diff), DIFF_MAX, &b, &cut)) {
        val_set_bool(v, "changed", b.len > 0);
        if (b.len) val_set(v, "diff", val_strn(b.data, b.len));
        if (cut) val_set_bool(v, "cut", true);
    }
    buf_release(&b);
    return v;
}

/* The value of the first line "NAME : VALUE" of a file under /proc. */
static void proc_value(const char *path, const char *name, char *out, size_t size) {
    char line[512];
    FILE *f = fopen(path, "re");
    *out = 0;
    while (f && !*out && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, name, strlen(name)) != 0) continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(out, size, "%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (f) fclose(f);
}

struct val *machine_describe(void) {
    struct utsname u;
    char text[256], *folder = getcwd(NULL, 0);
    struct val *v = val_table();
    if (uname(&u) == 0) {
        val_set_str(v, "host", u.nodename);
        snprintf(text, sizeof text, "%.60s %.100s %.60s", u.sysname, u.release, u.machine);
        val_set_str(v, "system", text);
    }
    proc_value("/proc/cpuinfo", "model name", text, sizeof text);
    if (*text) val_set_str(v, "processor", text);
    val_set_int(v, "cores", thread_cores());
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0) val_set_int(v, "memory", (int64_t)pages * size);
    if (folder) val_set_str(v, "folder", folder);
    free(folder);
    return v;
}
