/* Reads /proc/meminfo and the control group's limit (version 2, then version 1). Asking for more than this would not fail at the
 * request but kill the process when the pages are touched, so big blocks are checked against it first. */
#include "config.h"

#include "engine/cpu/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The number after `key` at a line's start (key "": the first line); SIZE_MAX: not there, "max". */
static size_t number_in(const char *path, const char *key) {
    FILE *f = fopen(path, "re");
    char line[256];
    size_t out = SIZE_MAX;
    unsigned long long v;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) {
            if (sscanf(line + strlen(key), "%llu", &v) == 1) out = (size_t)v;
            break;
        }
    if (f) fclose(f);
    return out;
}

static size_t left(const char *limit, const char *used) {
    size_t max = number_in(limit, ""), now = number_in(used, "");
    if (max == SIZE_MAX || now == SIZE_MAX || max > SIZE_MAX / 4) return SIZE_MAX;
    return max > now ? max - now : 0;
}

size_t memory_available(void) {
    size_t kib = number_in("/proc/meminfo", "MemAvailable:"), sys = kib < SIZE_MAX / 1024 ? kib * 1024 : SIZE_MAX;
    size_t v2 = left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
    size_t v1 = left("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes");
    size_t group = v2 < v1 ? v2 : v1;
    return sys < group ? sys : group;
}
