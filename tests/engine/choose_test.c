/* The route of products: each agrees with the reference and gives the same bits at 1, 2, 3 and 4 threads; a made clock decides which row is taken; choices
 * are remembered in a file, and a damaged one counts for nothing; a resumed run computes by the choices of its checkpoint. */
#include "config.h"

#include "engine/cpu/dnnl.h"
#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/choose.h"
#include "engine/graph/plan.h"
#include "src/base/json.h"
#include "tests/engine/train_fix.h"

enum { OWN, BLAS, ONEDNN };
static const char *const ops[] = {"linear", "linear_dx", "linear_dw"};

static struct graph *product(enum product_op what, int64_t out, int64_t in, tid t[3]) {
    struct err e = {0};
    bool y = what == PRODUCT_Y, dw = what == PRODUCT_DW;
    struct dim left[2] = {{1, AXIS_R}, {y ? in : out, AXIS_ONE}}, right[2] = {{dw ? 1 : out, dw ? AXIS_R : AXIS_ONE}, {in, AXIS_ONE}};
    struct graph *g = graph_new(DT_F32, false, 1);
    t[0] = graph_input(g, "a", DT_F32, left, 2, -1), t[1] = graph_input(g, "b", DT_F32, right, 2, -1);
    t[2] = graph_add2(g, ops[what], t[0], t[1], &e);
    return g;
}
static const struct extents *extents(int64_t rows) {
    static struct extents x;
    x = (struct extents){{1, rows, rows + 1}};
    return &x;
}

/* ---- the routes ---- */

/* The product by this route (by the op's reference where route < 0) into out; its length, 0: it could not run. */
static int64_t compute(enum product_op what, int64_t rows, int64_t out, int64_t in, int route, int threads, float **result) {
    struct err e = {0};
    struct products p = {.pinned = true, .n = 1, .c = {{what, rows, out, in, route}}};
    tid t[3];
    struct graph *g = product(what, out, in, t);
    struct pool *pool = pool_new(threads, &e);
    if (route >= 0) g->products = &p;
    struct plan_options o = {.pool = pool, .keep = &t[2], .n_keep = 1, .reference = route < 0};
    struct plan *plan = plan_new(g, extents(rows), &o, &e);
    int64_t len = 0;
    if (plan && plan_alloc(plan, &e) == 0) {
        for (int j = 0; j < 2; j++) {
            float *v = plan_data(plan, t[j]);
            int64_t n = tensor_len(graph_tensor(g, t[j]), extents(rows));
            for (int64_t i = 0; i < n; i++) v[i] = (float)rng_normal(9, (uint64_t)j, (uint64_t)i) / 8;
        }
        if (plan_run(plan, extents(rows), PHASE_FORWARD, PHASE_FORWARD, &e) == 0) {
            len = tensor_len(graph_tensor(g, t[2]), extents(rows));
            *result = X_NEW(float, (size_t)len + 1);
            memcpy(*result, plan_data(plan, t[2]), (size_t)len * sizeof(float));
        }
    }
    if (!len) printf("# %s\n", e.text);
    plan_free(plan);
    graph_free(g);
    pool_free(pool);
    return len;
}
static void routes_agree(void) {
    static const int64_t shapes[][3] = {{130, 96, 80}, {700, 257, 129}, {97, 515, 388}}; /* rows, out, in */
    for (int r = 0; routes[r].name; r++) {
        double worst = 0;
        bool same = true;
        if (routes[r].there && !routes[r].there()) {
            tap_skip(routes[r].name, r == ONEDNN ? dnnl_info()->why : gemm_info()->why);
            continue;
        }
        for (size_t s = 0; s < LEN(shapes); s++)
            for (int w = 0; w < 3; w++) {
                const int64_t *d = shapes[s];
                float *want = NULL, *first = NULL, *got = NULL;
                int64_t n = compute((enum product_op)w, d[0], d[1], d[2], -1, 1, &want);
                if (compute((enum product_op)w, d[0], d[1], d[2], r, 1, &first) != n || n == 0) worst = INFINITY;
                for (int64_t i = 0; i < n && isfinite(worst); i++) worst = fmax(worst, fabs((double)first[i] - (double)want[i]));
                for (int t = 2; t <= 4; t++) {
                    same = compute((enum product_op)w, d[0], d[1], d[2], r, t, &got) == n && memcmp(got, first, (size_t)n * sizeof *got) == 0 && same;
                    free(got);
                }
                free(want), free(first);
            }
        tap_ok(worst <= 1e-5, "%s: products and gradients differ by at most %.1e from the reference", routes[r].name, worst);
        tap_ok(same, "%s: the same bits at 1, 2, 3 and 4 threads", routes[r].name);
    }
}

