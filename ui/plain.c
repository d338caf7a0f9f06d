/* Line mode over the run record: events become lines (results to stdout, the rest to stderr) or JSON objects. Progress comes
 * from the record's current numbers at most once in 10 s, or as a bar redrawn in place on a terminal. One thread. */
#include "config.h"

#include "ui/plain.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"
#include "ui/draw/fmt.h"

#define PLAIN_INTERVAL 10.0 /* seconds between progress lines */
#define BAR_INTERVAL 0.2

struct plain {
    struct runs *rs;
    enum plain_mode mode;
    FILE *out, *notes;
    bool bar, ascii, bar_shown, broken;
    int fd[2];
    uint64_t next;
    void (*before)(void); /* at a prompt */
    double progress_t;
    uint64_t version;
    struct buf line;
    char failed[ERR_TEXT]; /* the newest error of a run that was shown */
    struct val *said; /* the numbers of the newest result of a run that was shown, or NULL */
};

struct plain *plain_new(struct runs *rs, enum plain_mode mode, FILE *out, FILE *notes, bool bar, bool ascii) {
    struct plain *p = X_NEW(struct plain, 1);
    *p = (struct plain){.rs = rs, .mode = mode, .out = out, .notes = notes, .bar = bar && mode == PLAIN_TEXT, .ascii = ascii, .fd = {-1, -1}, .next = 1};
    p->progress_t = clock_now();
    if (pipe(p->fd) == 0) {
        for (int i = 0; i < 2; i++) {
            fcntl(p->fd[i], F_SETFL, O_NONBLOCK);
            fcntl(p->fd[i], F_SETFD, FD_CLOEXEC);
        }
        runs_watch(rs, p->fd[1]);
    }
    return p;
}

int plain_fd(const struct plain *p) { return p->fd[0]; }
bool plain_broken(const struct plain *p) { return p->broken; }

static void show(struct plain *p, const char *text, int max) { utf8_show(&p->line, text, strlen(text), max, p->ascii ? UTF8_ASCII : UTF8_FULL); }

static void bar_clear(struct plain *p) {
    if (!p->bar_shown) return;
    fprintf(p->notes, "\r%78s\r", "");
    p->bar_shown = false;
}

void plain_at_prompt(struct plain *p, void (*before)(void)) {
    if (before) bar_clear(p);
    fflush(p->notes);
    p->before = before;
}

static void line_to(struct plain *p, FILE *f) {
    bar_clear(p);
    if (p->before) p->before();
    buf_addc(&p->line, '\n');
    if (fwrite(p->line.data, 1, p->line.len, f) != p->line.len && f == p->out) p->broken = true;
    if (fflush(f) != 0 && f == p->out) p->broken = true;
    buf_clear(&p->line);
}

/* A value on one line: {a=1, b={..}} loosely, as people read it. */
static void value_text(struct plain *p, const struct val *v) {
    char num[FMT_MAX];
    if (!v || v->type == VAL_NIL) buf_adds(&p->line, "-");
    else if (v->type == VAL_BOOL) buf_adds(&p->line, v->u.b ? "yes" : "no");
    else if (v->type == VAL_INT) buf_adds(&p->line, fmt_count(num, v->u.i));
    else if (v->type == VAL_NUM) buf_addnum(&p->line, v->u.n);
    else if (v->type == VAL_STR) utf8_show(&p->line, v->u.s.p, v->u.s.len, -1, p->ascii ? UTF8_ASCII : UTF8_FULL);
    else if (v->type == VAL_HANDLE) buf_addf(&p->line, "%s#%u", val_type_name(v), v->u.h.id);
    else {
        for (size_t i = 0; i < v->u.t.n_item; i++) {
            if (i) buf_adds(&p->line, " ");
            value_text(p, v->u.t.item[i]);
        }
        for (size_t i = 0; i < v->u.t.n_field; i++) {
            if (i || v->u.t.n_item) buf_adds(&p->line, "  ");
            show(p, v->u.t.field[i].name, 40);
            buf_addc(&p->line, ' ');
            const struct val *x = v->u.t.field[i].v;
            if (x->type == VAL_NUM) buf_adds(&p->line, fmt_value(num, x->u.n));
            else value_text(p, x);
        }
    }
}

