/* The session's loop. The first frame is drawn before the engine starts, so that a dashboard is there at once; engine and
 * script start right after it, or with the first request that needs them. */
#include "config.h"

#include "src/session/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/job.h"
#include "src/run/record.h"
#include "src/session/conn.h"

static const double stall_s = 5; /* an event reader that takes nothing for so long is dropped */
static const double start_after_s = 0.1; /* engine and script start by then even if no dashboard came */
static const double news_every_s = 0.02; /* the run record's news wake the loop at most that often */
static const double grace_s = 4.5; /* from the signal to the end */

static struct server *the_server; /* of this process, for cmds.c */

void server_start(struct server *s) {
    struct err e = {0};
    if (s->started) return;
    s->started = true;
    if (s->cfg->start(s->cfg->start_ctx, &e)) runs_notice(s->cfg->runs, "error", e.text);
}

void server_shutdown(void) {
    if (the_server) the_server->ending = true;
}

int server_switch(const char *folder, struct err *e) {
    struct conn *c = the_server ? the_server->attached : NULL;
    if (!c) return err_set(e, "no dashboard is attached that could switch; in a shell: cd %s && hone attach", folder);
    char *full = *folder == '/' ? mem_str(folder) : io_join(the_server->cfg->place->folder, folder); /* the client stands elsewhere */
    wire_put(&c->out, WIRE_SWITCH, full, strlen(full));
    free(full);
    return 0;
}

struct val *server_clients(void) {
    struct val *list = val_list();
    for (size_t i = 0; the_server && i < WIRE_CLIENTS; i++) {
        const struct conn *c = &the_server->conn[i];
        if (c->fd < 0) continue;
        struct val *v = val_table();
        val_set_str(v, "role", c->watcher ? "watcher" : "owner");
        val_set_bool(v, "attached", c->state == CONN_ATTACHED);
        val_set_str(v, "term", c->term);
        val_set_num(v, "seconds", the_server->now - c->since);
        val_push(list, v);
    }
    return list;
}

/* ---- parts of one turn ---- */

/* What native libraries print: into the log, line by line. */
static void take_captured(struct server *s) {
    char piece[4096];
    ssize_t n;
    while ((n = read(s->cfg->captured, piece, sizeof piece)) > 0) buf_add(&s->line, piece, (size_t)n);
    for (;;) {
        char *nl = s->line.len ? memchr(s->line.data, '\n', s->line.len) : NULL;
        if (!nl && s->line.len < 4096) return;
        size_t len = nl ? (size_t)(nl - s->line.data) : s->line.len;
        char *text = s->line.data;
        char keep = text[len];
        text[len] = 0;
        if (len) runs_notice(s->cfg->runs, "info", text);
        text[len] = keep;
        wire_eat(&s->line, len + (nl ? 1 : 0));
    }
}

static void pump_frame(struct server *s) {
    struct conn *c = s->attached;
    const struct ui_port *ui = s->cfg->ui;
    if (!c) return;
    if (ui->wants_detach(ui->ctx)) {
        conn_end(s, c, 0, hub_busy(s->cfg->hub) ? "detached; the run goes on: hone attach\n" : "");
        return;
    }
    if (c->unread || c->out.len > 0) return;
    buf_clear(&s->frame);
    bool edit = ui->wants_editor(ui->ctx, &s->frame); /* acknowledged by the redraw when the terminal is back */
    if (!edit) ui->frame(ui->ctx, &s->frame);
    if (!edit && s->frame.len == 0) return;
    wire_put(&c->out, edit ? WIRE_EDIT : WIRE_FRAME, s->frame.data, s->frame.len);
    c->unread = true;
    if (s->frame.cap > (1 << 20)) buf_release(&s->frame);
    conn_flush(s, c);
    if (!s->started) server_start(s);
}

static bool news_wanted(const struct server *s) {
    if (s->attached) return true;
    for (size_t i = 0; i < WIRE_CLIENTS; i++)
        if (s->conn[i].fd >= 0 && s->conn[i].subscribed) return true;
    return false;
}

