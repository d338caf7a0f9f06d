/* Evaluation, and the way of a batch into a step's memory. */
#include "config.h"

#include "engine/train/eval.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/train/decode.h"
#include "src/base/log.h"
#include "src/base/mem.h"

struct eval {
    struct eval_spec spec;
    struct products own; /* where spec.products is NULL */
    struct step *step;
    struct tally tally;
    int32_t *guess;
    float *value; /* answers, then targets of a batch */
    int32_t *path; /* a decoded sequence: as many as a row has frames */
    struct examples *examples;
    int64_t batch;
};

/* Values of one row of an input or target tensor, ragged or not. */
static int64_t row_width(const struct step *s, tid t) {
    const struct tensor *x = graph_tensor(s->g, t);
    int64_t w = x->ndim ? x->dim[0].k : 1;
    for (int i = 1; i < x->ndim; i++) w *= x->dim[i].k;
    return w;
}

static int check_input(const struct step *s, int i, const struct column *c, struct err *e) {
    tid t = s->io.in[i].data;
    bool ragged = s->io.in[i].axis >= AXIS_T0, ids = graph_tensor(s->g, t)->dtype == DT_I32;
    if (c->type == COL_TEXT) return err_set(e, "column \"%s\" is text that was not turned into tokens: load the data with vocab=N", c->name);
    if (ragged != (c->type == COL_TOKENS))
        return err_set(
            e, "the model's input %d takes %s, but column \"%s\" holds %s", i + 1, ragged ? "texts" : "values", c->name, ragged ? "values" : "texts");
    if (!ragged && ids != (c->type == COL_I32))
        return err_set(e, "the model's input %d takes %s, but column \"%s\" holds %s", i + 1, ids ? "ids" : "numbers", c->name, ids ? "numbers" : "ids");
    int64_t w = c->width > 0 ? c->width : 1;
    if (!ragged && row_width(s, t) != w)
        return err_set(e, "the model's input %d has %" PRId64 " values a row, but column \"%s\" has %" PRId64, i + 1, row_width(s, t), c->name, w);
    return 0;
}

static int check_sequences(const struct step *s, const struct part *part, const struct loss_spec *loss, struct err *e) {
    const struct column *y = &part->col[part->n_col - 1];
    const struct tensor *o = graph_tensor(s->g, s->io.out);
    int64_t classes = o->dim[o->ndim - 1].k;
    if (y->type != COL_I32 || y->width != loss->longest)
        return err_set(e, "loss %s needs sequences of classes: load the data with target=\"sequence\"", loss->row->kind.name);
    if (y->max_id > classes)
        return err_set(e, "the model has %" PRId64 " outputs, but the data %" PRId64 " classes with the blank: make the last layer linear{%" PRId64 "}",
            classes, y->max_id, y->max_id);
    return 0;
}

/* Frames of a row of the output, -1: not known here. */
static int64_t frames_of(const struct step *s, const struct part *part, int64_t row) {
    const struct tensor *o = graph_tensor(s->g, s->io.out);
    if (o->ndim == 3) return o->dim[1].k;
    for (int i = 0; i < s->g->n_derived; i++)
        if (s->g->derived[i].times && s->g->derived[i].offsets == o->offsets) return s->g->derived[i].times;
    for (int i = 0; i < s->io.n_in; i++)
        if (s->io.in[i].offsets == o->offsets) return part->col[i].offset[row + 1] - part->col[i].offset[row];
    return -1;
}
int step_fits(const struct step *s, const struct part *part, const struct loss_spec *loss, struct err *e) {
    if (!loss->row->sequence) return 0;
    struct val *v = loss_val(loss);
    bool skip = val_get_bool(v, "zero_infinity", false);
    const struct column *y = &part->col[part->n_col - 1];
    int64_t left = 0;
    val_free(v);
    for (int64_t r = 0; r < part->n; r++) {
        const int32_t *p = (const int32_t *)y->data + r * y->width;
        int64_t n = 0, need = 0, have = frames_of(s, part, r);
        for (; n < y->width && p[n] > 0; n++) need += 1 + (n && p[n] == p[n - 1]);
        if (have < 0 || need <= have) continue;
        if (!skip)
            return err_set(e,
                "example %" PRId64 " has a target of %" PRId64 " labels, which takes %" PRId64
                " frames (a blank stands between equal ones), but its input gives %" PRId64
                ": make it shorter, or give loss=loss.ctc{zero_infinity=true}, with which such rows count nothing",
                r + 1, n, need, have);
        left++;
    }
    if (left) log_write(LOG_WARN, "%" PRId64 " of %" PRId64 " targets do not fit into the frames of their inputs and count nothing", left, part->n);
    return 0;
}