/* ---- choosing by a made clock ---- */
struct made {
    double seconds[ROUTES];
    int runs;
};
static double made_time(void *ctx, const struct choice *c, int64_t rows, int route, double *spent) {
    struct made *m = ctx;
    (void)c, (void)rows;
    m->runs++;
    *spent += m->seconds[route];
    return m->seconds[route];
}
static int chosen(struct made *m, double budget, const char *folder, int64_t rows, int *measured) {
    struct products p = {0};
    tid t[3];
    struct graph *g = product(PRODUCT_Y, 256, 128, t);
    *measured = choose_with(&p, g, extents(rows), &(struct choosing){made_time, m, folder, budget});
    graph_free(g);
    return p.n ? p.c[0].route : -1;
}
static void clock_decides(void) {
    int n;
    bool blas = routes[BLAS].there();
    struct made even = {{1e-3, 0.97e-3, 0.96e-3}, 0}, fast = {{1e-3, 0.9e-3, 1.1e-3}, 0}, slow = {{1, 1, 1}, 0}, tiny = {{1e-3, 1e-4, 1e-4}, 0};
    choose_forget();
    tap_ok(chosen(&even, 1, NULL, 400, &n) == OWN && n == 1, "a gain of 4 %% changes nothing");
    choose_forget();
    if (blas) tap_ok(chosen(&fast, 2, NULL, 400, &n) == BLAS && n == 1, "a gain of 10 %% takes the faster row");
    else tap_skip("the clock decides", "no BLAS here");
    int runs = fast.runs;
    if (blas) tap_ok(chosen(&fast, 2, NULL, 300, &n) == BLAS && n == 0 && fast.runs == runs, "300 rows share the figure of 400: nothing is measured again");
    else tap_skip("the clock decides", "no BLAS here");
    choose_forget();
    int got = chosen(&slow, 0.3, NULL, 400, &n);
    tap_ok(got == OWN && n == 0 && slow.runs <= 2 * ROUTES, "beyond the budget a product goes by shape, after %d runs", slow.runs);
    runs = slow.runs;
    tap_ok(chosen(&slow, 100, NULL, 400, &n) == OWN && n == 0 && slow.runs == runs, "and so it does in the next run, which has more time");
    tap_ok(chosen(&tiny, 1, NULL, 8, &n) == -1 && n == 0 && tiny.runs == 0, "a product below 1 MFLOP is not measured");
    struct products p = {.n = 1, .c = {{PRODUCT_Y, 512, 256, 128, BLAS}}};
    tap_ok(choose_route(&p, PRODUCT_Y, 512, 256, 128) == &routes[BLAS] && choose_route(&p, PRODUCT_Y, 200, 256, 128) == &routes[BLAS] &&
               !choose_route(&p, PRODUCT_Y, 60, 256, 128) && !choose_route(&p, PRODUCT_Y, 8, 256, 128) && !choose_route(&p, PRODUCT_DX, 512, 256, 128) &&
               !choose_route(NULL, PRODUCT_Y, 512, 256, 128),
        "a choice serves rows up to a factor of 4 away, and no other product");
    p = (struct products){0};
    tid t[3];
    struct graph *g = product(PRODUCT_Y, 256, 128, t);
    tap_ok(choose_products(&p, g, extents(400)) == 0 && p.n == 0, "a program that did not ask for it measures nothing");
    choose_forget();
    setenv("HONE_PRODUCTS", "", 1);
    setenv("HONE_CACHE", "off", 1);
    choose_enable(true);
    settings_init();
    setting("deterministic", val_bool(true));
    tap_ok(choose_products(&p, g, extents(400)) == 0 && p.n == 0, "nor does one that asks for the same kernels always");
    setting("deterministic", val_bool(false));
    n = choose_products(&p, g, extents(400));
    tap_ok(n == 1 && p.n == 1 && p.c[0].route >= 0 && p.c[0].route < ROUTES, "one that asked measures: %s", p.n ? routes[p.c[0].route].name : "nothing");
    setenv("HONE_PRODUCTS", "shape", 1);
    choose_enable(false);
    choose_forget();
    graph_free(g);
}

