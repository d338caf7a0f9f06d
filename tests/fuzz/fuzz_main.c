/* Replays the corpus of a fuzz target where there is no libFuzzer: every file of tests/fuzz/corpus/NAME as it is, cut at every
 * place and with seeded changes of bytes (FUZZ_RUNS: how many a file, 2000 unless set; FUZZ_SEED: others). FUZZ_NAME names the corpus. Arguments
 * are files to run instead. A finding is an abort. */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>

#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/rng.h"
#include "tests/fuzz/fuzz.h"
#include "tests/tap.h"

static int64_t run_file(const char *path, const char *name) {
    struct buf b = BUF_INIT;
    struct err e = {0};
    const char *runs = getenv("FUZZ_RUNS"), *seed = getenv("FUZZ_SEED");
    int changes = runs ? atoi(runs) : 2000;
    if (io_read_file(path, 1 << 20, &b, &e)) BUG("%s", e.text);
    int64_t n = 1;
    LLVMFuzzerTestOneInput((uint8_t *)b.data, b.len);
    for (size_t i = 0; i < b.len && i < 4096; i++, n++) LLVMFuzzerTestOneInput((uint8_t *)b.data, i);
    uint8_t *copy = malloc(b.len + 1);
    uint64_t stream = rng_stream(seed ? strtoull(seed, NULL, 10) : 1, name, 0);
    static const uint8_t special[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\n', ',', '{', '9'};
    for (int k = 0; k < changes && b.len; k++, n++) {
        memcpy(copy, b.data, b.len);
        uint32_t r[4];
        for (int j = 0; j <= k % 4; j++) {
            rng_block(stream, (uint64_t)k, (uint64_t)j, r);
            copy[r[0] % b.len] = r[1] & 1 ? special[r[2] % sizeof special] : (uint8_t)r[3];
        }
        LLVMFuzzerTestOneInput(copy, b.len);
    }
    free(copy);
    buf_release(&b);
    return n;
}

int main(int argc, char **argv) {
    const char *src = getenv("top_srcdir");
    struct buf dir = BUF_INIT;
    buf_addf(&dir, "%s/tests/fuzz/corpus/" FUZZ_NAME, src ? src : ".");
    DIR *d = argc > 1 ? NULL : opendir(dir.data);
    int files = 0;
    int64_t n = 0;
    for (; files < argc - 1; files++) n += run_file(argv[files + 1], argv[files + 1]);
    for (struct dirent *x; d && (x = readdir(d));) {
        if (x->d_name[0] == '.') continue;
        char *path = io_join(dir.data, x->d_name);
        n += run_file(path, x->d_name);
        files++;
        free(path);
    }
    if (d) closedir(d);
    tap_ok(files > 0, FUZZ_NAME ": %d files, %lld inputs without a finding", files, (long long)n);
    buf_release(&dir);
    return tap_done();
}
