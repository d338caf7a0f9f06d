/* The words of the command line that reach this folder's session: the dashboard (start or find the session, attach), and
 * commands that act on what runs there. Without a session those that only read are served from the files of the runs. */
#include "config.h"

#include "src/main.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/run/store.h"
#include "src/session/client.h"
#include "src/session/link.h"
#include "src/session/socket.h"
#include "src/session/spawn.h"

/* ---- demo ---- */

static char *demo_path(const char *name, struct err *e) {
    char file[128], *dir = share_path("experiments");
    const char *names[64];
    size_t n = 0;
    if (!dir) {
        err_set(e, "the built-in examples are not installed: share/hone/experiments is missing beside the program");
        return NULL;
    }
    snprintf(file, sizeof file, "%s.lua", name);
    char *path = strchr(name, '/') ? NULL : io_join(dir, file);
    if (path && io_exists(path)) {
        free(dir);
        return path;
    }
    free(path);
    struct buf have = BUF_INIT;
    DIR *d = opendir(dir);
    for (struct dirent *x; d && n < LEN(names) && (x = readdir(d)) != NULL;) {
        size_t len = strlen(x->d_name);
        if (len < 5 || strcmp(x->d_name + len - 4, ".lua") != 0) continue;
        names[n] = mem_strn(x->d_name, len - 4);
        buf_addf(&have, "%s%s", n ? ", " : "", names[n]);
        n++;
    }
    if (d) closedir(d);
    const char *near = args_nearest(name, names, n);
    if (near) err_code(e, ERR_USAGE, "there is no example \"%s\"; did you mean %s?", name, near);
    else err_code(e, ERR_USAGE, "there is no example \"%s\"; there are: %s", name, have.data ? have.data : "none");
    for (size_t i = 0; i < n; i++) free((char *)(uintptr_t)names[i]);
    buf_release(&have);
    free(dir);
    return NULL;
}

/* ---- the dashboard ---- */

struct after { /* what is asked of the session once its dashboard is on the screen */
    struct app *app;
    const struct place *place;
    const char *script; /* absolute, or NULL */
    char *const *arg;
    size_t n_arg;
};

static bool is_wish(const char *name) { return strcmp(name, "color") == 0 || strcmp(name, "glyphs") == 0 || strcmp(name, "budget") == 0; }

static int after_attach(void *ctx, struct err *e) {
    struct after *x = ctx;
    const struct val *set = x->app->o.set;
    struct link l;
    if (!x->script && set->u.t.n_field == 0) return 0;
    if (link_open(&l, x->place, "owner", e)) return -1;
    int r = 0;
    for (size_t i = 0; r == 0 && i < set->u.t.n_field; i++) {
        if (is_wish(set->u.t.field[i].name)) continue;
        struct val *args = val_table();
        val_set_str(args, "name", set->u.t.field[i].name);
        val_set(args, "value", val_copy(set->u.t.field[i].v));
        r = link_call(&l, "set", args, 10, -1, NULL, e);
    }
    if (r == 0 && x->script) {
        struct val *args = val_table(), *list = val_list();
        for (size_t i = 0; i < x->n_arg; i++) val_push(list, val_str(x->arg[i]));
        val_set_str(args, "path", x->script);
        if (x->n_arg) val_set(args, "args", list);
        else val_free(list);
        r = link_send(&l, "run_script", args, e) < 0 ? -1 : 0; /* its end is news on the dashboard */
    }
    link_close(&l);
    return r;
}

static struct val *wishes_of(const struct app *a) {
    static const char *const names[][2] = {{"color", "colors"}, {"glyphs", "glyphs"}, {"budget", "budget"}};
    struct val *wishes = val_table();
    for (size_t i = 0; i < LEN(names); i++) {
        const struct val *v = val_get(a->o.given, names[i][0]);
        if (v) val_set(wishes, names[i][1], val_copy(v));
    }
    return wishes;
}

static int dashboard(struct app *a, bool must_exist, const char *script, char *const *arg, size_t n_arg) {
    struct place p;
    struct err e = {0};
    int status = EXIT_FAILED;
    const char *extra[] = {"--runs", a->o.runs, NULL};
    char *real = script ? realpath(script, NULL) : NULL;
    if (script && !real) {
        err_sys(&e, "open the script", script);
        return fail(&e);
    }
    struct after x = {a, &p, real, arg, n_arg};
    struct val *wishes = wishes_of(a);
    if (place_open(&p, ".", !must_exist, &e) == 0) {
        struct client_then then = {after_attach, &x};
        if (must_exist || spawn_session(&p, extra, &e) == 0) status = client_attach(&p, wishes, &then, &e);
        place_close(&p);
    }
    if (e.code) status = fail(&e);
    val_free(wishes);
    free(real);
    return status;
}

/* ---- following events ---- */

