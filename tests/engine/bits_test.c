/* r.E6: nets of every kind, 22 of them, train to the same bits (weights, the optimiser's memory, losses, norms) at 1, 2, 3, 4 and 8 threads, with products
 * chosen by shape as deterministic=true chooses them. Sizes are odd and make several tiles; texts are of different lengths. Models and optimisers are JSON
 * with ' for ". */
#include "src/base/io.h"
#include "tests/engine/step_fix.h"

enum { ROWS = 261, STEPS = 3, IDS = 300, CLASSES = 5 };

struct net {
    const char *name, *input, *layers, *optim;
    struct step_spec spec;
};
#define VALUES "150"
#define MANY "520" /* more than a tile of a matrix */
#define IMAGE "[3,11,9]"
#define TEXT "{'ids':300,'len':12}"
#define WORDS "{'layer':'embedding','n':300,'dim':48},"
#define PLACES "{'layer':'text_embedding','n':300,'dim':48,'positions':16},"
#define BLOCK "{'layer':'encoder_block','heads':4,'ffn':100,'dropout':0.1}"
#define OUT ",{'layer':'linear','out':5}"
#define POOLED ",{'layer':'mean_pool'}" OUT
#define CONV "{'layer':'conv2d','out':20,'k':3,'pad':1,'bias':false},{'layer':'batch_norm'},{'layer':'relu'}"
static const struct net nets[] = {
    {"dense, adam", VALUES, "{'layer':'linear','out':133,'act':'relu'},{'layer':'dropout','p':0.25},{'layer':'linear','out':70,'act':'gelu'}" OUT, "'adam'",
        {0}},
    {"dense, lamb", VALUES, "{'layer':'linear','out':133,'act':'tanh'}" OUT, "{'optim':'lamb'}", {0}},
    {"dense, adafactor", MANY, "{'layer':'linear','out':133,'act':'silu'}" OUT, "{'optim':'adafactor'}", {0}},
    {"dense, lion", VALUES, "{'layer':'linear','out':133,'act':'relu'}" OUT, "{'optim':'lion'}", {0}},
    {"dense, L-BFGS with a line search", MANY, "{'layer':'linear','out':133,'act':'tanh'}" OUT, "{'optim':'lbfgs','history':2,'line_search':'strong_wolfe'}",
        {0}},
    {"dense, adam in 8 bits", VALUES, "{'layer':'linear','out':133,'act':'relu'}" OUT, "{'optim':'adam','bits':8}", {0}},
    {"dense in bf16", VALUES, "{'layer':'linear','out':133,'act':'gelu'},{'layer':'linear','out':70}" OUT, "'adamw'", {.half = DT_BF16}},
    {"gated, with norms and a residual", VALUES,
        "{'layer':'swiglu','out':64},{'layer':'rms_norm'},{'layer':'residual','layers':[{'layer':'linear','out':64,'act':'relu'}],'drop':0.2},{'layer':'layer_"
        "norm'}" OUT,
        "{'optim':'muon','rest':'linear2'}", {0}},
    {"bag of words, every row", TEXT, WORDS "{'layer':'mean_pool'}" OUT, "'adam'", {0}},
    {"bag of words, rows that were read", TEXT, WORDS "{'layer':'mean_pool'}" OUT, "{'optim':'adam','lazy':true}", {0}},
    {"text CNN", TEXT, WORDS "{'layer':'conv1d','out':40,'k':3},{'layer':'relu'},{'layer':'max_pool'}" OUT, "'nadam'", {0}},
    {"LSTM, both ways, two layers", TEXT, WORDS "{'layer':'lstm','units':33,'bidirectional':true,'num_layers':2}" POOLED, "'adam'", {0}},
    {"GRU", TEXT, WORDS "{'layer':'gru','units':40,'states':'last'}" OUT, "{'optim':'rmsprop'}", {0}},
    {"convolutions with batch norm", IMAGE, CONV "," CONV ",{'layer':'global_pool'}" OUT, "{'optim':'sgd','momentum':0.9}", {0}},
    {"convolutions in groups with group norm", IMAGE,
        "{'layer':'conv2d','out':24,'k':3,'groups':3,'stride':2},{'layer':'group_norm','groups':4},{'layer':'relu'},{'layer':'flatten'}" OUT,
        "{'optim':'sgd','momentum':0.9}", {0}},
    {"encoder", TEXT, PLACES BLOCK "," BLOCK POOLED, "'adamw'", {0}},
    {"encoder, before norms, gated, rotary, causal", TEXT,
        PLACES "{'layer':'encoder_block','heads':4,'ffn':96,'dropout':0.2,'pre':true,'gated':true,'act':'silu','causal':true,'rope':10000}" POOLED, "'radam'",
        {0}},
    {"encoder with a first token", TEXT, PLACES BLOCK ",{'layer':'first_token'}" OUT, "{'optim':'adagrad'}", {0}},
    {"encoder with recompute", TEXT, PLACES BLOCK "," BLOCK POOLED, "'adamw'", {.recompute = RECOMPUTE_BLOCKS}},
    {"encoder with accumulation", TEXT, PLACES BLOCK POOLED, "'adamw'", {.accum = true}},
    {"encoder in bf16", TEXT, PLACES BLOCK "," BLOCK POOLED, "'adamw'", {.half = DT_BF16}},
    {"encoder in fp16", TEXT, PLACES BLOCK "," BLOCK POOLED, "'adamw'", {.half = DT_F16}},
};

