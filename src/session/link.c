/* A small synchronous client of the session's JSON lines. */
#include "config.h"

#include "src/session/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/thread.h"
#include "src/session/wire.h"

int link_open(struct link *l, const struct place *p, const char *role, struct err *e) { return link_open_within(l, p, role, 5, NULL, e); }

int link_open_within(struct link *l, const struct place *p, const char *role, double timeout_s, struct val **hello, struct err *e) {
    memset(l, 0, sizeof *l);
    l->fd = place_connect(p, e);
    if (l->fd < 0) return -1;
    struct val *args = val_table(), *r = NULL;
    val_set_str(args, "version", PACKAGE_VERSION);
    val_set_str(args, "role", role);
    if (link_call(l, "hello", args, timeout_s, -1, &r, e)) {
        link_close(l);
        return -1;
    }
    snprintf(l->version, sizeof l->version, "%s", val_get_str(r, "version", ""));
    if (hello) *hello = r;
    else val_free(r);
    return 0;
}

/* What one session says of itself; one that does not answer at once is named all the same. */
static void ask_session(void *ctx, const struct place *p) {
    static const char *const told[] = {"run", "state", "step", "steps", "epoch", "epochs", "eta"};
    struct val *list = ctx, *hello = NULL, *progress = NULL, *v;
    struct err e = {0};
    struct link l;
    if (!place_taken(p)) return; /* what a killed session left */
    v = val_table();
    if (link_open_within(&l, p, "watcher", 1, &hello, &e) == 0) {
        if (link_call(&l, "progress", NULL, 1, -1, &progress, &e)) progress = NULL;
        link_close(&l);
    }
    val_set_str(v, "folder", val_get_str(hello, "folder", p->folder));
    if (hello) val_set_int(v, "pid", val_get_int(hello, "pid", 0));
    for (size_t i = 0; i < LEN(told); i++) {
        const struct val *x = val_get(progress, told[i]);
        if (x) val_set(v, told[i], val_copy(x));
    }
    if (!val_get(v, "state")) val_set_str(v, "state", hello ? "idle" : "does not answer");
    val_push(list, v);
    val_free(hello);
    val_free(progress);
}

struct val *link_sessions(struct err *e) {
    struct place p;
    struct val *list = val_list();
    if (place_open(&p, ".", false, e)) {
        if (p.dir < 0 && access(p.path, F_OK) != 0) { /* no folder of sockets: nobody has started one */
            e->code = 0;
            return list;
        }
        val_free(list);
        return NULL;
    }
    place_each(&p, ask_session, list);
    place_close(&p);
    return list;
}

void link_close(struct link *l) {
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
    buf_release(&l->in);
}

int link_send(struct link *l, const char *cmd, struct val *args_take, struct err *e) {
    struct buf b = BUF_INIT;
    struct val *o = val_table();
    val_set_int(o, "id", ++l->next_id);
    val_set_str(o, "cmd", cmd);
    if (args_take) val_set(o, "args", args_take);
    json_write(&b, o);
    buf_addc(&b, '\n');
    val_free(o);
    int r = 0;
    if (b.len > WIRE_LINE_MAX) r = err_set(e, "the request is %zu bytes long; a session takes at most %d", b.len, WIRE_LINE_MAX);
    for (size_t at = 0; r == 0 && at < b.len;) {
        ssize_t n = send(l->fd, b.data + at, b.len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) r = err_set(e, "the session went away: %s", strerror(errno));
        else at += (size_t)n;
    }
    buf_release(&b);
    return r ? -1 : (int)l->next_id;
}

static struct val *take_line(struct link *l, struct err *e) {
    char *nl = l->in.len ? memchr(l->in.data, '\n', l->in.len) : NULL;
    if (!nl) return NULL;
    size_t n = (size_t)(nl - l->in.data);
    struct val *v = json_parse(l->in.data, n, "the session", e);
    wire_eat(&l->in, n + 1);
    return v;
}

struct val *link_take(struct link *l, bool *gone) {
    struct err bad = {0};
    struct val *v;
    *gone = false;
    while (!(v = take_line(l, &bad)) && !bad.code) {
        char piece[16384];
        ssize_t n = recv(l->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return NULL;
        if (n <= 0 || l->in.len > WIRE_DOWN_MAX) bad.code = ERR_FAIL;
        else buf_add(&l->in, piece, (size_t)n);
    }
    *gone = !v;
    return v;
}

struct val *link_next(struct link *l, double timeout_s, int stop_fd, struct err *e) {
    double end = clock_now() + timeout_s;
    for (;;) {
        struct err bad = {0};
        struct val *v = take_line(l, &bad);
        if (v) return v;
        if (bad.code) {
            if (e) *e = bad;
            return NULL;
        }
        struct pollfd p[2] = {{l->fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
        double left = timeout_s < 0 ? 1 : end - clock_now();
        if (left < 0) {
            err_set(e, "the session did not answer within %g s", timeout_s);
            return NULL;
        }
        poll(p, 2, (int)(left * 1000) + 1);
        if (stop_fd >= 0 && p[1].revents) {
            err_code(e, ERR_STOPPED, "interrupted");
            return NULL;
        }
        if (!p[0].revents) continue;
        char piece[16384];
        ssize_t n = read(l->fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            err_set(e, "the session ended");
            return NULL;
        }
        buf_add(&l->in, piece, (size_t)n);
        if (l->in.len > WIRE_DOWN_MAX) {
            err_set(e, "the session sent a line longer than %d bytes", WIRE_DOWN_MAX);
            return NULL;
        }
    }
}

int link_call(struct link *l, const char *cmd, struct val *args_take, double timeout_s, int stop_fd, struct val **result, struct err *e) {
    int id = link_send(l, cmd, args_take, e);
    if (id < 0) return -1;
    for (;;) {
        struct val *v = link_next(l, timeout_s, stop_fd, e);
        if (!v) return -1;
        if (val_get_int(v, "id", 0) != id) {
            val_free(v);
            continue;
        }
        const char *bad = val_get_str(v, "error", NULL);
        int r = bad ? err_code(e, (int)val_get_int(v, "code", ERR_FAIL), "%s", bad) : 0;
        if (!bad && result) *result = val_copy(val_get(v, "ok"));
        val_free(v);
        return r;
    }
}