static void numbers(struct plain *p, const struct val *ev) {
    char num[FMT_MAX];
    for (size_t i = 0; i < ev->u.t.n_field; i++) {
        const char *name = ev->u.t.field[i].name;
        double v;
        if (strcmp(name, "t") == 0 || strcmp(name, "step") == 0 || strcmp(name, "epoch") == 0 || !val_as_num(ev->u.t.field[i].v, &v)) continue;
        buf_adds(&p->line, "  ");
        show(p, name, 32);
        buf_addf(&p->line, " %s", fmt_value(num, v));
    }
}

/* ---- one function an event; the table is below ---- */

static void ev_start(struct plain *p, const struct val *ev) {
    char num[FMT_MAX];
    show(p, val_get_str(ev, "run", ""), 64);
    buf_adds(&p->line, ": ");
    show(p, val_get_str(ev, "model", "run"), 64);
    int64_t params = val_get_int(ev, "params", -1), threads = val_get_int(ev, "threads", -1), seed = val_get_int(ev, "seed", -1);
    if (params >= 0) buf_addf(&p->line, ", %s parameters", fmt_count(num, params));
    if (val_get(ev, "device")) {
        buf_adds(&p->line, ", ");
        show(p, val_get_str(ev, "device", ""), 32);
    }
    if (threads >= 0) buf_addf(&p->line, ", %lld thread%s", (long long)threads, threads == 1 ? "" : "s");
    if (seed >= 0) buf_addf(&p->line, ", seed %lld", (long long)seed);
    line_to(p, p->notes);
}

static void ev_epoch(struct plain *p, const struct val *ev) {
    char num[FMT_MAX], when[FMT_MAX];
    buf_addf(&p->line, "%s epoch ", fmt_clock(when, val_get_num(ev, "t", 0)));
    buf_adds(&p->line, fmt_short(num, val_get_num(ev, "epoch", 0)));
    buf_addf(&p->line, "  step %s", fmt_count(num, val_get_int(ev, "step", 0)));
    numbers(p, ev);
    line_to(p, p->notes);
}

static void ev_eval(struct plain *p, const struct val *ev) {
    static const char *const shown[] = {"loss", "acc", "acc_lo", "acc_hi", "ler", "f1_macro", "auroc", "r2", "rmse", "n"};
    char when[FMT_MAX], num[FMT_MAX];
    double v;
    struct run *r = val_get(ev, "run") ? runs_find(p->rs, val_get_str(ev, "run", "")) : NULL;
    if (r && strcmp(val_get_str(ev, "split", ""), "val") == 0 && !run_state_ended(run_state(r))) return; /* the epoch's line says it */
    buf_addf(&p->line, "%s evaluated ", fmt_clock(when, val_get_num(ev, "t", 0)));
    show(p, val_get_str(ev, "split", ""), 16);
    for (size_t i = 0; i < LEN(shown); i++)
        if (val_as_num(val_get(ev, shown[i]), &v)) buf_addf(&p->line, "  %s %s", shown[i], fmt_value(num, v));
    line_to(p, p->notes);
}

static void ev_edit(struct plain *p, const struct val *ev) {
    char when[FMT_MAX], num[FMT_MAX];
    buf_addf(&p->line, "%s step %s: ", fmt_clock(when, val_get_num(ev, "t", 0)), fmt_count(num, val_get_int(ev, "step", 0)));
    show(p, val_get_str(ev, "name", ""), 40);
    buf_addc(&p->line, ' ');
    value_text(p, val_get(ev, "old"));
    buf_adds(&p->line, " -> ");
    value_text(p, val_get(ev, "new"));
    buf_adds(&p->line, " by ");
    show(p, val_get_str(ev, "by", "user"), 16);
    line_to(p, p->notes);
}