static int follow(struct app *a, const struct place *p, uint64_t since, const char *run) {
    struct link l;
    struct err e = {0};
    if (link_open(&l, p, "watcher", &e)) return fail(&e);
    struct val *args = val_table();
    if (since) val_set_int(args, "since", (int64_t)since);
    int r = link_call(&l, "subscribe", args, 10, signals_fd(), NULL, &e);
    struct plain *view = plain_new(a->runs, out_mode(a), a->out, a->out, false, out_is_ascii());
    while (r == 0 && !plain_broken(view)) {
        struct val *v = link_next(&l, -1, signals_fd(), &e);
        if (!v) break;
        const char *of = val_get_str(v, "run", NULL);
        if (!run || !of || strcmp(of, run) == 0) plain_event(view, v);
        val_free(v);
    }
    bool broken = plain_broken(view);
    plain_free(view);
    link_close(&l);
    if (broken) return EXIT_FAILED;
    if (e.code == ERR_STOPPED) return EXIT_DONE; /* Ctrl-C is how one stops watching */
    return e.code ? fail(&e) : EXIT_DONE;
}

/* A run that nobody tells about any more is described from its files. */
static int described(struct app *a, const char *run) {
    char *dir = io_join(a->o.runs, run);
    struct err e = {0};
    struct val *v = store_name_ok(run) ? store_describe(dir, &e) : NULL;
    free(dir);
    if (!v) return fail((err_set(&e, "there is no run named \"%s\" in %s; hone ls lists them", run, a->o.runs), &e));
    val_unset(v, "start");
    val_unset(v, "reports");
    line_print(a, "watch", v);
    val_free(v);
    return EXIT_DONE;
}

static bool run_known(const struct app *a, const char *run) {
    char *dir = io_join(a->o.runs, run), *file = io_join(dir, "run.json");
    bool known = store_name_ok(run) && io_exists(file);
    free(dir);
    free(file);
    return known;
}

static bool any_run(const struct app *a) {
    struct err e = {0};
    struct val *names = store_list(a->o.runs, &e);
    bool any = val_len(names) > 0;
    val_free(names);
    return any;
}

/* On a terminal a dashboard of its own process, else the session's events as lines. run: NULL: the newest. */
static int watch(struct app *a, const char *run) {
    struct place p;
    struct err e = {0};
    bool there = place_open(&p, ".", false, &e) == 0, live = there && place_taken(&p);
    int status = EXIT_FAILED;
    if (run && !run_known(a, run)) status = described(a, run); /* says that there is none */
    else if (a->tty && (live || run || any_run(a))) {
        const char *extra[] = {"--runs", a->o.runs, run, NULL};
        struct val *wishes = wishes_of(a);
        int sock = spawn_viewer(extra, &e);
        status = sock < 0 ? fail(&e) : client_attach_to(sock, wishes, NULL, &e);
        if (sock >= 0 && e.code) status = fail(&e);
        val_free(wishes);
    } else if (live) status = follow(a, &p, 1, run);
    else if (run) status = described(a, run);
    else {
        if (there) err_set(&e, "no session is running for %s", p.folder);
        status = fail(&e);
    }
    if (there) place_close(&p);
    return status;
}

/* ---- commands on what runs ---- */

static bool take_follow(struct app *a) {
    bool follow_it = false;
    size_t k = 1;
    for (size_t i = 1; i < a->o.n_word; i++) {
        if (strcmp(a->o.word[i], "-f") == 0 || strcmp(a->o.word[i], "--follow") == 0) {
            follow_it = true;
            free(a->o.word[i]);
        } else a->o.word[k++] = a->o.word[i];
    }
    if (a->o.n_word) a->o.n_word = k;
    return follow_it;
}

/* The command in the session behind l, which is closed at the end. */
static int ask(struct app *a, const struct place *p, struct link *l, const struct cmd *c) {
    struct err e = {0};
    struct val *result = NULL;
    bool then_follow = strcmp(c->kind.name, "log") == 0 && take_follow(a);
    struct val *args = opts_args(c, a->o.word + 1, a->o.n_word - 1, a->o.given, &e);
    int r = args ? link_call(l, c->kind.name, args, strcmp(c->kind.name, "wait") == 0 ? -1 : 60, signals_fd(), &result, &e) : -1;
    link_close(l);
    if (r) return e.code == ERR_STOPPED && strcmp(e.text, "interrupted") == 0 ? 130 : fail(&e);
    if (strcmp(c->kind.name, "shutdown") == 0) /* gone when we are */
        for (double end = clock_now() + 10; place_taken(p) && clock_now() < end;) clock_sleep(0.01);
    if (result && result->type != VAL_BOOL) line_print(a, c->kind.name, result);
    int code = strcmp(c->kind.name, "wait") == 0 ? exit_of_end(result) : EXIT_DONE;
    val_free(result);
    return then_follow ? follow(a, p, 0, NULL) : code;
}

