/* Reads $XDG_CONFIG_HOME/hone/keys (else ~/.config/hone/keys). Strings of the bindings live as long as the process. */
#include "config.h"

#include "ui/keymap.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/mem.h"

enum { BINDINGS = 128, PROBLEMS = 32, FILE_MAX = 64 << 10 };
static struct {
    struct key_row row[BINDINGS]; /* help: the command itself */
    int line[BINDINGS];
    int n;
    char *problem[PROBLEMS];
    int n_problem;
    char *path;
} map;

static void problem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void problem(const char *fmt, ...) {
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (map.n_problem < PROBLEMS) map.problem[map.n_problem++] = mem_str(text);
}

const char *keymap_path(void) {
    if (!map.path) map.path = io_config_path("keys");
    return map.path;
}
int keymap_count(void) { return map.n; }
int keymap_problems(void) { return map.n_problem; }

static bool screen_known(const char *name, const struct key_row *rows) {
    if (strcmp(name, "*") == 0) return true;
    for (int i = 0; i < SCR_N; i++)
        if (strcmp(views[i]->name, name) == 0) return true;
    for (; rows->keys; rows++) /* a name for several screens */
        if (strcmp(rows->screen, name) == 0) return true;
    return false;
}

/* One word; the rest of the line behind it. */
static char *word(char **at) {
    char *p = *at + strspn(*at, " \t");
    size_t n = strcspn(p, " \t");
    *at = p + n + (p[n] != 0);
    p[n] = 0;
    return p;
}

static void line_read(char *line, int number, const struct key_row *rows) {
    char *rest = line, *screen = word(&rest), *key = word(&rest);
    rest += strspn(rest, " \t");
    for (size_t n = strlen(rest); n > 0 && isspace((unsigned char)rest[n - 1]);) rest[--n] = 0;
    if (!*screen || *screen == '#') return;
    if (!*key || !*rest) {
        problem("%s line %d: a binding is SCREEN KEY COMMAND, or - instead of a command", map.path, number);
        return;
    }
    if (!screen_known(screen, rows)) {
        problem("%s line %d: there is no screen \"%.40s\"; * means all of them", map.path, number, screen);
        return;
    }
    if (strlen(key) > 15) {
        problem("%s line %d: there is no key \"%.40s\"; keys are called a, C-p, M-x, F5, PgUp, Space", map.path, number, key);
        return;
    }
    for (int i = 0; i < map.n; i++)
        if (strcmp(map.row[i].screen, screen) == 0 && strcmp(map.row[i].keys, key) == 0) {
            problem("%s line %d: key %s of screen %s is bound in line %d already, which stays", map.path, number, key, screen, map.line[i]);
            return;
        }
    if (map.n == BINDINGS) {
        problem("%s line %d: at most %d bindings are read", map.path, number, BINDINGS);
        return;
    }
    char *command = mem_str(rest);
    map.line[map.n] = number;
    map.row[map.n++] = (struct key_row){mem_str(screen), mem_str(key), command, command, NULL};
}

/* The keys of a row without one of them; NULL: none is left. */
static const char *without(const char *keys, const char *key) {
    struct buf b = BUF_INIT;
    for (const char *p = keys; *p;) {
        size_t n = strcspn(p, " ");
        if (n != strlen(key) || strncmp(p, key, n) != 0) buf_addf(&b, "%s%.*s", b.len ? " " : "", (int)n, p);
        p += n;
        p += *p == ' ';
    }
    char *left = b.len ? mem_strn(b.data, b.len) : NULL;
    buf_release(&b);
    return left;
}

static bool bound(const struct key_row *rows, const char *command) {
    for (; rows->keys; rows++)
        if (strcmp(rows->command, command) == 0) return true;
    for (int i = 0; i < map.n; i++)
        if (strcmp(map.row[i].command, command) == 0) return true;
    return false;
}

/* Takes the key from hone's own rows of that screen, says what that leaves without one. */
static void take_key(struct key_row *rows, size_t *n, const struct key_row *mine, int line) {
    for (size_t i = 0; i < *n; i++) {
        struct key_row was = rows[i];
        if (!keys_has(&was, mine->keys)) continue;
        if (strcmp(was.screen, mine->screen) != 0) {
            if (strcmp(mine->screen, "*") == 0)
                problem("%s line %d: key %s does %.60s on every screen but %s, which has it for %.60s", map.path, line, mine->keys, mine->command, was.screen,
                    was.command);
            continue;
        }
        const char *left = without(was.keys, mine->keys);
        if (left) {
            rows[i].keys = left;
            continue;
        }
        memmove(&rows[i], &rows[i + 1], (*n - i) * sizeof *rows); /* with the row that ends them */
        (*n)--;
        i--;
        if (!bound(rows, was.command)) problem("%s line %d: %.60s (%.60s) has no key any more; : finds it", map.path, line, was.command, was.help);
    }
}

void keymap_apply(const char *path, struct key_row *rows, size_t max) {
    struct buf text = BUF_INIT;
    struct err e = {0};
    size_t n = 0;
    while (rows[n].keys) n++;
    if (path && path != map.path) {
        free(map.path);
        map.path = mem_str(path);
    }
    if (!map.path || !io_exists(map.path)) return;
    if (io_read_file(map.path, FILE_MAX, &text, &e) != 0) {
        problem("%s", e.text);
        return;
    }
    buf_addc(&text, 0);
    int number = 1;
    for (char *p = text.data, *end; p && *p; p = end, number++) {
        size_t len = strcspn(p, "\n");
        end = p + len + (p[len] != 0);
        p[len] = 0;
        line_read(p, number, rows);
    }
    buf_release(&text);
    for (int i = 0; i < map.n; i++) take_key(rows, &n, &map.row[i], map.line[i]);
    for (int i = map.n - 1; i >= 0 && n < max; i--) { /* in front: the first match counts */
        if (strcmp(map.row[i].command, "-") == 0) continue;
        memmove(rows + 1, rows, (n + 1) * sizeof *rows);
        rows[0] = map.row[i];
        n++;
    }
}

void keymap_report(struct ui *u) {
    for (int i = 0; i < map.n; i++) {
        struct err e = {0};
        struct call *c = strcmp(map.row[i].command, "-") == 0 ? NULL : call_parse(u->hub, map.row[i].command, BY_CONFIG, &e);
        if (c) call_free(c);
        else if (e.text[0]) problem("%s line %d: %s", map.path, map.line[i], e.text);
    }
    for (int i = 0; i < map.n_problem; i++) log_add(u, INK_WARN, "keys: %s", map.problem[i]);
    if (map.n_problem) u->alerts += map.n_problem, snprintf(u->alert, sizeof u->alert, "%.159s", map.problem[0]);
}