static void ev_text(struct plain *p, const struct val *ev) {
    const char *level = val_get_str(ev, "level", "info");
    if (strcmp(level, "debug") == 0) return;
    if (strcmp(level, "warn") == 0) buf_adds(&p->line, "warning: ");
    if (strcmp(level, "error") == 0) {
        buf_adds(&p->line, "error: ");
        snprintf(p->failed, sizeof p->failed, "%s", val_get_str(ev, "text", ""));
    }
    show(p, val_get_str(ev, "text", ""), -1);
    line_to(p, p->notes);
}

/* Fields, one a line; those that a result said already are left out. */
static void fields_text(struct plain *p, const struct val *v, const struct val *said) {
    for (size_t i = 0; v && v->type == VAL_TABLE && i < v->u.t.n_field; i++) {
        const struct val *was = val_get(said, v->u.t.field[i].name);
        if (was && val_equal(was, v->u.t.field[i].v)) continue;
        show(p, v->u.t.field[i].name, 60);
        buf_addc(&p->line, ' ');
        value_text(p, v->u.t.field[i].v);
        line_to(p, p->out);
    }
}

static void ev_result(struct plain *p, const struct val *ev) {
    const struct val *v = val_get(ev, "values");
    fields_text(p, v, NULL);
    val_free(p->said);
    p->said = v ? val_copy(v) : NULL;
}

static void ev_end(struct plain *p, const struct val *ev) {
    char when[FMT_MAX];
    show(p, val_get_str(ev, "run", ""), 64);
    buf_adds(&p->line, " ");
    show(p, val_get_str(ev, "state", ""), 16);
    buf_addf(&p->line, " after %s", fmt_clock(when, val_get_num(ev, "t", 0)));
    line_to(p, p->notes);
}

static void ev_other(struct plain *p, const struct val *ev) { /* alert, note, checkpoint, state ... */
    char when[FMT_MAX];
    buf_addf(&p->line, "%s ", fmt_clock(when, val_get_num(ev, "t", 0)));
    show(p, val_get_str(ev, "event", ""), 24);
    for (size_t i = 0; i < ev->u.t.n_field; i++) {
        const char *name = ev->u.t.field[i].name;
        if (strcmp(name, "t") == 0 || strcmp(name, "event") == 0 || strcmp(name, "run") == 0 || strcmp(name, "lua") == 0) continue;
        buf_addc(&p->line, ' ');
        if (ev->u.t.field[i].v->type != VAL_STR) {
            show(p, name, 32);
            buf_addc(&p->line, ' ');
        }
        value_text(p, ev->u.t.field[i].v);
    }
    line_to(p, p->notes);
}

/* Of a run's way through its states people want to hear only what they or the run's end caused. */
static void ev_state(struct plain *p, const struct val *ev) {
    if (strcmp(val_get_str(ev, "state", ""), "paused") == 0) ev_other(p, ev);
}

static const struct ev_row {
    const char *event;
    void (*print)(struct plain *p, const struct val *ev); /* NULL: not in text */
    bool quiet; /* also under --quiet */
} ev_rows[] = {{"start", ev_start, false}, {"metric", NULL, false}, {"epoch", ev_epoch, false}, {"eval", ev_eval, false}, {"edit", ev_edit, false},
    {"state", ev_state, false}, {"checkpoint", NULL, false}, {"notice", ev_text, false}, {"alert", ev_text, false}, {"log", ev_text, false},
    {"result", ev_result, true}, {"end", ev_end, false}};

static void event_print(void *ctx, uint64_t seq, const struct val *ev) {
    struct plain *p = ctx;
    (void)seq;
    const char *event = val_get_str(ev, "event", "");
    if (p->mode == PLAIN_JSON) {
        json_write(&p->line, ev);
        line_to(p, p->out);
        return;
    }
    const char *level = val_get_str(ev, "level", "");
    for (size_t i = 0; i < LEN(ev_rows); i++) {
        if (strcmp(ev_rows[i].event, event) != 0) continue;
        if (ev_rows[i].print && (p->mode != PLAIN_QUIET || ev_rows[i].quiet || strcmp(level, "error") == 0)) ev_rows[i].print(p, ev);
        return;
    }
    if (p->mode == PLAIN_TEXT) ev_other(p, ev);
}

