/* A small fake of NVML: two devices with made-up readings, the second too plain to tell most of them. HONE_FAKE_NVML: "driver" (it does not start), "lost"
 * (the first device is off the bus), "hot" (slowed down, with memory errors), "slow" (from the second reading on a call takes 9 s), "xid=N" (the first device
 * has that error once the file HONE_FAKE_XID_LOG is there). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15 };
static char devices[2];
static int is(const char *what) {
    const char *v = getenv("HONE_FAKE_NVML");
    return v && strcmp(v, what) == 0;
}
int nvmlInit_v2(void) { return is("driver") ? DRIVER_NOT_LOADED : 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { return *n = 2, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { return *d = &devices[i], i == 0 && is("lost") ? GPU_IS_LOST : 0; }
const char *nvmlErrorString(int rc) { return rc == GPU_IS_LOST ? "GPU is lost" : rc == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Unknown Error"; }
int nvmlDeviceGetName(void *d, char *text, unsigned n) { return snprintf(text, n, "fake %s", d == &devices[0] ? "large" : "plain") < 0; }
int nvmlDeviceGetUtilizationRates(void *d, unsigned *v) { return v[0] = 87, v[1] = 40, d == &devices[0] ? 0 : NOT_SUPPORTED; }
static int reads;
int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *v) {
    if (d == &devices[0] && reads++ > 0 && is("slow")) sleep(9);
    return v[0] = 80ull << 30, v[1] = 68ull << 30, v[2] = 12ull << 30, 0;
}
int nvmlDeviceGetTemperature(void *d, int sensor, unsigned *v) { return *v = 61, d == &devices[0] && sensor == 0 ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *v) { return *v = 412345, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetEnforcedPowerLimit(void *d, unsigned *v) { return *v = 700000, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetClockInfo(void *d, int which, unsigned *v) { return *v = which == 1 ? 1980 : which == 2 ? 2619 : 1, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *v) { return *v = is("hot") ? 0x24 : 0x1, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetTotalEccErrors(void *d, int type, int since, unsigned long long *v) {
    return *v = is("hot") ? 2 : 0, d == &devices[0] && type == 1 && since == 0 ? 0 : NOT_SUPPORTED;
}
struct pci {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
};
int nvmlDeviceGetPciInfo_v3(void *d, struct pci *p) { return p->domain = 0, p->bus = 0x3b + (unsigned)((char *)d - devices), p->device = 0, 0; }

/* ---- events ---- */
struct event {
    void *device;
    unsigned long long type, data;
    unsigned instance, compute_instance;
};
static int set, registered, told;
int nvmlEventSetCreate(void **s) { return *s = &set, 0; }
int nvmlEventSetFree(void *s) { return s == &set ? 0 : 2; }
int nvmlDeviceRegisterEvents(void *d, unsigned long long types, void *s) {
    if (d != &devices[0] || types != 8 || s != &set) return NOT_SUPPORTED;
    return registered = 1, 0;
}
int nvmlEventSetWait_v2(void *s, struct event *v, unsigned ms) {
    const char *how = getenv("HONE_FAKE_NVML"), *log = getenv("HONE_FAKE_XID_LOG");
    if (s != &set || !registered) return NOT_SUPPORTED;
    for (unsigned t = 0; t < ms; t += 10, usleep(10000))
        if (!told && how && log && strncmp(how, "xid=", 4) == 0 && access(log, F_OK) == 0)
            return told = 1, *v = (struct event){&devices[0], 8, strtoull(how + 4, NULL, 10), 0, 0}, 0;
    return TIMEOUT;
}
