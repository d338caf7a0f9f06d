/* The command line: one table of options, and the words after a command's name turned into its argument table by the
 * command's own row. Parses only; nothing is started or printed here. */
#include "config.h"

#include "src/main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/args.h"
#include "src/base/mem.h"
#include "src/call/help.h"

enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_PROP, OPT_PROP_TEXT, OPT_PROP_ON, OPT_PROP_BYTES, OPT_PAIR, OPT_COMMAND };
struct opt {
    const char *name; /* with its dashes */
    enum opt_kind kind;
    size_t offset; /* FLAG, TEXT: into struct opts */
    const char *prop; /* PROP..: the property it sets */
    const char *value, *help; /* help NULL: hidden */
};
static const struct opt opt_rows[];
static const size_t n_opts;

static void push(char ***list, size_t *n, const char *s) {
    *list = X_GROW(*list, char *, *n + 1);
    (*list)[(*n)++] = mem_str(s);
}

static const struct opt *find(const char *name, size_t len) {
    for (size_t i = 0; i < n_opts; i++)
        if (strlen(opt_rows[i].name) == len && memcmp(opt_rows[i].name, name, len) == 0) return &opt_rows[i];
    return NULL;
}

static int unknown(const char *given, struct err *e) {
    const char *names[32];
    size_t n = 0;
    for (size_t i = 0; i < n_opts && n < LEN(names); i++)
        if (opt_rows[i].help) names[n++] = opt_rows[i].name;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    const char *near = args_nearest(name, names, n);
    if (near) return err_code(e, ERR_USAGE, "there is no option %s; did you mean %s?", name, near);
    return err_code(e, ERR_USAGE, "there is no option %s; hone --help lists them", name);
}

/* "1k", "2M" to a number of bytes. */
static struct val *bytes_value(const char *text, struct err *e) {
    char *end;
    double v = strtod(text, &end);
    double unit = *end == 'k' || *end == 'K' ? 1e3 : *end == 'M' ? 1e6 : 1;
    if (end == text || (unit > 1 ? end[1] : *end) != 0 || !(v >= 0 && v * unit < 1e12)) {
        err_code(e, ERR_USAGE, "--budget takes bytes a second such as 500 or 2k, not \"%s\"", text);
        return NULL;
    }
    return val_int((int64_t)(v * unit));
}

static int set_pair(struct opts *o, const char *text, struct err *e) {
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) return err_code(e, ERR_USAGE, "--set takes NAME=VALUE, not \"%s\"", text);
    char *name = mem_strn(text, (size_t)(eq - text));
    val_set(o->set, name, args_text(eq + 1));
    free(name);
    return 0;
}

static int take(struct opts *o, const struct opt *r, const char *value, struct err *e) {
    struct val *v = NULL;
    switch (r->kind) {
    case OPT_FLAG: *(bool *)(void *)((char *)o + r->offset) = true; return 0;
    case OPT_TEXT: *(const char **)(void *)((char *)o + r->offset) = value; return 0;
    case OPT_COMMAND: push(&o->cmd, &o->n_cmd, value); return 0;
    case OPT_PAIR: return set_pair(o, value, e);
    case OPT_PROP_ON: v = val_bool(true); break;
    case OPT_PROP_BYTES: v = bytes_value(value, e); break;
    case OPT_PROP: v = args_text(value); break;
    case OPT_PROP_TEXT: v = val_str(value); break;
    }
    if (!v) return -1;
    if (strcmp(r->prop, "data") != 0) val_set(o->given, r->prop, val_copy(v));
    val_set(o->set, r->prop, v);
    return 0;
}

static bool has_value(const struct opt *r) { return r->kind != OPT_FLAG && r->kind != OPT_PROP_ON; }

/* One option at argv[*i]. 1: taken, 0: not one of ours, -1: error. */
static int option(struct opts *o, int argc, char **argv, int *i, struct err *e) {
    const char *a = argv[*i];
    size_t len = strcspn(a, "=");
    const struct opt *r = find(a, a[1] == '-' ? len : strlen(a));
    if (!r) return 0;
    const char *value = NULL;
    if (has_value(r)) {
        value = a[1] == '-' && a[len] == '=' ? a + len + 1 : *i + 1 < argc ? argv[++*i] : NULL;
        if (!value) return err_code(e, ERR_USAGE, "%s needs a value: %s %s", r->name, r->name, r->value);
    } else if (a[len] == '=') return err_code(e, ERR_USAGE, "%s takes no value, got \"%s\"", r->name, a + len + 1);
    return take(o, r, value, e) ? -1 : 1;
}

