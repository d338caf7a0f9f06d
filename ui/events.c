/* Events as log lines, and what the dashboard keeps of them: marks on charts, the last alert, the last edit and checkpoint. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "ui/draw/fmt.h"
#include "ui/private.h"

static const double epoch_s = 10; /* a line that says more than the title does, but one that nobody could read at two a second */

void log_add(struct ui *u, enum ink ink, const char *fmt, ...) {
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct log_line *l = &u->log[u->n_log++ % LOG_LINES];
    free(l->text);
    l->text = mem_str(text);
    l->ink = (uint8_t)ink;
    snprintf(u->last, sizeof u->last, "%.199s", text);
    if (u->acting && ink == INK_BAD) snprintf(u->complaint, sizeof u->complaint, "%.199s", text);
    u->dirty = u->dirty || u->acting;
}

const struct log_line *log_at(const struct ui *u, int64_t i) { return i < 0 || i >= u->n_log || i < u->n_log - LOG_LINES ? NULL : &u->log[i % LOG_LINES]; }

void value_short(struct buf *b, const struct val *v) {
    char num[FMT_MAX];
    double d;
    if (!v || v->type == VAL_NIL) buf_adds(b, "-");
    else if (v->type == VAL_STR) buf_adds(b, v->u.s.p);
    else if (v->type == VAL_BOOL) buf_adds(b, v->u.b ? "true" : "false");
    else if (v->type == VAL_TABLE) buf_adds(b, "{..}");
    else if (val_as_num(v, &d)) buf_adds(b, d == (double)(int64_t)d && d > -1e9 && d < 1e9 ? fmt_count(num, (int64_t)d) : fmt_value(num, d));
}

static void fields_text(struct buf *b, const struct val *t) {
    static const char *const skip[] = {"t", "event", "run", "step", "lua", "split", "level"};
    for (size_t i = 0; t && t->type == VAL_TABLE && i < t->u.t.n_field; i++) {
        bool shown = true;
        for (size_t k = 0; k < LEN(skip); k++)
            if (strcmp(t->u.t.field[i].name, skip[k]) == 0) shown = false;
        if (!shown) continue;
        buf_addf(b, "  %s ", t->u.t.field[i].name);
        value_short(b, t->u.t.field[i].v);
    }
}

static void mark_add(struct ui *u, int64_t step, const char *text) {
    if (u->n_marks == MARKS) { /* the oldest goes */
        memmove(u->mark_text, u->mark_text[1], sizeof u->mark_text - sizeof u->mark_text[0]);
        memmove(u->mark, u->mark + 1, sizeof u->mark - sizeof u->mark[0]);
        u->n_marks--;
    }
    snprintf(u->mark_text[u->n_marks], sizeof u->mark_text[0], "%.31s", text);
    u->mark[u->n_marks++].step = step;
    for (int i = 0; i < u->n_marks; i++) u->mark[i].text = u->mark_text[i];
}

static void edit_seen(struct ui *u, const struct val *ev, struct buf *b) {
    char mark[64], num[FMT_MAX];
    int64_t step = val_get_int(ev, "step", 0);
    const char *name = val_get_str(ev, "name", "?");
    double v;
    buf_addf(b, "step %lld %s ", (long long)step, name);
    value_short(b, val_get(ev, "old"));
    buf_adds(b, " -> ");
    value_short(b, val_get(ev, "new"));
    const char *by = val_get_str(ev, "by", "user");
    buf_addf(b, " by %s", strcmp(by, "user") == 0 || strcmp(by, "key") == 0 ? "you (undo: u)" : by);
    snprintf(mark, sizeof mark, "%.20s %s", name, val_as_num(val_get(ev, "new"), &v) ? fmt_short(num, v) : "edit");
    mark_add(u, step, mark);
    snprintf(u->edited, sizeof u->edited, "%.31s", name);
    u->edited_step = step;
}

