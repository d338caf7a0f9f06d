/* The lists behind the palette, the key help and the stop menu: rows are made from the key table, the command table, the
 * screens, the metrics of the run and the settings; a fuzzy filter orders them. UI thread. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/call/settings.h"
#include "ui/edit.h"
#include "ui/runs.h"

/* Letters of `want` in order; smaller is better, -1: no match. Gaps and a late start cost. */
static int fuzzy(const char *want, const char *text) {
    int score = 0, gap = 0;
    bool begun = false;
    for (; *want; text++) {
        if (!*text) return -1;
        if (*want == ' ') {
            want++;
            text--;
            continue;
        }
        if (tolower((unsigned char)*want) == tolower((unsigned char)*text)) {
            score += begun ? gap * 2 : gap;
            gap = 0;
            begun = true;
            want++;
        } else {
            gap++;
        }
    }
    return score;
}

/* Whether the letters of `want` stand in the text in order, each at the start of a word or behind the one before: "lr" in "learning rate", but "stop" not in
 * "events and captured output". */
static bool initials(const char *want, const char *text) {
    bool after[257] = {true}, next[257]; /* [i]: the letters so far can end before text[i] */
    size_t n = strlen(text) < 256 ? strlen(text) : 256;
    bool joined = false;
    for (; *want; want++) {
        if (*want == ' ') {
            joined = false;
            continue;
        }
        bool passed = false, any = false;
        memset(next, 0, sizeof next);
        for (size_t i = 0; i < n; i++) {
            passed = passed || after[i];
            bool start = i == 0 || !isalnum((unsigned char)text[i - 1]);
            if (tolower((unsigned char)*want) == tolower((unsigned char)text[i]) && ((start && passed) || (joined && after[i]))) any = next[i + 1] = true;
        }
        if (!any) return false;
        memcpy(after, next, sizeof after);
        joined = true;
    }
    return true;
}

static void add(struct ui *u, const char *label, const char *detail, const char *command) {
    char both[256];
    snprintf(both, sizeof both, "%s %s", label, detail);
    int a = fuzzy(u->field.text, label), b = initials(u->field.text, both) ? fuzzy(u->field.text, both) : -1;
    if (u->popup == POP_STOP) a = b = 0;
    if (a < 0 && b < 0) return;
    struct item *it = &u->item[u->n_item++];
    snprintf(it->label, sizeof it->label, "%.95s", label);
    snprintf(it->detail, sizeof it->detail, "%.95s", detail);
    snprintf(it->command, sizeof it->command, "%.159s", command);
    it->score = (a >= 0 ? a : b + 1000) * 4096 + u->n_item;
}

static int by_score(const void *a, const void *b) { return ((const struct item *)a)->score - ((const struct item *)b)->score; }

/* The keys of this screen, those it shares with some, those of every screen, and for the palette those of the other screens. On the Overview those that steer
 * the run come before those of its chart. */
static void key_items(struct ui *u) {
    const struct view *v = views[u->screen];
    int shared = u->screen == SCR_OVERVIEW ? 2 : 1;
    for (int part = 0; part < (u->popup == POP_PALETTE ? 4 : 3); part++)
        for (const struct key_row *r = key_rows(); r->keys; r++) {
            bool general = strcmp(r->screen, "*") == 0, own = strcmp(r->screen, v->name) == 0;
            if (part != (own ? 0 : general ? 3 - shared : keys_of(r, v) ? shared : 3)) continue;
            char detail[96];
            snprintf(detail, sizeof detail, "%.70s  [%s]", r->help, r->keys);
            if (u->popup == POP_HELP) add(u, r->keys, r->help, r->command);
            else add(u, r->command, detail, r->command);
        }
}

/* The user's other sessions: asked for when the palette opens, there a moment later. */
static void sessions_came(struct ui *u, void *ctx, const struct call *c) {
    (void)ctx;
    if (c->status != 0) return;
    val_free(u->sessions);
    u->sessions = val_copy(c->result);
    if (u->popup == POP_PALETTE) list_fill(u);
}