/* Words that mean the session's run. needs: without a session there is nothing they could do. */
static const struct {
    const char *name;
    bool needs;
} session_words[] = {{"stop", true}, {"wait", true}, {"interrupt", true}, {"pause", true}, {"resume", true}, {"checkpoint", true}, {"undo", true},
    {"note", true}, {"clients", true}, {"shutdown", true}, {"set", false}, {"get", false}, {"jobs", false}, {"status", false}, {"ls", false}, {"log", false},
    {"screen", true}};

static int session_word(struct app *a, const char *word, bool needs, int *status) {
    struct place p;
    struct link l;
    struct err e = {0};
    const struct cmd *c = hub_find(a->hub, word);
    if (!c) return 0;
    bool opened = place_open(&p, ".", false, &e) == 0, there = opened && place_taken(&p);
    if (opened && !there) err_set(&e, "no session is running for %s", p.folder);
    if (there && link_open(&l, &p, "owner", &e)) there = false; /* it may just be ending */
    if (there) *status = ask(a, &p, &l, c);
    else if (needs) *status = fail(&e);
    else take_follow(a);
    if (opened) place_close(&p);
    return there || needs;
}

static bool session_here(void) {
    struct place p;
    bool there = place_open(&p, ".", false, NULL) == 0, taken = there && place_taken(&p);
    if (there) place_close(&p);
    return taken;
}

/* `wait` and `log -f` of a run that is named, or where there is no session: the files of the runs tell, whichever process made them. */
static int files_word(struct app *a, const char *word, int *status) {
    bool wait = strcmp(word, "wait") == 0, follow_it = false;
    const char *name = NULL;
    size_t names = 0;
    for (size_t i = 1; i < a->o.n_word; i++) {
        const char *w = a->o.word[i];
        if (strcmp(w, "-f") == 0 || strcmp(w, "--follow") == 0) follow_it = true;
        else name = strncmp(w, "run=", 4) == 0 ? w + 4 : w, names++;
    }
    if ((!wait && !(follow_it && strcmp(word, "log") == 0)) || names > 1 || (name && (strchr(name, '#') || name[0] == '-'))) return 0;
    if (!name && session_here()) return 0;
    *status = wait ? files_wait(a, name) : files_follow(a, name);
    return 1;
}

int front_word(struct app *a, const char *word, int *status) {
    if (word && files_word(a, word, status)) return 1;
    for (size_t i = 0; word && i < LEN(session_words); i++)
        if (strcmp(word, session_words[i].name) == 0) return session_word(a, word, session_words[i].needs, status);
    if (word && strcmp(word, "sessions") == 0) { /* asked from here: no engine is needed for it */
        struct err e = {0};
        struct val *list = link_sessions(&e);
        if (list) line_print(a, "sessions", list);
        *status = list ? EXIT_DONE : fail(&e);
        val_free(list);
        return 1;
    }
    if (word && strcmp(word, "watch") == 0) {
        *status = watch(a, a->o.n_word > 1 ? a->o.word[1] : NULL);
        return 1;
    }
    return 0;
}

/* ---- words that may take the terminal ---- */

static int run_word(struct app *a, const char *path, char *const *arg, size_t n) {
    if (a->tty && strcmp(path, "-") != 0) return dashboard(a, false, path, arg, n);
    app_open(a);
    return line_script(a, path, arg, n);
}

int front_terminal(struct app *a, const char *word, int *status) {
    struct opts *o = &a->o;
    struct err e = {0};
    if (!word && a->tty && o->n_cmd == 0) *status = dashboard(a, false, NULL, NULL, 0);
    else if (!word) return 0;
    else if (strcmp(word, "attach") == 0) {
        if (!isatty(0) || !isatty(1)) err_set(&e, "attach needs a terminal on standard input and output; hone watch, hone status and hone log work without");
        *status = e.code ? fail(&e) : dashboard(a, true, NULL, NULL, 0);
    } else if (strcmp(word, "reset") == 0) *status = client_reset(&e) ? fail(&e) : EXIT_DONE;
    else if (strcmp(word, "demo") == 0) {
        char *path = demo_path(o->n_word > 1 ? o->word[1] : "fashion", &e);
        *status = path ? run_word(a, path, o->word + 2, o->n_word > 2 ? o->n_word - 2 : 0) : fail(&e);
        free(path);
    } else if (strcmp(word, "run") == 0) {
        if (o->n_word < 2) err_code(&e, ERR_USAGE, "run needs a script: hone run SCRIPT.lua [ARG..], or - to read it from standard input");
        *status = e.code ? fail(&e) : run_word(a, o->word[1], o->word + 2, o->n_word - 2);
    } else return 0;
    return 1;
}