int step_check_inputs(const struct step *s, const struct part *part, struct err *e) {
    for (int i = 0; i < s->io.n_in; i++)
        if (check_input(s, i, &part->col[i], e) < 0) return -1;
    return 0;
}

int step_check(const struct step *s, const struct part *part, const struct loss_spec *loss, struct err *e) {
    if (part->n_col - 1 != s->io.n_in)
        return err_set(e,
            part->n_col == 1 ? "the model has %d inputs, but the data has a target alone: is a column missing, or y= wrong?"
                             : "the model has %d inputs, the data %d columns before the target",
            s->io.n_in, part->n_col - 1);
    if (step_check_inputs(s, part, e) < 0) return -1;
    if (!loss) return 0;
    if (loss->row->sequence) return check_sequences(s, part, loss, e);
    const struct column *y = &part->col[part->n_col - 1];
    const struct tensor *o = graph_tensor(s->g, s->io.out);
    int64_t w = y->width > 0 ? y->width : 1, out = o->ndim ? o->dim[o->ndim - 1].k : 1;
    bool ragged = graph_tensor(s->g, s->target)->dim[0].axis >= AXIS_T0;
    if (loss->row->labels) {
        if (y->type != COL_I32 && y->type != COL_TOKENS)
            return err_set(e, "loss %s needs class labels, but \"%s\" holds numbers: use loss=\"mse\"", loss->row->kind.name, y->name);
        if (ragged != (y->type == COL_TOKENS))
            return err_set(
                e, "the model gives one answer for each %s, but \"%s\" has one for each %s", ragged ? "token" : "row", y->name, ragged ? "row" : "token");
        if (!ragged && row_width(s, s->target) != w)
            return err_set(e,
                "the model gives %" PRId64 " answers for each row, but \"%s\" has %" PRId64
                ": add a layer that leaves one, such as flatten{} before the first linear",
                row_width(s, s->target), y->name, w);
        if (y->max_id > out)
            return err_set(
                e, "the model has %" PRId64 " outputs, but the data %" PRId64 " classes: make the last layer linear{%" PRId64 "}", out, y->max_id, y->max_id);
        return 0;
    }
    if (y->type != COL_F32 && y->type != COL_U8)
        return err_set(e, "loss %s needs numbers, but \"%s\" holds classes: use loss=\"cross_entropy\"", loss->row->kind.name, y->name);
    if (ragged) return err_set(e, "the model gives one answer for each token, but \"%s\" has one for each row: add a pooling over the tokens", y->name);
    if (row_width(s, s->target) != w)
        return err_set(e, "the model gives %" PRId64 " values a row, but the target \"%s\" has %" PRId64, row_width(s, s->target), y->name, w);
    return 0;
}

static void copy_column(const struct column *c, const struct batch_col *from, int64_t rows, int64_t tokens, void *data, int32_t *offsets, float *weights) {
    int64_t n = c->type == COL_TOKENS ? tokens : rows * (c->width > 0 ? c->width : 1);
    if (data) memcpy(data, from->data, (size_t)n * 4);
    if (offsets && from->offset) memcpy(offsets, from->offset, (size_t)(rows + 1) * sizeof *offsets);
    if (!weights) return;
    for (int64_t i = 0; i < n; i++) weights[i] = from->weight ? from->weight[i] : 1;
}

