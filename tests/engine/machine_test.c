/* The commands that measure the machine, through the hub as any front calls them: doctor's facts, bench's object with exactly its
 * fields, messages of wrong names; start and stop of the engine's threads. */

#include "engine/engine.h"
#include "src/base/json.h"
#include "src/call/settings.h"
#include "src/run/record.h"
#include "tests/tap.h"

static struct val *parse(const char *json) { return json_parse(json, strlen(json), "test", NULL); }

static void doctor(struct hub *h) {
    struct err e = {0};
    struct val *v = NULL;
    int rc = call_sync(h, "doctor", parse("{\"threads\":2}"), BY_LINE, &v, &e);
    tap_ok(rc == 0 && val_get_int(v, "cores", 0) > 0 && val_get_int(v, "threads", 0) == 2, "doctor runs%s%s", rc ? ": " : "", e.text);
    double base = val_get_num(val_get(v, "gflops"), "base", 0);
    tap_ok(base > 0.1 && base < 1e4 && val_get_num(v, "memory_gbs", 0) > 0.1, "it measures: %.1f GFLOPS baseline, %.1f GB/s", base,
        val_get_num(v, "memory_gbs", 0));
    tap_ok(val_get_str(v, "blas_why", "")[0] != 0, "it says why: %s", val_get_str(v, "blas_why", ""));
    const char *guess = val_get_str(v, "blas_guess", NULL), *core = val_get_str(v, "blas_core", "");
    if (guess) tap_ok(val_get_bool(v, "blas_corrected", false) == (strcmp(guess, core) != 0), "the library alone would take %s, it runs with %s", guess, core);
    else tap_skip("the library's own guess", "no library that tells");
    tap_ok(val_len(val_get(v, "routes")) >= 1 && val_get_str(v, "onednn_why", "")[0] && strstr(val_get_str(v, "products", ""), "remembered"),
        "routes of products: oneDNN %s; %s", val_get_str(v, "onednn_why", ""), val_get_str(v, "products", ""));
    tap_ok(strstr(val_get_str(v, "halves", ""), "remembered") != NULL, "precision: %s", val_get_str(v, "halves", ""));
    const char *text = val_get_str(v, "text", "");
    tap_ok(strstr(text, "processor") && strstr(text, "multiply-adds") && strstr(text, "at logout"), "a table for people");
    printf("# %.40s...\n", text);
    val_free(v);
}

static void bench(struct hub *h) {
    static const char *const fields[] = {"event", "work", "threads", "ms", "min", "max", "n", "yard_gflops", "flop", "of_yard", "bytes_peak"};
    struct err e = {0};
    struct val *v = NULL;
    int rc = call_sync(h, "bench", parse("{\"works\":[\"mlp-train\",\"bag-train\",\"bag-train-lazy\"],\"threads\":1,\"seconds\":0.3}"), BY_LINE, &v, &e);
    tap_ok(rc == 0 && val_len(v) == 3, "three workloads run%s%s", rc ? ": " : "", e.text);
    const struct val *m = val_at(v, 0);
    bool same = m && m->u.t.n_field == LEN(fields);
    for (size_t i = 0; same && i < LEN(fields); i++) same = strcmp(m->u.t.field[i].name, fields[i]) == 0;
    tap_ok(same, "an object has exactly its fields, in order");
    tap_near(val_get_num(m, "flop", 0), 312213504, 0, "flop of mlp-train: 3 x 2 x products");
    double ms = val_get_num(m, "ms", 0), of = val_get_num(m, "flop", 0) / (ms * 1e6) / val_get_num(m, "yard_gflops", 1);
    tap_ok(ms > 0 && val_get_num(m, "min", 0) <= ms && ms <= val_get_num(m, "max", 0) && fabs(of - val_get_num(m, "of_yard", 0)) < 1e-9 * of,
        "%.3f ms a step, %.2f of the yard", ms, of);
    val_free(v);
    v = NULL;
    tap_ok(call_sync(h, "bench", parse("{\"works\":[\"mlp-trian\"]}"), BY_LINE, &v, &e) < 0 && strstr(e.text, "mlp-train"), "a wrong name: %s", e.text);
    val_free(v);
}

int main(void) {
    static const struct cmd *const *const cmds[] = {cmds_call, cmds_engine, NULL};
    struct err e = {0};
    settings_init();
    if (!tap_ok(engine_init(&e) == 0, "the engine is initialised%s%s", e.text[0] ? ": " : "", e.text)) return tap_done();
    struct runs *rs = runs_new(NULL);
    struct hub *h = hub_new(cmds, rs);
    tap_ok(engine_start(h, &e) == 0, "its threads start");
    struct buf b = BUF_INIT;
    engine_version(&b);
    tap_ok(b.len > 0, "version line: %s", b.data);
    buf_release(&b);
    doctor(h);
    bench(h);
    engine_stop();
    hub_free(h);
    runs_free(rs);
    return tap_done();
}