static void watch_news(struct server *s) {
    bool want = news_wanted(s);
    if (want && !s->watching) runs_watch(s->cfg->runs, s->watch);
    if (!want && s->watching) runs_unwatch(s->cfg->runs, s->watch);
    s->watching = want;
}

static void tend_clients(struct server *s) {
    for (size_t i = 0; i < WIRE_CLIENTS; i++) {
        struct conn *c = &s->conn[i];
        if (c->fd < 0) continue;
        conn_events(s, c);
        if (c->out.len > 0) conn_flush(s, c);
        if (c->fd >= 0 && c->state != CONN_ATTACHED && c->stalled > 0 && s->now - c->stalled > stall_s) conn_close(s, c);
    }
}

/* Jobs are asked to stop, also those that start meanwhile. True: nothing is left to wait for. */
static bool wind_down(struct server *s) {
    struct handle newest = {0};
    if (s->end_by == 0) {
        s->end_by = s->now + (s->preempt ? grace_s : 3600);
        if (s->cfg->script->interrupt) s->cfg->script->interrupt(s->cfg->script->ctx);
    }
    if (!hub_busy(s->cfg->hub) || s->now > s->end_by) return true;
    struct job *j = hub_job(s->cfg->hub, newest);
    if (j) hub_stop(s->cfg->hub, j, s->preempt ? STOP_PREEMPT : STOP_AFTER_STEP);
    return false;
}

static bool idle_over(struct server *s) {
    bool busy = hub_busy(s->cfg->hub) || (s->started && s->cfg->script->busy && s->cfg->script->busy(s->cfg->script->ctx));
    for (size_t i = 0; i < WIRE_CLIENTS && !busy; i++) busy = s->conn[i].fd >= 0;
    if (busy) s->quiet_since = s->now;
    return !busy && s->now - s->quiet_since >= s->cfg->idle_s;
}

/* ---- poll ---- */

enum { SLOT_LISTEN, SLOT_SIGNAL, SLOT_CAPTURED, SLOT_REPLIES, SLOT_UI, SLOT_NEWS, SLOT_FEED, SLOT_CONN };

static void add_ms(int *timeout, double seconds) {
    int ms = seconds <= 0 ? 0 : seconds > 3600 ? 3600000 : (int)(seconds * 1000) + 1;
    if (*timeout < 0 || ms < *timeout) *timeout = ms;
}

static int turn_timeout(struct server *s) {
    int timeout = -1;
    if (!s->started) add_ms(&timeout, s->started_at + start_after_s - s->now);
    if (s->ending || s->preempt) add_ms(&timeout, 0.02);
    if (s->attached && !s->attached->unread) {
        int ui = s->cfg->ui->timeout(s->cfg->ui->ctx);
        if (ui >= 0) add_ms(&timeout, ui / 1000.0);
    }
    if (s->cfg->feed) add_ms(&timeout, s->feed_at - s->now);
    if (s->watching && s->now < s->watch_after) add_ms(&timeout, s->watch_after - s->now);
    bool clients = false;
    for (size_t i = 0; i < WIRE_CLIENTS; i++) {
        clients = clients || s->conn[i].fd >= 0;
        if (s->conn[i].fd >= 0 && s->conn[i].stalled > 0 && s->conn[i].state != CONN_ATTACHED) add_ms(&timeout, 0.5);
    }
    if (!clients) add_ms(&timeout, s->cfg->idle_s < 20 ? s->cfg->idle_s / 4 : 5);
    return timeout;
}

static void turn_poll(struct server *s, struct pollfd *p, int timeout) {
    const struct server_config *g = s->cfg;
    p[SLOT_LISTEN] = (struct pollfd){g->listen_fd, POLLIN, 0};
    p[SLOT_SIGNAL] = (struct pollfd){g->signal_fd, POLLIN, 0};
    p[SLOT_CAPTURED] = (struct pollfd){g->captured, POLLIN, 0};
    p[SLOT_REPLIES] = (struct pollfd){s->replies.wake_fd, POLLIN, 0};
    p[SLOT_UI] = (struct pollfd){hub_queue(g->hub, OWNER_UI)->wake_fd, POLLIN, 0};
    p[SLOT_NEWS] = (struct pollfd){s->watching && s->now >= s->watch_after ? s->watch : -1, POLLIN, 0};
    p[SLOT_FEED] = (struct pollfd){s->feed_fd, POLLIN, 0};
    for (size_t i = 0; i < WIRE_CLIENTS; i++) {
        struct conn *c = &s->conn[i];
        short ev = POLLIN;
        if (c->fd >= 0 && c->out.len > 0) ev = c->out.len > (1 << 20) ? POLLOUT : POLLIN | POLLOUT;
        p[SLOT_CONN + i] = (struct pollfd){c->fd, ev, 0};
    }
    if (poll(p, SLOT_CONN + WIRE_CLIENTS, timeout) < 0 && errno != EINTR) clock_sleep(0.01);
    s->now = clock_now();
}

