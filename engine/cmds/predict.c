/* The command predict: labels and probabilities for new inputs, prepared the way the model's training data was. Engine thread. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/dataset.h"
#include "engine/cmds/objects.h"
#include "engine/cmds/pick.h"
#include "engine/graph/backend.h"
#include "engine/metrics/threshold.h"
#include "engine/train/decode.h"
#include "engine/train/eval.h"
#include "engine/train/precision.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/call/call.h"

struct predict_args {
    struct handle model;
    struct val *rest;
    int64_t top, beam;
    int precision;
    bool force_precision;
    struct val *threshold;
};
#define FILE_MAX ((size_t)64 << 20)

/* A string that names a readable file stands for its text, a table (.csv ..) for the list of its texts; for a model of tables or arrays it stays a name.
 * column: of the texts in a table; NULL: the model takes none. */
static struct val *input_of(const struct val *v, const char *column, struct err *e) {
    bool texts = column != NULL;
    const char *name = texts && v->type == VAL_STR ? v->u.s.p : "";
    if (dataset_is_rows(name) && (!strpbrk(name, " \t\n") || io_exists(name))) {
        if (io_exists(name)) return dataset_texts(name, column, e);
        err_set(e, "there is no file %.200s", name);
        return NULL;
    }
    if (!texts || v->type != VAL_STR || strlen(v->u.s.p) > 4096 || strchr(v->u.s.p, '\n') || !io_exists(v->u.s.p) || io_is_dir(v->u.s.p)) return val_copy(v);
    struct buf b = BUF_INIT;
    struct val *out = io_read_file(v->u.s.p, FILE_MAX, &b, e) < 0 ? NULL : val_strn(b.data ? b.data : "", b.len);
    buf_release(&b);
    return out;
}

/* The inputs from position `from` on; one table stands for itself. *many: a list of answers is wanted. */
static struct val *inputs_of(const struct val *rest, size_t from, const char *column, bool *many, struct err *e) {
    size_t n = val_len(rest);
    *many = n - from != 1;
    if (n <= from) {
        err_code(e, ERR_USAGE, "predict needs an input: a text, a file, or a list of them");
        return NULL;
    }
    if (!*many && val_at(rest, from)->type == VAL_TABLE) {
        *many = val_len(val_at(rest, from)) > 0 && (val_at(val_at(rest, from), 0)->type == VAL_STR || val_at(val_at(rest, from), 0)->type == VAL_TABLE);
        if (!*many || val_at(val_at(rest, from), 0)->type == VAL_TABLE) return val_copy(val_at(rest, from));
        return inputs_of(val_at(rest, from), 0, column, &(bool){true}, e);
    }
    struct val *list = val_list();
    for (size_t i = from; i < n; i++) {
        struct val *v = input_of(val_at(rest, i), column, e);
        if (!v) {
            val_free(list);
            return NULL;
        }
        if (v->type != VAL_TABLE || val_at(rest, i)->type != VAL_STR) {
            val_push(list, v);
            continue;
        }
        *many = true;
        for (size_t k = 0; k < val_len(v); k++) val_push(list, val_copy(val_at(v, k)));
        val_free(v);
    }
    return list;
}

static const char *class_name(const struct model *m, int64_t c) {
    const struct val *v = val_at(val_get(m->desc, "classes"), (size_t)c);
    return v && v->type == VAL_STR ? v->u.s.p : NULL;
}

static void name_class(struct val *to, const char *field, const struct model *m, int64_t c) {
    const char *s = class_name(m, c);
    if (s) val_set_str(to, field, s);
    else val_set_int(to, field, c);
}

/* The answer by a threshold of the positive class, of a probability in single precision as evaluations keep it; probs stay as they are. */
static void by_threshold(struct val *v, const struct model *m, const struct threshold *t, const double p[2]) {
    int64_t c = (double)(float)p[t->cls] >= t->at ? t->cls : 1 - t->cls;
    name_class(v, "label", m, c);
    val_set_num(v, "p", p[c]);
}

