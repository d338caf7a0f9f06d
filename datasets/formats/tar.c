/* A tar archive of pictures or sounds, one folder a class: .../CLASS/FILE.png; sounds of one folder may begin with their class instead. Nothing is unpacked
 * onto the disk: names only give classes, so no path leaves anything, and links, devices and other special members are passed over. ustar, GNU long names and
 * pax paths; a part is a folder above the classes. */
#include "config.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/formats/sound.h"
#include "src/base/buf.h"
#include "src/base/mem.h"

#define BLOCK 512
#define MAX_NAME 4096

struct member {
    char *name;
    const unsigned char *p;
    size_t n;
};
struct archive {
    struct member *m;
    size_t n, cap;
    char *next_name; /* of a long name or pax record, for the member that follows */
};

static bool tar_probe(const struct bytes *h) { return h->n >= BLOCK && !memcmp(h->p + 257, "ustar", 5); }

/* Octal digits between blanks and NULs, or base 256 with the top bit set (GNU). */
static bool field(const unsigned char *p, size_t n, uint64_t *out) {
    uint64_t v = 0;
    size_t i = 0;
    if (p[0] & 0x80) {
        v = p[0] & 0x7f;
        for (i = 1; i < n; i++) {
            if (v >> 55) return false;
            v = v << 8 | p[i];
        }
        *out = v;
        return true;
    }
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) v = v << 3 | (uint64_t)(p[i] - '0');
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != 0) return false;
    *out = v;
    return true;
}

static bool sum_ok(const unsigned char *h) {
    uint64_t want, sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : h[i];
    return field(h + 148, 8, &want) && want == sum;
}

static size_t text_len(const unsigned char *p, size_t n) {
    const unsigned char *nul = memchr(p, 0, n);
    return nul ? (size_t)(nul - p) : n;
}

/* "LEN KEY=VALUE\n" records; only path is of interest. */
static int pax(struct archive *a, const struct bytes *in, const unsigned char *p, size_t n, struct err *e) {
    while (n) {
        size_t len = 0, i = 0;
        while (i < n && i < 8 && p[i] >= '0' && p[i] <= '9') len = len * 10 + (size_t)(p[i++] - '0');
        if (!i || i >= n || p[i] != ' ' || len <= i + 1 || len > n || p[len - 1] != '\n')
            return err_set(e, "%s: a pax record at offset %zu is damaged", in->name, (size_t)(p - in->p));
        if (len > i + 7 && !memcmp(p + i + 1, "path=", 5)) {
            free(a->next_name);
            a->next_name = mem_strn((const char *)p + i + 6, len - i - 7);
        }
        p += len, n -= len;
    }
    return 0;
}

static char *member_name(struct archive *a, const unsigned char *h) {
    if (a->next_name) {
        char *s = a->next_name;
        a->next_name = NULL;
        return s;
    }
    struct buf b = BUF_INIT;
    size_t prefix = memcmp(h + 257, "ustar", 6) ? 0 : text_len(h + 345, 155); /* GNU's magic has a blank, and other fields there */
    if (prefix) buf_addf(&b, "%.*s/", (int)prefix, (const char *)h + 345);
    buf_addf(&b, "%.*s", (int)text_len(h, 100), (const char *)h);
    return buf_take(&b);
}

static int one_member(struct archive *a, const struct bytes *in, const unsigned char *h, const unsigned char *p, size_t n, struct err *e) {
    char type = (char)h[156];
    if (type == 'L' || type == 'x') {
        if (n > MAX_NAME * 4) return err_set(e, "%s: a member's name at offset %zu is %zu bytes long", in->name, (size_t)(h - in->p), n);
        if (type == 'x') return pax(a, in, p, n, e);
        free(a->next_name);
        a->next_name = mem_strn((const char *)p, text_len(p, n));
        return 0;
    }
    if (type != '0' && type != 0 && type != '7') { /* folders, links, devices */
        if (type != 'g') free(a->next_name), a->next_name = NULL;
        return 0;
    }
    char *name = member_name(a, h);
    size_t len = strlen(name);
    if (len > MAX_NAME || text_bad_byte((const unsigned char *)name, len) >= 0) {
        free(name);
        return err_set(e, "%s: the name of the member at offset %zu is not UTF-8 or too long", in->name, (size_t)(h - in->p));
    }
    if (!media_name(name)) {
        free(name);
        return 0;
    }
    if (a->n == a->cap) a->m = X_GROW(a->m, struct member, a->cap = a->cap ? 2 * a->cap : 256);
    a->m[a->n++] = (struct member){name, p, n};
    return 0;
}

static int list(const struct bytes *in, struct archive *a, struct err *e) {
    size_t at = 0;
    while (in->n - at >= BLOCK && in->p[at]) { /* a block that begins with NUL is the end */
        const unsigned char *h = in->p + at;
        uint64_t size;
        if (!sum_ok(h)) return err_set(e, "%s: the member's header at offset %zu has a wrong checksum: it is no tar archive or it is damaged", in->name, at);
        if (!field(h + 124, 12, &size)) return err_set(e, "%s: the member's header at offset %zu has no size", in->name, at);
        at += BLOCK;
        if (size > in->n - at)
            return err_set(e, "%s is cut short: the member at offset %zu has %" PRIu64 " bytes, but only %zu follow", in->name, at - BLOCK, size, in->n - at);
        if (one_member(a, in, h, in->p + at, (size_t)size, e)) return -1;
        size_t pad = (BLOCK - (size_t)size % BLOCK) % BLOCK, left = in->n - at - (size_t)size;
        at += (size_t)size + (pad < left ? pad : left);
    }
    if (in->n - at && in->n - at < BLOCK && in->p[at]) return err_set(e, "%s ends inside a member's header at offset %zu", in->name, at);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name); }

