/* Files of what was measured on this machine. */
#include "config.h"

#include "engine/graph/remember.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/dnnl.h"
#include "engine/cpu/gemm.h"
#include "engine/graph/op.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#define FILE_MAX (256 << 10) /* bytes */

void remember_identity(struct buf *b) {
    char line[512], *cpu = NULL;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !cpu && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) cpu = mem_strn(strchr(line, ':') + 1, strcspn(strchr(line, ':') + 1, "\n"));
    if (f) fclose(f);
    const struct gemm_info *g = gemm_info();
    const struct dnnl_info *d = dnnl_info();
    buf_addf(b, "%s; kernels %s of %s; %s, %s, %s; oneDNN %s", cpu ? cpu : "unknown processor", ops_isa(), PACKAGE_VERSION, g->library, g->core, g->version,
        d->library[0] ? d->version : "none");
    free(cpu);
}

char *remember_folder(void) {
    const char *off = getenv("HONE_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (off && strcmp(off, "off") == 0) return NULL;
    if (xdg && xdg[0] == '/') return io_join(xdg, "hone");
    if (!home || home[0] != '/') return NULL;
    char *cache = io_join(home, ".cache"), *dir = io_join(cache, "hone");
    free(cache);
    return dir;
}

char *remember_path(const char *folder, const char *subject, const char *identity) {
    char hex[65], name[64];
    io_sha256(identity, strlen(identity), hex);
    snprintf(name, sizeof name, "%.32s-%.16s.json", subject, hex);
    return io_join(folder, name);
}

struct val *remember_load(const char *folder, const char *subject, const char *identity) {
    struct err e = {0};
    char format[64], *path = remember_path(folder, subject, identity);
    struct val *v = io_exists(path) ? json_read_file(path, FILE_MAX, &e) : NULL;
    snprintf(format, sizeof format, "hone-%.32s", subject);
    bool ok = v && strcmp(val_get_str(v, "format", ""), format) == 0 && strcmp(val_get_str(v, "identity", ""), identity) == 0 && val_get(v, "choices");
    struct val *list = ok ? val_copy(val_get(v, "choices")) : NULL;
    val_free(v);
    free(path);
    return list;
}

void remember_save(const char *folder, const char *subject, const char *identity, struct val *list) {
    struct err e = {0};
    struct buf b = BUF_INIT;
    struct val *v = val_table();
    char format[64], *path = remember_path(folder, subject, identity);
    snprintf(format, sizeof format, "hone-%.32s", subject);
    val_set_str(v, "format", format);
    val_set_str(v, "identity", identity);
    val_set(v, "choices", list);
    json_write_pretty(&b, v);
    if (io_mkdirs(folder, 0700, &e) < 0 || io_write_file(path, b.data, b.len, &e) < 0)
        log_write(LOG_INFO, "what was measured (%s) is not remembered: %s", subject, e.text);
    buf_release(&b);
    val_free(v);
    free(path);
}