static void progress_line(struct plain *p, const struct run_now *n, bool bar) {
    char a[FMT_MAX], b[FMT_MAX];
    const char *phase = n->state == RUN_PREPARING && n->phase[0] ? n->phase : run_state_names[n->state];
    bool has_steps = n->steps > 0;
    int64_t done = has_steps ? n->step : n->done, total = has_steps ? n->steps : n->total;
    if (bar) buf_addc(&p->line, '\r');
    utf8_show(&p->line, phase, strlen(phase), 30, UTF8_ASCII); /* the bar is cut by bytes */
    if (total > 0) {
        if (bar) buf_adds(&p->line, " [");
        for (int i = 0; bar && i < 16; i++) buf_addc(&p->line, (double)i < 16.0 * (double)done / (double)total ? '#' : '-');
        if (bar) buf_addc(&p->line, ']');
        buf_addf(&p->line, " %s", fmt_percent(a, (double)done, (double)total));
        buf_addf(&p->line, " %s", fmt_count(a, done));
        buf_addf(&p->line, "/%s", fmt_count(b, total));
    }
    for (int i = 0; i < n->n && i < (bar ? 2 : 6); i++) {
        buf_adds(&p->line, "  ");
        utf8_show(&p->line, n->metric[i].name, strlen(n->metric[i].name), 32, UTF8_ASCII);
        buf_addf(&p->line, " %s", fmt_value(a, n->metric[i].value));
    }
    if (n->eta >= 0) buf_addf(&p->line, "  eta %s", fmt_clock(a, n->eta));
}

static void progress(struct plain *p) {
    double now = clock_now();
    bool bar = p->bar && !p->before;
    struct run *r = p->mode == PLAIN_TEXT ? runs_current(p->rs) : NULL;
    if (!r || now - p->progress_t < (bar ? BAR_INTERVAL : PLAIN_INTERVAL)) return;
    struct run_now *n = X_NEW(struct run_now, 1);
    run_now(r, n);
    if (!run_state_ended(n->state) && n->version != p->version) {
        p->progress_t = now;
        p->version = n->version;
        progress_line(p, n, bar);
        if (bar) {
            for (size_t i = p->line.len; i < 78; i++) buf_addc(&p->line, ' ');
            fwrite(p->line.data, 1, p->line.len < 79 ? p->line.len : 79, p->notes);
            fflush(p->notes);
            buf_clear(&p->line);
            p->bar_shown = true;
        } else {
            line_to(p, p->notes);
        }
    }
    free(n);
}

void plain_step(struct plain *p) {
    char drain[64];
    while (read(p->fd[0], drain, sizeof drain) > 0) {}
    uint64_t lost = 0;
    p->next = runs_events(p->rs, p->next, event_print, p, &lost);
    if (lost && p->mode == PLAIN_JSON)
        buf_addf(&p->line, "{\"t\":0,\"event\":\"notice\",\"level\":\"warn\",\"text\":\"%llu events were dropped\"}", (unsigned long long)lost),
            line_to(p, p->out);
    else if (lost && p->mode == PLAIN_TEXT) buf_addf(&p->line, "warning: %llu events were dropped", (unsigned long long)lost), line_to(p, p->notes);
    progress(p);
}

void plain_event(struct plain *p, const struct val *event) { event_print(p, 0, event); }

/* ---- answers of commands ---- */

static void json_one(struct plain *p, const char *cmd, const struct val *v) {
    struct val *o = val_table();
    const char *event = v->type == VAL_TABLE ? val_get_str(v, "event", NULL) : NULL;
    val_set_str(o, "event", event ? event : cmd);
    if (v->type == VAL_TABLE && !v->u.t.n_item && !v->is_list) {
        for (size_t i = 0; i < v->u.t.n_field; i++)
            if (strcmp(v->u.t.field[i].name, "event") != 0) val_set(o, v->u.t.field[i].name, val_copy(v->u.t.field[i].v));
    } else {
        val_set(o, "value", val_copy(v));
    }
    json_write(&p->line, o);
    val_free(o);
    line_to(p, p->out);
}

