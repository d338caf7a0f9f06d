/* hone: joins the layers and chooses the mode. Options, signals, line mode and the words that reach a session have their own
 * files beside this one. The main thread is the UI thread: in a session it draws, in line mode it prints. */
#include "config.h"

#include "src/main.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/graph/choose.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/call/help.h"
#include "src/call/parse.h"
#include "src/call/settings.h"
#include "src/run/record.h"
#include "src/stored/shelf.h"
#include "src/script/script.h"
#include "src/session/client.h"
#include "ui/ui.h"

const struct cmd *const *const app_cmds[] = {cmds_call, cmds_run, cmds_engine, cmds_script, cmds_ui, cmds_session, NULL};

static const char license[] = "hone " PACKAGE_VERSION "\n"
                              "License GPLv3+: GNU GPL version 3 or later, with an additional permission to link NVIDIA's libraries (file LICENSE).\n"
                              "This is free software: you may change and redistribute it. There is NO WARRANTY, to the extent permitted by law.\n";

void say(const char *fmt, ...) {
    char text[ERR_TEXT + 128];
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (const char *p = text, *nl; p; p = nl ? nl + 1 : NULL) { /* a traceback or a caret stands on lines of its own */
        nl = strchr(p, '\n');
        utf8_show(&b, p, nl ? (size_t)(nl - p) : strlen(p), -1, UTF8_FULL);
        if (nl) buf_addc(&b, '\n');
    }
    fflush(stdout);
    fprintf(stderr, "hone: %s\n", b.data ? b.data : "");
    buf_release(&b);
}

int exit_of(const struct err *e) {
    switch (e->code) {
    case 0: return EXIT_DONE;
    case ERR_USAGE: return EXIT_USAGE;
    case ERR_STOPPED: return EXIT_STOPPED;
    case ERR_GOAL: return EXIT_GOAL;
    case ERR_PREEMPTED: return EXIT_PREEMPTED;
    default: return EXIT_FAILED;
    }
}

int fail(const struct err *e) {
    say("%s", e->text);
    return exit_of(e);
}

int exit_of_end(const struct val *end) {
    const char *state = val_get_str(end, "state", "done");
    int64_t code = val_get_int(end, "exit", -1);
    if (code >= 0 && code < 256) return (int)code;
    return strcmp(state, "done") == 0 ? EXIT_DONE : strcmp(state, "stopped") == 0 ? EXIT_STOPPED : EXIT_FAILED;
}

static void bug_hook(const char *text) {
    client_restore_now();
    fprintf(stderr, "hone: a bug in hone: %s\n", text);
}

/* Beside the executable (links in a build tree), beside its prefix, or where make install put it; never the working directory. */
char *share_path(const char *name) {
    char *exe = io_exe_dir(), *found = NULL;
    const char *bases[] = {"share/hone", "../share/hone", NULL};
    for (size_t i = 0; exe && bases[i] && !found; i++) {
        char *base = io_join(exe, bases[i]), *path = io_join(base, name);
        if (io_exists(path)) found = path;
        else free(path);
        free(base);
    }
    free(exe);
    if (!found && io_is_dir(HONE_DATADIR)) found = io_join(HONE_DATADIR, name);
    return found;
}

int app_kept(struct err *e) {
    char *path = settings_path();
    settings_init();
    int r = settings_load(path, e);
    free(path);
    ui_use_keys();
    return r;
}

int app_settings(struct app *a, struct err *e) {
    settings_init();
    for (size_t i = 0; i < a->o.set->u.t.n_field; i++) {
        const struct val_field *f = &a->o.set->u.t.field[i];
        bool known = args_find(&settings_kind, f->name);
        if (!known) app_open(a); /* a property of runs, or of nothing: the rows tell */
        if (!known && app_need(a, OWNER_ANY, e)) return -1;
        if (known ? settings_set(f->name, f->v, NULL, e) : parse_no_property(a->hub, "set", f->name, f->v, NULL, e)) {
            e->code = ERR_USAGE;
            return -1;
        }
    }
    struct settings s = {0};
    settings_get(&s);
    int r = s.device && strcmp(s.device, "cpu") != 0 ? engine_device(s.device, e) : 0; /* one that is not there is refused before any work, with the reason */
    args_release(&settings_kind, &s);
    return r;
}

void app_open(struct app *a) {
    if (a->hub) return;
    a->runs = runs_new(a->o.runs);
    runs_set_where(a->runs, script_where);
    a->hub = hub_new(app_cmds, a->runs);
    hub_set_keys(a->hub, ui_keys());
}

int app_need(struct app *a, enum owner owner, struct err *e) {
    bool engine = owner == OWNER_ENGINE || owner == OWNER_HELPER || owner == OWNER_SCRIPT;
    if ((engine || owner == OWNER_ANY) && !a->engine_on) { /* OWNER_ANY: help shows the catalogues */
        if (engine_init(e)) return -1;
        choose_enable(true);
        hub_set_catalogs(a->hub, engine_catalogs);
        if (engine && engine_start(a->hub, e)) return -1;
        a->engine_on = engine;
    }
    if (owner == OWNER_SCRIPT && !a->script_on) {
        char *lib = share_path("lib");
        int r = script_start(a->hub, engine_catalogs, lib ? lib : "", &a->script, e);
        free(lib);
        if (r) return -1;
        a->script_on = true;
    }
    return 0;
}

void app_close(struct app *a) {
    if (a->script_on) script_stop(&a->script);
    if (a->hub) hub_quit(a->hub);
    if (a->engine_on) engine_stop();
    if (a->hub) hub_free(a->hub);
    if (a->runs) runs_free(a->runs);
    a->script_on = a->engine_on = false;
    a->hub = NULL;
    a->runs = NULL;
}

