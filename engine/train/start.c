/* What a run says of itself at its start: model, data, device, every setting that is not at its default, memory. */
#include "config.h"

#include <string.h>
#include <sys/statvfs.h>

#include "engine/cpu/pool.h"
#include "engine/graph/backend.h"
#include "engine/train/train.h"
#include "src/base/args.h"

/* What of the other arguments is not at its default: a resumed run takes it from here. */
static void asked_for(const struct train *t, struct val *config) {
    struct val *given = args_to_val(&train_kind, &t->a);
    for (size_t i = 0; i < given->u.t.n_field; i++) {
        const struct val_field *f = &given->u.t.field[i];
        const struct arg *a = args_find(&train_kind, f->name);
        bool scalar = a->type == ARG_INT || a->type == ARG_NUM || a->type == ARG_BOOL || a->type == ARG_ENUM || a->type == ARG_STR;
        struct val *usual = a->def ? args_text(a->def) : NULL;
        static const char *const elsewhere[] = {"seed", "lr", "epochs", "steps"};
        bool own = false;
        for (size_t k = 0; k < LEN(elsewhere); k++) own |= strcmp(f->name, elsewhere[k]) == 0;
        if (scalar && !own && !val_get(config, f->name) && f->v->type != VAL_NIL && !(usual && val_equal(usual, f->v)))
            val_set(config, f->name, val_copy(f->v));
        val_free(usual);
    }
    val_free(given);
}

/* The run that this one goes on from: RUN of RUN, RUN/ckpt and RUN/ckpt/STEP. */
static void set_parent(const struct train *t, struct val *start) {
    char path[4096];
    train_resume_path(t->j->hub, t->a.resume, path, sizeof path);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = 0;
    for (char *p = path; (p = strstr(p, "/ckpt")); p++)
        if (p[5] == 0 || p[5] == '/') *p = 0;
    const char *slash = strrchr(path, '/');
    val_set_str(start, "parent", slash ? slash + 1 : path);
}

/* A warning where the disk has less room than one checkpoint takes; a file system that does not tell (0 blocks in all) is believed to have it. */
static void check_room(struct train *t) {
    const char *dir = run_dir(t->run);
    struct statvfs fs;
    struct buf say = BUF_INIT;
    if (!t->writer || !dir || statvfs(dir, &fs) != 0 || fs.f_blocks == 0) return;
    double free_mb = (double)fs.f_bavail * (double)fs.f_frsize / 1e6;
    double need_mb = ((double)t->model->bytes + (double)t->optim->l.bytes + (t->average ? (double)t->model->bytes : 0)) / 1e6;
    if (free_mb >= need_mb) return;
    buf_addf(&say, "the folder of runs has %.1f MB of room, a checkpoint of this run takes %.1f MB: none can be saved until there is more", free_mb, need_mb);
    run_say(t->run, "notice", t->n_step, "warn", say.data);
    buf_release(&say);
}

void train_start_event(struct train *t) {
    struct val *v = val_table(), *config = val_table();
    val_set_str(v, "model", val_get_str(t->model->desc, "name", "model"));
    val_set_int(v, "params", model_params(t->model));
    val_set_str(v, "device", t->device ? t->device->name : "cpu");
    if (t->device) val_set_bool(v, "tf32", t->device->tf32);
    val_set_int(v, "threads", pool_threads(t->pool));
    val_set_int(v, "seed", t->a.seed);
    val_set_str(v, "version", PACKAGE_VERSION);
    val_set_str(v, "data", t->data->name);
    val_set_int(v, "train_rows", t->part->n);
    if (t->val) val_set_int(v, "val_rows", t->val->n);
    if (t->a.epochs > 0) val_set_int(config, "epochs", t->a.epochs);
    if (t->a.steps > 0) val_set_int(config, "steps", t->a.steps);
    val_set_int(config, "batch", t->a.batch);
    if (t->a.accum > 1) val_set_int(config, "accum", t->a.accum);
    if (t->a.ema > 0) val_set_num(config, "ema", t->a.ema);
    if (t->a.swa > 0) val_set_num(config, "swa", t->a.swa);
    val_set(config, "optim", optimiser_val(t->optim));
    val_set(config, "sched", sched_val(t->sched));
    val_set(config, "loss", loss_val(&t->loss));
    if (t->a.clip_norm > 0) val_set_num(config, "clip_norm", t->a.clip_norm);
    if (t->a.clip_value > 0) val_set_num(config, "clip_value", t->a.clip_value);
    if (t->a.freeze) val_set(config, "freeze", val_copy(t->freeze));
    asked_for(t, config);
    val_set(v, "config", config);
    if (t->a.precision != PRECISION_FP32) val_set(v, "precision", precision_val(&t->precision));
    if (t->products.n) val_set(v, "products", choose_val(&t->products));
    if (t->data->identity) val_set(v, "identity", val_copy(t->data->identity));
    struct val *memory;
    int64_t bytes = (int64_t)step_memory(t->step, &memory), more = t->average ? (int64_t)t->model->bytes : 0;
    if (more) val_set_int(memory, "averaged", more), val_set_int(memory, "total", bytes + more);
    val_set_int(v, "memory", bytes + more);
    if (t->n_step > 0) val_set_int(v, "resumed_at", t->n_step), set_parent(t, v);
    run_info(t->run, v);
    run_report(t->run, "memory", memory);
    run_report(t->run, "model", model_sheet(t->model));
    check_room(t);
}
