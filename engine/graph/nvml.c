/* NVML by dlopen: its header may be missing, so the few entry points used are declared here as the NVML API Reference (nvml.h of CUDA 11 to 13)
 * gives them. The library is opened, asked and closed in one call: nothing is kept. HONE_NVML of the environment names another file. A value that a
 * device does not tell is left out. */
#include "config.h"

#include "engine/graph/nvml.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

#define DEVICES_MAX 16

typedef void *nvml_device;
enum { NVML_TEMPERATURE_GPU = 0, NVML_CLOCK_SM = 1, NVML_ERROR_UNCORRECTED = 1, NVML_VOLATILE_ECC = 0, NVML_GPU_IS_LOST = 15 };
struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *n);
    int (*device)(unsigned i, nvml_device *d);
    const char *(*words)(int rc);
    int (*name)(nvml_device d, char *text, unsigned n);
    int (*use)(nvml_device d, unsigned *gpu_memory); /* two numbers, percent of the last second: kernels ran, memory was read or written */
    int (*memory)(nvml_device d, unsigned long long *total_free_used);
    int (*temperature)(nvml_device d, int sensor, unsigned *celsius);
    int (*power)(nvml_device d, unsigned *milliwatts);
    int (*limit)(nvml_device d, unsigned *milliwatts);
    int (*clock)(nvml_device d, int which, unsigned *mhz);
    int (*throttle)(nvml_device d, unsigned long long *bits);
    int (*ecc)(nvml_device d, int type, int since, unsigned long long *n);
};
static const struct entry {
    const char *symbol;
    size_t offset;
    bool must;
} entries[] = {
    {"nvmlInit_v2", offsetof(struct nvml, init), true},
    {"nvmlShutdown", offsetof(struct nvml, shutdown), true},
    {"nvmlDeviceGetCount_v2", offsetof(struct nvml, count), true},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(struct nvml, device), true},
    {"nvmlErrorString", offsetof(struct nvml, words), true},
    {"nvmlDeviceGetName", offsetof(struct nvml, name), true},
    {"nvmlDeviceGetUtilizationRates", offsetof(struct nvml, use), false},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct nvml, memory), false},
    {"nvmlDeviceGetTemperature", offsetof(struct nvml, temperature), false},
    {"nvmlDeviceGetPowerUsage", offsetof(struct nvml, power), false},
    {"nvmlDeviceGetEnforcedPowerLimit", offsetof(struct nvml, limit), false},
    {"nvmlDeviceGetClockInfo", offsetof(struct nvml, clock), false},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", offsetof(struct nvml, throttle), false},
    {"nvmlDeviceGetTotalEccErrors", offsetof(struct nvml, ecc), false},
};
/* nvmlClocksThrottleReason*: idle clocks and clocks asked for by the user slow nothing down that matters. */
static const struct reason {
    unsigned long long bit;
    const char *words;
} reasons[] = {{0x4, "the power limit"}, {0x8, "the hardware"}, {0x20, "its temperature"}, {0x40, "its temperature (hardware)"}, {0x80, "the power supply"}};

static void tell(struct buf *b, struct val *v, const char *field, double x, const char *fmt) __attribute__((format(printf, 5, 0)));
static void tell(struct buf *b, struct val *v, const char *field, double x, const char *fmt) {
    val_set_num(v, field, x);
    buf_addf(b, fmt, x);
}

static void slowed(struct buf *b, struct val *v, unsigned long long bits) {
    struct buf w = BUF_INIT;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (bits & reasons[i].bit) buf_addf(&w, "%s%s", w.len ? " and " : "", reasons[i].words);
    if (w.len) buf_addf(b, ", slowed down by %s", w.data);
    val_set_str(v, "slowed_by", w.len ? w.data : "");
    buf_release(&w);
}

static void device_say(const struct nvml *n, unsigned i, struct buf *b, struct val *v) {
    nvml_device d = NULL;
    char name[96] = "";
    unsigned use[2] = {0}, u = 0, most = 0;
    unsigned long long mem[3] = {0}, w = 0;
    int rc = n->device(i, &d);
    if (rc == 0) rc = n->name(d, name, sizeof name);
    name[sizeof name - 1] = 0;
    val_set_int(v, "index", i);
    if (rc != 0) {
        const char *why = n->words(rc);
        buf_addf(b, "%u: %s%s", i, why ? why : "it does not answer", rc == NVML_GPU_IS_LOST ? "; dmesg | grep -i xid says why" : "");
        val_set_str(v, "error", why ? why : "");
        return;
    }
    val_set_str(v, "name", name);
    buf_addf(b, "%u: %s", i, name);
    if (n->use && n->use(d, use) == 0) tell(b, v, "use_percent", use[0], ", %.0f %% busy");
    if (n->memory && n->memory(d, mem) == 0) {
        tell(b, v, "memory_used_gib", (double)mem[2] / (1 << 30), ", %.1f");
        tell(b, v, "memory_gib", (double)mem[0] / (1 << 30), " of %.1f GiB used");
    }
    if (n->temperature && n->temperature(d, NVML_TEMPERATURE_GPU, &u) == 0) tell(b, v, "celsius", u, ", %.0f C");
    if (n->power && n->power(d, &u) == 0) tell(b, v, "watts", u / 1000.0, ", %.0f W");
    if (n->limit && n->limit(d, &most) == 0) tell(b, v, "watts_limit", most / 1000.0, ", limit %.0f W");
    if (n->clock && n->clock(d, NVML_CLOCK_SM, &u) == 0) tell(b, v, "mhz", u, ", %.0f MHz");
    if (n->throttle && n->throttle(d, &w) == 0) slowed(b, v, w);
    if (n->ecc && n->ecc(d, NVML_ERROR_UNCORRECTED, NVML_VOLATILE_ECC, &w) == 0) {
        val_set_int(v, "ecc_errors", (int64_t)w);
        if (w) buf_addf(b, ", %llu memory errors that could not be corrected: nvidia-smi -q -d ECC", w);
    }
}

void nvml_say(struct buf *b, struct val *list) {
    struct nvml n = {0};
    unsigned count = 0;
    const char *env = getenv("HONE_NVML"), *file = env && *env ? env : "libnvidia-ml.so.1";
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        buf_addf(b, "no readings: %s cannot be opened, it comes with the NVIDIA driver\n", file);
        return;
    }
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        void *f = dlsym(lib, entries[i].symbol);
        memcpy((char *)&n + entries[i].offset, &f, sizeof f);
        if (f || !entries[i].must) continue;
        buf_addf(b, "no readings: %s has no %s, it is no NVML or one of an old driver\n", file, entries[i].symbol);
        dlclose(lib);
        return;
    }
    int rc = n.init();
    if (rc == 0 && (rc = n.count(&count)) != 0) n.shutdown();
    if (rc != 0) buf_addf(b, "no readings: %s\n", n.words(rc) ? n.words(rc) : "NVML does not start");
    for (unsigned i = 0; rc == 0 && i < count && i < DEVICES_MAX; i++) {
        struct val *v = val_table();
        device_say(&n, i, b, v);
        buf_adds(b, "\n");
        val_push(list, v);
    }
    if (rc == 0) n.shutdown();
    dlclose(lib);
}