/* {label=, p=, probs={name=p ..}} of one row of logits; without classes {value=}. by: NULL, or of two classes. */
static struct val *answer(const struct model *m, const float *z, int64_t n, int64_t top, const struct threshold *by) {
    struct val *v = val_table(), *all = val_list();
    bool classes = val_get(m->desc, "classes") || val_get_int(m->desc, "n_class", 0) > 0;
    if (!classes) {
        const struct val *y = val_get(val_get(m->desc, "prep"), "target"); /* learned as (y - mean) / std */
        double mean = val_get_num(y, "mean", 0), std = val_get_num(y, "std", 1);
        for (int64_t i = 0; i < n; i++) val_push(all, val_num((double)z[i] * std + mean));
        val_set(v, "value", n == 1 ? val_copy(val_at(all, 0)) : val_copy(all));
        val_free(all);
        return v;
    }
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) max = fmax(max, (double)z[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)z[i] - max);
    bool *used = X_NEW(bool, (size_t)n);
    for (int64_t k = 0; k < n && k < top; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!used[i] && (best < 0 || z[i] > z[best])) best = i;
        used[best] = true;
        struct val *one = val_table();
        name_class(one, "label", m, best);
        val_set_num(one, "p", exp((double)z[best] - max) / sum);
        if (k == 0) {
            name_class(v, "label", m, best);
            val_set_num(v, "p", val_get_num(one, "p", NAN));
        }
        val_push(all, one);
    }
    if (by) by_threshold(v, m, by, (double[]){exp((double)z[0] - max) / sum, exp((double)z[1] - max) / sum});
    val_set(v, "probs", all);
    free(used);
    return v;
}

/* {label=, labels={..}, p=} of a row with an answer for each frame; label: the names in one string, p: the probability of the sequence, as far as the
 * search saw its paths. */
static struct val *sequence(const struct model *m, const float *z, int64_t frames, int64_t classes, int64_t beam) {
    struct val *v = val_table(), *list = val_list();
    struct buf text = BUF_INIT;
    int32_t *path = X_NEW(int32_t, (size_t)frames + 1);
    double log_p = NAN;
    int64_t n = beam > 1 ? decode_beam(z, frames, classes, beam, path, &log_p) : decode_best_path(z, frames, classes, path);
    for (int64_t i = 0; i < n; i++) {
        const char *s = class_name(m, path[i]);
        struct val *one = s ? val_str(s) : val_int(path[i]);
        if (s) buf_addf(&text, "%s", s);
        else buf_addf(&text, "%s%d", i ? " " : "", (int)path[i]);
        val_push(list, one);
    }
    val_set_str(v, "label", text.data ? text.data : "");
    val_set(v, "labels", list);
    if (beam > 1) val_set_num(v, "p", exp(log_p));
    buf_release(&text);
    free(path);
    return v;
}

/* Each answer says what it was computed in, where fp32 was not asked for. */
static int answers(const struct model *m, const struct part *p, const struct predict_args *a, const struct threshold *by, struct val *out, struct err *e) {
    struct step_spec ss = {.model = m};
    struct loader_spec ls = {.part = p, .batch = 64, .epochs = 1};
    struct precision pr;
    loader_limits(p, ls.batch, 0, false, &ss.rows, ss.tokens);
    if (precision_choose(&pr, a->precision, a->force_precision, m, p->col[0].type == COL_TOKENS ? ss.tokens[0] : ss.rows, e) < 0) return -1;
    ss.half = pr.half, ss.fp8 = pr.fp8;
    if (backend_of_setting(&ss.device, e) < 0) return -1;
    struct step *s = step_new(&ss, e);
    struct loader *l = NULL;
    int rc = -1;
    if (s && p->n_col < s->io.n_in) err_set(e, "the model has %d inputs, the input gives %d", s->io.n_in, p->n_col);
    else if (s && step_check_inputs(s, p, e) < 0) err_wrap(e, "the preparation saved with the model does not fit it");
    else if (s) {
        for (int i = 0; i < s->io.n_in; i++) ls.weights |= s->io.in[i].weight >= 0;
        l = loader_new(&ls, 0, 0, e);
        rc = l ? 0 : -1;
    }
    const struct batch *b;
    bool whole = s && val_get_bool(m->desc, "sequence", false);
    if (rc == 0 && whole && !step_has_frames(s))
        rc = err_set(e, "the model says that it reads sequences, but it has no answer for each frame, (frames, classes) of an example");
    while (rc == 0 && (b = loader_next(l))) {
        struct extents x = step_load(s, p, b);
        struct step_result r;
        int64_t rows, width;
        if ((rc = step_run(s, &x, 0, NULL, &r, e)) < 0) break;
        const float *z = step_output(s, &x, &rows, &width);
        for (int64_t i = 0; whole && i < b->rows; i++) {
            int64_t frames, classes;
            const float *f = step_frames(s, &x, i, &frames, &classes);
            struct val *v = sequence(m, f, frames, classes, a->beam);
            if (a->precision != PRECISION_FP32) val_set_str(v, "precision", precision_name(&pr));
            val_push(out, v);
        }
        if (whole) continue;
        const int32_t *offset = rows != b->rows ? b->col[0].offset : NULL; /* one answer a token: that of a text is its last, what follows the text */
        for (int64_t i = 0; i < b->rows && (offset || i < rows); i++) {
            struct val *v = answer(m, z + (offset ? offset[i + 1] - 1 : i) * width, width, a->top, by);
            if (a->precision != PRECISION_FP32) val_set_str(v, "precision", precision_name(&pr));
            val_push(out, v);
        }
    }
    loader_free(l);
    step_free(s);
    return rc;
}

