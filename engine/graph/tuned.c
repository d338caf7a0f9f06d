/* What was measured on devices: lists in memory, a file each. */
#include "config.h"

#include "engine/graph/tuned.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/remember.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"

enum { MOST = 768, VALUE = 224, KEY = 128 }; /* all of it in a file of at most 256 KiB */
struct tuned {
    char key[KEY], value[VALUE];
};
static struct device_list { /* of the device asked for last: there is seldom another */
    char *identity;
    struct tuned *t;
    int n, at; /* at: where the next goes when it is full */
    bool fresh;
} known;

void tuned_forget(void) {
    free(known.identity);
    free(known.t);
    known = (struct device_list){0};
}

static struct tuned *find(const char *key) {
    for (int i = 0; i < known.n; i++)
        if (strcmp(known.t[i].key, key) == 0) return &known.t[i];
    return NULL;
}
static void put(const char *key, const char *value) {
    struct tuned *t = find(key);
    if (strlen(key) >= KEY || strlen(value) >= VALUE) return;
    if (!t && known.n < MOST) t = &known.t[known.n++];
    if (!t) t = &known.t[known.at++ % MOST];
    snprintf(t->key, KEY, "%s", key);
    snprintf(t->value, VALUE, "%s", value);
}
/* What is known is of this device. */
static void of(const char *identity) {
    if (known.identity && strcmp(known.identity, identity) == 0) return;
    tuned_save();
    tuned_forget();
    known.identity = mem_str(identity);
    known.t = X_NEW(struct tuned, MOST);
    char *folder = remember_folder();
    struct val *list = folder ? remember_load(folder, "cuda", identity) : NULL;
    for (size_t i = 0; i < val_len(list); i++) put(val_get_str(val_at(list, i), "product", ""), val_get_str(val_at(list, i), "algorithm", ""));
    val_free(list);
    free(folder);
}

int tuned_recall(const char *identity, const char *key, char *value, size_t n) {
    of(identity);
    const struct tuned *t = find(key);
    if (!t || strlen(t->value) >= n) return -1;
    memcpy(value, t->value, strlen(t->value) + 1);
    return 0;
}

void tuned_keep(const char *identity, const char *key, const char *value) {
    of(identity);
    put(key, value);
    known.fresh = true;
}

void tuned_save(void) {
    char *folder = known.fresh ? remember_folder() : NULL;
    known.fresh = false;
    if (!folder) return;
    struct val *l = val_list();
    for (int i = 0; i < known.n; i++) {
        struct val *v = val_table();
        val_set_str(v, "product", known.t[i].key);
        val_set_str(v, "algorithm", known.t[i].value);
        val_push(l, v);
    }
    remember_save(folder, "cuda", known.identity, l);
    free(folder);
}

static void say_file(struct buf *b, const char *path) {
    struct err e = {0};
    struct val *v = json_read_file(path, 256 << 10, &e), *list = v ? val_get(v, "choices") : NULL;
    const char *identity = v ? val_get_str(v, "identity", "") : "";
    int other = 0;
    double first, mine, before = 0, now = 0;
    for (size_t i = 0; i < val_len(list); i++) {
        const char *value = val_get_str(val_at(list, i), "algorithm", ""), *times = strchr(value, ' ');
        if (!times || sscanf(times, "%lf %lf", &first, &mine) != 2) continue;
        other += mine < first, before += first, now += mine;
    }
    if (val_len(list) > 0)
        buf_addf(b, "%s: %zu measured products remembered, %d by another algorithm than the library's first choice, %.2f x faster in all (%s)\n", identity,
            val_len(list), other, now > 0 ? before / now : 1, path);
    val_free(v);
}

void tuned_say(struct buf *b) {
    char *folder = remember_folder();
    DIR *d = folder ? opendir(folder) : NULL;
    for (const struct dirent *f; d && (f = readdir(d));)
        if (strncmp(f->d_name, "cuda-", 5) == 0) {
            char *path = io_join(folder, f->d_name);
            say_file(b, path);
            free(path);
        }
    if (d) closedir(d);
    free(folder);
}
