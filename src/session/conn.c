/* One client: reading lines and frames, hello, subscribe, attach, calls and their replies. A client can do nothing here but
 * make command calls; its role decides which. Credentials are checked before a byte is read. */
#include "config.h"

#include "src/session/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/hex.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/run/record.h"

enum { OUT_HIGH = 1 << 20, EVENTS_HIGH = 256 << 10, PENDING_MAX = 32, EDITED_MAX = 16 << 20 };

/* Goes with a call and comes back with it: who asked, and under which id. */
struct ask {
    uint64_t serial;
    struct val *id;
};

void conn_add(struct server *s, struct conn *c, int fd) {
    memset(c, 0, sizeof *c);
    c->fd = fd;
    c->serial = ++s->serial;
    c->passed = c->tty = -1;
    c->since = s->now;
}

void conn_accept(struct server *s) {
    for (;;) {
        int fd = accept4(s->cfg->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) return;
        struct conn *c = NULL;
        for (size_t i = 0; i < WIRE_CLIENTS && !c; i++)
            if (s->conn[i].fd < 0) c = &s->conn[i];
        if (!socket_peer_is_me(fd) || !c) {
            static const char full[] = "{\"error\":\"the session has 16 clients already; close one\"}\n";
            if (socket_peer_is_me(fd) && send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) errno = 0;
            close(fd);
            continue;
        }
        conn_add(s, c, fd);
    }
}

void conn_say(struct conn *c, const struct val *v) {
    json_write(&c->out, v);
    buf_addc(&c->out, '\n');
}

static void answer(struct conn *c, const struct val *id, const struct val *result) {
    struct val *o = val_table();
    val_set(o, "id", id ? val_copy(id) : val_nil());
    val_set(o, "ok", result ? val_copy(result) : val_bool(true));
    conn_say(c, o);
    val_free(o);
}

static void refuse(struct conn *c, const struct val *id, const struct err *e) {
    struct val *o = val_table();
    val_set(o, "id", id ? val_copy(id) : val_nil());
    val_set_str(o, "error", e->text);
    val_set_int(o, "code", e->code);
    conn_say(c, o);
    val_free(o);
}

void conn_flush(struct server *s, struct conn *c) {
    size_t at = 0;
    while (at < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + at, c->out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            if (errno != EAGAIN) {
                conn_close(s, c);
                return;
            }
            break;
        }
        at += (size_t)n;
    }
    if (at > 0) c->stalled = 0;
    wire_eat(&c->out, at);
    if (c->out.len > 0 && c->stalled == 0) c->stalled = s->now;
    if (c->out.len == 0) {
        c->stalled = 0;
        if (c->out.cap > OUT_HIGH) buf_release(&c->out);
        if (c->state == CONN_CLOSING) conn_close(s, c);
    }
}

/* ---- the terminal of an attached client ---- */

/* After a kill -9 of the client: nobody else turned the alternate screen off. Line settings only if they are still ours, the shell
 * may have set its own by now. */
static void mend_terminal(struct conn *c) {
    struct termios now;
    if (c->tty < 0) return;
    const char *text = wire_restore(c->term, true);
    if (c->have_modes && tcgetattr(c->tty, &now) == 0 && wire_same_modes(&now, &c->raw)) tcsetattr(c->tty, TCSANOW, &c->modes);
    ssize_t r = write(c->tty, text, strlen(text));
    (void)r;
}

static void leave(struct server *s, struct conn *c) {
    if (s->attached == c) {
        s->attached = NULL;
        s->cfg->ui->detach(s->cfg->ui->ctx);
    }
    if (c->tty >= 0) close(c->tty);
    c->tty = -1;
}

void conn_close(struct server *s, struct conn *c) {
    if (c->fd < 0) return;
    if (c->state == CONN_ATTACHED) mend_terminal(c);
    leave(s, c);
    if (c->passed >= 0) close(c->passed);
    close(c->fd);
    buf_release(&c->in);
    buf_release(&c->out);
    buf_release(&c->edited);
    val_free(c->wishes);
    c->wishes = NULL;
    c->fd = -1;
}