/* ---- remembering ---- */
static char *only_file(const char *folder) {
    struct buf b = BUF_INIT;
    char line[512] = "";
    buf_addf(&b, "ls %s/products-*.json", folder);
    FILE *f = popen(b.data, "r");
    if (f && fgets(line, sizeof line, f)) line[strcspn(line, "\n")] = '\0';
    if (f) pclose(f);
    buf_release(&b);
    return mem_str(line);
}
static void remembered(void) {
    int n;
    struct err e = {0};
    struct made fast = {{1e-3, 1, 1}, 0}, other = {{1, 1, 1}, 0};
    char *folder = io_join(dir, "cache");
    fast.seconds[routes[BLAS].there() ? BLAS : OWN] = 0.5e-3;
    choose_forget();
    int first = chosen(&fast, 3, folder, 400, &n);
    char *path = only_file(folder);
    struct val *v = json_read_file(path, 1 << 20, &e);
    tap_ok(n == 1 && val_len(val_get(v, "choices")) == 1, "a measured choice is written %s", e.text);
    val_free(v);
    choose_forget();
    tap_ok(chosen(&other, 1, folder, 400, &n) == first && n == 0 && other.runs == 0, "and read by the next program, which measures nothing");
    static const char *const damaged[] = {"{\"format\":\"hone-prod", "[]",
        "{\"format\":\"hone-products\",\"identity\":\"another machine\",\"choices\":[{\"product\":\"linear\",\"rows\":512,\"out\":256,\"in\":128,"
        "\"route\":\"blas\"}]}",
        "{\"format\":\"hone-products\",\"choices\":7}"};
    for (size_t i = 0; i < LEN(damaged); i++) {
        choose_forget();
        if (io_write_file(path, damaged[i], strlen(damaged[i]), &e) < 0) tap_ok(false, "%s", e.text);
        int r = chosen(&fast, 3, folder, 400, &n), m = n;
        choose_forget();
        int again = chosen(&other, 1, folder, 400, &n);
        tap_ok(r == first && m == 1 && again == first && n == 0, "damaged file %zu is measured anew and written whole", i + 1);
    }
    free(path);
    free(folder);
}