int opts_parse(struct opts *o, int argc, char **argv, struct err *e) {
    memset(o, 0, sizeof *o);
    o->set = val_table();
    o->given = val_table();
    const char *env = getenv("HONE_RUNS");
    o->runs = env && *env ? env : "runs";
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool script_arg = o->n_word >= 2 && strcmp(o->word[0], "run") == 0; /* all that follows a script is the script's */
        if (script_arg || a[0] != '-' || !a[1]) {
            push(&o->word, &o->n_word, a);
            continue;
        }
        if (strcmp(a, "--") == 0) {
            if (o->n_word > 0 && strcmp(o->word[0], "run") != 0) push(&o->word, &o->n_word, a);
            while (++i < argc) push(&o->word, &o->n_word, argv[i]);
            break;
        }
        int r = option(o, argc, argv, &i, e);
        if (r < 0) return -1;
        if (r) continue;
        if (o->n_word == 0 || strcmp(o->word[0], "run") == 0) return unknown(a, e);
        push(&o->word, &o->n_word, a); /* perhaps an argument of the command */
    }
    return 0;
}

void opts_help_word(struct opts *o) {
    for (size_t i = 2; i < o->n_word; i++) free(o->word[i]);
    o->n_word = o->n_word < 2 ? o->n_word : 2; /* the second may belong to the name: data fetch */
    o->word = X_GROW(o->word, char *, 3);
    memmove(o->word + 1, o->word, o->n_word++ * sizeof *o->word);
    o->word[0] = mem_str("help");
    o->help = false;
    o->help_of_word = true;
}

void opts_release(struct opts *o) {
    for (size_t i = 0; i < o->n_cmd; i++) free(o->cmd[i]);
    for (size_t i = 0; i < o->n_word; i++) free(o->word[i]);
    free(o->cmd);
    free(o->word);
    val_free(o->set);
    val_free(o->given);
    memset(o, 0, sizeof *o);
}

/* ---- words of a command ---- */

static bool same_name(const char *arg, const char *given, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (arg[i] != (given[i] == '-' ? '_' : given[i])) return false;
    return arg[n] == 0;
}

static const struct arg *arg_named(const struct cmd *c, const char *name, size_t n) {
    for (const struct arg *a = c->kind.args; a && a->name; a++)
        if (same_name(a->name, name, n)) return a;
    return NULL;
}

/* --after-epoch: a value of an enum argument. Returns the argument and the value's own spelling. */
static const struct arg *arg_of_enum_value(const struct cmd *c, const char *value, const char **own) {
    for (const struct arg *a = c->kind.args; a && a->name; a++)
        for (const char *const *n = a->type == ARG_ENUM ? a->names : NULL; n && *n; n++)
            if (same_name(*n, value, strlen(value)) || strcmp(*n, value) == 0) {
                *own = *n;
                return a;
            }
    return NULL;
}

static bool takes_position(const struct cmd *c) {
    for (const struct arg *a = c->kind.args; a && a->name; a++)
        if (a->flags & (ARG_POSITIONAL | ARG_REST)) return true;
    return false;
}

/* y=risk of a command that takes a data set is an argument of the data set; device=cuda is an option. True: said. */
static bool misplaced(const struct cmd *c, const char *word, size_t len, struct err *e) {
    const struct arg *takes = NULL;
    if (len == 0) return false;
    for (const struct arg *a = c->kind.args; a && a->name; a++)
        if (a->source == SRC_DATA && a->type == ARG_VAL) takes = a;
    for (const struct cmd *const *const *list = app_cmds; takes && *list; list++)
        for (const struct cmd *const *d = *list; *d; d++)
            if (strcmp((*d)->kind.name, takes->name) == 0 && arg_named(*d, word, len)) {
                err_code(e, ERR_USAGE, "%s has no argument \"%.*s\", but data sets have: write %s='{ \"NAME\", %.*s = ... }' (hone help data)", c->kind.name,
                    (int)len, word, takes->name, (int)len, word);
                return true;
            }
    if (!takes && takes_position(c)) return false; /* a text */
    for (size_t i = 0; i < n_opts; i++)
        if (opt_rows[i].help && opt_rows[i].value && same_name(opt_rows[i].name + 2, word, len)) {
            err_code(
                e, ERR_USAGE, "%s has no argument \"%.*s\", but there is the option %s %s", c->kind.name, (int)len, word, opt_rows[i].name, opt_rows[i].value);
            return true;
        }
    return false;
}

static int unknown_arg(const struct cmd *c, const char *given, struct err *e) {
    const char *names[64];
    char text[64][48];
    size_t n = 0;
    for (const struct arg *a = c->kind.args; a && a->name && n < LEN(names); a++, n++) {
        snprintf(text[n], sizeof text[n], "--%s", a->name);
        for (char *p = text[n] + 2; *p; p++)
            if (*p == '_') *p = '-';
        names[n] = text[n];
    }
    for (size_t i = 0; i < n_opts && n < LEN(names); i++)
        if (opt_rows[i].help) names[n++] = opt_rows[i].name;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    const char *near = args_nearest(name, names, n);
    if (misplaced(c, name + 2, strlen(name + 2), e)) return -1;
    if (near) return err_code(e, ERR_USAGE, "%s has no option %s; did you mean %s?", c->kind.name, name, near);
    return err_code(e, ERR_USAGE, "%s has no option %s; hone help %s lists its arguments", c->kind.name, name, c->kind.name);
}

