/* The losses. */
#include "config.h"

#include "engine/train/loss.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

struct ce_args {
    double label_smoothing;
    int64_t ignore_index;
    struct val *class_weights;
};
struct value_args {
    double delta;
};
struct kl_args {
    double temperature;
};
struct contrastive_args {
    double temperature;
    bool symmetric;
};
struct ctc_args {
    bool by_length, zero_infinity;
};

static int ce_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    const struct ce_args *a = args;
    tid in[3] = {out, target, class_weight}, o[2];
    struct val *attr = val_table();
    val_set_num(attr, "label_smoothing", a->label_smoothing);
    val_set_int(attr, "ignore_index", a->ignore_index);
    int rc = graph_add(g, "softmax_ce", attr, in, class_weight >= 0 ? 3 : 2, o, e) < 0 ? -1 : 0;
    val_free(attr);
    if (rc == 0) *sum = o[0], *weight = o[1];
    return rc;
}

static int value_build(struct graph *g, const char *attr, tid out, tid target, tid *sum, tid *weight, struct err *e) {
    tid o[2];
    if (graph_attr(g, "value_loss", attr, (tid[]){out, target}, 2, o, e) < 0) return -1;
    *sum = o[0];
    *weight = o[1];
    return 0;
}

static int mse_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    (void)args, (void)class_weight;
    return value_build(g, "form=squared", out, target, sum, weight, e);
}

static int mae_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    (void)args, (void)class_weight;
    return value_build(g, "form=absolute", out, target, sum, weight, e);
}

static int huber_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    const struct value_args *a = args;
    char attr[80];
    (void)class_weight;
    snprintf(attr, sizeof attr, "form=huber delta=%.17g", a->delta);
    return value_build(g, attr, out, target, sum, weight, e);
}

static int bce_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    (void)args, (void)class_weight;
    return value_build(g, "form=logistic", out, target, sum, weight, e);
}

static int kl_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    char attr[64];
    tid o[2];
    (void)class_weight;
    snprintf(attr, sizeof attr, "temperature=%.17g", ((const struct kl_args *)args)->temperature);
    if (graph_attr(g, "kl_div", attr, (tid[]){out, target}, 2, o, e) < 0) return -1;
    *sum = o[0];
    *weight = o[1];
    return 0;
}

static int cosine_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    tid o[2];
    (void)args, (void)class_weight;
    if (graph_attr(g, "cosine_loss", NULL, (tid[]){out, target}, 2, o, e) < 0) return -1;
    *sum = o[0];
    *weight = o[1];
    return 0;
}

/* Both sides at length 1, so that products are cosines. */
static int contrastive_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    const struct contrastive_args *a = args;
    char attr[96];
    tid x[2], y[2], o[4];
    (void)class_weight;
    snprintf(attr, sizeof attr, "temperature=%.17g symmetric=%s", a->temperature, a->symmetric ? "true" : "false");
    if (graph_attr(g, "l2_norm", NULL, &out, 1, x, e) < 0 || graph_attr(g, "l2_norm", NULL, &target, 1, y, e) < 0) return -1;
    if (graph_attr(g, "contrastive", attr, (tid[]){x[0], y[0]}, 2, o, e) < 0) return -1;
    *sum = o[0];
    *weight = o[1];
    return 0;
}

/* Frames of packed inputs have offsets, frames of dense ones are an extent of each row. */
static int ctc_build(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    const struct ctc_args *a = args;
    tid off = graph_tensor(g, out)->offsets, o[2];
    char attr[96];
    (void)class_weight;
    snprintf(attr, sizeof attr, "by_length=%s zero_infinity=%s", a->by_length ? "true" : "false", a->zero_infinity ? "true" : "false");
    if (graph_attr(g, "ctc", attr, (tid[]){out, target, off}, off >= 0 ? 3 : 2, o, e) < 0) return -1;
    *sum = o[0];
    *weight = o[1];
    return 0;
}

static const struct loss losses[];

static const struct loss *find(const char *name, struct err *e) {
    const char *names[16];
    size_t n = 0;
    for (; losses[n].kind.name; n++) {
        if (strcmp(losses[n].kind.name, name) == 0) return &losses[n];
        names[n] = losses[n].kind.name;
    }
    const char *near = args_nearest(name, names, n);
    err_code(e, ERR_USAGE, "there is no loss \"%s\"%s%s%s", name,
        near ? "; did you mean \"" : "; there are cross_entropy, mse, mae, huber, bce, kl, cosine, contrastive, ctc", near ? near : "", near ? "\"?" : "");
    return NULL;
}

