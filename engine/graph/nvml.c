/* NVML by dlopen: its header may be missing, so the few entry points used are declared here as the NVML API Reference (nvml.h of CUDA 11 to 13)
 * gives them. */
#include "config.h"

#include "engine/graph/nvml.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

#define DEVICES_MAX 16

typedef void *nvml_device;
enum {
    NVML_TEMPERATURE_GPU = 0,
    NVML_CLOCK_SM = 1,
    NVML_CLOCK_MEM = 2,
    NVML_ERROR_UNCORRECTED = 1,
    NVML_VOLATILE_ECC = 0,
    NVML_EVENT_XID = 8,
    NVML_TIMEOUT = 10,
    NVML_GPU_IS_LOST = 15
};
struct pci { /* nvmlPciInfo_t */
    char bus_legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
};
struct event { /* nvmlEventData_t */
    nvml_device device;
    unsigned long long type, data; /* data: the number of the Xid */
    unsigned instance, compute_instance;
};
struct nvml {
    void *lib, *set; /* set: events that are waited for, or NULL */
    bool started;
    unsigned n_device;
    nvml_device handle[DEVICES_MAX]; /* NULL: it does not answer */
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
    int (*where)(nvml_device d, struct pci *p);
    int (*set_new)(void **set);
    int (*set_free)(void *set);
    int (*register_events)(nvml_device d, unsigned long long types, void *set);
    int (*wait)(void *set, struct event *v, unsigned ms);
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
    {"nvmlDeviceGetPciInfo_v3", offsetof(struct nvml, where), false},
    {"nvmlEventSetCreate", offsetof(struct nvml, set_new), false},
    {"nvmlEventSetFree", offsetof(struct nvml, set_free), false},
    {"nvmlDeviceRegisterEvents", offsetof(struct nvml, register_events), false},
    {"nvmlEventSetWait_v2", offsetof(struct nvml, wait), false},
};
/* nvmlClocksThrottleReason*: idle clocks and clocks asked for by the user slow nothing down that matters. */
static const struct reason {
    unsigned long long bit;
    const char *words;
} reasons[] = {{0x4, "the power limit"}, {0x8, "the hardware"}, {0x20, "its temperature"}, {0x40, "its temperature (hardware)"}, {0x80, "the power supply"}};

/* Xids of Ampere and later devices that a training can meet: what happened and the immediate action of NVIDIA's Xid catalogue. ORDER by number. */
static const struct xid {
    int n;
    bool fatal;
    const char *words;
} xids[] = {
    {8, true, "the device stopped processing: restart the session and resume from the last checkpoint"},
    {11, true, "a damaged stream of commands: restart the session and resume from the last checkpoint"},
    {13, true, "a kernel failed (bad address or instruction): restart the session and resume from the last checkpoint"},
    {31, true, "a kernel touched memory that is not its own: restart the session and resume from the last checkpoint"},
    {32, true, "a damaged stream of commands: restart the session and resume from the last checkpoint"},
    {43, true, "the device stopped what ran on it: restart the session and resume from the last checkpoint"},
    {45, true, "what ran was cleared away after an earlier error: the Xid before this one says why"},
    {48, true, "a memory error that could not be corrected: resume from the last checkpoint on another device; this one wants a reset (nvidia-smi -q -d ECC)"},
    {61, false, "a warning of the device's controller: if it comes again, reset the device"},
    {62, true, "the device's controller halted: the device wants a reset; resume from the last checkpoint on another one"},
    {63, false, "memory was mended by taking a spare row: it takes effect at the next reset of the device"},
    {64, false, "memory could not be mended, no spare row was taken: reset the device, and have it replaced if this comes again"},
    {69, true, "a kernel failed (graphics engine class error): restart the session and resume from the last checkpoint"},
    {74, true, "the link to another device failed (NVLink): look at nvidia-smi nvlink -e; resume from the last checkpoint"},
    {79, true, "the device has fallen off the bus: the machine wants a restart (power, heat, slot); resume from the last checkpoint on another device"},
    {92, false, "many memory errors were corrected: the device still works, watch it"},
    {94, true, "a memory error that was contained: only what ran is lost; restart the session and resume from the last checkpoint"},
    {95, true, "a memory error that was not contained: the device wants a reset; resume from the last checkpoint on another one"},
    {109, true, "switching between programs timed out: the device wants a reset; resume from the last checkpoint on another one"},
    {119, true, "the device's own processor (GSP) does not answer: the device wants a reset; resume from the last checkpoint on another one"},
    {120, true, "the device's own processor (GSP) failed: the device wants a reset; resume from the last checkpoint on another one"},
    {140, true, "a memory error that was not recovered from: the device wants a reset; resume from the last checkpoint on another one"},
    {154, false, "the driver says what the device needs now: see the kernel's log (dmesg | grep -i xid)"},
};