/* Columns to where `at` says that tensors are; offsets: these alone. */
static void copy_columns(const struct step *s, const struct part *part, const struct batch *b, void *(*at)(struct plan *p, tid t), bool offsets) {
    struct plan *p = s->plan;
    for (int i = 0; i < s->io.n_in; i++) {
        void *data = offsets ? NULL : at(p, s->io.in[i].data);
        float *weights = offsets ? NULL : at(p, s->io.in[i].weight);
        copy_column(&part->col[i], &b->col[i], b->rows, b->tokens[i], data, at(p, s->io.in[i].offsets), weights);
    }
    int y = part->n_col - 1;
    if (!offsets && y >= s->io.n_in && b->col[y].data) copy_column(&part->col[y], &b->col[y], b->rows, b->tokens[y], at(p, s->target), NULL, NULL);
    if (offsets || s->other < 0) return;
    void *other = at(p, s->other);
    if (other) memcpy(other, b->other ? (const void *)b->other : b->col[y].data, (size_t)b->rows * sizeof(int32_t));
}
static void *here(struct plan *p, tid t) { return plan_data(p, t); }

struct extents step_load(const struct step *s, const struct part *part, const struct batch *b) {
    copy_columns(s, part, b, here, plan_ahead_is(s->plan, b->serial));
    if (s->other >= 0) {
        plan_scalar(s->plan, s->share, (double)b->share);
        plan_scalar(s->plan, s->rest, (double)(1 - b->share));
    }
    return step_extents(s, b->rows, b->tokens, part->n_col);
}

void step_load_ahead(const struct step *s, const struct part *part, const struct batch *b) {
    struct extents x = step_extents(s, b->rows, b->tokens, part->n_col);
    copy_columns(s, part, b, plan_ahead, false);
    plan_ahead_send(s->plan, &x, b->serial);
}

static int64_t batch_for(const struct eval_spec *spec) {
    int64_t tokens = 0;
    if (spec->batch > 0) return spec->batch;
    for (int64_t i = 0; i < spec->part->n; i++) tokens += part_tokens(spec->part, i);
    int64_t mean = spec->part->n ? tokens / spec->part->n : 0;
    return mean > 64 ? 64 : 256;
}

struct eval *eval_new(const struct eval_spec *spec, struct err *e) {
    struct eval *v = X_NEW(struct eval, 1);
    int64_t tokens[LOADER_COLS], rows;
    v->spec = *spec;
    v->batch = batch_for(spec);
    loader_limits(spec->part, v->batch, spec->batch_tokens, false, &rows, tokens);
    struct step_spec ss = {.model = spec->model,
        .loss = spec->loss,
        .device = spec->device,
        .pool = spec->pool,
        .rows = rows,
        .half = spec->half,
        .fp8 = spec->fp8,
        .products = spec->products ? spec->products : &v->own};
    memcpy(ss.tokens, tokens, sizeof ss.tokens);
    v->step = step_new(&ss, e);
    if (!v->step || step_check(v->step, spec->part, spec->loss, e) < 0) {
        eval_free(v);
        return NULL;
    }
    const struct tensor *o = graph_tensor(v->step->g, v->step->io.out);
    bool labels = spec->loss && spec->loss->row->labels;
    int classes = labels ? (int)o->dim[o->ndim - 1].k : 0;
    int64_t keep = spec->probabilities && labels && spec->part->n * classes <= EVAL_PROBABILITIES ? spec->part->n : 0;
    tally_init(&v->tally, classes, keep);
    if (spec->guesses && labels) v->guess = X_NEW(int32_t, (size_t)spec->part->n + 1);
    v->tally.sequence = spec->loss && spec->loss->row->sequence;
    if (v->tally.sequence) v->path = X_NEW(int32_t, (size_t)(tensor_len(o, &v->step->max) / o->dim[o->ndim - 1].k) + 1);
    if (!labels && !v->tally.sequence) v->value = X_NEW(float, 2 * (size_t)tensor_len(o, &v->step->max) + 1);
    if (spec->examples && !v->tally.sequence) v->examples = examples_new(classes);
    return v;
}

