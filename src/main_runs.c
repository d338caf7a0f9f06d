/* The words wait and log -f where no session answers them: the run's own files tell. A run is over when run.json says so, or when nobody holds its
 * lock any more. */
#include "config.h"

#include "src/main.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/utf8.h"
#include "src/stored/folder.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"

enum { LOOK_MS = 200 };

/* Waits a moment. False: a signal asked to end. */
static bool moment(void) {
    struct pollfd p = {signals_fd(), POLLIN, 0};
    poll(&p, 1, LOOK_MS);
    return signals_take() == WISH_NONE;
}

/* Without a name: the newest run that lives, else the newest. */
static int find(struct app *a, const char *name, struct folder *f, struct err *e) {
    if (name) return folder_open(a->runs, name, f, e);
    struct shelf *s = runs_shelf_read(a->runs, e);
    const char *live = NULL;
    for (size_t i = 0; s && i < s->n; i++)
        if (!run_state_ended(s->run[i]->state)) live = s->run[i]->name;
    int rc = s ? folder_open(a->runs, live, f, e) : -1;
    shelf_unref(s);
    return rc;
}

static bool over(const char *dir, struct val **what) {
    struct val *v = store_describe(dir, NULL);
    const char *state = v ? val_get_str(v, "state", "crashed") : store_alive(dir) ? "queued" : "crashed";
    bool end = run_state_ended(run_state_named(state, RUN_QUEUED));
    if (end && what) {
        *what = v ? v : val_table();
        val_set_str(*what, "state", state);
    } else val_free(v);
    return end;
}

int files_wait(struct app *a, const char *name) {
    struct err e = {0};
    struct folder f;
    struct val *v = NULL, *shown = val_table();
    int code;
    if (find(a, name, &f, &e)) {
        val_free(shown);
        return fail(&e);
    }
    while (!over(f.dir, &v) && moment()) {}
    if (v) {
        const struct val *metrics = val_get(v, "metrics");
        val_set_str(shown, "state", val_get_str(v, "state", ""));
        val_set_str(shown, "run", f.name);
        val_set_int(shown, "step", val_get_int(v, "step", 0));
        val_set_num(shown, "epoch", val_get_num(v, "epoch", 0));
        for (size_t i = 0; metrics && metrics->type == VAL_TABLE && i < metrics->u.t.n_field; i++)
            val_set(shown, metrics->u.t.field[i].name, val_copy(metrics->u.t.field[i].v));
        line_print(a, "wait", shown);
    }
    code = v ? exit_of_end(v) : 130; /* 130: 128 + SIGINT */
    val_free(v);
    val_free(shown);
    folder_close(&f);
    return code;
}

/* Prints what the file has from *at on; lines keep their ends, everything else is made harmless. */
static void print_from(struct app *a, const char *path, off_t *at) {
    char piece[8192];
    struct buf b = BUF_INIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    ssize_t n;
    while (fd >= 0 && (n = pread(fd, piece, sizeof piece, *at)) > 0) {
        const char *nl = memrchr(piece, '\n', (size_t)n);
        size_t whole = nl ? (size_t)(nl - piece) + 1 : (size_t)n < sizeof piece ? 0 : (size_t)n;
        for (const char *p = piece, *end; p < piece + whole; p = end + 1) {
            if (!(end = memchr(p, '\n', (size_t)(piece + whole - p)))) end = piece + whole;
            utf8_show(&b, p, (size_t)(end - p), -1, out_is_ascii() ? UTF8_ASCII : UTF8_FULL);
            if (end < piece + whole) buf_addc(&b, '\n');
        }
        *at += (off_t)whole;
        if (!whole) break;
    }
    if (fd >= 0) close(fd);
    if (b.len) fwrite(b.data, 1, b.len, a->out);
    fflush(a->out);
    buf_release(&b);
}

int files_follow(struct app *a, const char *name) {
    struct err e = {0};
    struct folder f;
    off_t at = 0;
    if (find(a, name, &f, &e)) return fail(&e);
    char *path = io_join(f.dir, "log.txt");
    for (bool last = false; !last;) {
        last = over(f.dir, NULL); /* before the last look: what was written until the end is shown */
        print_from(a, path, &at);
        if (ferror(a->out) || (!last && !moment())) break;
    }
    free(path);
    folder_close(&f);
    return ferror(a->out) ? EXIT_FAILED : EXIT_DONE;
}