const char *nvml_xid_words(int xid, bool *fatal) {
    for (size_t i = 0; i < sizeof xids / sizeof *xids; i++)
        if (xids[i].n == xid) return *fatal = xids[i].fatal, xids[i].words;
    *fatal = false;
    return "see NVIDIA's Xid catalogue (docs.nvidia.com/deploy/xid-errors) and the kernel's log (dmesg | grep -i xid)";
}

/* ---- readings ---- */

static void slowed(struct val *v, unsigned long long bits) {
    struct buf w = BUF_INIT;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (bits & reasons[i].bit) buf_addf(&w, "%s%s", w.len ? " and " : "", reasons[i].words);
    val_set_str(v, "slowed_by", w.len ? w.data : "");
    buf_release(&w);
}

static struct val *read_one(struct nvml *n, unsigned i) {
    nvml_device d = NULL;
    char name[96] = "";
    unsigned use[2] = {0}, u = 0;
    unsigned long long mem[3] = {0}, w = 0;
    struct val *v = val_table();
    struct pci p = {0};
    int rc = n->device(i, &d);
    if (rc == 0) rc = n->name(d, name, sizeof name);
    name[sizeof name - 1] = 0;
    val_set_int(v, "index", i);
    if (rc != 0) {
        const char *why = n->words(rc);
        val_set_str(v, "error", why ? why : "it does not answer");
        val_set_bool(v, "lost", rc == NVML_GPU_IS_LOST);
        return v;
    }
    n->handle[i] = d;
    val_set_str(v, "name", name);
    if (n->where && n->where(d, &p) == 0) {
        struct buf b = BUF_INIT;
        buf_addf(&b, "%04x:%02x:%02x", p.domain, p.bus, p.device);
        val_set_str(v, "bus", b.data);
        buf_release(&b);
    }
    if (n->use && n->use(d, use) == 0) val_set_num(v, "use_percent", use[0]);
    if (n->memory && n->memory(d, mem) == 0) {
        val_set_num(v, "memory_used_gib", (double)mem[2] / (1 << 30));
        val_set_num(v, "memory_gib", (double)mem[0] / (1 << 30));
    }
    if (n->temperature && n->temperature(d, NVML_TEMPERATURE_GPU, &u) == 0) val_set_num(v, "celsius", u);
    if (n->power && n->power(d, &u) == 0) val_set_num(v, "watts", u / 1000.0);
    if (n->limit && n->limit(d, &u) == 0) val_set_num(v, "watts_limit", u / 1000.0);
    if (n->clock && n->clock(d, NVML_CLOCK_SM, &u) == 0) val_set_num(v, "mhz", u);
    if (n->clock && n->clock(d, NVML_CLOCK_MEM, &u) == 0) val_set_num(v, "memory_mhz", u);
    if (n->throttle && n->throttle(d, &w) == 0) slowed(v, w);
    if (n->ecc && n->ecc(d, NVML_ERROR_UNCORRECTED, NVML_VOLATILE_ECC, &w) == 0) val_set_int(v, "ecc_errors", (int64_t)w);
    return v;
}

struct val *nvml_read(struct nvml *n) {
    struct val *list = val_list();
    for (unsigned i = 0; i < n->n_device; i++) val_push(list, read_one(n, i));
    return list;
}

