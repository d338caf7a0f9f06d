/* What the tests of sessions and terminals share: a scratch folder with a socket folder of its own, words of the command line, a run that trains for ever, its
 * step, and what a process costs. Each program includes it once. */
#ifndef HONE_TESTS_FIX_H
#define HONE_TESTS_FIX_H

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/thread.h"
#include "tests/tap.h"
#include "tests/ui/pty.h"

static char hone[4200], dir[64];
static struct buf out; /* of the last word */
static bool longer, full; /* HONE_LONG=1: more of everything, HONE_LONG=full: as much as the criteria say */

static const char long_script[] = "local data = hone.data{ 'german-credit', val = 200 }\n"
                                  "local net = nn.model{ input = data, nn.linear{64}, nn.relu{}, nn.linear{2} }\n"
                                  "local run = hone.train{ model = net, data = data, epochs = 1000000, batch = 32, optim = optim.adam{ lr = 1e-4 } }\n"
                                  "run:wait()\n";

static inline bool fix_open(const char *name) {
    const char *top = getenv("top_builddir"), *lg = getenv("HONE_LONG");
    char sock[96];
    struct err e = {0};
    longer = lg && *lg;
    full = longer && strcmp(lg, "full") == 0;
    snprintf(hone, sizeof hone, "%s/hone", top ? top : ".");
    snprintf(dir, sizeof dir, "/tmp/hone-%s-XXXXXX", name);
    if (!mkdtemp(dir) || chdir(dir)) return printf("Bail out! no scratch folder: %s\n", strerror(errno)), false;
    snprintf(sock, sizeof sock, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", sock, 1);
    return io_write_file("long.lua", long_script, sizeof long_script - 1, &e) == 0;
}

/* The user's editor is a script; args: of its own, as EDITOR may have, with a blank before them. Terminals that are opened from here on know it. */
static inline void fix_editor(const char *script, const char *args) {
    char line[200];
    struct err e = {0};
    if (io_write_file("ed.sh", script, strlen(script), &e) != 0) tap_ok(false, "%s", e.text);
    snprintf(line, sizeof line, "sh %s/ed.sh%s", dir, args);
    pty_env("EDITOR", line);
}

static inline int word(const char *a, const char *b, const char *c) {
    char *argv[] = {hone, (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c, NULL};
    return run_out(&out, argv);
}

static inline double number_after(const char *key) {
    char *p = out.len ? strstr(out.data, key) : NULL;
    return p ? strtod(p + strlen(key), NULL) : -1;
}

static inline double steps(void) { /* of the newest run, which comes last */
    const char *p = word("status", "--json", NULL) == 0 && out.len ? out.data : NULL, *last = NULL;
    while (p && (p = strstr(p, "\"step\":"))) last = p += 7;
    return last ? strtod(last, NULL) : -1;
}
static inline bool session_alive(void) { return word("clients", NULL, NULL) == 0; }

static inline void session_end(void) {
    word("shutdown", NULL, NULL);
    for (int i = 0; i < 200 && session_alive(); i++) clock_sleep(0.05);
}

static inline int fix_close(void) {
    session_end();
    if (chdir("/") == 0) io_remove_tree(dir, NULL);
    return tap_done();
}

static inline bool dash(struct pty *p, int rows, int cols, const char *term, const char *a, const char *b) {
    char *argv[] = {hone, (char *)(uintptr_t)a, (char *)(uintptr_t)b, NULL};
    return pty_dash(p, rows, cols, term, argv, 10 * TAP_SLOW);
}

/* hone run long.lua on a terminal, and it trains. */
static inline bool trains(struct pty *p) {
    bool appeared = dash(p, 24, 80, "xterm-256color", "run", "long.lua") && pty_shows(p, "TRAINING", 20) >= 0; /* until then the newest run is an older one */
    for (int i = 0; i < 200 && steps() < 20; i++) pty_read(p, 0.05);
    return appeared && steps() >= 20;
}

static inline void leave(struct pty *p) {
    pty_keys(p, "\033"); /* a prompt that is open would take the q */
    pty_read(p, 0.06);
    pty_keys(p, "q");
    pty_ended(p, 5);
    pty_close(p);
}

/* Steps a second over a stretch in which the terminal is read (or NULL: it is not). */
static inline double rate(double seconds, struct pty *reads) {
    double s0 = steps(), t0 = clock_now();
    if (reads) pty_read(reads, seconds);
    else clock_sleep(seconds);
    double s1 = steps(), t1 = clock_now();
    return (s1 - s0) / (t1 - t0);
}

static inline void show(const struct pty *p) { /* after a failure: what was on the screen */
    struct buf b = BUF_INIT;
    for (int y = 0; y < p->vt.rows; y++) {
        buf_adds(&b, "# ");
        vt_row(&p->vt, y, &b);
        buf_addc(&b, '\n');
    }
    fputs(b.data, stdout);
    buf_release(&b);
}

static inline int count_fds(int pid) {
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}

static inline long resident_kb(int pid) {
    char path[64], line[128];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0) kb = strtol(line + 6, NULL, 10);
    if (f) fclose(f);
    return kb;
}

/* Seconds of processor time of the thread that serves and draws. */
static inline double ui_seconds(int pid) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, pid);
    FILE *f = fopen(path, "r");
    double s = f && fgets(text, sizeof text, f) ? strtod(text, NULL) * 1e-9 : -1;
    if (f) fclose(f);
    return s;
}

static inline int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

#endif
