/* The files that scripts were read from: which of them are another one on disk by now. hone's own library is left out. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/mem.h"

#define FILES_MAX 256

struct watched {
    char *path;
    struct timespec at; /* as read, or as last told of */
    off_t size;
    ino_t ino;
};

static bool of_library(const struct script *s, const char *path) {
    for (const char *p = s->lib_dirs; *p;) {
        size_t n = strcspn(p, ":");
        if (n && strncmp(path, p, n) == 0 && path[n] == '/') return true;
        p += n + (p[n] == ':');
    }
    return false;
}

static void stamp(struct watched *w, const struct stat *st) {
    w->at = st->st_mtim;
    w->size = st->st_size;
    w->ino = st->st_ino;
}

void watch_add(struct script *s, const char *path) {
    struct stat st;
    size_t i = 0;
    if (of_library(s, path) || stat(path, &st) != 0) return;
    while (i < s->n_watched && strcmp(s->watched[i].path, path) != 0) i++;
    if (i == FILES_MAX) return;
    if (i == s->n_watched) {
        s->watched = X_GROW(s->watched, struct watched, s->n_watched + 1);
        s->watched[s->n_watched++] = (struct watched){.path = mem_str(path)};
    }
    stamp(&s->watched[i], &st);
}

void watch_say(struct script *s, struct buf *out) {
    struct stat st;
    for (size_t i = 0; i < s->n_watched; i++) {
        struct watched *w = &s->watched[i];
        if (stat(w->path, &st) != 0) continue; /* an editor may be about to put the new one there */
        if (st.st_mtim.tv_sec == w->at.tv_sec && st.st_mtim.tv_nsec == w->at.tv_nsec && st.st_size == w->size && st.st_ino == w->ino) continue;
        stamp(w, &st);
        buf_addf(out, "%s(%s changed on disk: :reload)", out->len && out->data[out->len - 1] != '\n' ? "\n" : "", w->path);
    }
}

void watch_release(struct script *s) {
    for (size_t i = 0; i < s->n_watched; i++) free(s->watched[i].path);
    free(s->watched);
    s->watched = NULL;
    s->n_watched = 0;
}
