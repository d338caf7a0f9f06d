/* A small fake of NVML: two devices with made-up readings, the second too plain to tell most of them. HONE_FAKE_NVML: "driver" (it does not start),
 * "lost" (the first device is off the bus), "hot" (slowed down, with memory errors). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
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
int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *v) {
    (void)d;
    return v[0] = 80ull << 30, v[1] = 68ull << 30, v[2] = 12ull << 30, 0;
}
int nvmlDeviceGetTemperature(void *d, int sensor, unsigned *v) { return *v = 61, d == &devices[0] && sensor == 0 ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *v) { return *v = 412345, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetEnforcedPowerLimit(void *d, unsigned *v) { return *v = 700000, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetClockInfo(void *d, int which, unsigned *v) { return *v = which == 1 ? 1980 : 1, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *v) { return *v = is("hot") ? 0x24 : 0x1, d == &devices[0] ? 0 : NOT_SUPPORTED; }
int nvmlDeviceGetTotalEccErrors(void *d, int type, int since, unsigned long long *v) {
    return *v = is("hot") ? 2 : 0, d == &devices[0] && type == 1 && since == 0 ? 0 : NOT_SUPPORTED;
}