/* ---- with a run ---- */
static struct handle wide_model(struct handle d) { return dense_model(d, 1500, 256, "relu"); }
/* Trains with what this process remembers; choices: those of the checkpoint's state, caller frees. */
static void run_of(const char *resume, int64_t steps, char hex[65], char name[64], struct val **choices) {
    struct err e = {0};
    struct handle d = objects_add_data(make_data(256, 64, -1, 0)), m = wide_model(d);
    struct val *a = train_args(m, d, 4);
    val_set_int(a, "batch", 64);
    if (steps) val_set_int(a, "steps", steps);
    if (resume) val_set_str(a, "resume", resume);
    struct val *r = train(a, &e);
    if (!r) printf("# %s\n", e.text);
    snprintf(name, 64, "%s", r ? val_get_str(r, "run", "?") : "?");
    val_free(r);
    sum_of(m, hex);
    struct val *meta = NULL;
    char *run = io_join(dir, name), *folder = ckpt_find(run, &meta, &e);
    *choices = meta ? val_copy(val_get(meta, "products")) : NULL;
    val_free(meta);
    free(folder);
    free(run);
}
/* A cache that says this route for the wide product and its gradients. */
static void remember(const char *cache, int route) {
    struct made m = {{1, 1, 1}, 0};
    choose_forget();
    m.seconds[route] = 1e-3;
    for (int w = 0; w < 3; w++) {
        struct products p = {0};
        tid t[3];
        struct graph *g = product((enum product_op)w, 256, 1500, t);
        choose_with(&p, g, extents(64), &(struct choosing){made_time, &m, cache, 100});
        graph_free(g);
    }
    choose_forget();
}
static void resumed(void) {
    struct val *c[4] = {NULL};
    char whole[65], own[65], part[65], hex[65], name[64], first[64];
    int other = routes[ONEDNN].there() ? ONEDNN : BLAS;
    if (!routes[other].there()) {
        tap_skip("resume keeps the choice", "only one route here");
        return;
    }
    char *cache = io_join(dir, "xdg"), *folder = io_join(cache, "hone");
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("HONE_CACHE", "", 1);
    setenv("HONE_PRODUCTS", "", 1);
    setting("threads", val_int(2));
    choose_enable(true);
    remember(folder, other);
    run_of(NULL, 0, whole, name, &c[0]);
    run_of(NULL, 5, part, first, &c[1]);
    remember(folder, OWN); /* the machine has another opinion now */
    setenv("HONE_PRODUCTS", "shape", 1);
    run_of(NULL, 0, own, name, &c[2]);
    setenv("HONE_PRODUCTS", "", 1);
    run_of(first, 0, hex, name, &c[3]);
    bool named = val_len(c[0]) > 0;
    for (size_t i = 0; i < val_len(c[0]); i++)
        if (val_get_int(val_at(c[0], i), "in", 0) == 1500 && val_get_int(val_at(c[0], i), "out", 0) == 256)
            named &= strcmp(val_get_str(val_at(c[0], i), "route", ""), routes[other].name) == 0;
    tap_ok(named, "a run's checkpoint says by which routes its products were computed: %zu choices", val_len(c[0]));
    tap_ok(val_len(c[2]) == 0, "and nothing where they went by shape");
    tap_ok(strcmp(hex, whole) == 0 && val_equal(c[3], c[1]), "a run ended after 5 steps resumes by its own choices to the weights of the whole run");
    tap_ok(strcmp(own, whole) != 0, "which by shape would have other last bits");
    choose_enable(false);
    for (int i = 0; i < 4; i++) val_free(c[i]);
    struct err e = {0};
    struct products p = {0};
    static const char bad[] = "[{\"product\":\"linear\",\"rows\":-4,\"out\":256,\"in\":128,\"route\":\"own\"}]",
                      gone[] = "[{\"product\":\"linear\",\"rows\":512,\"out\":256,\"in\":128,\"route\":\"abacus\"}]";
    struct val *v = json_parse(bad, strlen(bad), "state", &e);
    tap_ok(v && choose_from(&p, v, &e) < 0 && e.text[0], "a choice that is not sound is a sentence: %s", e.text);
    val_free(v);
    v = json_parse(gone, strlen(gone), "state", &e);
    tap_ok(v && choose_from(&p, v, &e) == 0 && p.n == 0 && p.pinned, "one that is not on this machine goes by shape");
    val_free(v);
    free(folder);
    free(cache);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-choose-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    setenv("HONE_CACHE", "off", 1);
    settings_init();
    if (engine_init(&e) < 0) return 1;
    log_set_sink(quiet, NULL);
    open_hone();
    routes_agree();
    clock_decides();
    remembered();
    resumed();
    close_hone();
    io_remove_tree(dir, &e);
    return tap_done();
}
