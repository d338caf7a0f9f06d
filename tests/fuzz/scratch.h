/* A folder of a fuzz target's own, which goes when the target ends. */
#ifndef HONE_TESTS_FUZZ_SCRATCH_H
#define HONE_TESTS_FUZZ_SCRATCH_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/io.h"

static char scratch_dir[] = "/tmp/hone-fuzz-XXXXXX";
static void scratch_clean(void) { io_remove_tree(scratch_dir, NULL); }

/* The path of a file in it, heap. */
static inline char *scratch(const char *name) {
    static bool made;
    if (!made && (!mkdtemp(scratch_dir) || atexit(scratch_clean) != 0)) abort();
    made = true;
    return io_join(scratch_dir, name);
}

/* A new file of these bytes in the place of an old one. */
static inline void scratch_put(const char *path, const void *p, size_t n) {
    unlink(path); /* some file systems wait for the disk where a file is written over */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || io_write_all(fd, p, n, path, NULL)) abort();
    close(fd);
}

#endif