/* One line of text for an event, and its effect on what the dashboard keeps. NULL ink: not shown. */
void event_seen(void *ctx, uint64_t seq, const struct val *ev) {
    struct ui *u = ctx;
    const char *event = val_get_str(ev, "event", ""), *run = val_get_str(ev, "run", NULL), *text = val_get_str(ev, "text", NULL),
               *level = val_get_str(ev, "level", "info");
    bool ours = run && u->run && strcmp(run, run_name(u->run)) == 0;
    char when[FMT_MAX];
    struct buf b = BUF_INIT;
    enum ink ink = INK_TEXT;
    if (strcmp(event, "metric") == 0 || strcmp(level, "debug") == 0) return;
    if (strcmp(event, "state") == 0 && strcmp(val_get_str(ev, "state", ""), "paused") != 0) return; /* the title shows it */
    buf_addf(&b, "%s ", fmt_clock(when, val_get_num(ev, "t", 0)));
    if (run && !ours) buf_addf(&b, "%s ", run);
    if (strcmp(event, "edit") == 0) {
        edit_seen(u, ev, &b);
        ink = INK_WARN;
    } else if (strcmp(event, "notice") == 0 || strcmp(event, "alert") == 0 || strcmp(event, "log") == 0) {
        bool bad = strcmp(event, "alert") == 0 || strcmp(level, "warn") == 0 || strcmp(level, "error") == 0;
        if (bad) buf_addf(&b, "%s: ", strcmp(event, "alert") == 0 ? "alert" : level);
        buf_adds(&b, text ? text : "");
        ink = !bad ? INK_TEXT : strcmp(level, "warn") == 0 ? INK_WARN : INK_BAD;
        if (bad && u->drawer) snprintf(u->complaint, sizeof u->complaint, "%.199s", text ? text : ""); /* it covers where it would be seen */
        if (bad) u->alerts++, snprintf(u->alert, sizeof u->alert, "%.599s", text ? text : "");
        if (strcmp(event, "alert") == 0)
            snprintf(u->banner, sizeof u->banner, "%s%s%.140s", ours || !run ? "" : run, ours || !run ? "" : ": ", text ? text : "");
        if (strcmp(event, "alert") == 0 && u->scr && u->bell && seq >= u->bell_from) screen_bell(u->scr);
    } else if (strcmp(event, "note") == 0) {
        int64_t step = val_get_int(ev, "step", 0);
        buf_addf(&b, "step %lld note: %s", (long long)step, text ? text : "");
        mark_add(u, step, text ? text : "note");
    } else if (strcmp(event, "state") == 0) {
        buf_addf(&b, "paused after step %lld; p goes on", (long long)val_get_int(ev, "step", 0));
    } else {
        int64_t step = val_get_int(ev, "step", -1);
        const char *split = val_get_str(ev, "split", NULL);
        buf_adds(&b, event);
        if (split) buf_addf(&b, " %s", split);
        if (step >= 0) buf_addf(&b, " step %lld", (long long)step);
        if (strcmp(event, "result") == 0) fields_text(&b, val_get(ev, "values"));
        else fields_text(&b, ev);
        if (strcmp(event, "checkpoint") == 0 && step >= 0) snprintf(u->ckpt, sizeof u->ckpt, "ckpt step %lld", (long long)step);
        if (strcmp(event, "end") == 0 && ours && u->scr && seq >= u->bell_from) {
            char said[160];
            snprintf(said, sizeof said, "%.100s %.20s", run, val_get_str(ev, "state", ""));
            says_ended(u, said);
        }
        if (strcmp(event, "end") == 0) ink = strcmp(val_get_str(ev, "state", ""), "done") == 0 ? INK_GOOD : INK_BAD;
    }
    char last[sizeof u->last]; /* frequent ones do not push an edit out of the Overview's line */
    memcpy(last, u->last, sizeof last);
    log_add(u, ink, "%s", b.data);
    bool epoch = strcmp(event, "epoch") == 0, soon = epoch && u->clock() - u->epoch_t < epoch_s;
    if (strcmp(event, "eval") == 0 || strcmp(event, "checkpoint") == 0 || soon) memcpy(u->last, last, sizeof last);
    if (epoch && !soon) u->epoch_t = u->clock();
    buf_release(&b);
}
