/* Help texts and the tables of the manual pages, from the rows alone. Reads immutable tables: any thread. */
#include "config.h"

#include "src/call/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/args_text.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/call/parse.h"
#include "src/call/port.h"
#include "src/call/settings.h"

/* ---- help for people ---- */

static void list_commands(struct hub *h, struct buf *out) {
    static const char *const where[] = {
        "Commands (help NAME tells more):\n", "\nIn scripts, at the prompt and after : in the dashboard:\n", "\nOf the dashboard:\n"};
    size_t wide = 0;
    for (size_t i = 0; i < hub_count(h); i++)
        if (strlen(hub_cmd(h, i)->kind.name) > wide) wide = strlen(hub_cmd(h, i)->kind.name);
    for (int part = 0; part < (int)LEN(where); part++)
        for (size_t i = 0, n = 0; i < hub_count(h); i++) {
            const struct cmd *c = hub_cmd(h, i);
            int of = c->flags & CMD_LINE ? 0 : c->owner == OWNER_UI ? 2 : 1;
            if (c->flags & CMD_HIDDEN || of != part) continue;
            if (n++ == 0) buf_adds(out, where[part]);
            buf_addf(out, "  %-*s  %s\n", (int)wide, c->kind.name, c->kind.help);
        }
    buf_adds(out, "\nMore topics: properties, keys");
    for (const struct catalog *c = hub_catalogs(h); c->group; c++) buf_addf(out, ", %s", c->group);
    buf_addc(out, '\n');
}

static void list_group(const struct catalog *c, struct buf *out) {
    buf_addf(out, "%s (help %s.NAME tells more):\n", c->group, c->group);
    for (size_t i = 0; c->kinds[i]; i++) buf_addf(out, "  %s.%-16s  %s\n", c->group, c->kinds[i]->name, c->kinds[i]->help);
}

static void one_property(const struct arg *a, const char *of, struct buf *out) {
    buf_addf(out, "%s - ", a->name);
    args_about(out, a);
    buf_addf(out, "; of %s; takes effect %s\n", of, args_when(a));
}

/* Calls fn once for each live argument of settings, kinds, commands. */
static void each_live(struct hub *h, void (*fn)(const struct arg *a, const char *of, void *ctx), void *ctx) {
    for (const struct arg *a = settings_kind.args; a->name; a++) fn(a, "hone", ctx);
    for (size_t i = 0; i < hub_count(h); i++)
        for (const struct arg *a = hub_cmd(h, i)->kind.args; a && a->name; a++)
            if (a->flags & ARG_LIVE) fn(a, hub_cmd(h, i)->kind.name, ctx);
    for (const struct catalog *c = hub_catalogs(h); c->group; c++)
        for (size_t i = 0; c->kinds[i]; i++)
            for (const struct arg *a = c->kinds[i]->args; a && a->name; a++)
                if (a->flags & ARG_LIVE) {
                    struct buf of = BUF_INIT;
                    buf_addf(&of, "%s.%s", c->group, c->kinds[i]->name);
                    fn(a, of.data, ctx);
                    buf_release(&of);
                }
}

struct wanted {
    const char *name; /* NULL: all */
    struct buf *out;
    int found;
    const struct arg *first;
};
/* Of a name that many have (lr) the first is told in full, of the others who has it and what differs. */
static void add_live(const struct arg *a, const char *of, void *ctx) {
    struct wanted *w = ctx;
    if (w->name && strcmp(a->name, w->name) != 0) return;
    bool more = w->name && w->found++;
    if (!more) {
        w->first = a;
        one_property(a, of, w->out);
        return;
    }
    buf_adds(w->out, w->found == 2 ? "also of " : ", ");
    buf_adds(w->out, of);
    if (a->def && !(w->first->def && strcmp(a->def, w->first->def) == 0)) buf_addf(w->out, " (default %s)", a->def);
}

static void list_keys(struct hub *h, struct buf *out) {
    buf_adds(out, "Keys:\n");
    for (const struct key *k = hub_keys(h); k->keys; k++)
        buf_addf(out, "  %-8s  %-24s  %s%s%s%s\n", k->keys, k->command, k->help ? k->help : "", k->screen ? " (" : "", k->screen ? k->screen : "",
            k->screen ? ")" : "");
    if (!hub_keys(h)->keys) buf_adds(out, "  none: there is no dashboard here\n");
}

