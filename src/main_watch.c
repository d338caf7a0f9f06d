/* hone watch: a process that draws a run that others own. Its record is filled from the session's events and from the run's files; its keys reach only what
 * changes nothing. The terminal belongs to the client that started it, over a pair of sockets, as with a session. UI thread. */
#include "config.h"

#include "src/main.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "src/base/err.h"
#include "src/base/thread.h"
#include "src/run/record.h"
#include "src/run/store.h"
#include "src/session/link.h"
#include "src/session/server.h"
#include "src/session/socket.h"
#include "ui/ui.h"

static const double ask_every_s = 0.5, files_every_s = 1, link_every_s = 2;

struct viewer {
    struct app *app;
    const char *want; /* the run asked for; NULL: the session's, else the newest */
    struct place place;
    bool placed, linked;
    struct link link;
    double ask_at, files_at, link_at;
    long asked; /* id of the question under way, 0: none */
    bool moved, refill; /* something came since the last answer; the files have more than the events say */
};

/* Rows that act are known, so that their keys can be answered; those that read the engine's objects have nothing to read here. */
static const struct cmd *const *const *watch_cmds(void) {
    static const struct cmd *acting[256];
    static const struct cmd *const *list[] = {cmds_call, cmds_run, cmds_ui, cmds_script, acting, NULL};
    size_t n = 0;
    for (const struct cmd *const *c = cmds_engine; *c && n + 1 < LEN(acting); c++)
        if (!((*c)->flags & CMD_WATCHER)) acting[n++] = *c;
    acting[n] = NULL;
    return list;
}

static bool ours(const struct viewer *w, const char *run) { return !w->want || !run || strcmp(w->want, run) == 0; }

static void take_event(struct viewer *w, const struct val *v) {
    struct runs *rs = w->app->runs;
    const char *run = val_get_str(v, "run", NULL), *event = val_get_str(v, "event", "");
    if (!ours(w, run)) return;
    if (run && store_name_ok(run) && !runs_find(rs, run)) run_fill(run_mirror(rs, run), true, NULL); /* its past first */
    if (strcmp(event, "metric") != 0) w->refill = true; /* reports are in the files */
    w->moved = true;
    runs_take(rs, v);
}

static void take_answer(struct viewer *w, const struct val *v) {
    if (val_get_int(v, "id", -1) != w->asked) return;
    const struct val *told = val_get(v, "ok");
    const char *name = val_get_str(told, "run", NULL);
    w->asked = 0;
    if (!name || !store_name_ok(name) || !ours(w, name)) return;
    struct run *r = run_mirror(w->app->runs, name);
    if (!run_start_known(r)) run_fill(r, true, NULL);
    run_follow(r, told);
}

static void unlink_session(struct viewer *w, double now) {
    link_close(&w->link);
    w->linked = false;
    w->asked = 0;
    w->files_at = now;
    w->link_at = now + link_every_s;
}

static void try_link(struct viewer *w, double now) {
    struct err e = {0};
    w->link_at = now + link_every_s;
    if (!place_taken(&w->place) || link_open(&w->link, &w->place, "watcher", &e)) return;
    struct val *args = val_table();
    val_set_int(args, "since", 1);
    w->linked = link_send(&w->link, "subscribe", args, &e) >= 0;
    w->ask_at = now;
    w->moved = true;
    if (!w->linked) link_close(&w->link);
}

static void ask(struct viewer *w, double now) {
    struct err e = {0};
    struct run *r = runs_current(w->app->runs);
    bool live = r && !run_state_ended(run_state(r));
    w->ask_at = now + ask_every_s;
    if (w->asked || !(w->moved || live)) return;
    w->moved = false;
    struct val *args = val_table();
    if (w->want) val_set_str(args, "run", w->want);
    w->asked = link_send(&w->link, "progress", args, &e);
    if (w->asked < 0) unlink_session(w, now);
}

/* The run of a folder without a session: the one asked for, else the newest. */
static void read_files(struct viewer *w, double now) {
    struct runs *rs = w->app->runs;
    struct err e = {0};
    w->files_at = now + files_every_s;
    if (w->linked) {
        struct run *r = w->refill ? runs_current(rs) : NULL;
        w->refill = false;
        if (r) run_fill(r, true, NULL);
        return;
    }
    struct val *names = w->want ? NULL : store_list(runs_dir(rs), &e);
    const char *name = w->want ? w->want : val_len(names) ? val_at(names, val_len(names) - 1)->u.s.p : NULL;
    struct run *r = name ? run_mirror(rs, name) : NULL;
    if (r && run_fill(r, false, &e) < 0) runs_notice(rs, "warn", e.text);
    val_free(names);
}

static double feed(void *ctx, int *fd) {
    struct viewer *w = ctx;
    double now = clock_now();
    bool gone = false;
    struct val *v;
    for (int i = 0; w->linked && i < 5000 && (v = link_take(&w->link, &gone)) != NULL; i++) {
        if (val_get(v, "event")) take_event(w, v);
        else take_answer(w, v);
        val_free(v);
    }
    if (gone) unlink_session(w, now);
    if (!w->linked && now >= w->link_at) try_link(w, now);
    if (w->linked && now >= w->ask_at) ask(w, now);
    if (now >= w->files_at) read_files(w, now);
    *fd = w->linked ? w->link.fd : -1;
    double next = w->linked ? w->ask_at : w->link_at;
    return (next < w->files_at ? next : w->files_at) - now;
}

static int nothing_to_start(void *ctx, struct err *e) {
    (void)ctx, (void)e;
    return 0;
}

int viewer_main(struct app *a) {
    static const struct script_port no_script;
    static struct viewer w;
    struct err e = {0};
    int status = EXIT_FAILED, sock = a->o.ready ? atoi(a->o.ready) : -1;
    if (sock < 0) return EXIT_USAGE;
    fcntl(sock, F_SETFD, FD_CLOEXEC);
    fcntl(sock, F_SETFL, fcntl(sock, F_GETFL) | O_NONBLOCK);
    signals_session();
    w.app = a;
    w.want = a->o.n_word ? a->o.word[0] : NULL;
    w.placed = place_open(&w.place, ".", false, &e) == 0;
    if (!w.placed) w.link_at = 1e300;
    struct err lost = {0};
    bool read = app_kept(&lost) == 0;
    if (app_settings(a, &e)) return EXIT_FAILED;
    a->runs = runs_new(a->o.runs);
    if (!read) runs_notice(a->runs, "warn", lost.text);
    a->hub = hub_new(watch_cmds(), a->runs);
    hub_set_keys(a->hub, ui_keys());
    hub_set_read_only(a->hub, "read-only: this is hone watch");
    struct ui *ui = ui_new(a->hub, NULL);
    struct server_config cfg = {.hub = a->hub,
        .runs = a->runs,
        .ui = ui_port(ui),
        .script = &no_script,
        .place = &w.place,
        .listen_fd = -1,
        .captured = -1,
        .signal_fd = signals_fd(),
        .preempted = signals_preempted,
        .start = nothing_to_start,
        .viewer = true,
        .client_fd = sock,
        .feed_fd = -1,
        .feed = feed,
        .feed_ctx = &w,
        .version = PACKAGE_VERSION};
    if (engine_start(a->hub, &e) == 0) { /* its threads only: settings and lists are theirs to answer */
        a->engine_on = true;
        status = server_run(&cfg);
    }
    if (w.linked) link_close(&w.link);
    app_close(a);
    ui_free(ui);
    if (w.placed) place_close(&w.place);
    return status;
}
