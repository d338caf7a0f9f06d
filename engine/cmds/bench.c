/* `hone bench [WORK..]`: a job that times fixed workloads, one object each, or a user's model. The workloads are in bench_work.c, the model's figures in
 * bench_model.c. */
#include "engine/cmds/bench_work.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/bench_model.h"
#include "engine/cmds/pick.h"
#include "engine/graph/backend.h"
#include "engine/train/precision.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/call/job.h"
#include "src/call/settings.h"

struct bench_args {
    struct val *works;
    int64_t threads, rows;
    double seconds;
    bool profile;
    struct val *model, *data;
    int part, scenario, precision;
    bool force_precision;
};

static int stopping(void *ctx) { return job_boundary(ctx) != STOP_NONE; }
static bool stop_model(void *ctx) { return stopping(ctx) != 0; }

/* The rows of a data set if one is given, else rows made up. */
static struct val *time_model(struct job *j, const struct bench_args *a, struct pool *pool, struct err *e) {
    const char *split = "";
    struct pair q = {.part = -1};
    struct dataset *fit = NULL;
    struct part *made = NULL;
    struct precision pr;
    struct buf say = BUF_INIT;
    struct val *out = NULL;
    bool given = a->data && a->data->type != VAL_NIL;
    if (given) pick_pair(j, a->model, a->data, &q, e);
    else q.m = pick_model(a->model, e);
    struct dataset *d = q.d;
    struct model *m = q.m;
    const struct part *p = m && d ? pick_part(d, q.part >= 0 ? q.part : a->part, &split, e) : NULL;
    if (p) p = pick_fit_part(m, d, p, &fit, e);
    else if (m && !d) p = made = bench_rows(m);
    int64_t rows, tokens[LOADER_COLS];
    if (p) loader_limits(p, SPEED_ROWS, 0, false, &rows, tokens);
    if (p && precision_choose(&pr, a->precision, a->force_precision, m, p->col[0].type == COL_TOKENS ? tokens[0] : rows, e) == 0) {
        struct bed bed = {.part = p, .pool = pool, .seconds = a->seconds < 10 ? a->seconds / 2 : 5, .stop = stop_model, .ctx = j};
        if (precision_say(&pr, a->precision, a->force_precision, &say)) log_write(LOG_INFO, "%s", say.data);
        if (backend_of_setting(&bed.device, e) == 0) out = bench_model(&bed, m, &pr, a->scenario, d ? d->name : NULL, e);
    }
    buf_release(&say);
    part_free(made);
    if (fit) dataset_unref(fit);
    if (d) dataset_unref(d);
    return out;
}

/* The names asked for; none or "all": every one. Caller frees. */
static struct val *chosen(const struct val *asked) {
    struct val *v = val_list();
    const struct val *first = val_at(asked, 0);
    bool all = !first || (first->type == VAL_STR && strcmp(first->u.s.p, "all") == 0);
    for (size_t i = 0; all && bench_names[i]; i++)
        if (bench_fits(bench_names[i])) val_push(v, val_str(bench_names[i]));
    for (size_t i = 0; !all && i < val_len(asked); i++) val_push(v, val_copy(val_at(asked, i)));
    return v;
}

/* One row more: op, nodes, ms of a step, share of it, rate. */
static void put_row(struct val *out, const char *work, const char *op, int64_t n, double ms, double total, double flop) {
    struct val *v = val_table();
    val_set_str(v, "event", "profile");
    val_set_str(v, "work", work);
    val_set_str(v, "op", op);
    val_set_int(v, "n", n);
    val_set_num(v, "ms", ms);
    val_set_num(v, "share", total > 0 ? ms / total : 0);
    val_set_num(v, "gflops", ms > 0 ? flop / ms * 1e-6 : 0);
    val_push(out, v);
}

struct op_sum {
    const char *op;
    int64_t n;
    double ms, flop, macs;
};
static int by_ms(const void *a, const void *b) {
    double x = ((const struct op_sum *)a)->ms, y = ((const struct op_sum *)b)->ms;
    return x < y ? 1 : x > y ? -1 : 0;
}
static bool is_attention(const char *op) { return strncmp(op, "attention", 9) == 0; }

/* Times by op, the largest first; then the time outside products: that of all other ops, and what attention takes beyond its products
 * at the rate of the other products. */
static void profile_rows(const struct val *nodes, const char *work, struct val *out) {
    struct op_sum *s = X_NEW(struct op_sum, val_len(nodes) + 1);
    size_t n = 0;
    double total = 0, ms = 0, flop = 0, attention = 0;
    for (size_t i = 0; i < val_len(nodes); i++) {
        const struct val *v = val_at(nodes, i);
        const char *op = val_get_str(v, "op", "");
        size_t k = 0;
        while (k < n && strcmp(s[k].op, op) != 0) k++;
        if (k == n) s[n++].op = op;
        s[k].n++, s[k].ms += val_get_num(v, "ms", 0), s[k].flop += val_get_num(v, "flop", 0), s[k].macs += val_get_num(v, "macs", 0);
        total += val_get_num(v, "ms", 0);
    }
    qsort(s, n, sizeof *s, by_ms);
    for (size_t k = 0; k < n; k++) {
        put_row(out, work, s[k].op, s[k].n, s[k].ms, total, s[k].flop);
        if (is_attention(s[k].op)) attention += s[k].flop;
        else if (s[k].macs > 0) ms += s[k].ms, flop += s[k].flop;
    }
    double products = ms + (flop > 0 ? attention * ms / flop : 0);
    put_row(out, work, "products", 0, products, total, flop + attention);
    put_row(out, work, "outside products", 0, total - products, total, 0);
    put_row(out, work, "all", (int64_t)val_len(nodes), total, total, flop + attention);
    free(s);
}

