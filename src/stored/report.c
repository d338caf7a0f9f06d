/* The command report: runs/NAME/report.html, one page that needs nothing else and no script: curves with bands and edit marks, evaluation, compression,
 * what was asked, where it ran. Foreign strings pass html_text. Helper thread or line mode. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/stored/about.h"
#include "src/stored/folder.h"
#include "src/stored/html.h"
#include "src/run/pyramid.h"
#include "src/run/store.h"

enum { MARKS = 512 };

struct report_args {
    struct val *run;
    char *out;
};

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--fg:#1a1a1a;--bg:#fff;--dim:#767676;--grid:#e3e3e3;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e6e6e6;--bg:#161616;--dim:#9a9a9a;--grid:#333;--c0:#56b4e9;--c1:#e69f00;--c2:#2fc79a;--c3:#d98fb8}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:70rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid var(--grid)}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));gap:1rem}figure{margin:0}figcaption{font-weight:600}\n"
    "svg{width:100%;height:auto}svg "
    "text{font-size:11px;fill:var(--dim)}.grid{stroke:var(--grid)}.line{fill:none;stroke-width:1.5}.band{opacity:.2;stroke:none}\n"
    ".line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1);stroke-dasharray:5 3}.line.c2{stroke:var(--c2);stroke-dasharray:2 2}.line.c3{stroke:var(--c3)}\n"
    ".band.c0,.dot.c0{fill:var(--c0)}.band.c1,.dot.c1{fill:var(--c1)}.band.c2,.dot.c2{fill:var(--c2)}.band.c3,.dot.c3{fill:var(--c3)}\n"
    ".mark{stroke:var(--dim);stroke-dasharray:3 3}svg .bad{fill:#c00;font-weight:700}.legend{margin:.1rem 0;color:var(--dim)}\n"
    ".key{display:inline-block;width:.8rem;height:.25rem;margin:0 .3rem 0 .6rem;vertical-align:middle}\n"
    ".key.c0{background:var(--c0)}.key.c1{background:var(--c1)}.key.c2{background:var(--c2)}.key.c3{background:var(--c3)}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.1rem .5rem;text-align:left;vertical-align:top}\n"
    "thead th{border-bottom:1px solid var(--grid)}tbody th{font-weight:500;color:var(--dim)}div.wide{overflow-x:auto}\n"
    ".confusion td{text-align:right;min-width:2rem}.confusion .up{height:7rem;vertical-align:bottom}.confusion .up span{writing-mode:vertical-rl}\n"
    ".confusion .hit{background:color-mix(in srgb,var(--c0) calc(var(--s)*70%),transparent)}\n"
    ".confusion .miss{background:color-mix(in srgb,var(--c1) calc(var(--s)*100%),transparent)}\n"
    "pre{overflow-x:auto;background:color-mix(in srgb,var(--grid) 50%,transparent);padding:.5rem}.sub{color:var(--dim);margin-top:0}\n"
    "</style>\n";

static void head(struct buf *b, const char *name, const struct val *v, const struct val *about) {
    char when[64] = "";
    time_t t = (time_t)val_get_num(v, "created", 0);
    struct tm tm;
    if (gmtime_r(&t, &tm)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm);
    const struct val *start = val_get(v, "start"), *tags = val_get(about, "tags");
    buf_adds(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>");
    html_text(b, name);
    buf_adds(b, "</title>\n");
    buf_adds(b, style);
    buf_adds(b, "</head><body>\n<h1>");
    html_text(b, name);
    buf_adds(b, "</h1>\n<p class=\"sub\">");
    html_text(b, val_get_str(v, "state", "crashed"));
    buf_addf(b, " after %.1f s, step %lld, epoch ", val_get_num(v, "seconds", 0), (long long)val_get_int(v, "step", 0));
    html_num(b, val_get_num(v, "epoch", 0));
    buf_addf(b, ", begun %s", when);
    for (size_t i = 0; i < val_len(tags); i++) {
        buf_adds(b, i ? ", " : "; tags: ");
        html_value(b, val_at(tags, i));
    }
    buf_adds(b, "</p>\n<p>Model ");
    html_text(b, val_get_str(start, "model", "?"));
    buf_adds(b, ", ");
    html_num(b, val_get_num(start, "params", NAN));
    buf_adds(b, " parameters, data ");
    html_text(b, val_get_str(start, "data", "?"));
    buf_adds(b, ".</p>\n");
}

static void section(struct buf *b, const char *title, const struct val *v) {
    if (!v || v->type != VAL_TABLE || (!v->u.t.n_field && !v->u.t.n_item)) return;
    buf_adds(b, "<h2>");
    html_text(b, title);
    buf_adds(b, "</h2>\n<div class=\"wide\">");
    html_value(b, v);
    buf_adds(b, "</div>\n");
}

/* A metric and its twins of other parts are one chart: loss, val_loss, test_loss. */
static void charts(struct buf *b, const struct pyramid *p, const struct mark *mark, size_t n_mark) {
    static const char *const part[] = {"val_", "test_"};
    buf_adds(b, "<h2>Curves</h2>\n<div class=\"charts\">\n");
    for (int i = 0; i < p->n; i++) {
        const char *name = series_name(p->series[i]);
        struct series *group[3] = {p->series[i]};
        int n = 1;
        bool twin = false;
        for (size_t k = 0; k < LEN(part); k++) {
            char full[64];
            size_t len = strlen(part[k]);
            if (strncmp(name, part[k], len) == 0 && pyramid_find(p, name + len)) twin = true;
            snprintf(full, sizeof full, "%s%s", part[k], name);
            struct series *s = pyramid_find(p, full);
            if (s) group[n++] = s;
        }
        if (!twin) svg_chart(b, name, group, n, mark, n_mark);
    }
    buf_adds(b, "</div>\n");
}