void conn_end(struct server *s, struct conn *c, int code, const char *why) {
    struct buf b = BUF_INIT, text = BUF_INIT;
    s->cfg->ui->last_screen(s->cfg->ui->ctx, &text);
    buf_addc(&b, (char)code);
    if (text.len) buf_add(&b, text.data, text.len);
    if (text.len && text.data[text.len - 1] != '\n') buf_addc(&b, '\n');
    buf_adds(&b, why);
    wire_put(&c->out, WIRE_END, b.data, b.len);
    buf_release(&b);
    buf_release(&text);
    leave(s, c);
    c->state = CONN_CLOSING;
    conn_flush(s, c);
}

static int attach_ui(struct server *s, struct conn *c, const struct val *args, struct err *e) {
    struct term_info t = {.term = val_get_str(args, "term", "vt100"),
        .codeset = val_get_str(args, "codeset", "ANSI_X3.4-1968"),
        .colors = val_get_str(args, "colors", "auto"),
        .glyphs = val_get_str(args, "glyphs", "auto"),
        .rows = (int)val_get_int(args, "rows", 24),
        .cols = (int)val_get_int(args, "cols", 80),
        .no_color = val_get_bool(args, "no_color", false),
        .budget = (int)val_get_int(args, "budget", 0)};
    snprintf(c->term, sizeof c->term, "%s", t.term);
    return s->cfg->ui->attach(s->cfg->ui->ctx, &t, e);
}

static int attach(struct server *s, struct conn *c, const struct val *id, const struct val *args, struct err *e) {
    if (c->watcher) return err_code(e, ERR_USAGE, "a watcher cannot attach a dashboard; connect as owner");
    if (s->attached) conn_end(s, s->attached, 0, "detached: another terminal attached to this session\n");
    if (attach_ui(s, c, args, e)) return -1;
    c->wishes = val_copy(args);
    c->have_modes = hex_to(val_get_str(args, "modes", NULL), &c->modes, sizeof c->modes) && hex_to(val_get_str(args, "raw", NULL), &c->raw, sizeof c->raw);
    c->tty = c->passed;
    c->passed = -1;
    answer(c, id, NULL);
    c->state = CONN_ATTACHED;
    c->unread = false;
    s->attached = c;
    return 0;
}

/* ---- requests ---- */

static int hello(struct server *s, struct conn *c, const struct val *id, const struct val *args, struct err *e) {
    const char *role = val_get_str(args, "role", "owner");
    if (strcmp(role, "watcher") == 0) c->watcher = true;
    else if (strcmp(role, "owner") != 0) return err_code(e, ERR_USAGE, "there is no role \"%s\"; it is owner or watcher", role);
    else if (c->watcher) return err_code(e, ERR_USAGE, "a watcher cannot become owner; connect again");
    struct val *r = val_table();
    val_set_str(r, "event", "hello");
    val_set_str(r, "version", s->cfg->version);
    val_set_str(r, "role", role);
    val_set_str(r, "folder", s->cfg->place->folder);
    val_set_int(r, "pid", getpid());
    answer(c, id, r);
    val_free(r);
    return 0;
}

static int subscribe(struct server *s, struct conn *c, const struct val *id, const struct val *args) {
    int64_t since = val_get_int(args, "since", -1);
    c->subscribed = true;
    c->next_event = since >= 0 ? (uint64_t)since : runs_next_event(s->cfg->runs);
    answer(c, id, NULL);
    return 0;
}

static int request_call(struct server *s, struct conn *c, const struct val *id, const char *name, const struct val *args, struct err *e) {
    const struct cmd *cmd = hub_find(s->cfg->hub, name);
    if (cmd && c->watcher && !(cmd->flags & CMD_WATCHER)) return err_code(e, ERR_USAGE, "a watcher may not call %s; connect as owner", name);
    if (c->pending >= PENDING_MAX) return err_set(e, "%d requests of this client are under way already; wait for an answer", c->pending);
    if (cmd && cmd->owner != OWNER_UI && cmd->owner != OWNER_ANY) server_start(s);
    struct call *call = call_new(s->cfg->hub, name, args ? val_copy(args) : NULL, BY_SOCKET, e);
    if (!call) return -1;
    struct ask *ask = X_NEW(struct ask, 1);
    ask->serial = c->serial;
    ask->id = val_copy(id);
    if (call_submit(call, &s->replies, ask, e)) {
        val_free(ask->id);
        free(ask);
        return -1;
    }
    c->pending++;
    return 0;
}

