/* Codes of 8 bits of a dynamic data type, for numbers between -1 and 1: the same for C and for kernels of devices.
 * Source: Dettmers et al. 2022, "8-bit optimizers via block-wise quantization", sections 2 and 3; the code book is that of its software (a number of
 * decades d = 10^-6 ... 1, each with twice the values of the one below; means of equal cells between 0.1 d and d; 0 and 1). Code -> value is monotone.
 * Signed (shift 0), k = code - 127: |k| = 2^i + j is 10^(i-6) (0.1 + 0.9 (j + 0.5) / 2^i), i = 0..6; k = 128 is 1; k = 0 is 0.
 * Unsigned (shift 1): k = code, k + 1 = 2^(i+1) + j is 10^(i-6) (0.1 + 0.9 (j + 0.5) / 2^(i+1)); code 255 is 1; code 0 is 0. */
#ifndef HONE_ENGINE_OPTIMS_CODE8_H
#define HONE_ENGINE_OPTIMS_CODE8_H

#ifdef __CUDACC__
#define CODE8 static __device__ __forceinline__
#else
#define CODE8 static inline __attribute__((always_inline))
#endif

enum { CODE8_DECADES = 7, CODE8_BLOCK = 256 /* numbers that share a scale */ };

CODE8 double code8_decade(int i) {
    double v = 1;
    for (; i < CODE8_DECADES - 1; i++) v *= 10;
    return 1 / v;
}

CODE8 double code8_value(int k, int shift) {
    int a = k < 0 ? -k : k, i = 0;
    if (a == 0) return 0;
    if (a == (shift ? 255 : 128)) return 1;
    int j = shift ? a + 1 : a;
    while (j >> (i + 1 + shift) > 0 && i < CODE8_DECADES - 1) i++;
    double v = code8_decade(i) * (0.1 + 0.9 * (j - (1 << (i + shift)) + 0.5) / (1 << (i + shift)));
    return k < 0 ? -v : v;
}

/* What coding needs. In decade i with n cells of 0.9 decade(i) / n the code is n - shift + floor(x mul - n / 9), at most 2 n - 1 - shift; the next decade
 * begins where its first value is the nearer one. */
struct code8 {
    float n[CODE8_DECADES], mul[CODE8_DECADES], above[CODE8_DECADES], zero, shift;
};

CODE8 void code8_init(struct code8 *c, int shift, int i) { /* decade i */
    int n = 1 << (i + shift), last = 2 * n - 1 - shift;
    c->n[i] = (float)n;
    c->mul[i] = (float)(n / (0.9 * code8_decade(i)));
    c->above[i] = (float)((code8_value(last, shift) + code8_value(last + 1, shift)) / 2);
    if (i == 0) c->zero = (float)(code8_value(1, shift) / 2), c->shift = (float)shift;
}

CODE8 float code8_pick(float x, float from, float above, float below) { return x > from ? above : below; }

/* The nearest code of 0 <= x <= 1 as a whole number in a float; most: that of 1. The decades are written out: loops inside a loop do not vectorise. */
CODE8 float code8_of(const struct code8 *c, float x, float most) {
    float n = code8_pick(x, c->above[0], c->n[1], c->n[0]), mul = code8_pick(x, c->above[0], c->mul[1], c->mul[0]);
    n = code8_pick(x, c->above[1], c->n[2], n), mul = code8_pick(x, c->above[1], c->mul[2], mul);
    n = code8_pick(x, c->above[2], c->n[3], n), mul = code8_pick(x, c->above[2], c->mul[3], mul);
    n = code8_pick(x, c->above[3], c->n[4], n), mul = code8_pick(x, c->above[3], c->mul[4], mul);
    n = code8_pick(x, c->above[4], c->n[5], n), mul = code8_pick(x, c->above[4], c->mul[5], mul);
    n = code8_pick(x, c->above[5], c->n[6], n), mul = code8_pick(x, c->above[5], c->mul[6], mul);
    float cell = (float)(int)(x * mul - n * (float)(1 / 9.0));
    cell = cell > 0 ? cell : 0.0f;
    cell = cell < n - 1 ? cell : n - 1;
    float k = n - c->shift + cell;
    k = x > c->zero ? k : 0.0f;
    return x > c->above[6] ? most : k;
}

#undef CODE8
#endif