void nvml_words(const struct val *v, struct buf *b) {
    static const struct {
        const char *field, *before, *after;
        int digits;
    } told[] = {{"use_percent", ", ", " % busy", 0}, {"memory_used_gib", ", ", "", 1}, {"memory_gib", " of ", " GiB used", 1}, {"celsius", ", ", " C", 0},
        {"watts", ", ", " W", 0}, {"watts_limit", ", limit ", " W", 0}, {"mhz", ", ", " MHz", 0}, {"memory_mhz", ", memory ", " MHz", 0}};
    const char *error = val_get_str(v, "error", NULL), *by = val_get_str(v, "slowed_by", "");
    buf_addf(b, "%d: %s", (int)val_get_int(v, "index", 0), error ? error : val_get_str(v, "name", "?"));
    if (error) buf_adds(b, val_get_bool(v, "lost", false) ? "; dmesg | grep -i xid says why" : "");
    for (size_t i = 0; i < LEN(told); i++)
        if (val_get(v, told[i].field)) buf_addf(b, "%s%.*f%s", told[i].before, told[i].digits, val_get_num(v, told[i].field, 0), told[i].after);
    if (*by) buf_addf(b, ", slowed down by %s", by);
    int64_t ecc = val_get_int(v, "ecc_errors", 0);
    if (ecc > 0) buf_addf(b, ", %lld memory errors that could not be corrected: nvidia-smi -q -d ECC", (long long)ecc);
}

/* ---- coming and going ---- */

struct nvml *nvml_open(struct err *e) {
    const char *env = getenv("HONE_NVML"), *file = env && *env ? env : "libnvidia-ml.so.1";
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!lib) return err_set(e, "%s cannot be opened, it comes with the NVIDIA driver", file), NULL;
    struct nvml *n = X_NEW(struct nvml, 1);
    n->lib = lib;
    for (size_t i = 0; i < LEN(entries); i++) {
        void *f = dlsym(lib, entries[i].symbol);
        memcpy((char *)n + entries[i].offset, &f, sizeof f);
        if (f || !entries[i].must) continue;
        err_set(e, "%s has no %s, it is no NVML or one of an old driver", file, entries[i].symbol);
        nvml_close(n);
        return NULL;
    }
    int rc = n->init();
    n->started = rc == 0;
    if (rc == 0) rc = n->count(&n->n_device);
    if (n->n_device > DEVICES_MAX) n->n_device = DEVICES_MAX;
    if (rc == 0) return n;
    err_set(e, "%s", n->words(rc) ? n->words(rc) : "NVML does not start");
    nvml_close(n);
    return NULL;
}

void nvml_close(struct nvml *n) {
    if (!n) return;
    if (n->set) n->set_free(n->set);
    if (n->started) n->shutdown();
    dlclose(n->lib);
    free(n);
}

/* Every device that can tell of Xids is asked to; -1: none can. */
static int listen(struct nvml *n) {
    int told = 0;
    if (!n->set_new || !n->set_free || !n->register_events || !n->wait || n->set_new(&n->set) != 0) return n->set = NULL, -1;
    for (unsigned i = 0; i < n->n_device; i++)
        if ((n->handle[i] || n->device(i, &n->handle[i]) == 0) && n->register_events(n->handle[i], NVML_EVENT_XID, n->set) == 0) told++;
    if (told) return 0;
    n->set_free(n->set);
    n->set = NULL;
    return -1;
}

int nvml_wait(struct nvml *n, unsigned ms, unsigned *device, int *xid) {
    struct event v = {0};
    if (!n->set && listen(n) < 0) return -1;
    int rc = n->wait(n->set, &v, ms);
    if (rc == NVML_TIMEOUT) return 0;
    if (rc != 0 && rc != NVML_GPU_IS_LOST) return -1;
    *xid = rc == NVML_GPU_IS_LOST ? 79 : (int)v.data;
    for (*device = 0; *device < n->n_device && n->handle[*device] != v.device; ++*device) continue;
    if (rc == 0 && !(v.type & NVML_EVENT_XID)) return 0;
    return 1;
}

void nvml_say(struct buf *b, struct val *list) {
    struct err e = {0};
    struct nvml *n = nvml_open(&e);
    if (!n) {
        buf_addf(b, "no readings: %s\n", e.text);
        return;
    }
    struct val *all = nvml_read(n);
    for (size_t i = 0; i < val_len(all); i++) {
        nvml_words(val_at(all, i), b);
        buf_adds(b, "\n");
        val_push(list, val_copy(val_at(all, i)));
    }
    val_free(all);
    nvml_close(n);
}