static int long_word(const struct cmd *c, struct val *t, char *const *word, size_t n, size_t *i, struct err *e) {
    const char *w = word[*i], *name = w + 2, *own;
    size_t len = strcspn(name, "=");
    const struct arg *a = arg_named(c, name, len);
    if (!a && name[len] == 0 && (a = arg_of_enum_value(c, name, &own)) != NULL) {
        const char *before = val_get_str(t, a->name, own);
        if (strcmp(before, own) != 0) return err_code(e, ERR_USAGE, "%s takes either --%s or --%s, not both", c->kind.name, before, own);
        val_set_str(t, a->name, own);
        return 0;
    }
    if (!a) return unknown_arg(c, w, e);
    if (name[len] == '=') val_set(t, a->name, args_text(name + len + 1));
    else if (a->type == ARG_BOOL) val_set_bool(t, a->name, true);
    else if (*i + 1 < n) val_set(t, a->name, args_text(word[++*i]));
    else return err_code(e, ERR_USAGE, "%s needs a value", w);
    return 0;
}

static int short_word(const struct cmd *c, struct val *t, const char *w, struct err *e) {
    for (const struct arg *a = c->kind.args; a && a->name; a++)
        if (a->type == ARG_BOOL && a->name[0] == w[1] && !w[2]) {
            val_set_bool(t, a->name, true);
            return 0;
        }
    return unknown_arg(c, w, e);
}

static bool looks_negative(const char *w) { return w[0] == '-' && (w[1] == '.' || (w[1] >= '0' && w[1] <= '9')); }

static bool sets_property(const struct cmd *c) {
    for (const struct arg *a = c->kind.args; a && a->name; a++)
        if (a->source == SRC_PROP && a[1].type == ARG_VAL) return true;
    return false;
}

/* NAME=VALUE of a command all of whose arguments are named. */
static int unknown_name(const struct cmd *c, const char *word, size_t len, struct err *e) {
    const char *names[64];
    size_t n = 0;
    if (misplaced(c, word, len, e)) return -1;
    char *name = mem_strn(word, len);
    for (const struct arg *a = c->kind.args; a && a->name && n < LEN(names); a++) names[n++] = a->name;
    const char *near = args_nearest(name, names, n);
    if (near) err_code(e, ERR_USAGE, "%s has no argument \"%s\"; did you mean %s?", c->kind.name, name, near);
    else err_code(e, ERR_USAGE, "%s has no argument \"%s\"; hone help %s lists them", c->kind.name, name, c->kind.name);
    free(name);
    return -1;
}

struct val *opts_args(const struct cmd *c, char *const *word, size_t n, const struct val *given, struct err *e) {
    struct val *t = val_table();
    for (size_t k = 0; given && k < given->u.t.n_field; k++)
        if (arg_named(c, given->u.t.field[k].name, strlen(given->u.t.field[k].name))) val_set(t, given->u.t.field[k].name, val_copy(given->u.t.field[k].v));
    bool plain = false; /* after -- */
    for (size_t i = 0; i < n; i++) {
        const char *w = word[i];
        size_t eq = strcspn(w, "=");
        int r = 0;
        if (!plain && strcmp(w, "--") == 0) plain = true;
        else if (!plain && w[0] == '-' && w[1] == '-') r = long_word(c, t, word, n, &i, e);
        else if (!plain && w[0] == '-' && w[1] && !looks_negative(w)) r = short_word(c, t, w, e);
        else if (!plain && w[eq] == '=' && arg_named(c, w, eq)) val_set(t, arg_named(c, w, eq)->name, args_text(w + eq + 1));
        else if (!plain && w[eq] == '=' && eq > 0 && sets_property(c)) {
            char *name = mem_strn(w, eq); /* hone set lr=0.1 */
            val_set(t, name, args_text(w + eq + 1));
            free(name);
        } else if (!plain && w[eq] == '=' && eq > 0 && !takes_position(c)) r = unknown_name(c, w, eq, e);
        else if (!plain && w[eq] == '=' && eq > 0 && misplaced(c, w, eq, e)) r = -1;
        else val_push(t, args_text(w));
        if (r) {
            val_free(t);
            return NULL;
        }
    }
    return t;
}

