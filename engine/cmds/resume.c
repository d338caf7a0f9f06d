/* hone.train{resume=RUN} needs nothing else: run.json tells the arguments and the data set, the checkpoint has the model. */
#include "config.h"

#include "engine/cmds/resume.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cmds/objects.h"
#include "engine/cmds/pick.h"
#include "engine/train/train.h"
#include "src/base/io.h"
#include "src/base/json.h"

enum { RECORD_MAX = 64 << 20, UP = 3 }; /* bytes of run.json; RUN, RUN/ckpt, RUN/ckpt/STEP */

/* The record of the run that a path lies in, or NULL: a checkpoint that was copied away has none. */
static struct val *find_record(const char *path, struct err *e) {
    struct buf up = BUF_INIT;
    struct val *v = NULL;
    buf_adds(&up, path);
    for (int i = 0; i < UP && !v && !e->code; i++) {
        char *file = io_join(up.data, "run.json");
        if (io_exists(file)) v = json_read_file(file, RECORD_MAX, e);
        free(file);
        buf_adds(&up, "/..");
    }
    buf_release(&up);
    return v;
}

/* A run of this process tells at once; its file may still be on its way. */
static struct val *live_record(struct hub *h, const struct val *resume) {
    struct job *j = resume->type == VAL_HANDLE ? hub_job(h, resume->u.h) : NULL;
    struct run *r = j ? hub_job_run(j) : resume->type == VAL_STR ? runs_find(hub_runs(h), resume->u.s.p) : NULL;
    struct val *start = r ? run_start_info(r) : NULL, *v = start ? val_table() : NULL;
    if (v) val_set(v, "start", start);
    return v;
}

static const char *digest(const struct val *files, size_t i) { return val_get_str(val_at(files, i), "sha256", ""); }

/* The files that were read then are what is there now. */
static int same_content(const struct val *then, const struct val *now, struct err *e) {
    const struct val *a = val_get(then, "files"), *b = val_get(now, "files");
    size_t n = val_len(a);
    if (n != val_len(b)) return err_set(e, "the data set has %zu files, the run was made with %zu: give data=", val_len(b), n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(digest(a, i), digest(b, i)) != 0)
            return err_set(e, "%s has changed since the run was made (SHA-256 %.12s.., then %.12s..): give data=", val_get_str(val_at(b, i), "path", "?"),
                digest(b, i), digest(a, i));
    return 0;
}

/* What texts were cut with stands in the checkpoint's model: it may come from a model that was there before this run. NULL: nothing does. */
static struct val *text_prep(const struct val *model) {
    struct err none = {0};
    char *file = model && model->type == VAL_STR ? io_join(model->u.s.p, "model.json") : NULL;
    struct val *head = file && io_exists(file) ? json_read_file(file, RECORD_MAX, &none) : NULL;
    const struct val *desc = val_get(head, "model");
    bool text = strcmp(val_get_str(val_get(desc, "prep"), "kind", ""), "text") == 0;
    struct val *own = text ? val_copy(desc) : NULL;
    val_free(head);
    free(file);
    return own;
}

static int fill_data(struct val *args, const struct val *record, const char *path, struct err *e) {
    const struct val *identity = val_get(val_get(record, "start"), "identity"), *asked = val_get(identity, "asked");
    if (!asked || asked->type != VAL_TABLE) return err_code(e, ERR_USAGE, "nothing tells which data set %s was made with: give data=", path);
    struct val *like = text_prep(val_get(args, "model"));
    struct dataset *d = pick_load_data(asked, like, e);
    val_free(like);
    if (!d) return err_wrap(e, "the data set of %s cannot be loaded again", path);
    if (same_content(identity, d->identity, e) < 0) {
        dataset_unref(d);
        return -1;
    }
    val_set(args, "data", val_handle(objects_add_data(d)));
    return 0;
}

static int fill_model(struct val *args, const char *path, struct err *e) {
    struct val *meta = NULL;
    char *folder = ckpt_find(path, &meta, e);
    if (!folder) return err_wrap(e, "cannot resume from %s", path);
    val_set_str(args, "model", folder);
    val_free(meta);
    free(folder);
    return 0;
}

/* The run's configuration has the names of the arguments. */
static void fill_rest(struct val *args, const struct val *record) {
    const struct val *config = val_get(val_get(record, "start"), "config");
    bool end_given = val_get(args, "epochs") || val_get(args, "steps");
    for (size_t i = 0; config && config->type == VAL_TABLE && i < config->u.t.n_field; i++) {
        const struct val_field *f = &config->u.t.field[i];
        bool is_end = strcmp(f->name, "epochs") == 0 || strcmp(f->name, "steps") == 0;
        if (args_find(&train_kind, f->name) && !val_get(args, f->name) && !(is_end && end_given)) val_set(args, f->name, val_copy(f->v));
    }
}

struct val *resume_fill(struct hub *h, struct val *args_take, struct err *e) {
    char path[4096];
    struct val *args = args_take, *record;
    const struct val *resume = val_get(args, "resume");
    if (!resume || resume->type == VAL_NIL) return args;
    train_resume_path(h, resume, path, sizeof path);
    record = live_record(h, resume);
    if (!record)
        record = io_exists(path) ? find_record(path, e) : (err_set(e, "there is no run or checkpoint %s to resume; hone ls lists the runs", path), NULL);
    int rc = e->code ? -1 : 0;
    if (rc == 0 && !val_get(args, "model")) rc = fill_model(args, path, e);
    if (rc == 0 && !val_get(args, "data")) rc = fill_data(args, record, path, e);
    if (rc == 0) fill_rest(args, record);
    val_free(record);
    if (rc == 0) return args;
    val_free(args);
    return NULL;
}

struct val *resume_args(struct job *j, struct err *e) {
    return resume_fill(j->hub, val_copy(j->call->args), e);
}
