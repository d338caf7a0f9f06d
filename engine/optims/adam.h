/* What the rows beside Adam use of it: the numbers that op adam_update reads. Compiled once per instruction set. */
#ifndef HONE_ENGINE_OPTIMS_ADAM_H
#define HONE_ENGINE_OPTIMS_ADAM_H

#include "engine/graph/op.h"
#include "engine/optims/optim.h"

/* A step is p = p shrink - (m step + g step_g) / (sqrt(v) root + eps); m += n1 (g - m), v = b2 v + n2 g^2. */
enum adam_coef { C_SHRINK, C_STEP, C_STEP_G, C_ROOT, C_EPS, C_B1, C_N1, C_B2, C_N2 };
struct adam_args {
    struct optim_common common;
    double beta1, beta2, eps;
    bool amsgrad;
    double momentum_decay; /* nadam */
    int64_t bits; /* of a moment: 32 or 8 */
};
void ISA(adam_numbers)(double beta1, double beta2, double eps, int64_t t, double lr, double *c);
extern const struct optim ISA(optim_adam), ISA(optim_adamw);
extern const struct optim ISA(optim_adam8), ISA(optim_adamw8); /* parameters whose states have 8 bits */
#define ADAM8_MIN 4096 /* elements: smaller parameters keep 32 bits */

#endif