static void request(struct server *s, struct conn *c, const char *text, size_t n) {
    struct err e = {0};
    struct val *v = json_parse(text, n, "the request", &e);
    const struct val *id = val_get(v, "id"), *args = val_get(v, "args");
    const char *cmd = val_get_str(v, "cmd", NULL);
    int r = 0;
    if (!v) r = -1;
    else if (!cmd) r = err_code(&e, ERR_USAGE, "a request is {\"id\":1,\"cmd\":\"NAME\",\"args\":{..}}; \"cmd\" is missing");
    else if (args && args->type != VAL_TABLE) r = err_code(&e, ERR_USAGE, "\"args\" of %s must be an object", cmd);
    else if (strcmp(cmd, "hello") == 0) r = hello(s, c, id, args, &e);
    else if (strcmp(cmd, "subscribe") == 0) r = subscribe(s, c, id, args);
    else if (strcmp(cmd, "attach") == 0) r = attach(s, c, id, args, &e);
    else r = request_call(s, c, id, cmd, args, &e);
    if (r) refuse(c, id, &e);
    val_free(v);
}

void conn_reply(struct server *s, struct call *c_take) {
    struct ask *ask = c_take->ctx;
    struct conn *c = NULL;
    for (size_t i = 0; i < WIRE_CLIENTS && !c; i++)
        if (s->conn[i].fd >= 0 && s->conn[i].serial == ask->serial) c = &s->conn[i];
    if (c) {
        c->pending--;
        if (c->state == CONN_LINES && c_take->status) refuse(c, ask->id, &c_take->err);
        else if (c->state == CONN_LINES) answer(c, ask->id, c_take->result);
    } else if (c_take->status) /* whoever asked has gone: the reason must not be lost */
        runs_notice(s->cfg->runs, c_take->err.code == ERR_STOPPED ? "info" : "error", c_take->err.text);
    val_free(ask->id);
    free(ask);
    call_free(c_take);
}

struct event_copy {
    struct conn *c;
    bool full;
};
static void copy_event(void *ctx, uint64_t seq, const struct val *event) {
    struct event_copy *x = ctx;
    if (x->full || x->c->out.len > EVENTS_HIGH) {
        x->full = true;
        return;
    }
    conn_say(x->c, event);
    x->c->next_event = seq + 1;
}

void conn_events(struct server *s, struct conn *c) {
    struct event_copy x = {c, false};
    uint64_t lost = 0;
    if (!c->subscribed || c->state != CONN_LINES || c->out.len > EVENTS_HIGH) return;
    uint64_t next = runs_events(s->cfg->runs, c->next_event, copy_event, &x, &lost);
    if (!x.full) c->next_event = next;
    if (lost > 0) {
        struct val *v = val_table();
        val_set_str(v, "event", "lost");
        val_set_int(v, "n", (int64_t)lost);
        conn_say(c, v);
        val_free(v);
    }
}

/* ---- input ---- */

/* The terminal's screen is not what the last frame left: a fresh one, at the size it has now. */
static void redraw(struct server *s, struct conn *c, int rows, int cols) {
    struct err e = {0};
    struct val *args = c->wishes ? val_copy(c->wishes) : val_table();
    val_set_int(args, "rows", rows);
    val_set_int(args, "cols", cols);
    if (attach_ui(s, c, args, &e)) conn_end(s, c, 1, e.text);
    else {
        wire_put(&c->out, WIRE_FRESH, NULL, 0);
        c->unread = false; /* a frame that is on its way is dropped, not acknowledged */
    }
    val_free(args);
}