static int check_weights(const struct loss_spec *l, struct err *e) {
    double w;
    for (size_t i = 0; i < val_len(l->weights); i++)
        if (!val_as_num(val_at(l->weights, i), &w) || !(w >= 0)) return err_code(e, ERR_USAGE, "class_weights[%zu] must be a number of at least 0", i + 1);
    return 0;
}

int loss_init(struct loss_spec *l, const struct val *spec, bool has_classes, struct err *e) {
    const char *def = has_classes ? "cross_entropy" : "mse";
    bool none = !spec || spec->type == VAL_NIL;
    *l = (struct loss_spec){0};
    if (!none && spec->type != VAL_STR && spec->type != VAL_TABLE)
        return err_code(e, ERR_USAGE, "loss is a name or a table like loss.mse{}, not a %s", val_type_name(spec));
    l->row = find(none ? def : spec->type == VAL_STR ? spec->u.s.p : val_get_str(spec, "loss", def), e);
    if (!l->row) return -1;
    struct val *t = !none && spec->type == VAL_TABLE ? val_copy(spec) : val_table();
    val_unset(t, "loss");
    l->args = mem_new(1, l->row->kind.size);
    int rc = args_parse(&l->row->kind, t, l->args, e);
    val_free(t);
    if (rc < 0) {
        free(l->args);
        l->args = NULL;
        return -1;
    }
    if (l->row->labels) l->weights = ((struct ce_args *)l->args)->class_weights;
    l->longest = 1;
    if (l->row->labels && !has_classes)
        rc = err_code(e, ERR_USAGE, "loss %s needs a target with classes; this data set has none: use loss=\"mse\"", l->row->kind.name);
    if (rc < 0 || check_weights(l, e) < 0) {
        loss_release(l);
        return -1;
    }
    return 0;
}

int loss_for(struct loss_spec *l, const struct val *spec, const struct dataset *d, struct err *e) {
    struct val *ctc = d->longest > 0 && (!spec || spec->type == VAL_NIL) ? val_str("ctc") : NULL;
    int rc = loss_init(l, ctc ? ctc : spec, d->n_class > 0, e);
    val_free(ctc);
    if (rc < 0) return -1;
    l->longest = d->longest;
    if (l->row->sequence == (d->longest > 0)) return 0;
    rc = l->row->sequence
             ? err_code(e, ERR_USAGE, "loss %s needs targets that are sequences of classes: load the data with target=\"sequence\"", l->row->kind.name)
             : err_code(e, ERR_USAGE, "the targets are sequences of classes, of which loss %s knows nothing: use loss=\"ctc\"", l->row->kind.name);
    loss_release(l);
    return rc;
}

void loss_release(struct loss_spec *l) {
    if (l->args) args_release(&l->row->kind, l->args);
    free(l->args);
    *l = (struct loss_spec){0};
}

struct val *loss_val(const struct loss_spec *l) {
    struct val *a = args_to_val(&l->row->kind, l->args), *v = val_table();
    val_set_str(v, "loss", l->row->kind.name);
    for (size_t i = 0; i < a->u.t.n_field; i++) val_set(v, a->u.t.field[i].name, val_copy(a->u.t.field[i].v));
    val_free(a);
    return v;
}

int loss_set(struct loss_spec *l, const char *name, const struct val *v, struct err *e) { return args_set(&l->row->kind, l->args, name, v, e); }

int loss_build(const struct loss_spec *l, struct graph *g, tid out, tid *target, tid *class_weight, tid *sum, tid *weight, struct err *e) {
    const struct tensor o = *graph_tensor(g, out);
    graph_path(g, "loss");
    *class_weight = -1;
    if (l->row->sequence) {
        struct dim d[] = {{1, AXIS_R}, {l->longest, AXIS_ONE}};
        if (o.ndim != 3 && (o.ndim != 2 || o.offsets < 0))
            return err_set(
                e, "loss %s needs an answer for each frame, (frames, classes) of an example: let no layer take the frames together", l->row->kind.name);
        *target = graph_input(g, "y", DT_I32, d, 2, -1);
        return l->row->build(g, l->args, out, *target, -1, sum, weight, e);
    }
    if (!l->row->labels) {
        *target = graph_input(g, "y", g->real, o.dim, o.ndim, o.offsets);
        return l->row->build(g, l->args, out, *target, -1, sum, weight, e);
    }
    if (o.ndim < 2)
        return err_set(e, "the model gives one number a row; loss %s needs one for each class: let the last layer be linear{classes}", l->row->kind.name);
    int64_t classes = o.dim[o.ndim - 1].k;
    *target = graph_input(g, "y", DT_I32, o.dim, o.ndim - 1, o.offsets);
    if (l->weights) {
        if ((int64_t)val_len(l->weights) != classes)
            return err_code(e, ERR_USAGE, "class_weights has %zu numbers, the model %" PRId64 " classes", val_len(l->weights), classes);
        *class_weight = graph_input(g, "class_weights", g->real, &o.dim[o.ndim - 1], 1, -1);
    }
    return l->row->build(g, l->args, out, *target, *class_weight, sum, weight, e);
}