/* 1: there is a threshold, 0: there is none. */
static int threshold_of(const struct predict_args *a, const struct model *m, struct threshold *t, struct err *e) {
    if (!a->threshold || a->threshold->type == VAL_NIL) return 0;
    const struct val *classes = val_get(m->desc, "classes");
    int64_t n = val_len(classes) ? (int64_t)val_len(classes) : val_get_int(m->desc, "n_class", 0);
    const char *const names[2] = {class_name(m, 0), class_name(m, 1)};
    if (threshold_init(t, a->threshold, e) < 0) return -1;
    int rc = threshold_given(t) ? threshold_class(t, (int)n, names[0] && names[1] ? names : NULL, e)
                                : err_code(e, ERR_USAGE, "threshold: predict takes the number itself; hone eval picks it");
    if (rc < 0) threshold_release(t);
    return rc < 0 ? -1 : 1;
}

static int predict_run(struct call *c, const void *args, struct err *e) {
    const struct predict_args *a = args;
    bool handle = a->model.id != 0, many = true;
    if (!handle && val_len(a->rest) < 1) return err_code(e, ERR_USAGE, "predict needs a model and an input: hone predict MODEL TEXT..");
    struct model *m = handle ? objects_model(a->model, e) : pick_model(val_at(a->rest, 0), e);
    const struct val *prep = m ? val_get(m->desc, "prep") : NULL;
    const char *kind = val_get_str(prep, "kind", "text"), *column = strcmp(kind, "text") == 0 ? val_get_str(prep, "x", "text") : NULL;
    struct val *in = m ? inputs_of(a->rest, handle ? 0 : 1, column, &many, e) : NULL;
    struct part *p = in ? dataset_prepare(prep, in, e) : NULL;
    /* A flat list is one row of a table, not many inputs; a file may hold many. */
    if (p && strcmp(kind, "table") == 0 && val_len(in) && val_at(in, 0)->type != VAL_TABLE) many = p->n > 1;
    if (p && strcmp(kind, "array") == 0 && (in->type == VAL_STR || (val_len(in) && val_at(in, 0)->type == VAL_STR))) many = many || p->n > 1;
    struct val *out = val_list();
    struct threshold t;
    int by = p ? threshold_of(a, m, &t, e) : -1, rc = by < 0 ? -1 : answers(m, p, a, by ? &t : NULL, out, e);
    if (by > 0) threshold_release(&t);
    if (rc == 0) call_result(c, many ? val_copy(out) : val_copy(val_at(out, 0)));
    val_free(out);
    val_free(in);
    if (p) part_free(p);
    return rc;
}

static const struct arg table[] = {
    {"model", "the model", NULL, NULL, ARG_HANDLE, offsetof(struct predict_args, model), ARG_POSITIONAL},
    {"inputs", "the path of a saved model where none is given before; then texts, files (a table gives an answer a row), or tables", NULL, NULL, ARG_TABLE,
        offsetof(struct predict_args, rest), ARG_POSITIONAL | ARG_REST, 0, 0, 0, NULL, SRC_FILE},
    {"top", "classes to list, most likely first", NULL, "5", ARG_INT, offsetof(struct predict_args, top), 0, 0, 1, 1e6},
    {"beam", "sequences of classes: prefixes that the search keeps; 1 takes the best class of each frame", NULL, "1", ARG_INT,
        offsetof(struct predict_args, beam), 0, 0, 1, 10000},
    {"threshold", "two classes: from which probability on the answer is the second class, as hone eval picks it: a number, or {0.3, positive=NAME}", NULL, NULL,
        ARG_VAL, offsetof(struct predict_args, threshold)},
    {"precision", PRECISION_INFER_HELP, NULL, "fp32", ARG_ENUM, offsetof(struct predict_args, precision), 0, 0, 0, 0, precision_infer_names},
    {"force_precision", PRECISION_FORCE_HELP, NULL, "false", ARG_BOOL, offsetof(struct predict_args, force_precision)},
    {NULL},
};
extern const struct cmd cmd_predict;
const struct cmd cmd_predict = {
    {"predict", "labels and probabilities of new inputs", "print(m:predict(\"a fine film\").label)", table, sizeof(struct predict_args)}, OWNER_ENGINE,
    CMD_WHILE_RUNNING | CMD_LINE, predict_run};
