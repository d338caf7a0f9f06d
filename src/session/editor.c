/* The editor is found and started as git does it: a name is run as it is, one with arguments or quotes goes through sh with the file as its argument.
 * The signals of the keyboard are the editor's meanwhile: INT and QUIT are ignored here, TSTP stops both. */
#include "config.h"

#include "src/session/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/child.h"
#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"

#define TEXT_MAX (16 << 20) /* bytes */

static const char *editor_name(void) {
    const char *term = getenv("TERM"), *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
    if (visual && *visual && term && strcmp(term, "dumb") != 0) return visual;
    return editor && *editor ? editor : "vi";
}

static int start(const char *name, const char *path, pid_t *pid, struct err *e) {
    bool shell = strpbrk(name, "|&;<>()$`\\\"' \t\n*?[#~=%") != NULL;
    struct buf line = BUF_INIT;
    buf_addf(&line, "%s \"$@\"", name);
    const char *plain[] = {name, path, NULL}, *sh[] = {"sh", "-c", line.data, name, path, NULL};
    struct child c = {
        .argv = shell ? sh : plain, .program = shell ? "/bin/sh" : name, .fd = {CHILD_KEEP, CHILD_KEEP, CHILD_KEEP, CHILD_KEEP}, .place = CHILD_HERE};
    int rc = child_start(&c, pid);
    buf_release(&line);
    return rc ? err_set(e, "the editor %s cannot be started: %s; VISUAL or EDITOR names another", name, strerror(rc)) : 0;
}

/* Its end, looked for 50 times a second: a hang-up must be seen meanwhile. */
static int wait_end(const char *name, pid_t pid, bool (*over)(void), struct err *e) {
    int status = 0;
    bool told = false;
    for (pid_t r; (r = waitpid(pid, &status, WNOHANG)) != pid;) {
        if (r < 0 && errno != EINTR) return err_sys(e, "wait for", name);
        if (over && over() && !told) told = true, kill(pid, SIGHUP);
        clock_sleep(0.02);
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0, sig = WIFSIGNALED(status) ? WTERMSIG(status) : code > 128 ? code - 128 : 0; /* sh: 128 + signal */
    if (sig) return err_set(e, "the block is as it was: signal %d ended the editor %s", sig, name);
    return code ? err_set(e, "the block is as it was: status %d of the editor %s", code, name) : 0;
}

static int on_file(const char *path, const struct editor_host *host, struct err *e) {
    static const int keyboard[] = {SIGINT, SIGQUIT, SIGTSTP};
    struct sigaction was[LEN(keyboard)], now;
    const char *name = editor_name();
    pid_t pid = 0;
    memset(&now, 0, sizeof now);
    for (size_t i = 0; i < LEN(keyboard); i++) {
        now.sa_handler = keyboard[i] == SIGTSTP ? SIG_DFL : SIG_IGN;
        sigaction(keyboard[i], &now, &was[i]);
    }
    if (host) host->give(host->ctx);
    int rc = start(name, path, &pid, e);
    if (rc == 0) rc = wait_end(name, pid, host ? host->over : NULL, e);
    if (host) host->take(host->ctx);
    for (size_t i = 0; i < LEN(keyboard); i++) sigaction(keyboard[i], &was[i], NULL);
    return rc;
}

static int write_block(const char *path, const char *text, size_t n, struct err *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_sys(e, "write", path);
    int rc = io_write_all(fd, text, n, path, e);
    if (rc == 0 && n && text[n - 1] != '\n') rc = io_write_all(fd, "\n", 1, path, e);
    close(fd);
    return rc;
}

int editor_run(const char *text, size_t n, const struct editor_host *host, struct buf *out, struct err *e) {
    const char *tmp = getenv("TMPDIR");
    char *dir = io_join(tmp && *tmp == '/' ? tmp : "/tmp", "hone-XXXXXX");
    struct err ignored = {0};
    if (!mkdtemp(dir)) { /* mode 0700 */
        err_sys(e, "make", dir);
        free(dir);
        return -1;
    }
    char *path = io_join(dir, "block.lua");
    size_t at = out->len;
    int rc = write_block(path, text, n, e);
    if (rc == 0) rc = on_file(path, host, e);
    if (rc == 0) rc = io_read_file(path, TEXT_MAX, out, e);
    while (rc == 0 && out->len > at && out->data[out->len - 1] == '\n') out->len--;
    if (rc == 0 && !utf8_valid(out->data ? out->data + at : "", out->len - at)) rc = err_set(e, "what the editor left is not UTF-8: the block is as it was");
    if (rc != 0) out->len = at;
    io_remove_tree(dir, &ignored);
    free(path);
    free(dir);
    return rc;
}
