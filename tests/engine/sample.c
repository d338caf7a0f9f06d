/* Parses samples and makes their numbers. Floats are a shuffled ladder over their range, so that no two are close and none is
 * close to 0: central differences never cross a kink or a tie. */
#include "tests/engine/sample.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/rng.h"

static int axis_of(const char *s, size_t n) {
    for (int a = AXIS_R; a < AXIS_N; a++)
        if (strlen(axis_names[a]) == n && strncmp(axis_names[a], s, n) == 0) return a;
    return -1;
}

static int parse_dims(const char **at, struct sample_in *in, struct err *e) {
    const char *s = *at;
    while (*s && *s != ')') {
        size_t n = strcspn(s, ",)");
        struct dim d = {1, AXIS_ONE};
        const char *star = memchr(s, '*', n), *name = s;
        size_t len = n;
        if (isdigit((unsigned char)*s)) d.k = strtoll(s, NULL, 10), name = star ? star + 1 : s + n, len = (size_t)(s + n - name);
        if (len && (d.axis = axis_of(name, len)) < 0) return err_set(e, "unknown axis in \"%s\"", *at);
        if (in->ndim == TENSOR_DIMS) return err_set(e, "too many extents in \"%s\"", *at);
        in->dim[in->ndim++] = d;
        s += n;
        if (*s == ',') s++;
    }
    *at = *s ? s + 1 : s;
    return 0;
}

static int parse_one(const char **at, struct sample_in *in, struct err *e) {
    const char *s = *at;
    in->kind = *s++, in->lo = in->kind == 'f' || in->kind == 'c' ? -1 : 0, in->hi = in->kind == 'u' ? 255 : 1;
    if (!strchr("fcmqibuos-", in->kind)) return err_set(e, "unknown kind in \"%s\"", *at);
    if (in->kind == 's') {
        char *end;
        in->lo = strtod(*s == '(' ? s + 1 : s, &end);
        *at = *end == ')' ? end + 1 : end;
        return 0;
    }
    if (in->kind == '-') {
        *at = s;
        return 0;
    }
    if (*s++ != '(') return err_set(e, "needs ( in \"%s\"", *at);
    if (parse_dims(&s, in, e) < 0) return -1;
    if (*s == '[') {
        char *end;
        in->lo = strtod(s + 1, &end);
        in->hi = strtod(*end == ',' ? end + 1 : end, &end);
        s = *end == ']' ? end + 1 : end;
    } else if (in->kind == 'i') return err_set(e, "i needs a range in \"%s\"", *at);
    *at = s;
    return 0;
}

int sample_parse(const char *text, struct sample_set *out, struct err *e) {
    *out = (struct sample_set){.diff = 1};
    for (const char *s = text; *s;) {
        while (*s == ' ') s++;
        if (!*s) break;
        if (*s == '>') {
            out->diff = atoi(s + 1);
            break;
        }
        if (out->n == OP_IN) return err_set(e, "too many inputs in \"%s\"", text);
        if (parse_one(&s, &out->in[out->n++], e) < 0) return -1;
        if (*s && *s != ' ') return err_set(e, "cannot read \"%s\" in \"%s\"", s, text);
    }
    return 0;
}

int64_t sample_length(int axis, int64_t row) {
    static const int len[4][7] = {{3, 0, 5, 1, 2, 7, 0}, {2, 4, 0, 6, 1, 3, 5}, {1, 1, 0, 2, 4, 0, 3}, {0, 2, 3, 1, 0, 5, 2}};
    return len[axis - AXIS_T0][row % 7];
}

void sample_extents(int64_t rows, struct extents *x) {
    *x = (struct extents){.n = {[AXIS_ONE] = 1, [AXIS_R] = rows, [AXIS_R1] = rows + 1}};
    for (int a = AXIS_T0; a < AXIS_N; a++)
        for (int64_t r = 0; r < rows; r++) x->n[a] += sample_length(a, r);
}

bool sample_has_axis(const struct sample_set *s) {
    for (int i = 0; i < s->n; i++)
        for (int j = 0; j < s->in[i].ndim; j++)
            if (s->in[i].dim[j].axis != AXIS_ONE) return true;
    return false;
}

int64_t sample_len(const struct sample_in *in, const struct extents *x) {
    int64_t n = 1;
    if (in->kind == 'o') return x->n[AXIS_R] + 1;
    for (int i = 0; i < in->ndim; i++) n *= dim_value(in->dim[i], x);
    return n;
}

void sample_sources(struct graph *g, const struct sample_set *s, tid in[OP_IN]) {
    tid offsets[AXIS_N];
    for (int a = 0; a < AXIS_N; a++) offsets[a] = -1;
    for (int i = 0; i < s->n; i++)
        if (s->in[i].kind == 'o') offsets[s->in[i].dim[0].axis] = in[i] = graph_input(g, "offsets", DT_I32, &(struct dim){1, AXIS_R1}, 1, -1);
    for (int i = 0; i < s->n; i++) {
        const struct sample_in *x = &s->in[i];
        enum dtype d = x->kind == 'i' ? DT_I32 : x->kind == 'b' ? DT_BOOL : x->kind == 'u' ? DT_U8 : g->real;
        if (x->kind == '-') in[i] = -1;
        else if (x->kind == 's') in[i] = graph_scalar(g, "scalar");
        else if (x->kind != 'o') in[i] = graph_input(g, "x", d, x->dim, x->ndim, x->ndim ? offsets[x->dim[0].axis] : -1);
    }
}

/* (rank of i in a random order + 1/2) / n */
static void ladder(int64_t n, uint64_t seed, double *out) {
    int64_t *at = X_NEW(int64_t, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++) at[i] = i;
    rng_shuffle(seed, 0, at, (size_t)n);
    for (int64_t i = 0; i < n; i++) out[i] = ((double)at[i] + 0.5) / (double)n;
    free(at);
}

void sample_values(const struct sample_set *s, int i, const struct extents *x, uint64_t seed, double *out) {
    const struct sample_in *in = &s->in[i];
    int64_t n = sample_len(in, x), last = in->ndim ? dim_value(in->dim[in->ndim - 1], x) : 1;
    uint64_t stream = rng_stream(seed, "sample", (uint32_t)i);
    if (in->kind == 's') out[0] = (float)in->lo;
    if (in->kind == 'o') {
        out[0] = 0;
        for (int64_t r = 0; r + 1 < n; r++) out[r + 1] = out[r] + (double)sample_length(in->dim[0].axis, r);
    }
    if (strchr("fc", in->kind)) {
        ladder(n, stream, out);
        double centre = (in->lo < 0 && in->hi > 0) ? 0.25 / (double)(n + 1) : 0; /* an odd ladder has its middle at 0 */
        for (int64_t j = 0; j < n; j++) out[j] = (float)(in->lo + (in->hi - in->lo) * (out[j] + centre));
    }
    for (int64_t j = 0; j < n && strchr("mbui", in->kind); j++)
        out[j] = in->kind == 'm' || in->kind == 'b' ? (double)(rng_u32(stream, 0, (uint64_t)j) & 1)
                                                    : in->lo + (double)rng_below(stream, 0, (uint64_t)j, (uint64_t)(in->hi - in->lo) + 1);
    if (in->kind == 'q' && last > 0)
        for (int64_t r = 0; r < n / last; r++) {
            double sum = 0;
            for (int64_t j = r * last; j < (r + 1) * last; j++) sum += out[j] = 0.05 + rng_unit(stream, 0, (uint64_t)j);
            for (int64_t j = r * last; j < (r + 1) * last; j++) out[j] = (float)(out[j] / sum);
        }
}