void eval_free(struct eval *v) {
    if (!v) return;
    step_free(v->step);
    tally_release(&v->tally);
    free(v->guess);
    free(v->value);
    free(v->path);
    examples_free(v->examples);
    free(v);
}

static void count_sequences(struct eval *v, const struct extents *x, const struct batch *b) {
    int64_t longest = v->spec.loss->longest, frames, classes;
    for (int64_t r = 0; r < b->rows; r++) {
        const int32_t *y = (const int32_t *)step_target(v->step) + r * longest;
        const float *z = step_frames(v->step, x, r, &frames, &classes);
        int64_t n = decode_best_path(z, frames, classes, v->path), m = 0;
        while (m < longest && y[m] > 0) m++;
        int64_t edits = decode_distance(v->path, n, y, m);
        tally_sequence(&v->tally, edits == 0, edits, m);
    }
}

/* Answers and targets as they were before the target was standardised. */
static void count_values(struct eval *v, const float *out, int64_t rows, int64_t width, const struct batch *b) {
    const struct part *p = v->spec.part;
    const float *y = step_target(v->step);
    int64_t n = rows * width;
    column_restore(&p->col[p->n_col - 1], out, v->value, n);
    column_restore(&p->col[p->n_col - 1], y, v->value + n, n);
    tally_values(&v->tally, v->value, v->value + n, n);
    if (v->examples && rows == b->rows) examples_values(v->examples, v->value, v->value + n, rows, width, b->start); /* an answer a token is no example */
}

static void count(struct eval *v, const struct extents *x, const struct batch *b, const struct step_result *r) {
    int64_t rows, width;
    const float *out = step_output(v->step, x, &rows, &width);
    v->tally.loss += r->loss * r->weight;
    v->tally.weight += r->weight;
    if (v->tally.sequence) count_sequences(v, x, b);
    else if (v->tally.n_class) tally_logits(&v->tally, out, step_target(v->step), rows, v->guess && rows == b->rows ? v->guess + b->start : NULL);
    else count_values(v, out, rows, width, b);
    if (v->examples && v->tally.n_class && rows == b->rows) examples_logits(v->examples, out, step_target(v->step), rows, b->start);
}

void eval_weights(struct eval *v, const float *data) { plan_bind(v->step->plan, (void *)(uintptr_t)data, NULL); /* a forward pass only reads them */ }

int eval_run(struct eval *v, eval_stop stop, void *ctx, struct err *e) {
    const struct part *p = v->spec.part;
    struct loader_spec ls = {.part = p, .batch = v->batch, .batch_tokens = v->spec.batch_tokens, .epochs = 1};
    struct loader *l = loader_new(&ls, 0, 0, e);
    const struct batch *b;
    int rc = l ? 0 : -1;
    tally_clear(&v->tally);
    if (v->examples) examples_clear(v->examples);
    while (rc == 0 && (b = loader_next(l))) {
        struct extents x = step_load(v->step, p, b);
        struct step_result r;
        rc = step_run(v->step, &x, 0, NULL, &r, e);
        if (rc < 0) break;
        count(v, &x, b, &r);
        if (stop && stop(ctx, b->start + b->rows, p->n))
            rc = err_code(e, ERR_STOPPED, "the evaluation was stopped after %" PRId64 " of %" PRId64 " rows", b->start + b->rows, p->n);
    }
    loader_free(l);
    return rc;
}

const struct tally *eval_tally(const struct eval *v) { return &v->tally; }

const int32_t *eval_guesses(const struct eval *v) { return v->guess; }

struct examples *eval_examples(const struct eval *v) {
    return v->examples;
}

size_t eval_memory(const struct eval *v) { return step_memory(v->step, NULL); }
