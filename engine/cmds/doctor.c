/* `hone doctor`: what this machine is, what hone chose on it and why, and what it does right now. Engine thread. Text for people
 * in the field "text", the same facts as fields for programs. */
#include "config.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cpu/dnnl.h"
#include "engine/cpu/gemm.h"
#include "engine/cpu/yard.h"
#include "engine/graph/backend.h"
#include "engine/graph/choose.h"
#include "engine/graph/nvml.h"
#include "engine/graph/tuned.h"
#include "engine/train/precision.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/call.h"
#include "src/call/settings.h"

struct doctor_args {
    int64_t threads;
    bool fast;
};

/* The value of "NAME : value" (or "NAME: value") in a small text file of the system; NULL: not there. Caller frees. */
static char *field_of(const char *path, const char *name) {
    FILE *f = fopen(path, "re"); /* /proc files have no size, so io_read_file does not serve */
    char line[512], *found = NULL;
    while (f && !found && fgets(line, sizeof line, f)) {
        size_t n = strlen(name);
        if (strncmp(line, name, n) != 0) continue;
        const char *v = line + n + strspn(line + n, " \t");
        if (*v != ':' && *v != '=') continue;
        v += 1 + strspn(v + 1, " \t");
        found = mem_strn(v, strcspn(v, "\n"));
    }
    if (f) fclose(f);
    return found;
}