static void cell_text(struct plain *p, struct buf *b, const struct val *v) {
    struct buf keep = p->line;
    char num[FMT_MAX];
    p->line = (struct buf)BUF_INIT;
    if (v && v->type == VAL_NUM && fabs(v->u.n) >= 99999.5 && fabs(v->u.n) < 1e9) buf_addf(&p->line, "%.0f", v->u.n); /* a price, not 1.19e+5 */
    else if (v && v->type == VAL_NUM) buf_adds(&p->line, fmt_value(num, v->u.n));
    else value_text(p, v);
    utf8_show(b, p->line.data ? p->line.data : "", p->line.len, 60, p->ascii ? UTF8_ASCII : UTF8_FULL);
    buf_release(&p->line);
    p->line = keep;
}

/* One table of a list as cells; the numbers of its "metrics" are columns of their own. */
static const struct val *cell_of(const struct val *row, const char *col) {
    const struct val *v = val_get(row, col);
    return v ? v : val_get(val_get(row, "metrics"), col);
}

static int columns_add(const struct val *row, const char **col, int n, int max) {
    for (size_t f = 0; row && row->type == VAL_TABLE && f < row->u.t.n_field; f++) {
        const char *name = row->u.t.field[f].name;
        int c = 0;
        if (strcmp(name, "event") == 0) continue;
        if (strcmp(name, "metrics") == 0 && row->u.t.field[f].v->type == VAL_TABLE) {
            n = columns_add(row->u.t.field[f].v, col, n, max);
            continue;
        }
        while (c < n && strcmp(col[c], name) != 0) c++;
        if (c == n && n < max) col[n++] = name;
    }
    return n;
}

/* Columns of the terminal that answers are read on; 0: a file or a pipe, which has room for all. */
static int out_columns(const struct plain *p) {
    struct winsize w;
    return isatty(fileno(p->out)) && ioctl(fileno(p->out), TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

/* A list of tables as columns; the columns are the fields of all rows in order of first appearance. On a terminal those that do not fit are left out, and
 * said. */
static void table_text(struct plain *p, const struct val *list) {
    enum { COLS = 64 };
    const char *col[COLS];
    int width[COLS] = {0}, n = 0, shown = 0, room = out_columns(p), used = 0;
    size_t rows = val_len(list);
    for (size_t r = 0; r < rows; r++) n = columns_add(val_at(list, r), col, n, COLS);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t r = 0; r <= rows; r++) {
            for (int c = 0; c < (pass ? shown : n); c++) {
                struct buf b = BUF_INIT;
                if (r == 0) utf8_show(&b, col[c], strlen(col[c]), 60, p->ascii ? UTF8_ASCII : UTF8_FULL);
                else cell_text(p, &b, cell_of(val_at(list, r - 1), col[c]));
                int w = utf8_columns(b.data ? b.data : "", b.len);
                if (pass == 0 && w > width[c]) width[c] = w;
                if (pass == 1) buf_add(&p->line, b.data, b.len);
                for (; pass == 1 && c + 1 < shown && w < width[c] + 2; w++) buf_addc(&p->line, ' ');
                buf_release(&b);
            }
            if (pass == 1) line_to(p, p->out);
        }
        for (; pass == 0 && shown < n && (!room || shown == 0 || used + width[shown] <= room); shown++) used += width[shown] + 2;
    }
    if (shown < n) {
        buf_adds(&p->line, "not shown, as the terminal is too narrow:");
        for (int c = shown; c < n; c++) buf_adds(&p->line, c > shown ? ", " : " "), show(p, col[c], 60);
        line_to(p, p->notes);
    }
}

static bool all_tables(const struct val *v) {
    if (!val_len(v) || v->u.t.n_field) return false;
    for (size_t i = 0; i < val_len(v); i++)
        if (val_at(v, i)->type != VAL_TABLE || val_at(v, i)->u.t.n_item) return false;
    return true;
}