/* Everything of an evaluation but its large parts, which have sections of their own. */
static void evaluation(struct buf *b, const struct val *eval) {
    if (!eval || eval->type != VAL_TABLE) return;
    struct val *rest = val_table();
    for (size_t i = 0; i < eval->u.t.n_field; i++) {
        const struct val_field *f = &eval->u.t.field[i];
        if (f->v->type != VAL_TABLE) val_append(rest, f->name, val_copy(f->v));
    }
    section(b, "Evaluation", rest);
    val_free(rest);
    const struct val *matrix = val_get(eval, "confusion");
    if (val_len(matrix)) {
        buf_adds(b, "<h2>Confusion matrix</h2>\n<div class=\"wide\">");
        html_confusion(b, matrix, val_get(eval, "classes"));
        buf_adds(b, "</div>\n");
    }
    section(b, "Classes", val_get(eval, "table"));
}

static void done_during(struct buf *b, const struct mark *mark, size_t n) {
    if (!n) return;
    buf_adds(b, "<h2>Done during the run</h2>\n<div class=\"wide\"><table><thead><tr><th>step</th><th>seconds</th><th>line</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        buf_addf(b, "<tr><td>%lld</td><td>%.1f</td><td><code>", (long long)mark[i].step, mark[i].t);
        html_text(b, mark[i].text);
        buf_adds(b, "</code></td></tr>\n");
    }
    buf_adds(b, "</tbody></table></div>\n");
}

static void lines(struct buf *b, const char *title, const char *text) {
    buf_addf(b, "<h2>%s</h2>\n<pre>", title);
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = mem_strn(text, n);
        html_text(b, line);
        buf_addc(b, '\n');
        free(line);
        text += n + (text[n] == '\n');
    }
    buf_adds(b, "</pre>\n");
}

static void page(struct buf *b, const struct folder *f, const struct val *v, const struct pyramid *p) {
    struct val *about = about_read(f->dir), *start = val_get(v, "start"), *reports = val_get(v, "reports"), *git = val_get(v, "git"), *rest = val_table();
    struct mark *mark = X_NEW(struct mark, MARKS);
    size_t n = marks_read(f->dir, mark, MARKS);
    head(b, f->name, v, about);
    section(b, "Result", val_get(v, "result"));
    section(b, "Notes", val_get(about, "notes"));
    charts(b, p, mark, n);
    evaluation(b, val_get(reports, "eval"));
    section(b, "Compression", val_get(reports, "compress"));
    done_during(b, mark, n);
    section(b, "Configuration", val_get(start, "config"));
    for (size_t i = 0; start && start->type == VAL_TABLE && i < start->u.t.n_field; i++) {
        const struct val_field *s = &start->u.t.field[i];
        if (s->v->type != VAL_TABLE) val_append(rest, s->name, val_copy(s->v));
    }
    section(b, "Run", rest);
    section(b, "Model", val_get(val_get(reports, "model"), "layers"));
    section(b, "Data", val_get(start, "identity"));
    section(b, "Environment", val_get(v, "environment"));
    section(b, "Memory (bytes)", val_get(reports, "memory"));
    const char *diff = val_get_str(git, "diff", NULL);
    if (git) {
        struct val *short_ = val_copy(git);
        val_unset(short_, "diff");
        section(b, "Code", short_);
        val_free(short_);
    }
    if (diff && *diff) lines(b, "Changes since that commit", diff);
    buf_adds(b, "</body></html>\n");
    val_free(rest);
    val_free(about);
    free(mark);
}

static int report_run(struct call *c, const void *args, struct err *e) {
    const struct report_args *a = args;
    struct val *list = val_list();
    if (a->run && a->run->type != VAL_NIL) val_push(list, val_copy(a->run));
    size_t n = 0;
    struct folder *f = folders_open(c, list, 1, &n, e);
    val_free(list);
    if (!f) return -1;
    struct pyramid p;
    struct val *v = store_describe(f->dir, e);
    int rc = v ? pyramid_read(f->dir, NULL, &p, e) : -1;
    if (rc == 0) {
        struct buf b = BUF_INIT, beside = BUF_INIT;
        if (f->temporary) buf_addf(&beside, "%s.html", f->name); /* of a bundle, which stays as it is */
        char *path = a->out ? mem_str(a->out) : f->temporary ? buf_take(&beside) : io_join(f->dir, "report.html");
        page(&b, f, v, &p);
        rc = io_write_file(path, b.data, b.len, e);
        if (rc == 0) call_result(c, val_str(path));
        pyramid_release(&p);
        buf_release(&b);
        buf_release(&beside);
        free(path);
    }
    val_free(v);
    folders_close(f, n);
    return rc;
}

static const struct arg report_table[] = {
    {"run", "name of a run; the newest without", NULL, NULL, ARG_VAL, offsetof(struct report_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"out", "file to write; report.html in the run's folder without it", NULL, NULL, ARG_PATH, offsetof(struct report_args, out), .source = SRC_FILE}, {0}};
const struct cmd cmd_report = {
    {"report", "writes a run as one HTML page: curves, evaluation, configuration", "hone.report{\"fashion-1\"}", report_table, sizeof(struct report_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING, report_run, NULL};