int loss_build_other(const struct loss_spec *l, struct graph *g, tid out, tid *target, tid class_weight, tid *sum, tid *weight, struct err *e) {
    const struct tensor o = *graph_tensor(g, out);
    *target = graph_input(g, "y2", DT_I32, o.dim, o.ndim - 1, o.offsets);
    return l->row->build(g, l->args, out, *target, class_weight, sum, weight, e);
}

static const struct arg ce_table[] = {
    {"label_smoothing", "share of the target spread over all classes", NULL, "0", ARG_NUM, offsetof(struct ce_args, label_smoothing), ARG_LIVE, AT_STEP, 0, 1},
    {"class_weights", "a weight for each class, a list", NULL, NULL, ARG_TABLE, offsetof(struct ce_args, class_weights), 0, AT_RUN},
    {"ignore_index", "rows with this label count nothing", NULL, "-100", ARG_INT, offsetof(struct ce_args, ignore_index), 0, AT_RUN},
    {NULL},
};
static const struct arg value_table[] = {
    {"delta", "huber: where squared becomes absolute", NULL, "1", ARG_NUM, offsetof(struct value_args, delta), 0, AT_RUN, 1e-9, 1e9}, {NULL}};

static const struct arg none_table[] = {{NULL}};
static const struct arg kl_table[] = {{"temperature", "outputs are divided by it; the loss is multiplied by its square", NULL, "1", ARG_NUM,
                                          offsetof(struct kl_args, temperature), 0, AT_RUN, 1e-3, 1e3},
    {NULL}};
static const struct arg contrastive_table[] = {
    {"temperature", "cosines are divided by it", NULL, "0.07", ARG_NUM, offsetof(struct contrastive_args, temperature), 0, AT_RUN, 1e-3, 1e3},
    {"symmetric", "targets must pick their outputs as well (CLIP)", NULL, "false", ARG_BOOL, offsetof(struct contrastive_args, symmetric), 0, AT_RUN},
    {NULL},
};
static const struct arg ctc_table[] = {
    {"by_length", "each loss is divided by the length of its target", NULL, "true", ARG_BOOL, offsetof(struct ctc_args, by_length), 0, AT_RUN},
    {"zero_infinity", "a target that does not fit into its frames counts nothing; else training does not begin", NULL, "false", ARG_BOOL,
        offsetof(struct ctc_args, zero_infinity), 0, AT_RUN},
    {NULL},
};
static const struct loss losses[] = {
    {{"cross_entropy", "softmax cross-entropy", "loss.cross_entropy{label_smoothing=0.1}", ce_table, sizeof(struct ce_args)}, .labels = true,
        .build = ce_build},
    {{"mse", "mean squared error", "loss.mse{}", value_table, sizeof(struct value_args)}, .build = mse_build},
    {{"mae", "mean absolute error", "loss.mae{}", value_table, sizeof(struct value_args)}, .build = mae_build},
    {{"huber", "squared near 0, absolute beyond delta", "loss.huber{delta=1}", value_table, sizeof(struct value_args)}, .build = huber_build},
    {{"bce", "logistic loss of targets in 0..1 from logits", "loss.bce{}", value_table, sizeof(struct value_args)}, .build = bce_build},
    {{"kl", "divergence of the softmax of the outputs from target probabilities", "loss.kl{temperature=2}", kl_table, sizeof(struct kl_args)},
        .build = kl_build},
    {{"cosine", "1 - cosine between output and target vectors", "loss.cosine{}", none_table, sizeof(struct value_args)}, .build = cosine_build},
    {{"contrastive", "each output vector must pick its own target among those of the batch (InfoNCE)", "loss.contrastive{temperature=0.07}", contrastive_table,
         sizeof(struct contrastive_args)},
        .build = contrastive_build},
    {{"ctc", "sequences of classes from an answer for each frame; class 0 is the blank", "loss.ctc{}", ctc_table, sizeof(struct ctc_args)}, .sequence = true,
        .build = ctc_build},
    {{NULL}},
};
const struct kind *const loss_kinds[] = {&losses[0].kind, &losses[1].kind, &losses[2].kind, &losses[3].kind, &losses[4].kind, &losses[5].kind, &losses[6].kind,
    &losses[7].kind, &losses[8].kind, NULL};