static int job(struct job *j, const void *args, struct err *e) {
    const struct bench_args *a = args;
    struct settings s = {0};
    settings_get(&s);
    struct pool *pool = pool_new((int)(a->threads > 0 ? a->threads : s.threads), e);
    args_release(&settings_kind, &s);
    if (!pool) return -1;
    if (a->model && a->model->type != VAL_NIL) {
        struct val *v = NULL;
        if (val_len(a->works)) err_code(e, ERR_USAGE, "either workloads or a model: a workload has its own model");
        else v = time_model(j, a, pool, e);
        pool_free(pool);
        if (v) job_result(j, v);
        return v ? 0 : -1;
    }
    struct val *names = chosen(a->works), *out = val_list();
    int rc = 0;
    double each = a->seconds / (double)(val_len(names) ? val_len(names) : 1);
    for (size_t i = 0; i < val_len(names) && rc == 0; i++) {
        const struct val *n = val_at(names, i);
        if (n->type != VAL_STR) rc = err_code(e, ERR_USAGE, "a workload is a name, not a %s", val_type_name(n));
        struct val *nodes = NULL, *r = rc == 0 ? bench_work(n->u.s.p, a->rows, pool, each < 2 ? each : 2, stopping, j, a->profile ? &nodes : NULL, e) : NULL;
        if (!r) rc = -1;
        else if (a->profile) profile_rows(nodes, n->u.s.p, out);
        if (r && !a->profile) val_push(out, r);
        else val_free(r);
        val_free(nodes);
    }
    if (rc == 0) job_result(j, out);
    else val_free(out);
    val_free(names);
    pool_free(pool);
    return rc;
}

static const char *const part_choice[] = {"train", "val", "test", NULL};
static const struct arg args[] = {
    {.name = "works",
        .help = "workloads by name, mlp-train, minilm-train, minilm-infer ...; none or all: every one",
        .type = ARG_TABLE,
        .offset = offsetof(struct bench_args, works),
        .flags = ARG_POSITIONAL | ARG_REST},
    {.name = "threads", .help = "threads; 0: as set", .def = "0", .type = ARG_INT, .offset = offsetof(struct bench_args, threads), .lo = 0, .hi = 1024},
    {.name = "rows",
        .help = "rows of a step; 0: the workload's own",
        .def = "0",
        .type = ARG_INT,
        .offset = offsetof(struct bench_args, rows),
        .lo = 0,
        .hi = 1e6},
    {.name = "seconds",
        .help = "time in all; 2 s a workload and 10 s a model are enough",
        .unit = "s",
        .def = "60",
        .type = ARG_NUM,
        .offset = offsetof(struct bench_args, seconds),
        .lo = 0.01,
        .hi = 86400},
    {.name = "profile",
        .help = "the time of a step by op in place of the whole",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct bench_args, profile)},
    {.name = "model",
        .help = "a model or the path of a saved one, in place of workloads: latency of single rows and examples a second in batches of 32",
        .type = ARG_VAL,
        .offset = offsetof(struct bench_args, model)},
    {.name = "data",
        .help = "rows for the model: a data set or one of its parts; made up in the model's shapes if not given",
        .type = ARG_VAL,
        .offset = offsetof(struct bench_args, data),
        .source = SRC_DATA},
    {.name = "split",
        .help = "which part of the data; test, else val, else train",
        .type = ARG_ENUM,
        .offset = offsetof(struct bench_args, part),
        .names = part_choice},
    {.name = "scenario",
        .help = "only one of the model's two figures: single rows or batches",
        .type = ARG_ENUM,
        .offset = offsetof(struct bench_args, scenario),
        .names = bench_scenarios},
    {.name = "precision",
        .help = PRECISION_INFER_HELP,
        .def = "fp32",
        .type = ARG_ENUM,
        .offset = offsetof(struct bench_args, precision),
        .names = precision_infer_names},
    {.name = "force_precision", .help = PRECISION_FORCE_HELP, .def = "false", .type = ARG_BOOL, .offset = offsetof(struct bench_args, force_precision)},
    {0},
};
extern const struct cmd cmd_bench;
const struct cmd cmd_bench = {.kind = {.name = "bench",
                                  .help = "times fixed workloads on this machine, beside its multiply-add rate, or a model of yours",
                                  .example = "hone.bench{\"mlp-train\", threads=1}",
                                  .args = args,
                                  .size = sizeof(struct bench_args)},
    .owner = OWNER_ENGINE,
    .flags = CMD_LINE | CMD_WAIT,
    .job = job};