static void quote(char *text) {
    for (; *text; text++)
        if (*text == '\'') *text = '"';
}

struct seen { /* of the steps; of the optimiser's memory at the end, where the last bits of small gradients are seen better than in the weights */
    double loss[STEPS], norm[STEPS];
    char state[65];
};

/* A model trained for some steps, gradients clipped. NULL with a sentence. */
static struct model *trained(const struct net *n, int threads, struct seen *seen, struct err *e) {
    char model[1024], optim[256];
    struct step_spec spec = n->spec;
    struct fix f;
    snprintf(model, sizeof model, "{'input':%s,'n_class':%d,'layers':[%s]}", n->input, CLASSES, n->layers);
    snprintf(optim, sizeof optim, "%s", n->optim);
    quote(model);
    quote(optim);
    spec.rows = ROWS, spec.tokens[0] = ROWS * 12;
    if (fix_open(&f, model, optim, threads, spec, e) < 0) return NULL;
    if (spec.half == DT_F16) f.s->loss_scale = 1024;
    int applied = 0;
    for (uint64_t i = 0; i < STEPS; i++) {
        double h[CTL_N];
        struct step_result r;
        struct extents x = put_rows(&f, 0, ROWS / 2, IDS, CLASSES);
        if (spec.accum && step_micro(f.s, &x, 2 * i, e) < 0) break;
        x = put_rows(&f, spec.accum ? ROWS / 2 : 0, ROWS, IDS, CLASSES);
        optimiser_hyper(f.o, 0.01, 0.5, 0, h);
        if (step_run(f.s, &x, 2 * i + 1, h, &r, e) < 0 || !r.ok) break;
        seen->loss[i] = r.loss, seen->norm[i] = r.grad_norm;
        optimiser_applied(f.o, 0.01);
        applied++;
    }
    io_sha256(f.o->l.state, f.o->l.bytes, seen->state);
    struct model *m = applied == STEPS ? f.m : NULL;
    if (m) f.m = NULL;
    fix_close(&f);
    return m;
}

int main(void) {
    static const int threads[] = {2, 3, 4, 8};
    struct gemm_info info;
    struct err e = {0};
    gemm_open(NULL, &info);
    ops_select("auto", &e);
    for (size_t i = 0; i < LEN(nets); i++) {
        struct seen seen[2] = {{{0}}};
        struct model *one = trained(&nets[i], 1, &seen[0], &e);
        char differ[64] = "";
        for (size_t t = 0; one && t < LEN(threads); t++) {
            struct model *m = trained(&nets[i], threads[t], &seen[1], &e);
            if (!m || m->bytes != one->bytes || memcmp(m->data, one->data, m->bytes) != 0 || memcmp(&seen[0], &seen[1], sizeof seen[0]) != 0)
                snprintf(differ + strlen(differ), sizeof differ - strlen(differ), ", other ones on %d", threads[t]);
            model_free(m);
        }
        tap_ok(one && !*differ, "r.E6: %s: the same bits on 1, 2, 3, 4 and 8 threads%s %s", nets[i].name, differ, e.text);
        model_free(one);
    }
    return tap_done();
}