static bool is_pattern(const char *part) { return part && strchr(part, '*'); }

/* Whether the path fits one of the patterns, separated by blanks. */
static bool fits(const char *name, const char *patterns) {
    char *all = mem_str(patterns), *save = NULL;
    bool any = false;
    for (char *one = strtok_r(all, " ", &save); one && !any; one = strtok_r(NULL, " ", &save)) any = fnmatch(one, name, 0) == 0;
    free(all);
    return any;
}

/* All members are sounds in one folder, each with its class at the begin of its name. */
static bool is_flat(const struct archive *a) {
    const char *label;
    size_t n, dir = a->n && strrchr(a->m[0].name, '/') ? (size_t)(strrchr(a->m[0].name, '/') - a->m[0].name) : 0;
    for (size_t i = 0; i < a->n; i++) {
        const char *end = strrchr(a->m[i].name, '/');
        bool same = (end ? (size_t)(end - a->m[i].name) : 0) == dir && strncmp(a->m[i].name, a->m[0].name, dir) == 0;
        if (!same || !sound_name(a->m[i].name) || !sound_label(a->m[i].name, &label, &n)) return false;
    }
    return a->n > 0;
}

/* Whether the path has a folder `part` above its class. class gets the folder of the file; false: it has none. */
static bool place(const char *name, const char *part, const char **cls, size_t *n) {
    const char *end = strrchr(name, '/');
    if (!end || end == name) return false;
    const char *p = end;
    while (p > name && p[-1] != '/') p--;
    *cls = p;
    *n = (size_t)(end - p);
    if (!part) return *n > 0;
    for (const char *q = name; q < p; q = strchr(q, '/') + 1)
        if (!strncmp(q, part, strlen(part)) && q[strlen(part)] == '/') return *n > 0;
    return false;
}

static bool has_part(const struct archive *a, const char *part) {
    const char *cls;
    size_t n;
    for (size_t i = 0; i < a->n; i++)
        if (place(a->m[i].name, part, &cls, &n)) return true;
    return false;
}

/* Without folders named after the parts all pictures are the training part. */
static const char *part_of(const struct archive *a, const struct read_opts *o) {
    if (!o || !o->pick || !o->optional || strcmp(o->pick, "train")) return o ? o->pick : NULL;
    return has_part(a, "train") || has_part(a, "val") || has_part(a, "test") ? "train" : NULL;
}

static int tar_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct archive a = {0};
    struct media s = {.t = out};
    struct err none = {0};
    int r = list(in, &a, e);
    const char *part = part_of(&a, o), *patterns = is_pattern(part) ? part : NULL, *folder = patterns ? NULL : part;
    if (!r && !a.n)
        r = err_set(e, "%s holds no pictures or sounds; .../CLASS/FILE with the ending png, jpg, ppm, pgm, wav, flac, ogg or mp3 are expected", in->name);
    bool flat = is_flat(&a);
    if (a.n) qsort(a.m, a.n, sizeof *a.m, by_name);
    for (size_t i = 0; i < a.n && !r; i++) {
        const char *cls;
        size_t n;
        struct buf b = BUF_INIT;
        if (patterns && !fits(a.m[i].name, patterns)) continue;
        if (!(flat ? !folder && sound_label(a.m[i].name, &cls, &n) : place(a.m[i].name, folder, &cls, &n))) {
            if (!part) r = err_set(e, "%s: %s lies in no folder; the folder's name is the class", in->name, a.m[i].name);
            continue;
        }
        char *label = mem_strn(cls, n);
        buf_addf(&b, "%s:%s", in->name, a.m[i].name);
        struct bytes one = {b.data, a.m[i].p, a.m[i].n};
        r = media_add(&s, &one, label, o, e);
        buf_release(&b);
        free(label);
        if (!r && !(i & 255) && o && o->progress && o->progress(o->ctx, in->name, (double)i / (double)a.n))
            r = err_code(e, ERR_STOPPED, "reading %s was stopped", in->name);
    }
    if (!r && !out->n && !(o && o->optional && part && strcmp(part, "train")))
        r = err_set(e, "%s has no pictures or sounds in a folder %s", in->name, part ? part : "CLASS");
    if (media_into(&s, true, o, r ? &none : e)) r = -1;
    for (size_t i = 0; i < a.n; i++) free(a.m[i].name);
    free(a.m);
    free(a.next_name);
    return r;
}

static const char *const ext[] = {".tar", ".tgz", NULL};
const struct format format_tar = {
    "tar", "a tar archive of pictures or sounds, one folder a class", ext, tar_probe, tar_read, NULL, NULL, "size frames mel rate"};
