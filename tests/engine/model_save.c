/* safetensors: a table of broken files, each refused with the sentence that names its fault; round trips. Models on disk: folder and one file, replaced in
 * place, loaded with the same bits; missing and misshapen tensors, foreign folders, wrong descriptions. */
#include "config.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "engine/graph/op.h"
#include "engine/model/model.h"
#include "engine/model/safetensors.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "tests/tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char *file_of(const char *header, size_t data, size_t *n) {
    size_t h = strlen(header);
    char *p = X_NEW(char, 8 + h + data + 1);
    for (int i = 0; i < 8; i++) p[i] = (char)(h >> (8 * i));
    memcpy(p + 8, header, h);
    *n = 8 + h + data;
    return p;
}
#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static const struct {
    const char *header;
    size_t data;
    const char *says;
} bad[] = {{"", 0, "at least {} is needed"}, {"{", 0, "at least {} is needed"}, {"  {}", 0, "does not begin with {"}, {"[]", 0, "does not begin with {"},
    {"{\"a\"", 0, "header"}, {"{}x", 0, "header"}, {"{" A "}}", 8, "header"}, {"{" A "," A "}", 8, "header"}, {"{\"a\xff\":1}", 0, "not UTF-8"},
    {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "has no name"}, {"{\"a\":7}", 0, "not an object with dtype"},
    {"{\"a\":[1,2]}", 0, "not an object with dtype"}, {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype is missing"},
    {"{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype is missing"},
    {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8, "dtype F8_E4M3 cannot be read"},
    {"{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype f32 cannot be read"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "shape is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "shape is missing or not a list"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "extent 1 of the shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", 8, "extent 1 of the shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,\"2\"],\"data_offsets\":[0,8]}}", 8, "extent 2 of the shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "7 dimensions"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, "does not fit 64 bits"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}}", 8, "need"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8, "header"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "data_offsets is not a list of two"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets is not a list of two"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4,8]}}", 8, "data_offsets is not a list of two"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, "data_offsets is not a list of two"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "run backwards"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "run backwards"}, {"{" A "}", 4, "the file has 4 bytes of data"},
    {"{" A "}", 0, "it is cut short"}, {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "3 values of F32 need 12 bytes"},
    {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "2 values of F64 need 16 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, "1 values of F32 need 4 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,8]}}", 8, "0 values of F32 need 0 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "a hole of 4 bytes"},
    {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "overlaps another tensor's by 4 bytes"},
    {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "overlaps"},
    {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16, "a hole of 4 bytes"}, {"{" A "}", 9, "1 bytes after the last tensor"},
    {"{}", 1, "1 bytes after the last tensor"}, {"{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,4]}}", 4, "shape is missing or not a list"},
    {"{\"__metadata__\":[]," A "}", 8, "__metadata__ is not an object"}, {"{\"__metadata__\":{\"v\":1}," A "}", 8, "may hold strings only"},
    {"{\"__metadata__\":{\"v\":{\"w\":\"x\"}}," A "}", 8, "may hold strings only"}};

static void broken(void) {
    for (size_t i = 0; i < LEN(bad); i++) {
        size_t n;
        struct st_file f;
        struct err e = {0};
        char *p = file_of(bad[i].header, bad[i].data, &n);
        int rc = st_parse(p, n, "t", &f, &e);
        tap_ok(rc < 0 && strstr(e.text, bad[i].says), "broken %zu: %s", i + 1, rc < 0 ? e.text : "accepted");
        if (rc == 0) st_release(&f);
    }
    struct st_file f;
    struct err e = {0};
    for (size_t n = 0; n < 8; n++)
        tap_ok(st_parse(X_NEW(char, 8), n, "t", &f, &e) < 0 && strstr(e.text, "a safetensors file at least 10"), "%zu bytes are too few", n);
    char *p = X_NEW(char, 16);
    memset(p, 0xff, 8);
    tap_ok(st_parse(p, 16, "t", &f, &e) < 0 && strstr(e.text, "at most 16 MiB"), "a header of 2^64 - 1 bytes: %s", e.text);
    p = X_NEW(char, 16);
    p[0] = 100;
    tap_ok(st_parse(p, 16, "t", &f, &e) < 0 && strstr(e.text, "only 8 follow"), "a header longer than the file: %s", e.text);
}

