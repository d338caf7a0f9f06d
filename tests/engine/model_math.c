/* The vector forms of exp, log, tanh and erf against libm in double: relative error over their range, ends, NaN. Compiled with the flags of the tests: the
 * op test compares every instruction set's kernels with the reference. */
#include "engine/ops/math.h"
#include "src/base/err.h"
#include "tests/tap.h"

struct fn {
    const char *name;
    float (*f)(float);
    double (*d)(double);
    float lo, hi;
};
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

int main(void) {
    static const struct fn fns[] = {
        {"exp", math_exp, exp, -87, 88.7f}, {"tanh", math_tanh, tanh, -20, 20}, {"erf", math_erf, erf, -6, 6}, {"sigmoid", math_sigmoid, sigmoid, -80, 20}};
    for (size_t k = 0; k < LEN(fns); k++) {
        double worst = 0, at = 0;
        for (int i = 0; i <= 2000000; i++) {
            float x = i & 1 ? fns[k].lo + (fns[k].hi - fns[k].lo) * (float)i / 2e6f : 2e-6f * (float)(i - 1000000) * (float)((i % 7) / 7.0 + 0.01);
            double want = fns[k].d((double)x), err = want != 0 ? fabs(((double)fns[k].f(x) - want) / want) : fabs((double)fns[k].f(x));
            if (err > worst) worst = err, at = (double)x;
        }
        tap_ok(worst <= 2e-7, "%s is within 2e-7 of libm: %.2e at %g", fns[k].name, worst, at);
        tap_ok(isnan(fns[k].f(NAN)), "%s keeps NaN", fns[k].name);
    }
    tap_ok(isinf(math_exp(INFINITY)) && isinf(math_exp(90)) && math_exp(-INFINITY) == 0, "exp at its ends");
    tap_ok(math_exp_down(-INFINITY) == 0 && math_exp_down(-1e30f) == 0 && math_exp_down(0) == 1, "exp_down at its ends");
    double worst = 0, slope = 0;
    for (int i = 0; i <= 2000000; i++) { /* absolute: they cross 0 */
        float x = i & 1 ? -8 + 8e-6f * (float)i : (float)(i - 1000000) * 3e-8f;
        double phi = 0.5 * erfc(-(double)x * sqrt(0.5));
        worst = fmax(worst, fabs((double)math_gelu(x) - (double)x * phi));
        slope = fmax(slope, fabs((double)math_gelu_slope(x) - phi - (double)x * exp(-0.5 * (double)x * (double)x) / sqrt(2 * acos(-1))));
    }
    tap_ok(worst <= 5e-7, "gelu is within 5e-7 of libm: %.2e", worst);
    tap_ok(slope <= 5e-7, "its derivative is within 5e-7 of libm: %.2e", slope);
    tap_ok(math_gelu(-1e30f) == 0 && math_gelu(1e30f) == 1e30f && math_gelu_slope(-1e30f) == 0 && math_gelu_slope(1e30f) == 1 && isnan(math_gelu(NAN)) &&
               isnan(math_gelu_slope(NAN)),
        "gelu and its derivative at their ends");
    worst = 0;
    for (int i = 0; i <= 1000000; i++) { /* absolute near 1, where the true value is 0 */
        float x = i & 1 ? (float)exp(-87 + 175e-6 * i) : 0.5f + 1.5e-6f * (float)i;
        worst = fmax(worst, fabs((double)math_log(x) - log((double)x)) / fmax(fabs(log((double)x)), 0.5));
    }
    tap_ok(worst <= 2e-7 && isnan(math_log(-1)) && isnan(math_log(NAN)), "log is within 2e-7 of libm: %.2e", worst);
    tap_ok(math_tanh(INFINITY) == 1 && math_tanh(-INFINITY) == -1 && math_erf(INFINITY) == 1 && math_erf(-9) == -1, "tanh and erf at their ends");
    return tap_done();
}
