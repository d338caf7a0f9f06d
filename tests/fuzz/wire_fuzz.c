/* Fuzz target of the control socket: a client that sends these bytes, in pieces, to the code that serves clients, and hangs up. What
 * it hears are JSON lines and frames; its place is free afterwards; nothing but sizes that exist reaches the dashboard. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/call/call.h"
#include "src/call/cmd.h"
#include "src/run/record.h"
#include "src/session/conn.h"
#include "tests/fuzz/fuzz.h"

/* ---- a dashboard that only looks at what it gets, and one command ---- */

static bool on;
static int ui_attach(void *ctx, const struct term_info *t, struct err *e) {
    (void)ctx;
    if (!t->term || !t->codeset || !t->colors || !t->glyphs) abort();
    if (t->rows == 13) return err_set(e, "this terminal cannot be drawn on");
    on = true;
    return 0;
}
static void ui_detach(void *ctx) {
    (void)ctx;
    on = false;
}
static void ui_input(void *ctx, const char *bytes, size_t n) {
    (void)ctx;
    static volatile unsigned sum;
    if (!on) abort();
    for (size_t i = 0; i < n; i++) sum += (unsigned char)bytes[i];
}
static void ui_resize(void *ctx, int rows, int cols) {
    (void)ctx;
    if (!on || rows < 0 || cols < 0 || rows > 65535 || cols > 65535) abort();
}
static void ui_edited(void *ctx, const char *text, size_t n) { ui_input(ctx, text, n); }
static void ui_last(void *ctx, struct buf *out) {
    (void)ctx;
    buf_adds(out, "the last screen\n");
}

struct echo_args {
    char *what;
    int64_t n;
};
static int echo_run(struct call *c, const void *args, struct err *e) {
    const struct echo_args *a = args;
    if (a->n < 0) return err_set(e, "n=%lld is below 0", (long long)a->n);
    c->result = val_str(a->what);
    return 0;
}
static const struct arg echo_table[] = {{"what", "a text", NULL, "", ARG_STR, offsetof(struct echo_args, what), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_NONE},
    {"n", "a number", NULL, "0", ARG_INT, offsetof(struct echo_args, n), 0, 0, -9, 9, NULL, SRC_NONE}, {0}};
static const struct cmd echo = {
    {"echo", "Says what it is given", "hone.echo{\"a\"}", echo_table, sizeof(struct echo_args)}, OWNER_UI, CMD_WHILE_RUNNING, echo_run, NULL};
static const struct cmd *const list[] = {&echo, NULL};
static const struct cmd *const *const lists[] = {list, NULL};

static int start(void *ctx, struct err *e) {
    (void)ctx;
    (void)e;
    return 0;
}

enum { FRESH = 200 };
static struct server *server(void) {
    static struct ui_port ui = {.attach = ui_attach, .detach = ui_detach, .input = ui_input, .resize = ui_resize, .edited = ui_edited, .last_screen = ui_last};
    static struct place place = {.dir = -1, .folder = "/tmp"};
    static struct server_config cfg = {.ui = &ui, .place = &place, .start = start, .version = "0"};
    static struct server s;
    static unsigned served;
    if (s.cfg && ++served % FRESH) return &s;
    if (s.cfg) { /* notes of the clients so far would be told to each that subscribes */
        hub_free(cfg.hub);
        runs_free(cfg.runs);
        queue_release(&s.replies);
        s = (struct server){0};
    }
    cfg.runs = runs_new(NULL);
    cfg.hub = hub_new(lists, cfg.runs);
    s.cfg = &cfg;
    for (size_t i = 0; i < WIRE_CLIENTS; i++) s.conn[i].fd = -1;
    if (queue_init(&s.replies, WIRE_CLIENTS * 32)) abort();
    return &s;
}

/* ---- the client ---- */

/* Lines until the answer to attach, then frames. */
static void heard(int fd) {
    static char text[1 << 20];
    size_t n = 0;
    for (ssize_t got; n < sizeof text && (got = recv(fd, text + n, sizeof text - n, MSG_DONTWAIT)) > 0;) n += (size_t)got;
    for (size_t at = 0; at < n;) {
        enum wire_type type;
        const char *data;
        size_t size;
        char *nl = text[at] == '{' ? memchr(text + at, '\n', n - at) : NULL;
        if (nl) {
            struct err e = {0};
            struct val *v = json_parse(text + at, (size_t)(nl - text) - at, "an answer", &e);
            if (!v) abort();
            val_free(v);
            at = (size_t)(nl - text) + 1;
            continue;
        }
        long frame = wire_get(text + at, n - at, WIRE_DOWN_MAX, &type, &data, &size);
        if (frame <= 0) break; /* cut at the end of what was read */
        at += (size_t)frame;
    }
}

static void serve(struct server *s, struct conn *c, int fd) {
    if (c->fd >= 0) conn_readable(s, c);
    hub_serve(s->cfg->hub, OWNER_UI, 0);
    for (struct call *call; (call = queue_get(&s->replies, 0));) conn_reply(s, call);
    if (c->fd >= 0) conn_events(s, c);
    if (c->fd >= 0 && c->out.len) conn_flush(s, c);
    heard(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct server *s = server();
    struct conn *c = &s->conn[0];
    int pair[2];
    size_t piece = size ? 1 + (size_t)data[0] * data[0] : 1; /* short ones cut lines and frames anywhere */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) abort();
    conn_add(s, c, pair[0]);
    if (piece < size / 6) piece = size / 6 + 1;
    for (size_t at = size ? 1 : 0; at < size && c->fd >= 0; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (send(pair[1], data + at, n, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != EAGAIN) abort();
        serve(s, c, pair[1]);
    }
    close(pair[1]);
    for (int i = 0; i < 64 && c->fd >= 0; i++) conn_readable(s, c);
    if (c->fd >= 0 || on || s->attached) abort();
    return 0;
}
