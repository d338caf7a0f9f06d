/* The command fork: a new run from a checkpoint of another one. It is a resumed training whose checkpoint is chosen by its step. */
#include "config.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/resume.h"
#include "src/base/io.h"
#include "src/base/err.h"
#include "src/stored/folder.h"

struct fork_args {
    struct val *run;
    int64_t at, epochs, steps, batch, seed;
    double lr;
    char *name;
};

static int by_step(const void *a, const void *b) { return *(const int64_t *)a < *(const int64_t *)b ? -1 : *(const int64_t *)a > *(const int64_t *)b; }

/* The steps of the whole checkpoints, in order. */
static size_t steps_of(const char *ckpt, int64_t *out, size_t max) {
    size_t n = 0;
    DIR *d = opendir(ckpt);
    for (struct dirent *de; d && n < max && (de = readdir(d));) {
        char *end;
        int64_t step = strtoll(de->d_name, &end, 10);
        char *path = io_join(ckpt, de->d_name), *commit = io_join(path, "commit");
        if (end != de->d_name && !*end && io_exists(commit)) out[n++] = step;
        free(commit);
        free(path);
    }
    if (d) closedir(d);
    if (n) qsort(out, n, sizeof *out, by_step);
    return n;
}

/* The folder of the checkpoint of step `at`, of the newest for ARG_NONE_INT. */
static char *checkpoint(const struct folder *f, int64_t at, struct err *e) {
    enum { STEPS = 4096 };
    int64_t step[STEPS], pick = -1;
    char *ckpt = io_join(f->dir, "ckpt"), *path = NULL;
    size_t n = steps_of(ckpt, step, STEPS);
    for (size_t i = 0; i < n; i++)
        if (at == ARG_NONE_INT || step[i] == at) pick = step[i];
    struct buf b = BUF_INIT;
    if (pick >= 0) {
        buf_addf(&b, "%" PRId64, pick);
        path = io_join(ckpt, b.data);
    } else if (!n) err_set(e, "fork: %s has no checkpoint", f->name);
    else {
        for (size_t i = 0; i < n && b.len < 200; i++) buf_addf(&b, "%s%" PRId64, i ? ", " : "", step[i]);
        err_set(e, "fork: %s has no checkpoint of step %" PRId64 "; it has %s %s", f->name, at, n > 1 ? "those of steps" : "that of step", b.data);
    }
    buf_release(&b);
    free(ckpt);
    return path;
}

static int fork_job(struct job *j, const void *args, struct err *e) {
    const struct fork_args *a = args;
    struct folder f = {NULL, NULL, NULL};
    char *name = a->run && a->run->type != VAL_NIL ? folder_item(j->call, a->run, e) : NULL;
    int rc = e->code ? -1 : folder_open(hub_runs(j->hub), name, &f, e);
    free(name);
    if (rc == 0 && f.temporary) rc = err_set(e, "fork: a bundle holds no checkpoints");
    char *path = rc == 0 ? checkpoint(&f, a->at, e) : NULL;
    struct val *t = NULL;
    if (path) {
        t = val_table();
        val_set_str(t, "resume", path);
        static const char *const same[] = {"epochs", "steps", "batch", "seed", "lr"};
        for (size_t i = 0; i < LEN(same); i++)
            if (val_get(j->call->args, same[i])) val_set(t, same[i], val_copy(val_get(j->call->args, same[i])));
        if (a->name) val_set_str(t, "name", a->name);
        t = resume_fill(j->hub, t, e);
    }
    free(path);
    folder_close(&f);
    return train_with(j, t, e);
}

#define A(name, help, type, field, ...) \
    { name, help, NULL, NULL, type, offsetof(struct fork_args, field), __VA_ARGS__ }
static const struct arg table[] = {
    A("run", "a run or its name; the newest without", ARG_VAL, run, ARG_POSITIONAL, 0, 0, 0, NULL, SRC_RUN),
    A("at", "step of the checkpoint; the newest without", ARG_INT, at, 0, 0, 0, 9e15),
    A("epochs", "epochs in all, those before the checkpoint included; as that run was asked for without", ARG_INT, epochs, 0, 0, 1, 1e9),
    A("steps", "steps in all", ARG_INT, steps, 0, 0, 1, 1e15),
    A("batch", "rows of a step", ARG_INT, batch, 0, 0, 1, 1e9),
    A("seed", "seed of order and dropout", ARG_INT, seed, 0, 0, 0, 9e15),
    A("lr", "learning rate from there on", ARG_NUM, lr, 0, 0, 0, 1e6),
    A("name", "name of the new run", ARG_STR, name, 0),
    {NULL},
};
extern const struct cmd cmd_fork;
const struct cmd cmd_fork = {{"fork", "a new run that goes on from a checkpoint of another one", "run = hone.fork{ \"fashion-1\", at = 938, epochs = 5 }",
                                 table, sizeof(struct fork_args)},
    OWNER_ENGINE, CMD_LINE, NULL, fork_job};