/* Peak resident memory above what it was: at most 64 MiB + 4 x the file. */
static void bounded(void) {
    static const struct {
        const char *before, *entry, *after;
        size_t n;
    } header[] = {{"{\"__metadata__\":{\"\":\"\"", ",\"%zx\":\"\"", "}}", 1000000}, {"{\"a\":[0", ",{}", "]}", 5000000}, {"{\"a\":[0", ",0", "]}", 8000000},
        {"{\"a\":0", ",\"%zx\":0", "}", 1200000}, {"{\"__metadata__\":{\"a\":\"", "\\n", "\"}}", 8000000},
        {"{\"0\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", ",\"%zx\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", "}", 250000}};
    for (size_t i = 0; i < LEN(header); i++) {
        struct buf b = BUF_INIT;
        struct st_file f;
        struct err e = {0};
        struct rusage before, after;
        buf_add(&b, "\0\0\0\0\0\0\0\0", 8);
        buf_adds(&b, header[i].before);
        for (size_t k = 1; k <= header[i].n; k++) {
            if (strchr(header[i].entry, '%')) buf_addf(&b, header[i].entry, k);
            else buf_adds(&b, header[i].entry);
        }
        buf_adds(&b, header[i].after);
        for (int k = 0; k < 8; k++) b.data[k] = (char)((b.len - 8) >> (8 * k));
        size_t n = b.len;
        getrusage(RUSAGE_SELF, &before);
        int rc = st_parse(buf_take(&b), n, "t", &f, &e);
        getrusage(RUSAGE_SELF, &after);
        size_t grew = (size_t)(after.ru_maxrss - before.ru_maxrss) << 10;
        if (SANITIZED) tap_skip("memory of a hostile header", "a sanitizer owns the allocator");
        else
            tap_ok(
                grew <= ((size_t)64 << 20) + 3 * n, "a hostile header of %zu MiB takes %zu MiB beside itself: %s", n >> 20, grew >> 20, rc ? e.text : "taken");
        if (rc == 0) st_release(&f);
    }
}

static void trips(void) {
    float w[6] = {1, 2, 3, 4, 5, 6};
    int32_t k[1] = {7};
    struct st_tensor t[] = {{.name = "z", .dtype = DT_F32, .ndim = 2, .dim = {2, 3}, .data = w, .bytes = 24},
        {.name = "a", .dtype = DT_I32, .data = k, .bytes = 4}, {.name = "none", .dtype = DT_F32, .ndim = 1, .dim = {0}, .data = w}};
    struct val *meta = val_table();
    val_set_str(meta, "format", "pt");
    struct buf b = BUF_INIT, again = BUF_INIT;
    struct st_file f;
    struct err e = {0};
    st_bytes(t, LEN(t), meta, &b);
    char *copy = mem_strn(b.data, b.len);
    tap_ok(st_parse(copy, b.len, "t", &f, &e) == 0 && f.n == 3 && strcmp(val_get_str(f.meta, "format", ""), "pt") == 0, "what was written is read %s", e.text);
    const struct st_tensor *z = st_find(&f, "z"), *a = st_find(&f, "a");
    tap_ok(z && z->ndim == 2 && z->dim[1] == 3 && memcmp(z->data, w, 24) == 0 && a && a->ndim == 0 && !st_find(&f, "y"), "with shapes and values");
    st_bytes(f.tensor, f.n, f.meta, &again);
    tap_ok(again.len == b.len && memcmp(again.data, b.data, b.len) == 0, "and written again to the same bytes");
    static const char python[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"c\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]}"
                                 ",\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[8,10]}}";
    struct st_tensor s[] = {{.name = "a", .dtype = DT_U8, .ndim = 1, .dim = {2}, .data = w, .bytes = 2}, {.name = "c", .dtype = DT_F32, .data = w, .bytes = 4},
        {.name = "b", .dtype = DT_F32, .ndim = 1, .dim = {1}, .data = w, .bytes = 4}};
    buf_clear(&b);
    st_bytes(s, 3, NULL, &b);
    size_t h = strlen(python), padded = (h + 7) / 8 * 8;
    tap_ok(b.len == 8 + padded + 10 && (size_t)(unsigned char)b.data[0] == padded && memcmp(b.data + 8, python, h) == 0 &&
               strspn(b.data + 8 + h, " ") == padded - h,
        "the header is that of the Python writer, byte for byte");
    st_release(&f);
    buf_release(&b);
    buf_release(&again);
    val_free(meta);
}

static char noted[2000];
static void sink(void *ctx, enum log_level level, const char *text) {
    (void)ctx;
    (void)level;
    snprintf(noted, sizeof noted, "%s", text);
}
static struct model *small(int out) {
    char json[300];
    struct err e = {0};
    snprintf(json, sizeof json,
        "{\"input\":{\"ids\":50},\"name\":\"bag\",\"classes\":[\"no\",\"yes\"],\"prep\":{\"lower\":true},\"layers\":[{\"layer\":\"embedding\",\"dim\":4},{"
        "\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":%d}]}",
        out);
    struct val *u = json_parse(json, strlen(json), "t", &e), *d = model_describe(u, NULL, &e);
    val_free(u);
    struct model *m = d ? model_new(d, 7, &e) : NULL;
    if (!m) printf("# %s\n", e.text);
    return m;
}
static bool same(const struct model *a, const struct model *b) {
    return a && b && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0 && a->seed == b->seed && val_equal(a->desc, b->desc);
}

