/* The table of a compression's report: a row a step. Any value tree is taken, what is missing shows as "-". */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress/compress.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"

enum { COLS = 9 };
static const char *const heads[COLS] = {"step", "kept", "acc (95 %)", "p", "bytes", "p50 ms", "p99 ms", "ex/s", "memory"};
struct cells {
    char text[COLS][64];
};

static void count(char *out, size_t size, const struct val *row, const char *name) { /* 1,280,258 */
    char raw[32];
    double v = val_get_num(row, name, NAN);
    size_t at = 0;
    if (!(fabs(v) < 1e15)) {
        snprintf(out, size, "-");
        return;
    }
    int k = snprintf(raw, sizeof raw, "%.0f", v);
    for (int i = 0; i < k && at + 2 < size; i++) {
        if (i && raw[i - 1] != '-' && (k - i) % 3 == 0) out[at++] = ',';
        out[at++] = raw[i];
    }
    out[at] = 0;
}
static void number(char *out, size_t size, const struct val *row, const char *name, const char *format) {
    double v = val_get_num(row, name, NAN);
    if (isnan(v)) snprintf(out, size, "-");
    else if (strcmp(format, "4") == 0) snprintf(out, size, "%.4f", v);
    else snprintf(out, size, "%.4g", v);
}
static void plain(char *out, size_t size, const char *text) {
    struct buf b = BUF_INIT;
    utf8_show(&b, text, strlen(text), 30, UTF8_FULL);
    snprintf(out, size, "%s", b.data ? b.data : "");
    buf_release(&b);
}

static void fill(struct cells *c, const struct val *row, bool first) {
    plain(c->text[0], 64, val_get_str(row, "name", "?"));
    snprintf(c->text[1], 64, "%s", first ? "" : val_get_bool(row, "kept", false) ? "yes" : "no");
    double acc = val_get_num(row, "acc", NAN), lo = val_get_num(row, "acc_lo", NAN), hi = val_get_num(row, "acc_hi", NAN), r2 = val_get_num(row, "r2", NAN);
    if (!isnan(acc)) snprintf(c->text[2], 64, "%.4f (%.4f to %.4f)", acc, lo, hi);
    else if (!isnan(r2)) snprintf(c->text[2], 64, "r2 %.4f", r2);
    else snprintf(c->text[2], 64, "-");
    number(c->text[3], 64, row, "p_mcnemar", "4");
    count(c->text[4], 64, row, "bytes");
    number(c->text[5], 64, row, "p50_ms", "g");
    number(c->text[6], 64, row, "p99_ms", "g");
    count(c->text[7], 64, row, "examples_s");
    count(c->text[8], 64, row, "memory");
}

/* What a line of the table does not hold: how much faster, how many layers, what it does not claim, why it was refused. */
static void remark(const struct val *row, struct buf *out) {
    const char *why = val_get_str(row, "why", NULL), *claim = val_get_str(row, "claim", NULL), *gap = ": ";
    const struct val *did = val_get(row, "did");
    double one = val_get_num(row, "faster_1", NAN), many = val_get_num(row, "faster_32", NAN);
    utf8_show(out, val_get_str(row, "name", "?"), strlen(val_get_str(row, "name", "?")), 40, UTF8_FULL);
    if (!isnan(one)) {
        buf_addf(out, "%s%.2f times as fast at batch 1 (%.2f to %.2f), %.2f at batch %d (%.2f to %.2f)", gap, one, val_get_num(row, "faster_1_lo", NAN),
            val_get_num(row, "faster_1_hi", NAN), many, SPEED_ROWS, val_get_num(row, "faster_32_lo", NAN), val_get_num(row, "faster_32_hi", NAN));
        gap = "; ";
    }
    if (val_get(did, "int8")) {
        buf_addf(out, "%s%lld of %lld layers in 8 bits", gap, (long long)val_get_int(did, "int8", 0), (long long)val_get_int(did, "of", 0));
        gap = "; ";
    }
    if (claim) {
        buf_adds(out, gap);
        utf8_show(out, claim, strlen(claim), 80, UTF8_FULL);
        gap = "; ";
    }
    if (why) {
        buf_addf(out, "%srefused: ", gap);
        utf8_show(out, why, strlen(why), 300, UTF8_FULL);
    }
    buf_addc(out, '\n');
}

void report_table(const struct val *report, struct buf *out) {
    const struct val *steps = val_get(report, "steps");
    size_t n = val_len(steps) < 64 ? val_len(steps) : 64, width[COLS];
    struct cells *c = X_NEW(struct cells, n + 1);
    for (int k = 0; k < COLS; k++) {
        width[k] = strlen(heads[k]);
        snprintf(c[0].text[k], 64, "%s", heads[k]);
    }
    for (size_t i = 0; i < n; i++) {
        fill(&c[i + 1], val_at(steps, i), i == 0);
        for (int k = 0; k < COLS; k++)
            if (strlen(c[i + 1].text[k]) > width[k]) width[k] = strlen(c[i + 1].text[k]);
    }
    for (size_t i = 0; i <= n; i++) {
        for (int k = 0; k < COLS; k++) buf_addf(out, k < 3 ? "%s%-*s" : "%s%*s", k ? "  " : "", (int)width[k], c[i].text[k]);
        while (out->len && out->data[out->len - 1] == ' ') out->len--;
        buf_addc(out, '\n');
    }
    for (size_t i = 1; i < n; i++) remark(val_at(steps, i), out);
    struct buf where = BUF_INIT;
    buf_addf(&where, "measured on the %s part of %s, %lld threads, kernels %s; p: exact McNemar test against the row before that was kept",
        val_get_str(report, "split", "?"), val_get_str(report, "data", "?"), (long long)val_get_int(report, "threads", 1), val_get_str(report, "kernels", "?"));
    utf8_show(out, where.data, where.len, 400, UTF8_FULL);
    buf_addc(out, '\n');
    buf_release(&where);
    free(c);
}