static void turn_serve(struct server *s, const struct pollfd *p) {
    uint64_t sink;
    struct call *c;
    if (p[SLOT_SIGNAL].revents && s->cfg->preempted()) s->preempt = true;
    if (p[SLOT_CAPTURED].revents) take_captured(s);
    if (p[SLOT_NEWS].revents) {
        if (read(s->watch, &sink, sizeof sink) > 0) s->watch_after = s->now + news_every_s;
    }
    for (size_t i = 0; i < WIRE_CLIENTS; i++)
        if (s->conn[i].fd >= 0 && s->conn[i].fd == p[SLOT_CONN + i].fd && (p[SLOT_CONN + i].revents & ~POLLOUT)) conn_readable(s, &s->conn[i]);
    if (p[SLOT_LISTEN].revents) conn_accept(s);
    if (s->cfg->feed && (p[SLOT_FEED].revents || s->now >= s->feed_at)) s->feed_at = s->now + s->cfg->feed(s->cfg->feed_ctx, &s->feed_fd);
    hub_serve(s->cfg->hub, OWNER_UI, 0);
    while ((c = queue_get(&s->replies, 0)) != NULL) conn_reply(s, c);
    if (!s->started && s->now - s->started_at >= start_after_s) server_start(s);
}

static bool turn(struct server *s) {
    struct pollfd p[SLOT_CONN + WIRE_CLIENTS];
    watch_news(s);
    turn_poll(s, p, turn_timeout(s));
    turn_serve(s, p);
    tend_clients(s);
    pump_frame(s);
    if (s->ending || s->preempt) return !wind_down(s);
    return !idle_over(s);
}

static void say_goodbye(struct server *s, int code) {
    for (size_t i = 0; i < WIRE_CLIENTS; i++) {
        struct conn *c = &s->conn[i];
        if (c->fd < 0) continue;
        if (c->state == CONN_ATTACHED)
            conn_end(s, c, code, s->preempt ? "the session was asked to end: state saved, start again to go on\n" : "the session ended\n");
        double until = clock_now() + 0.3;
        while (c->fd >= 0 && c->out.len > 0 && clock_now() < until) {
            struct pollfd p = {c->fd, POLLOUT, 0};
            poll(&p, 1, 20);
            conn_flush(s, c);
        }
        conn_close(s, c);
    }
}

int server_run(const struct server_config *cfg) {
    static struct server s; /* 16 clients with their line settings: too big for comfort on a stack */
    memset(&s, 0, sizeof s);
    s.cfg = cfg;
    for (size_t i = 0; i < WIRE_CLIENTS; i++) s.conn[i].fd = -1;
    s.watch = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s.watch < 0 || queue_init(&s.replies, WIRE_CLIENTS * 32)) return SERVER_FAILED;
    s.now = s.quiet_since = s.started_at = clock_now();
    s.feed_fd = cfg->viewer ? cfg->feed_fd : -1;
    if (cfg->viewer) conn_add(&s, &s.conn[0], cfg->client_fd);
    the_server = &s;
    while (turn(&s)) continue;
    int code = s.preempt ? SERVER_PREEMPTED : SERVER_ENDED;
    say_goodbye(&s, code);
    if (s.watching) runs_unwatch(cfg->runs, s.watch);
    the_server = NULL;
    close(s.watch);
    buf_release(&s.frame);
    buf_release(&s.line);
    queue_close(&s.replies);
    return code;
}
