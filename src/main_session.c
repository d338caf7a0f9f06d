/* The session process: takes the folder's lock and socket, tells its starter, then serves on the UI thread. Order matters: the
 * dashboard is drawn before the engine chooses kernels; nothing is forked once it has. */
#include "config.h"

#include "src/main.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/prompt/prompt.h"
#include "src/run/record.h"
#include "src/script/script.h"
#include "src/session/server.h"
#include "src/session/socket.h"
#include "ui/ui.h"

enum { IDLE_S = 600 };

/* The starter waits for 'R' or a sentence. Without one (started by hand) the sentence goes to stderr. */
static void tell(int ready, const char *text) {
    if (ready < 0) {
        if (strcmp(text, "R") != 0) say("%s", text);
        return;
    }
    ssize_t r = write(ready, text, strlen(text));
    (void)r;
    close(ready);
}

/* What native libraries print goes into the log: both standard descriptors become one pipe. */
static int capture(void) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0) return -1;
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    dup2(p[1], 1);
    dup2(p[1], 2);
    close(p[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return p[0];
}

/* print() of scripts, on the script thread: one notice a line. */
static void on_print(void *ctx, const char *text, size_t n) {
    while (n > 0) {
        size_t len = strcspn(text, "\n");
        if (len > n) len = n;
        char *line = mem_strn(text, len);
        if (len) runs_notice(ctx, "info", line);
        free(line);
        if (len < n) len++;
        text += len;
        n -= len;
    }
}

static int start_threads(void *ctx, struct err *e) {
    struct app *a = ctx;
    script_on_print(on_print, a->runs);
    if (app_need(a, OWNER_SCRIPT, e)) return -1;
    struct val *tell = val_table();
    val_set_bool(tell, "tell", true);
    struct call *c = call_new(a->hub, "crashed", tell, BY_HONE, e);
    return c ? call_submit(c, NULL, NULL, e) : -1;
}

static int claim(struct place *p, int *lock, struct err *e) {
    if (place_open(p, ".", true, e)) return -1;
    *lock = place_lock(p, e);
    if (*lock == -1) return 1; /* another one was quicker: the starter connects to that */
    return *lock < 0 ? -1 : place_listen(p, e);
}

static double idle_seconds(const struct opts *o) {
    double s = o->idle ? strtod(o->idle, NULL) : IDLE_S;
    return s > 0 ? s : IDLE_S;
}

int session_main(struct app *a) {
    struct place place;
    struct err e = {0};
    int lock = -1, ready = a->o.ready ? atoi(a->o.ready) : -1;
    if (ready >= 0) fcntl(ready, F_SETFD, FD_CLOEXEC);
    signals_session();
    int listener = claim(&place, &lock, &e);
    if (listener < 0 || lock == -1) {
        tell(ready, listener < 0 ? e.text : "R");
        return listener < 0 ? EXIT_FAILED : EXIT_DONE;
    }
    tell(ready, "R");
    int captured = capture();
    char *report = io_join(a->o.runs, "crash.txt");
    signals_crash_file(report);
    free(report);
    int status = EXIT_FAILED;
    struct err lost = {0};
    bool read = app_kept(&lost) == 0; /* what the command line says comes after it */
    if (app_settings(a, &e) == 0) {
        app_open(a);
        if (!read) runs_notice(a->runs, "warn", lost.text);
        hub_add_resumer(a->hub);
        struct prompt_port prompt = {0};
        bool has_prompt = prompt_open(&a->script, &prompt, &e) == 0;
        struct ui *ui = ui_new(a->hub, has_prompt ? &prompt : NULL);
        if (!has_prompt) runs_notice(a->runs, "error", e.text);
        struct server_config cfg = {.hub = a->hub,
            .runs = a->runs,
            .ui = ui_port(ui),
            .script = &a->script,
            .place = &place,
            .listen_fd = listener,
            .captured = captured,
            .signal_fd = signals_fd(),
            .preempted = signals_preempted,
            .start = start_threads,
            .start_ctx = a,
            .idle_s = idle_seconds(&a->o),
            .version = PACKAGE_VERSION};
        status = server_run(&cfg);
        app_close(a); /* before what its last calls answer to */
        ui_free(ui);
        if (has_prompt) prompt_close(&prompt);
    }
    place_remove(&place);
    close(listener);
    return status;
}