static bool kinds_named(struct hub *h, const char *topic, struct buf *out) {
    bool found = false;
    const char *dot = strchr(topic, '.'), *name = dot ? dot + 1 : topic;
    for (const struct catalog *c = hub_catalogs(h); c->group; c++) {
        if (dot && (strlen(c->group) != (size_t)(dot - topic) || strncmp(c->group, topic, (size_t)(dot - topic)) != 0)) continue;
        for (size_t i = 0; c->kinds[i]; i++) {
            if (strcmp(c->kinds[i]->name, name) != 0) continue;
            buf_addf(out, "%s.", c->group);
            args_help(out, c->kinds[i]);
            if (!c->kinds[i]->example && c->tag && !args_required(c->kinds[i])) buf_addf(out, "example: %s.%s{}\n", c->group, c->kinds[i]->name);
            found = true;
        }
    }
    return found;
}

static int no_topic(struct hub *h, const char *topic, struct err *e) {
    size_t n = 0, cap = hub_count(h) + 2;
    struct buf shown = BUF_INIT;
    for (const struct catalog *c = hub_catalogs(h); c->group; c++) {
        cap++;
        for (size_t i = 0; c->kinds[i]; i++) cap++;
    }
    const char **names = X_NEW(const char *, cap);
    names[n++] = "properties";
    names[n++] = "keys";
    for (size_t i = 0; i < hub_count(h); i++) names[n++] = hub_cmd(h, i)->kind.name;
    for (const struct catalog *c = hub_catalogs(h); c->group; c++) {
        names[n++] = c->group;
        for (size_t i = 0; c->kinds[i]; i++) names[n++] = c->kinds[i]->name;
    }
    const char *near = args_nearest(topic, names, n);
    if (!near) near = parse_nearest_property(h, topic, NULL, 0);
    utf8_show(&shown, topic, strlen(topic), 60, UTF8_FULL);
    if (near) err_code(e, ERR_USAGE, "help: there is no topic '%s', did you mean '%s'?", shown.data, near);
    else err_code(e, ERR_USAGE, "help: there is no topic '%s'; help lists the commands", shown.data);
    free(names);
    buf_release(&shown);
    return -1;
}

void help_words(struct hub *h, const struct cmd *c, struct buf *out) {
    const char *under = strchr(c->kind.name, '_');
    char first[64];
    snprintf(first, sizeof first, "%.*s", under ? (int)(under - c->kind.name) : 0, c->kind.name);
    if (under && hub_find(h, first)) buf_addf(out, "%s %s", first, under + 1);
    else buf_adds(out, c->kind.name);
}

