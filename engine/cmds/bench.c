/* `hone bench [WORK..]`: a job that times fixed workloads, one object each. The workloads are in bench_work.c. */
#include "engine/cmds/bench_work.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/job.h"
#include "src/call/settings.h"

struct bench_args {
    struct val *works;
    int64_t threads;
    double seconds;
};

static int stopping(void *ctx) { return job_boundary(ctx) != STOP_NONE; }

/* The names asked for; none or "all": every one. Caller frees. */
static struct val *chosen(const struct val *asked) {
    struct val *v = val_list();
    const struct val *first = val_at(asked, 0);
    bool all = !first || (first->type == VAL_STR && strcmp(first->u.s.p, "all") == 0);
    for (size_t i = 0; all && bench_names[i]; i++) val_push(v, val_str(bench_names[i]));
    for (size_t i = 0; !all && i < val_len(asked); i++) val_push(v, val_copy(val_at(asked, i)));
    return v;
}

static int job(struct job *j, const void *args, struct err *e) {
    const struct bench_args *a = args;
    struct settings s = {0};
    settings_get(&s);
    struct pool *pool = pool_new((int)(a->threads > 0 ? a->threads : s.threads), e);
    args_release(&settings_kind, &s);
    if (!pool) return -1;
    struct val *names = chosen(a->works), *out = val_list();
    int rc = 0;
    double each = a->seconds / (double)(val_len(names) ? val_len(names) : 1);
    for (size_t i = 0; i < val_len(names) && rc == 0; i++) {
        const struct val *n = val_at(names, i);
        if (n->type != VAL_STR) rc = err_code(e, ERR_USAGE, "a workload is a name, not a %s", val_type_name(n));
        struct val *r = rc == 0 ? bench_work(n->u.s.p, pool, each < 2 ? each : 2, stopping, j, NULL, e) : NULL;
        if (r) val_push(out, r);
        else rc = -1;
    }
    if (rc == 0) job_result(j, out);
    else val_free(out);
    val_free(names);
    pool_free(pool);
    return rc;
}

static const struct arg args[] = {
    {.name = "works", .help = "workloads by name, mlp-train, minilm-train, minilm-infer ...; none or all: every one", .type = ARG_TABLE, .offset = offsetof(struct bench_args, works), .flags = ARG_POSITIONAL | ARG_REST},
    {.name = "threads", .help = "threads; 0: as set", .def = "0", .type = ARG_INT, .offset = offsetof(struct bench_args, threads), .lo = 0, .hi = 1024},
    {.name = "seconds", .help = "time in all; 2 s a workload are enough", .unit = "s", .def = "60", .type = ARG_NUM, .offset = offsetof(struct bench_args, seconds), .lo = 0.01, .hi = 86400},
    {0},
};
extern const struct cmd cmd_bench;
const struct cmd cmd_bench = {
    .kind = {.name = "bench", .help = "times fixed workloads on this machine, beside its multiply-add rate", .example = "hone.bench{\"mlp-train\", threads=1}", .args = args, .size = sizeof(struct bench_args)},
    .owner = OWNER_ENGINE, .flags = CMD_LINE | CMD_WAIT, .job = job};