void list_ask(struct ui *u) {
    runs_want(u);
    if (hub_find(u->hub, "sessions") && hub_find(u->hub, "switch")) ui_ask(u, "sessions", NULL, sessions_came, NULL);
}

static void session_items(struct ui *u) {
    for (size_t i = 0; i < val_len(u->sessions); i++) {
        const struct val *v = val_at(u->sessions, i);
        const char *folder = val_get_str(v, "folder", ""), *slash = strrchr(folder, '/');
        char label[96], detail[96], command[32];
        if (val_get_int(v, "pid", 0) == getpid()) continue;
        snprintf(label, sizeof label, "session %.80s", slash && slash[1] ? slash + 1 : folder);
        snprintf(detail, sizeof detail, "%.24s %.16s  %.50s", val_get_str(v, "run", "no run"), val_get_str(v, "state", ""), folder);
        snprintf(command, sizeof command, "@%zu", i);
        add(u, label, detail, command);
    }
}

/* Runs on disk, the newest first; read when the palette opens. */
static void run_items(struct ui *u) {
    const struct shelf *s = runs_list(u);
    for (size_t i = s ? s->n : 0; i-- > 0;) {
        const struct shelf_run *r = s->run[i];
        char label[96], detail[96], command[96];
        snprintf(label, sizeof label, "run %.80s", r->name);
        snprintf(detail, sizeof detail, "%.16s  %.30s  %.30s", run_state_names[r->state], r->model, r->data);
        snprintf(command, sizeof command, "~%.90s", r->name);
        add(u, label, detail, command);
    }
}

void list_fill(struct ui *u) {
    u->list_old = false;
    size_t keys = 0, settings = 0, runs = runs_list(u) ? runs_list(u)->n : 0;
    while (key_rows()[keys].keys) keys++;
    while (settings_kind.args[settings].name) settings++;
    u->item = X_GROW(u->item, struct item, keys + settings + hub_count(u->hub) + RUN_MAX_METRICS + val_len(u->sessions) + val_len(u->props) + runs + 8);
    u->n_item = 0;
    if (u->popup == POP_STOP) {
        add(u, "after this epoch, then finish", "", "stop after=epoch");
        add(u, "after this step, and save", "", "stop after=step");
        add(u, "now, without saving", "", "stop after=now discard=true");
        add(u, "cancel", "", "");
        return;
    }
    key_items(u);
    int shown = u->n_item;
    if (u->popup == POP_PALETTE) session_items(u);
    for (size_t i = 0; i < hub_count(u->hub) && u->popup == POP_PALETTE; i++) {
        const struct cmd *c = hub_cmd(u->hub, i);
        char command[64];
        snprintf(command, sizeof command, "%s%.60s", args_required(&c->kind) ? "?" : "", c->kind.name);
        bool keyed = false; /* the row of its key is there already */
        for (int k = 0; k < shown && !keyed; k++) keyed = strcmp(u->item[k].label, c->kind.name) == 0;
        if (!(c->flags & (CMD_HIDDEN | CMD_SHELL)) && !keyed) add(u, c->kind.name, c->kind.help, command);
    }
    for (int i = 0; i < u->now.n && u->popup == POP_PALETTE; i++) {
        char label[64], command[32];
        snprintf(label, sizeof label, "metric %s", u->now.metric[i].name);
        snprintf(command, sizeof command, "#%d", i);
        add(u, label, "its chart", command);
    }
    if (u->popup == POP_PALETTE) run_items(u);
    for (size_t i = 0; i < val_len(u->props) && u->popup == POP_PALETTE; i++) { /* of the run; hone's own follow */
        const struct val *p = val_at(u->props, i);
        char label[64], command[64];
        struct buf b = BUF_INIT;
        if (strcmp(val_get_str(p, "of", ""), "run") != 0) continue;
        edit_about(p, &b);
        snprintf(label, sizeof label, "edit %.50s", val_get_str(p, "name", ""));
        snprintf(command, sizeof command, "!%.50s", val_get_str(p, "name", ""));
        add(u, label, b.data, command);
        buf_release(&b);
    }
    for (size_t i = 0; i < settings && u->popup == POP_PALETTE; i++) {
        char label[64], command[64];
        snprintf(label, sizeof label, "set %s", settings_kind.args[i].name);
        snprintf(command, sizeof command, "!%s", settings_kind.args[i].name);
        add(u, label, settings_kind.args[i].help ? settings_kind.args[i].help : "", command);
    }
    if (u->n_item && u->field.len) qsort(u->item, (size_t)u->n_item, sizeof *u->item, by_score);
}