static void models(const char *dir) {
    struct err e = {0};
    struct model *m = small(2), *n = small(3), *r = NULL;
    char *path = io_join(dir, "bag"), *one = io_join(dir, "bag.hone"), *st = io_join(path, "model.safetensors"), *json = io_join(path, "model.json");
    tap_ok(model_save(m, path, &e) == 0 && same(r = model_load(path, &e), m), "a folder comes back with the same bits and description %s", e.text);
    model_free(r);
    tap_ok(model_save(n, path, &e) == 0 && same(r = model_load(path, &e), n), "saved over in place %s", e.text);
    model_free(r);
    tap_ok(model_save(m, one, &e) == 0 && same(r = model_load(one, &e), m), "so does one file %s", e.text);
    model_free(r);
    tap_ok(model_save(m, dir, &e) < 0 && strstr(e.text, "holds no model"), "a folder of something else is not replaced: %s", e.text);
    struct st_tensor *t = X_NEW(struct st_tensor, 3);
    struct st_file f;
    st_read(st, &f, &e);
    struct err g = {0};
    st_write(st, f.tensor, f.n - 1, NULL, &e);
    tap_ok(!model_load(path, &g) && strstr(g.text, "is missing, which the description asks for"), "a missing tensor: %s", g.text);
    struct st_tensor bent[3];
    memcpy(bent, f.tensor, sizeof bent);
    for (int i = 0; i < 3; i++)
        if (strcmp(bent[i].name, "linear1.weight") == 0) bent[i].dim[0] = 4, bent[i].dim[1] = 3;
    st_write(st, bent, 3, NULL, &e);
    tap_ok(!model_load(path, &g) && strstr(g.text, "linear1.weight is (4, 3), the description asks for (3, 4)"), "a misshapen tensor: %s", g.text);
    memcpy(bent, f.tensor, sizeof bent);
    float w[3] = {1, NAN, 3};
    for (int i = 0; i < 3; i++)
        if (strcmp(bent[i].name, "linear1.bias") == 0) bent[i].data = w;
    st_write(st, bent, 3, NULL, &e);
    r = model_load(path, &g);
    tap_ok(r && strstr(noted, "1 of the 3 values of linear1.bias are not finite"), "NaN weights are flagged: %s", noted);
    model_free(r);
    static const char *const wrong[][2] = {
        {"{\"format\":\"hone-model\",\"version\":1,\"model\":{\"input\":[{\"ids\":50,\"ragged\":true}],\"layers\":[{\"layer\":\"emebdding\",\"dim\":4}]}}",
            "did you mean \"embedding\""},
        {"{\"format\":\"hone-model\",\"version\":9,\"model\":{}}", "version is 9"}, {"{\"a\":1}", "not the description of a model"},
        {"{\"format\":\"hone-model\",\"version\":1,\"model\":{\"input\":[{\"shape\":[268435456]}],\"layers\":[{\"layer\":\"linear\",\"out\":16777216}]}}",
            "more than 2^34"},
        {"{\"format\":\"hone-model\",\"version\":1,\"model\":{\"input\":[{\"shape\":[100000]}],\"layers\":[{\"layer\":\"linear\",\"out\":100000}]}}",
            "linear1.weight"},
        {"{", "model.json"}};
    for (size_t i = 0; i < LEN(wrong); i++) {
        io_write_file(json, wrong[i][0], strlen(wrong[i][0]), &e);
        tap_ok(!model_load(path, &g) && strstr(g.text, wrong[i][1]), "wrong description %zu: %s", i + 1, g.text);
    }
    tap_ok(!model_load("/nonexistent/x", &g) && strstr(g.text, "/nonexistent/x"), "no file: %s", g.text);
    st_release(&f);
    free(t), free(path), free(one), free(st), free(json);
    model_free(m);
    model_free(n);
}

int main(void) {
    struct err e = {0};
    char dir[] = "/tmp/hone-model-XXXXXX";
    if (ops_select("auto", &e) < 0 || !mkdtemp(dir)) return 1;
    log_set_sink(sink, NULL);
    bounded();
    broken();
    trips();
    models(dir);
    io_remove_tree(dir, NULL);
    return tap_done();
}