const char *opts_nearest_command(const char *word) {
    const char *names[256];
    size_t n = 0;
    for (const struct cmd *const *const *list = app_cmds; *list; list++)
        for (const struct cmd *const *c = *list; *c && n < LEN(names); c++)
            if ((*c)->flags & CMD_LINE) names[n++] = (*c)->kind.name;
    return args_nearest(word, names, n);
}

void opts_usage(struct buf *b, struct hub *h) {
    buf_adds(b, "hone - train, evaluate and compress neural networks in a terminal\n\n"
                "  hone                                 dashboard of this folder's session: attach to it, or start one\n"
                "  hone demo [NAME]                     a built-in example: fashion, intents, article, credit\n"
                "  hone run [OPTIONS] SCRIPT [ARG..]    run an experiment; it sees ARG in the table arg; -: from standard input\n"
                "  hone -c 'COMMAND ARGS'               one or more commands, in order\n"
                "  hone COMMAND [ARGS]                  one command of the list below: NAME=VALUE or --name VALUE\n"
                "  hone help [TOPIC]                    a command, layer, optimiser ... in full\n\nOptions:\n");
    for (size_t i = 0; i < n_opts; i++) {
        const struct opt *r = &opt_rows[i];
        char left[64];
        if (!r->help) continue;
        snprintf(left, sizeof left, "%s%s%s", r->name, r->value ? " " : "", r->value ? r->value : "");
        buf_addf(b, "  %-38s %s\n", left, r->help);
    }
    buf_adds(b, "\nCommands:\n");
    for (size_t i = 0; i < hub_count(h); i++) {
        const struct cmd *c = hub_cmd(h, i);
        struct buf name = BUF_INIT;
        if ((c->flags & (CMD_LINE | CMD_HIDDEN)) != CMD_LINE) continue;
        help_words(h, c, &name);
        buf_addf(b, "  %-12s %s\n", name.data, c->kind.help);
        buf_release(&name);
    }
    buf_adds(b, "\nExit: 0 done, 1 failed, 2 usage, 3 stopped by the user, 4 goal not met, 75 preempted (start again to go on), 128+N signal N.\n");
}

#define FIELD(f) offsetof(struct opts, f)
static const struct opt opt_rows[] = {
    {"--json", OPT_FLAG, FIELD(json), NULL, NULL, "one JSON object a line on stdout, nothing else"},
    {"--plain", OPT_FLAG, FIELD(plain), NULL, NULL, "line mode even on a terminal"},
    {"--quiet", OPT_FLAG, FIELD(quiet), NULL, NULL, "results only"},
    {"--threads", OPT_PROP, 0, "threads", "N", "worker threads; 0: every core"},
    {"--ranks", OPT_PROP, 0, "ranks", "N", "processes that share the work of each training step, on GPUs one each"},
    {"--device", OPT_PROP_TEXT, 0, "device", "cpu|cuda[:N]", "where to compute"},
    {"--seed", OPT_PROP, 0, "seed", "N", "seed of every random stream"},
    {"--set", OPT_PAIR, 0, NULL, "NAME=VALUE", "set a property before anything runs; repeatable"},
    {"--data", OPT_PROP_TEXT, 0, "data", "DIR", "first place to look for data sets"},
    {"--runs", OPT_TEXT, FIELD(runs), NULL, "DIR", "where runs are kept (else HONE_RUNS, else ./runs)"},
    {"--deterministic", OPT_PROP_ON, 0, "deterministic", NULL, "pin the kernel choices"},
    {"--color", OPT_PROP_TEXT, 0, "color", "auto|256|16|8|none", "colours of the dashboard"},
    {"--glyphs", OPT_PROP_TEXT, 0, "glyphs", "auto|braille|half|line|ascii", "what charts are drawn with"},
    {"--budget", OPT_PROP_BYTES, 0, "budget", "BYTES_A_SECOND", "cap on what the dashboard sends"},
    {"-c", OPT_COMMAND, 0, NULL, "'COMMAND ARGS'", "run this command; repeatable"},
    {"--help", OPT_FLAG, FIELD(help), NULL, NULL, "this text"},
    {"-h", OPT_FLAG, FIELD(help), NULL, NULL, NULL},
    {"--version", OPT_FLAG, FIELD(version), NULL, NULL, "version, kernels, libraries"},
    {"--license", OPT_FLAG, FIELD(license), NULL, NULL, "the licence"},
    {"--session", OPT_FLAG, FIELD(session), NULL, NULL, NULL},
    {"--viewer", OPT_FLAG, FIELD(viewer), NULL, NULL, NULL},
    {"--rank", OPT_TEXT, FIELD(rank), NULL, "N", NULL},
    {"--idle", OPT_TEXT, FIELD(idle), NULL, "SECONDS", NULL},
    {"--ready", OPT_TEXT, FIELD(ready), NULL, "FD", NULL},
};
static const size_t n_opts = LEN(opt_rows);