static void switch_to(struct ui *u, const char *folder) {
    struct val *t = val_table();
    val_set_str(t, "folder", folder);
    ui_do(u, "switch", t, BY_PALETTE);
}

static void run_lua(struct ui *u, const char *text) {
    struct val *t = val_table();
    val_push(t, val_str(text));
    ui_do(u, "lua", t, BY_PALETTE);
}

/* Enter: "= lua", a whole command line, the selected row, or Lua when nothing matches. A stop asks first. */
void list_run(struct ui *u) {
    char text[FIELD_MAX], word[64];
    enum popup was = u->popup;
    struct item it = u->item_sel < u->n_item ? u->item[u->item_sel] : (struct item){0};
    bool any = u->item_sel < u->n_item;
    snprintf(text, sizeof text, "%s", u->field.text);
    snprintf(word, sizeof word, "%.*s", (int)(strcspn(text, " ") < 60 ? strcspn(text, " ") : 60), text);
    const struct cmd *named = was == POP_PALETTE && word[0] ? hub_find(u->hub, word) : NULL;
    popup_open(u, POP_NONE);
    if (was == POP_STOP) {
        if (!it.command[0]) return;
        u->popup = POP_CONFIRM;
        snprintf(u->confirm, sizeof u->confirm, "Stop the run: %.90s?", it.label);
        snprintf(u->confirm_lua, sizeof u->confirm_lua, "%.150s", it.command);
    } else if (text[0] == '=') {
        run_lua(u, text + 1);
    } else if (named && (strchr(text, ' ') || !args_required(&named->kind))) {
        if (strcmp(word, "stop") == 0) popup_open(u, POP_STOP);
        else ui_command(u, text, BY_PALETTE);
    } else if (!any) {
        if (text[0]) run_lua(u, text);
    } else if (it.command[0] == '#') {
        u->sel = atoi(it.command + 1);
        memset(&u->main_range, 0, sizeof u->main_range);
        ui_open_screen(u, SCR_METRICS);
        u->zoom = true;
    } else if (it.command[0] == '~') {
        struct val *t = val_table();
        val_set_str(t, "text", it.command + 1);
        ui_do(u, "find_runs", t, BY_PALETTE);
        ui_open_screen(u, SCR_RUNS);
    } else if (it.command[0] == '@') {
        const struct val *v = val_at(u->sessions, (size_t)atoi(it.command + 1));
        switch_to(u, val_get_str(v, "folder", ""));
    } else if (it.command[0] == '!') {
        if (strcmp(it.command, "!lr") == 0) popup_form(u, FORM_LR, NULL);
        else popup_form(u, FORM_SET, it.command + 1);
    } else if (it.command[0] == '?') { /* wants arguments: back with its name in the field */
        popup_open(u, POP_PALETTE);
        snprintf(u->field.text, sizeof u->field.text, "%s ", it.command + 1);
        u->field.len = u->field.cur = strlen(u->field.text);
        list_fill(u);
    } else if (strcmp(it.command, "stop") == 0) {
        popup_open(u, POP_STOP);
    } else {
        ui_command(u, it.command, was == POP_HELP ? BY_KEY : BY_PALETTE);
    }
}