/* "hone eval [MODEL] [DATA] [NAME=VALUE ..]" */
static void synopsis(struct hub *h, const struct cmd *c, struct buf *out) {
    bool named = false;
    buf_adds(out, "hone ");
    help_words(h, c, out);
    for (const struct arg *a = c->kind.args; a && a->name; a++) {
        bool must = a->flags & ARG_REQUIRED;
        named |= !(a->flags & (ARG_POSITIONAL | ARG_REST));
        if (!(a->flags & (ARG_POSITIONAL | ARG_REST))) continue;
        buf_adds(out, must ? " " : " [");
        for (const char *p = a->name; *p; p++) buf_addc(out, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
        buf_adds(out, a->flags & ARG_REST ? " .." : "");
        if (!must) buf_addc(out, ']');
    }
    if (named) buf_adds(out, " [NAME=VALUE ..]");
}

/* Lines from `start` on that are longer than 79 bytes go on below where their text begins; an example stays as it is, to be copied. */
void help_fold(struct buf *out, size_t start) {
    enum { WIDE = 79, DEEP = 44 };
    struct buf b = BUF_INIT;
    for (const char *p = out->data + start, *end; *p; p = *end ? end + 1 : end) {
        size_t hang = 4;
        end = p + strcspn(p, "\n");
        bool whole = strncmp(p, "example:", 8) == 0;
        const char *gap = strncmp(p, "  ", 2) == 0 && p[2] != ' ' ? strstr(p + 2, "  ") : NULL;
        if (gap && gap < end) hang = (size_t)(gap - p) + strspn(gap, " ");
        if (hang > DEEP) hang = 4;
        size_t left = WIDE;
        while (!whole && (size_t)(end - p) > left) {
            const char *cut = p + left;
            while (cut > p + (left == WIDE ? hang : 0) && *cut != ' ') cut--;
            if (*cut != ' ') break; /* one long word */
            buf_add(&b, p, (size_t)(cut - p));
            buf_addf(&b, "\n%*s", (int)hang, "");
            p = cut + 1;
            left = WIDE - hang;
        }
        buf_add(&b, p, (size_t)(end - p));
        if (*end) buf_addc(&b, '\n');
    }
    out->len = start;
    buf_add(out, b.data ? b.data : "", b.len);
    buf_release(&b);
}

int help_topic(struct hub *h, const char *topic, struct buf *out, struct err *e) {
    size_t start = out->len;
    if (topic && strncmp(topic, "hone.", 5) == 0) topic += 5;
    if (!topic || !*topic) {
        list_commands(h, out);
        help_fold(out, start);
        return 0;
    }
    const struct cmd *cmd = hub_find(h, topic);
    struct wanted w = {strcmp(topic, "properties") == 0 ? NULL : topic, out, 0, NULL};
    if (strcmp(topic, "keys") == 0) list_keys(h, out);
    if (cmd) args_help(out, &cmd->kind);
    if (cmd && cmd->flags & CMD_LINE) {
        buf_adds(out, "on the command line: ");
        synopsis(h, cmd, out);
        buf_addc(out, '\n');
    }
    for (const struct catalog *c = hub_catalogs(h); c->group; c++)
        if (strcmp(c->group, topic) == 0) list_group(c, out);
    kinds_named(h, topic, out);
    each_live(h, add_live, &w);
    if (w.found > 1) buf_addc(out, '\n');
    if (out->len == start) return no_topic(h, topic, e);
    help_fold(out, start);
    return 0;
}

/* ---- tables of the manual pages, man(7) ---- */

static void roff(struct buf *out, const char *s) {
    bool start = out->len == 0 || out->data[out->len - 1] == '\n';
    if (start && (*s == '.' || *s == '\'')) buf_adds(out, "\\&");
    for (; *s; s++) {
        if (*s == '\\') buf_adds(out, "\\e");
        else if (*s == '-') buf_adds(out, "\\-");
        else if (*s == '\n') buf_adds(out, s[1] == '.' || s[1] == '\'' ? "\n\\&" : "\n");
        else buf_addc(out, *s);
    }
}

static void roff_args(struct buf *out, const struct kind *k) {
    for (const struct arg *a = k->args; a && a->name; a++) {
        struct buf t = BUF_INIT;
        buf_adds(out, ".TP\n.B ");
        roff(out, a->name);
        buf_addc(out, '\n');
        args_about(&t, a);
        if (a->flags & ARG_REQUIRED) buf_adds(&t, ", required");
        if (a->flags & ARG_LIVE) buf_addf(&t, "; live, %s", args_when(a));
        roff(out, t.data);
        buf_addc(out, '\n');
        buf_release(&t);
    }
}

/* example: Lua, or how it is typed. */
static void roff_kind(struct buf *out, const char *before, const char *name, const char *after, const struct kind *k, const char *example) {
    buf_adds(out, ".SS ");
    roff(out, before);
    roff(out, name);
    roff(out, after);
    buf_addc(out, '\n');
    roff(out, k->help);
    buf_adds(out, ".\n");
    roff_args(out, k);
    if (example) {
        buf_adds(out, ".PP\n.EX\n");
        roff(out, example);
        buf_adds(out, "\n.EE\n");
    }
}

static void roff_command(struct hub *h, const struct cmd *c, struct buf *out) {
    struct buf name = BUF_INIT, typed = BUF_INIT;
    help_words(h, c, &name);
    synopsis(h, c, &typed);
    roff_kind(out, "hone ", name.data, "", &c->kind, typed.data);
    buf_release(&name);
    buf_release(&typed);
}

static void roff_live(const struct arg *a, const char *of, void *ctx) {
    struct buf *out = ctx, t = BUF_INIT;
    one_property(a, of, &t);
    const char *text = strstr(t.data, " - ") + 3;
    buf_adds(out, ".TP\n.B ");
    roff(out, a->name);
    buf_addc(out, '\n');
    roff(out, text);
    buf_release(&t);
}

void help_manual(struct hub *h, enum help_manual part, struct buf *out) {
    buf_add(out, "", 0);
    switch (part) {
    case MAN_LINE:
    case MAN_COMMANDS:
        for (size_t i = 0; i < hub_count(h); i++) {
            const struct cmd *c = hub_cmd(h, i);
            if (c->flags & CMD_HIDDEN || (part == MAN_LINE && !(c->flags & CMD_LINE))) continue;
            if (part == MAN_LINE) roff_command(h, c, out);
            else roff_kind(out, "hone.", c->kind.name, "{...}", &c->kind, c->kind.example);
        }
        break;
    case MAN_KINDS:
        for (const struct catalog *c = hub_catalogs(h); c->group; c++) {
            for (size_t i = 0; c->kinds[i]; i++) {
                struct buf before = BUF_INIT;
                buf_addf(&before, "%s.", c->group);
                roff_kind(out, before.data, c->kinds[i]->name, c->tag ? "{...}" : "", c->kinds[i], c->kinds[i]->example);
                buf_release(&before);
            }
        }
        break;
    case MAN_PROPERTIES: each_live(h, roff_live, out); break;
    case MAN_KEYS:
        for (const struct key *k = hub_keys(h); k->keys; k++) {
            buf_adds(out, ".TP\n.B ");
            roff(out, k->keys);
            buf_addc(out, '\n');
            roff(out, k->help ? k->help : k->command);
            if (k->screen) buf_addf(out, " (in %s)", k->screen);
            buf_addc(out, '\n');
        }
        break;
    case MAN_N: break;
    }
}

const char *const help_manual_names[MAN_N + 1] = {"line", "commands", "kinds", "properties", "keys", NULL}; /* ORDER enum help_manual */

/* ---- search ---- */

static bool holds(const char *where, const char *what) { return where && strcasestr(where, what); }

static void hit(struct buf *out, const char *group, const char *name, const char *help) {
    struct buf full = BUF_INIT;
    buf_addf(&full, "%s%s%s", group, *group ? "." : "", name);
    buf_addf(out, "%s%-24s %s", out->len ? "\n" : "", full.data, help);
    buf_release(&full);
}

/* The arguments of a kind; one that many kinds share is told once. */
static void find_args(const char *group, const struct kind *k, const char *text, struct buf *out) {
    for (const struct arg *a = k->args; a && a->name; a++) {
        if ((!holds(a->name, text) && !holds(a->help, text)) || (out->len && strstr(out->data, a->help))) continue;
        struct buf name = BUF_INIT;
        buf_addf(&name, "%s{%s=}", k->name, a->name);
        hit(out, group, name.data, a->help);
        buf_release(&name);
    }
}

int help_find(struct hub *h, const char *text, struct buf *out, struct err *e) {
    for (size_t i = 0; i < hub_count(h); i++) {
        const struct cmd *c = hub_cmd(h, i);
        if (!(c->flags & CMD_HIDDEN) && (holds(c->kind.name, text) || holds(c->kind.help, text))) hit(out, "hone", c->kind.name, c->kind.help);
    }
    for (const struct catalog *c = hub_catalogs(h); c->group; c++)
        for (size_t i = 0; c->kinds[i]; i++)
            if (holds(c->kinds[i]->name, text) || holds(c->kinds[i]->help, text)) hit(out, c->group, c->kinds[i]->name, c->kinds[i]->help);
    for (const struct arg *a = settings_kind.args; a->name; a++)
        if (holds(a->name, text) || holds(a->help, text)) hit(out, "hone.prop", a->name, a->help);
    for (size_t i = 0; i < hub_count(h); i++)
        if (!(hub_cmd(h, i)->flags & CMD_HIDDEN)) find_args("hone", &hub_cmd(h, i)->kind, text, out);
    for (const struct catalog *c = hub_catalogs(h); c->group; c++)
        for (size_t i = 0; c->kinds[i]; i++) find_args(c->group, c->kinds[i], text, out);
    return out->len ? 0 : err_set(e, "nothing is called or described by \"%s\"; help lists the commands", text);
}