static void row(struct buf *b, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void row(struct buf *b, const char *name, const char *fmt, ...) {
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_addf(b, "%-16s %s\n", name, text);
}

static void machine(struct buf *b, struct val *v) {
    char *cpu = field_of("/proc/cpuinfo", "model name"), *total = field_of("/proc/meminfo", "MemTotal"), *avail = field_of("/proc/meminfo", "MemAvailable");
    double gib = total ? strtod(total, NULL) / 1048576 : 0, now = avail ? strtod(avail, NULL) / 1048576 : 0;
    row(b, "processor", "%s", cpu ? cpu : "unknown");
    row(b, "cores", "%d usable by this process", thread_cores());
    row(b, "memory", "%.1f GiB, %.1f GiB available", gib, now);
    val_set_str(v, "processor", cpu ? cpu : "unknown");
    val_set_int(v, "cores", thread_cores());
    val_set_num(v, "memory_gib", gib);
    val_set_num(v, "memory_available_gib", now);
    free(cpu), free(total), free(avail);
}

static void kernels(struct buf *b, struct val *v) {
    struct buf sets = BUF_INIT;
    struct val *list = val_list();
    const char *env = getenv("HONE_ISA");
    for (int i = 0; isa_all(i); i++) {
        buf_addf(&sets, "%s%s", i ? ", " : "", isa_all(i)->name);
        val_push(list, val_str(isa_all(i)->name));
    }
    row(b, "instruction sets", "%s can run here", sets.data);
    row(b, "kernels", "%s, %s", ops_isa(), env && *env ? "by HONE_ISA of the environment" : "the widest of them");
    val_set(v, "isa", list);
    val_set_str(v, "kernels", ops_isa());
    buf_release(&sets);
}

static void blas(struct buf *b, struct val *v) {
    const struct gemm_info *g = gemm_info();
    char guess[64];
    bool known = gemm_own_guess(guess) == 0, corrected = known && g->core[0] && strcmp(guess, g->core) != 0;
    row(b, "products", "%s", g->library[0] ? g->library : "plain kernel");
    row(b, "", "%s", g->why);
    if (known && corrected) row(b, "", "left alone it would take core type %s: corrected", guess);
    else if (known) row(b, "", "left alone it would take the same core type");
    row(b, "", "opened and checked in %.1f ms", g->probe_ms);
    val_set_str(v, "blas", g->library);
    val_set_str(v, "blas_core", g->core);
    val_set_str(v, "blas_why", g->why);
    if (known) val_set_str(v, "blas_guess", guess);
    val_set_bool(v, "blas_corrected", corrected);
    val_set_num(v, "blas_probe_ms", g->probe_ms);
}

/* What may compute products besides the BLAS, and what was chosen by measuring. */
static void routes_of(struct buf *b, struct val *v) {
    const struct dnnl_info *d = dnnl_info();
    struct buf names = BUF_INIT, chosen = BUF_INIT, halves = BUF_INIT;
    struct val *list = val_list();
    for (const struct route *r = routes; r->name; r++) {
        if (r->there && !r->there()) continue;
        buf_addf(&names, "%s%s", names.len ? ", " : "", r->name);
        val_push(list, val_str(r->name));
    }
    choose_say(&chosen);
    precision_say_known(&halves);
    row(b, "routes", "%s, by shape or by time before the first step", names.data);
    row(b, "", "oneDNN %s%s%s", d->version, d->version[0] ? ": " : "", d->why);
    row(b, "", "%s", chosen.data);
    row(b, "", "%s", halves.data);
    val_set(v, "routes", list);
    val_set_str(v, "onednn", d->library);
    val_set_str(v, "onednn_version", d->version);
    val_set_str(v, "onednn_why", d->why);
    val_set_str(v, "products", chosen.data);
    val_set_str(v, "halves", halves.data);
    buf_release(&names);
    buf_release(&chosen);
    buf_release(&halves);
}

static void rates(struct buf *b, struct val *v, struct pool *all) {
    struct val *by = val_table();
    for (int i = 0; isa_all(i); i++) {
        double g = yard_gflops(NULL, isa_all(i));
        row(b, i ? "" : "multiply-adds", "%.1f GFLOPS fp32 on one thread, %s", g, isa_all(i)->name);
        val_set_num(by, isa_all(i)->name, g);
    }
    struct precision p;
    if (precision_measure(&p, 1024, 768, 768, NULL) == 0) {
        row(b, "precision", "a product takes %.2f ms in fp32, %.2f in bf16: precision=auto takes %s", p.ms_fp32, p.ms_bf16, precision_name(&p));
        val_set(v, "precision", precision_val(&p));
    }
    double one = yard_memory(NULL, isa_now()), g = yard_gflops(all, isa_now()), m = yard_memory(all, isa_now());
    row(b, "", "%.1f GFLOPS fp32 on %d threads, %s", g, pool_threads(all), ops_isa());
    row(b, "memory rate", "%.1f GB/s on one thread, %.1f GB/s on %d", one, m, pool_threads(all));
    val_set(v, "gflops", by);
    val_set_num(v, "gflops_all", g);
    val_set_num(v, "memory_gbs", one);
    val_set_num(v, "memory_gbs_all", m);
}

static void lines(struct buf *b, const char *name, char *text) {
    for (char *line = text, *next; line && *line; line = next, name = "") {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        row(b, name, "%s", line);
    }
}

/* What GPUs there are, or why none is used; and what they do right now. */
static void devices(struct buf *b, struct val *v) {
    struct buf text = BUF_INIT, now = BUF_INIT;
    struct val *list = val_list();
    struct settings s = {0};
    settings_get(&s);
    backend_say("cuda", &text);
    tuned_say(&text);
    buf_addf(&text, "fp32 products on a GPU: %s\n", s.tf32 ? "operands rounded to TF32 (tf32 = true)" : "exact (tf32 = true rounds to TF32)");
    val_set_bool(v, "tf32", s.tf32);
    args_release(&settings_kind, &s);
    nvml_say(&now, list);
    val_set_str(v, "gpu", text.data ? text.data : "");
    val_set(v, "gpus", list);
    lines(b, "gpu", text.data);
    lines(b, "gpu readings", now.data);
    buf_release(&text);
    buf_release(&now);
}

/* Does the system end this user's processes at logout? systemd's KillUserProcesses without lingering. */
static void logout(struct buf *b, struct val *v) {
    char *kill = field_of("/etc/systemd/logind.conf", "KillUserProcesses");
    const struct passwd *me = getpwuid(getuid());
    char *linger = io_join("/var/lib/systemd/linger", me ? me->pw_name : "");
    bool ends = kill && (strcmp(kill, "yes") == 0 || strcmp(kill, "true") == 0 || strcmp(kill, "1") == 0) && !io_exists(linger);
    row(b, "at logout", "%s", ends ? "the system ends your processes: run `loginctl enable-linger` once" : "sessions go on");
    val_set_bool(v, "killed_at_logout", ends);
    free(kill), free(linger);
}

static void parts(struct buf *b, struct val *v) {
#ifdef HAVE_LZMA
    const bool xz = true;
#else
    const bool xz = false;
#endif
    row(b, "xz files", "%s", xz ? "can be read" : "cannot be read (built without liblzma)");
    val_set_bool(v, "xz", xz);
}

static int run(struct call *c, const void *args, struct err *e) {
    const struct doctor_args *a = args;
    struct settings s = {0};
    settings_get(&s);
    int64_t n = a->threads > 0 ? a->threads : s.threads;
    args_release(&settings_kind, &s);
    struct pool *all = pool_new((int)n, e);
    if (!all) return -1;
    struct buf b = BUF_INIT;
    struct val *v = val_table();
    val_set_str(v, "event", "doctor");
    machine(&b, v);
    kernels(&b, v);
    blas(&b, v);
    routes_of(&b, v);
    row(&b, "threads", "%d, in one pool; bits do not depend on their number", pool_threads(all));
    val_set_int(v, "threads", pool_threads(all));
    if (!a->fast) rates(&b, v, all);
    devices(&b, v);
    parts(&b, v);
    logout(&b, v);
    val_set(v, "text", val_strn(b.data, b.len ? b.len - 1 : 0));
    buf_release(&b);
    pool_free(all);
    call_result(c, v);
    return 0;
}

/* What computes here, for the System screen: no measuring, no second BLAS. gpu: the devices, or why there is none. */
static int machine_run(struct call *c, const void *args_none, struct err *e) {
    (void)args_none;
    const struct gemm_info *g = gemm_info();
    struct buf text = BUF_INIT;
    struct val *v = val_table();
    bool there = backend_there("cuda", e) == 0;
    backend_say("cuda", &text);
    for (char *p = text.data; p && *p; p++)
        if (*p == '\n') *p = p[1] ? ' ' : 0;
    val_set_str(v, "kernels", ops_isa());
    val_set_str(v, "blas", g->library);
    val_set_str(v, "core", g->core);
    val_set_str(v, "gpu", text.data ? text.data : e->text);
    val_set_bool(v, "gpu_there", there);
    val_set_int(v, "threads", thread_cores());
    err_clear(e);
    buf_release(&text);
    call_result(c, v);
    return 0;
}
static const struct arg no_args[] = {{0}};
struct no_args {
    char unused;
};
extern const struct cmd cmd_machine;
const struct cmd cmd_machine = {.kind = {.name = "machine",
                                    .help = "kernels, library of products, its core type, and the GPU or why there is none; hone.doctor tells more",
                                    .example = "hone.machine{}",
                                    .args = no_args,
                                    .size = sizeof(struct no_args)},
    .owner = OWNER_ENGINE,
    .flags = CMD_WATCHER | CMD_WHILE_RUNNING,
    .run = machine_run};

static const struct arg args[] = {
    {.name = "threads",
        .help = "threads to measure with; 0: all",
        .def = "0",
        .type = ARG_INT,
        .offset = offsetof(struct doctor_args, threads),
        .lo = 0,
        .hi = 1024},
    {.name = "fast", .help = "leave the measurements out", .def = "false", .type = ARG_BOOL, .offset = offsetof(struct doctor_args, fast)},
    {0},
};
extern const struct cmd cmd_doctor;
const struct cmd cmd_doctor = {.kind = {.name = "doctor",
                                   .help = "what this machine is, what was chosen on it and why, and what it does right now",
                                   .example = "hone.doctor{}",
                                   .args = args,
                                   .size = sizeof(struct doctor_args)},
    .owner = OWNER_ENGINE,
    .flags = CMD_LINE | CMD_WATCHER,
    .run = run};