/* Has a row of the list a name that the outer row has too? Then it tells more of the same, as the probabilities of an answer do. */
static bool details(const struct val *outer, const struct val *rows) {
    const struct val *one = val_at(rows, 0);
    for (size_t i = 0; i < one->u.t.n_field; i++)
        if (val_get(outer, one->u.t.field[i].name)) return true;
    return false;
}

/* Of rows that have a list of rows in one field, such as the points of a curve, those: each with what stands beside the list. NULL: they have none. */
static struct val *unrolled(const struct val *list) {
    const char *inner = NULL;
    const struct val *first = val_at(list, 0);
    for (size_t i = 0; i < first->u.t.n_field && !inner; i++)
        if (all_tables(first->u.t.field[i].v) && !details(first, first->u.t.field[i].v)) inner = first->u.t.field[i].name;
    struct val *out = inner ? val_list() : NULL;
    for (size_t r = 0; out && r < val_len(list); r++) {
        const struct val *row = val_at(list, r), *rows = val_get(row, inner);
        for (size_t k = 0; k < val_len(rows); k++) {
            struct val *one = val_copy(row);
            const struct val *sub = val_at(rows, k);
            val_unset(one, inner);
            for (size_t i = 0; sub->type == VAL_TABLE && i < sub->u.t.n_field; i++) val_set(one, sub->u.t.field[i].name, val_copy(sub->u.t.field[i].v));
            val_push(out, one);
        }
    }
    return out;
}

static void text_lines(struct plain *p, const char *s, size_t n) {
    while (n) {
        const char *nl = memchr(s, '\n', n);
        size_t len = nl ? (size_t)(nl - s) : n;
        utf8_show(&p->line, s, len, -1, p->ascii ? UTF8_ASCII : UTF8_FULL);
        line_to(p, p->out);
        s += nl ? len + 1 : len;
        n -= nl ? len + 1 : len;
    }
}

void plain_value(struct plain *p, const char *cmd, const struct val *v) {
    if (!v || v->type == VAL_NIL) return;
    bool list = v->type == VAL_TABLE && !v->u.t.n_field && (v->u.t.n_item || v->is_list);
    if (p->mode == PLAIN_JSON) {
        for (size_t i = 0; list && i < val_len(v); i++) json_one(p, cmd, val_at(v, i));
        if (!list) json_one(p, cmd, v);
    } else if (v->type == VAL_STR) {
        text_lines(p, v->u.s.p, v->u.s.len);
    } else if (all_tables(v)) {
        struct val *flat = unrolled(v);
        table_text(p, flat ? flat : v);
        val_free(flat);
    } else if (list) {
        for (size_t i = 0; i < val_len(v); i++) value_text(p, val_at(v, i)), line_to(p, p->out);
    } else if (v->type == VAL_TABLE) {
        fields_text(p, v, p->said);
        val_free(p->said);
        p->said = NULL;
    } else {
        value_text(p, v);
        line_to(p, p->out);
    }
}

void plain_error(struct plain *p, const struct err *e) {
    char text[ERR_TEXT];
    if (*p->failed && strcmp(e->text, p->failed) == 0) return; /* the run said it */
    snprintf(text, sizeof text, "%s", e->text);
    buf_adds(&p->line, "hone: ");
    for (char *s = text, *nl; s; s = nl ? nl + 1 : NULL) { /* a traceback or a caret stands on lines of its own */
        if ((nl = strchr(s, '\n'))) *nl = '\0';
        show(p, s, -1);
        line_to(p, p->notes);
    }
}

void plain_free(struct plain *p) {
    if (!p) return;
    plain_step(p);
    bar_clear(p);
    fflush(p->notes);
    if (p->fd[1] >= 0) runs_unwatch(p->rs, p->fd[1]);
    for (int i = 0; i < 2; i++)
        if (p->fd[i] >= 0) close(p->fd[i]);
    buf_release(&p->line);
    val_free(p->said);
    free(p);
}
