/* Readings of GPUs by a fake NVML (tests/cuda/nvml.c): the thread reads, nobody waits for it, old values are marked, errors of devices in use are heard and
 * named. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/graph/gpus.h"
#include "engine/graph/nvml.h"
#include "src/base/thread.h"
#include "tests/tap.h"

static struct {
    int n;
    char text[400];
    bool fatal;
} told;
static void tell(void *ctx, const char *sentence, bool fatal) {
    (void)ctx;
    snprintf(told.text, sizeof told.text, "%s", sentence);
    told.fatal = fatal;
    __atomic_add_fetch(&told.n, 1, __ATOMIC_SEQ_CST);
}

/* The readings once `field` of the answer is there or true, at most so many seconds; freed by the caller. */
static struct val *until(const char *field, double seconds, double *slowest) {
    for (double end = clock_now() + seconds;; clock_sleep(0.02)) {
        double t = clock_now();
        struct val *v = gpus_now();
        if (slowest && clock_now() - t > *slowest) *slowest = clock_now() - t;
        const struct val *x = val_get(v, field);
        bool there = x && (x->type == VAL_BOOL ? x->u.b : x->type == VAL_STR ? x->u.s.p[0] != 0 : true);
        if (there || clock_now() > end) return v;
        val_free(v);
    }
}

static void readings(void) {
    struct val *v = until("age", 10, NULL);
    const struct val *first = val_at(val_get(v, "gpus"), 0), *second = val_at(val_get(v, "gpus"), 1);
    tap_ok(val_len(val_get(v, "gpus")) == 2 && val_get_num(first, "use_percent", 0) == 87 && val_get_num(first, "memory_used_gib", 0) == 12 &&
               val_get_num(first, "celsius", 0) == 61 && fabs(val_get_num(first, "watts", 0) - 412.345) < 1e-9 && val_get_num(first, "mhz", 0) == 1980 &&
               val_get_num(first, "memory_mhz", 0) == 2619 && strcmp(val_get_str(first, "bus", ""), "0000:3b:00") == 0,
        "a device is read");
    tap_ok(!val_get(second, "use_percent") && val_get_num(second, "memory_gib", 0) == 80 && !val_get_bool(v, "stale", true),
        "what a device does not tell is left out");
    val_free(v);
    uint64_t seen = 0, before;
    struct gpu_numbers n = {0};
    bool got = gpus_since("0000:3b:00", &seen, &n);
    tap_ok(got && n.use == 87 && n.memory_gib == 12 && seen > 0, "numbers of one device");
    before = seen;
    tap_ok(!gpus_since("0000:99:00", &(uint64_t){0}, &n), "a device that is not there has none");
    tap_ok(!gpus_since("0000:3b:00", &seen, &n) || seen > before, "and no reading is given twice");
    gpus_stop();
}

static void blocked(void) {
    setenv("HONE_FAKE_NVML", "slow", 1);
    double slowest = 0;
    struct val *v = until("age", 20, &slowest);
    val_free(v);
    v = until("stale", 20, &slowest);
    tap_ok(val_get_bool(v, "stale", false) && val_get_num(v, "age", 0) > 5 && val_len(val_get(v, "gpus")) == 2, "values that are old are marked: %.1f s",
        val_get_num(v, "age", 0));
    tap_ok(slowest < 1, "nobody waits for a library that blocks for 9 s: at most %.4f s", slowest);
    val_free(v);
    double t = clock_now();
    gpus_stop();
    tap_ok(clock_now() - t < 3, "nor does the end: %.2f s", clock_now() - t);
}

static void errors(const char *log) {
    struct buf b = BUF_INIT;
    setenv("HONE_FAKE_NVML", "xid=79", 1);
    setenv("HONE_FAKE_XID_LOG", log, 1);
    unlink(log);
    gpus_on_error(tell, NULL);
    gpus_use("0000:3b:00", 1);
    val_free(until("age", 10, NULL));
    tap_ok(!gpus_error("0000:3b:00", 0, &b) && !gpus_gone("0000:3b:00", 0), "no error yet");
    fclose(fopen(log, "w"));
    double t = clock_now();
    bool got = gpus_error("0000:3b:00", 10, &b);
    double took = clock_now() - t;
    tap_ok(got && strstr(b.data, "Xid 79: the device has fallen off the bus") && took < 2, "r.F8: an Xid is named within 2 s: %.2f s: %s", took,
        got ? b.data : "nothing");
    for (double end = clock_now() + 5; __atomic_load_n(&told.n, __ATOMIC_SEQ_CST) == 0 && clock_now() < end;) clock_sleep(0.01);
    tap_ok(told.n == 1 && told.fatal && strstr(told.text, "GPU 0: Xid 79") && strstr(told.text, "resume from the last checkpoint"), "and told: %s", told.text);
    tap_ok(gpus_gone("0000:3b:00", 0) && !gpus_gone("0000:3b:00", 60) && !gpus_gone("0000:3c:00", 0), "the device is gone, another one is not");
    gpus_use("0000:3b:00", -1);
    tap_ok(!gpus_gone("0000:99:00", 0), "a device that is not open has no errors");
    gpus_stop();
    buf_release(&b);
    bool fatal;
    int known[] = {13, 31, 43, 48, 62, 63, 74, 79, 94, 95, 119}, n = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) n += strstr(nvml_xid_words(known[i], &fatal), "catalogue") == NULL;
    tap_ok(n == 11 && !(nvml_xid_words(63, &fatal), fatal) && (nvml_xid_words(48, &fatal), fatal), "the errors a training meets have words");
    tap_ok(strstr(nvml_xid_words(12345, &fatal), "catalogue") && !fatal, "and one that is not known says where to look");
}

int main(void) {
    const char *top = getenv("top_builddir");
    char path[4096], log[] = "/tmp/hone-xid-XXXXXX";
    struct stat st;
    snprintf(path, sizeof path, "%s/tests/cuda/nvml.so", top ? top : ".");
    if (stat(path, &st) != 0) {
        tap_skip("readings of GPUs", "tests/cuda/nvml.so is not built");
        return tap_done();
    }
    setenv("HONE_NVML", "/nowhere/nvml.so", 1);
    struct val *v = until("why", 10, NULL);
    tap_ok(strstr(val_get_str(v, "why", ""), "comes with the NVIDIA driver") && val_len(val_get(v, "gpus")) == 0, "no NVML: %s", val_get_str(v, "why", ""));
    val_free(v);
    gpus_stop();
    setenv("HONE_NVML", path, 1);
    readings();
    int fd = mkstemp(log);
    if (fd >= 0) close(fd);
    errors(log);
    unlink(log);
    blocked();
    return tap_done();
}