static void note(struct server *s, const char *data, size_t n) {
    char text[ERR_TEXT];
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), data);
    if (n > 0 && utf8_valid(text, strlen(text))) runs_notice(s->cfg->runs, "warn", text);
}

/* A piece of what the user's editor left; at the last the dashboard gets it whole. */
static void edited(struct server *s, struct conn *c, const char *data, size_t n) {
    if (n < 1 || c->edited.len + n > EDITED_MAX) {
        conn_close(s, c);
        return;
    }
    buf_add(&c->edited, data + 1, n - 1);
    if (!data[0]) return;
    buf_adds(&c->edited, "");
    s->cfg->ui->edited(s->cfg->ui->ctx, c->edited.data, c->edited.len);
    buf_release(&c->edited);
}

static void up_frame(struct server *s, struct conn *c, enum wire_type type, const char *data, size_t n) {
    const struct ui_port *ui = s->cfg->ui;
    int rows, cols;
    switch (type) {
    case WIRE_KEYS: ui->input(ui->ctx, data, n); break;
    case WIRE_ACK: c->unread = false; break;
    case WIRE_SIZE:
        if (wire_size(data, n, &rows, &cols)) ui->resize(ui->ctx, rows, cols);
        break;
    case WIRE_REDRAW:
        if (wire_size(data, n, &rows, &cols)) redraw(s, c, rows, cols);
        break;
    case WIRE_DETACH: conn_end(s, c, 0, ""); break;
    case WIRE_NOTE: note(s, data, n); break;
    case WIRE_EDITED: edited(s, c, data, n); break;
    default: conn_close(s, c); break; /* not one of ours */
    }
}

static void take_frames(struct server *s, struct conn *c) {
    size_t at = 0;
    while (c->fd >= 0 && c->state == CONN_ATTACHED && at < c->in.len) {
        enum wire_type type;
        const char *data;
        size_t n;
        long size = wire_get(c->in.data + at, c->in.len - at, WIRE_UP_MAX, &type, &data, &n);
        if (size < 0) {
            conn_close(s, c);
            return;
        }
        if (size == 0) break;
        up_frame(s, c, type, data, n);
        at += (size_t)size;
    }
    if (c->fd >= 0) wire_eat(&c->in, at);
}

static void take_lines(struct server *s, struct conn *c) {
    while (c->fd >= 0 && c->state == CONN_LINES && c->in.len && c->out.len < OUT_HIGH) {
        char *nl = memchr(c->in.data, '\n', c->in.len);
        size_t n = nl ? (size_t)(nl - c->in.data) : c->in.len;
        if (n > WIRE_LINE_MAX) {
            struct err e = {0};
            err_code(&e, ERR_USAGE, "a line is longer than %d bytes; the connection ends", WIRE_LINE_MAX);
            refuse(c, NULL, &e);
            c->state = CONN_CLOSING;
            return;
        }
        if (!nl) return;
        if (n > 0) request(s, c, c->in.data, n);
        if (c->fd >= 0) wire_eat(&c->in, n + 1);
    }
}

/* Reads once, with a descriptor if one was passed along. */
static ssize_t receive(struct conn *c, char *p, size_t n) {
    union {
        char room[CMSG_SPACE(sizeof(int) * 4)];
        struct cmsghdr align;
    } ctl;
    struct iovec v = {p, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl.room, .msg_controllen = sizeof ctl.room};
    ssize_t got = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *h = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL; h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t k = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < k; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (c->passed < 0 && isatty(fd) && (fcntl(fd, F_GETFL) & O_NONBLOCK)) c->passed = fd; /* a blocking one could hold the session up */
            else close(fd);
        }
    }
    return got;
}

void conn_readable(struct server *s, struct conn *c) {
    static char piece[16384];
    ssize_t n = receive(c, piece, sizeof piece);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        conn_close(s, c);
        return;
    }
    if (c->state == CONN_CLOSING) return;
    buf_add(&c->in, piece, (size_t)n);
    take_lines(s, c);
    if (c->fd >= 0) take_frames(s, c);
}