/* Descriptors 0 to 2 that were closed at start would be taken by the next file. What is written to a closed output has failed. */
static void fill_standard_fds(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            int got = open(fd == 1 ? "/dev/full" : "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
            if (got >= 0 && got != fd) {
                dup2(got, fd);
                close(got);
            }
        }
}

static bool capable_terminal(void) {
    const char *term = getenv("TERM"), *ci = getenv("CI");
    return term && *term && strcmp(term, "dumb") != 0 && !(ci && *ci);
}

static int print_version(void) {
    struct buf b = BUF_INIT;
    struct err e = {0};
    buf_adds(&b, "hone " PACKAGE_VERSION "\n");
    if (engine_init(&e) == 0) {
        engine_version(&b);
        if (b.len && b.data[b.len - 1] != '\n') buf_addc(&b, '\n');
    }
    fputs(b.data, stdout);
    buf_release(&b);
    return e.code ? fail(&e) : EXIT_DONE;
}

static int print_usage(void) {
    struct buf b = BUF_INIT;
    struct hub *h = hub_new(app_cmds, NULL); /* for the rows: nothing runs */
    opts_usage(&b, h);
    hub_free(h);
    help_fold(&b, 0);
    fputs(b.data, stdout);
    buf_release(&b);
    return EXIT_DONE;
}

static int unknown_command(const char *word) {
    const char *near = opts_nearest_command(word);
    if (near) say("there is no command \"%s\"; did you mean %s?", word, near);
    else say("there is no command \"%s\"; hone --help lists them", word);
    return EXIT_USAGE;
}

static const struct cmd *line_command(const struct app *a, const char *word) {
    const struct cmd *c = hub_find(a->hub, word);
    return c && (c->flags & CMD_LINE) ? c : NULL;
}

/* "hone data fetch NAME" is the command data_fetch: two words that together name a command become one; so do those that help is asked for. */
static void join_words(struct app *a) {
    struct opts *o = &a->o;
    char name[64];
    bool help = o->n_word && strcmp(o->word[0], "help") == 0;
    size_t at = help ? 1 : 0;
    if (o->n_word < at + 2) return;
    bool joined = snprintf(name, sizeof name, "%s_%s", o->word[at], o->word[at + 1]) < (int)sizeof name && line_command(a, name);
    if (!joined && !o->help_of_word) return; /* of hone eval RUN --help the RUN is no topic */
    free(o->word[at + 1]);
    memmove(o->word + at + 1, o->word + at + 2, (--o->n_word - at - 1) * sizeof *o->word);
    if (!joined) return;
    free(o->word[at]);
    o->word[at] = mem_str(name);
}

/* Under --json the stream has standard output to itself: whatever else is written there, by a script's io.stdout or a native library, goes to stderr. */
static void keep_out_clean(struct app *a) {
    int fd = a->o.json ? fcntl(1, F_DUPFD_CLOEXEC, 3) : -1;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f && dup2(2, 1) == 1) a->out = f;
    else if (f) fclose(f);
}

static int dispatch(struct app *a) {
    struct err e = {0};
    struct opts *o = &a->o;
    keep_out_clean(a);
    const char *word = o->n_word ? o->word[0] : NULL;
    int status = 0;
    signals_line_mode();
    if (o->n_cmd > 0 && word) {
        say("give either -c or a command name, not both: \"%s\" is left over", word);
        return EXIT_USAGE;
    }
    if (app_kept(&e)) say("%s", e.text);
    e = (struct err){0};
    if (app_settings(a, &e)) return fail(&e);
    if (front_terminal(a, word, &status)) return status;
    app_open(a);
    if (o->n_cmd > 0) return line_commands(a);
    if (front_word(a, word, &status)) return status;
    if (!word) return line_prompt(a);
    join_words(a);
    word = o->word[0];
    const struct cmd *c = line_command(a, word);
    return c ? line_word(a, c) : unknown_command(word);
}

/* What was printed must have arrived: a full disk or a closed pipe is a failure, not silence. */
static int flush_out(FILE *out, int status) {
    if ((fflush(out) != 0 || ferror(out)) && status == EXIT_DONE) {
        if (errno != EPIPE) say("cannot write to standard output: %s", strerror(errno));
        return EXIT_FAILED;
    }
    return status;
}

int main(int argc, char **argv) {
    static struct app a;
    struct err e = {0};
    int status;
    a.out = stdout;
    fill_standard_fds();
    setlocale(LC_CTYPE, "");
    bug_set_hook(bug_hook);
    if (opts_parse(&a.o, argc, argv, &e)) return fail(&e);
    a.dumb = !capable_terminal();
    a.tty = isatty(0) && isatty(1) && !a.dumb && !a.o.json && !a.o.plain && !a.o.quiet;
    if (a.o.help && a.o.n_word > 0) opts_help_word(&a.o); /* hone NAME --help is hone help NAME */
    if (a.o.help) status = print_usage();
    else if (a.o.version) status = print_version();
    else if (a.o.license) status = fputs(license, stdout) < 0 ? EXIT_FAILED : EXIT_DONE;
    else if (a.o.rank) status = engine_rank(atoi(a.o.rank), &e) < 0 && e.code == ERR_USAGE ? fail(&e) : EXIT_FAILED; /* all else rank 0 says */
    else status = a.o.session ? session_main(&a) : a.o.viewer ? viewer_main(&a) : dispatch(&a);
    status = flush_out(a.out, status);
    app_close(&a);
    opts_release(&a.o);
    return status;
}
