/* What a model is computed in: fp32, or mixed precision (engine/graph/half.c). Whether bf16 pays is measured on this machine at the model's own shapes
 * before the first step: one processor multiplies bf16 at twice the rate of fp32, another at half. The rule for the loss scale of fp16 is here too. Engine
 * thread. */
#ifndef HONE_ENGINE_TRAIN_PRECISION_H
#define HONE_ENGINE_TRAIN_PRECISION_H

#include "engine/model/model.h"

enum precision_asked { PRECISION_FP32, PRECISION_BF16, PRECISION_FP16, PRECISION_AUTO, PRECISION_FP8 };
extern const char *const precision_names[], *const precision_infer_names[]; /* "fp32", "bf16", "fp16", "auto", NULL; where nothing is trained "fp8" too */
#define PRECISION_HELP \
    "what products and attention are computed in; norms, losses and updates stay fp32. bf16, and auto, are fp32 where that is measured faster"
#define PRECISION_INFER_HELP \
    PRECISION_HELP ". fp8, on GPUs of compute capability 8.9 or newer: layers' products in 8-bit floats where that is measured faster, the rest in bf16"
#define PRECISION_FORCE_HELP "precision=bf16 even where fp32 is measured faster"

struct precision {
    enum dtype half; /* as step_spec.half */
    bool fp8; /* as step_spec.fp8 */
    int64_t m, n, k; /* the product that was timed; 0: none */
    double ms_fp32, ms_bf16;
};
/* rows: those of the model's products (tokens of a batch of texts, else rows). bf16 where it was measured slower becomes fp32 unless forced; auto is bf16
 * where it is faster. With the setting deterministic nothing is measured: bf16 is bf16, auto is fp32; on a device both are bf16. fp8 is refused where no
 * device has it. */
int precision_choose(struct precision *p, int asked, bool force, const struct model *m, int64_t rows, struct err *e);
/* Times one product (m, n) with sums of k in fp32 and bf16, m rounded up to a power of two, on one thread whatever the number of threads is: bits must not
 * depend on it. The figures are remembered by this process and, where the program asked for it (choose_enable), by machine in a file. */
int precision_measure(struct precision *p, int64_t m, int64_t n, int64_t k, struct err *e);
struct precision_timing {
    int (*time)(void *ctx, struct precision *p, struct err *e); /* fills ms_fp32 and ms_bf16 of m x n x k; NULL: the product itself is run */
    void *ctx;
    const char *folder; /* where figures are remembered; NULL: nowhere */
};
int precision_measure_with(struct precision *p, int64_t m, int64_t n, int64_t k, const struct precision_timing *how, struct err *e);
void precision_forget(void); /* what this process remembers */
void precision_say_known(struct buf *b); /* the remembered figures of this machine in a few words */
const char *precision_name(const struct precision *p);
/* What was measured and chosen as a sentence for people; false: there is nothing to say. */
bool precision_say(const struct precision *p, int asked, bool force, struct buf *out);
struct val *precision_val(const struct precision *p);
int precision_from(struct precision *p, const struct val *v, struct err *e); /* NULL: fp32 */

/* torch.amp.GradScaler with its defaults: the scale starts at 65536, doubles after 2000 applied steps in a row, halves with a step that was not applied. */
void scaler_after(double *scale, int64_t *good, bool applied);

#endif
