/* Sounds at another rate: libsamplerate's band-limited interpolation (its middle quality: 121 dB, 90 % of the bandwidth). Built without it, a sentence. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_SAMPLERATE
#include <samplerate.h>
#endif

#include "datasets/formats/sound.h"
#include "src/base/mem.h"

#ifdef HAVE_SAMPLERATE
int sound_resample(const char *name, int64_t from, int64_t to, float **x, int64_t *n, struct err *e) {
    double ratio = (double)to / (double)from;
    int64_t most = (int64_t)ceil((double)*n * ratio) + 1;
    if (!src_is_valid_ratio(ratio) || *n > INT32_MAX || most > INT32_MAX)
        return err_set(e, "%s: its %" PRId64 " samples a second cannot be made %" PRId64 "; take a rate nearer to it", name, from, to);
    float *out = mem_try((size_t)most, sizeof *out, name, e);
    if (!out) return -1;
    SRC_DATA d = {.data_in = *x, .data_out = out, .input_frames = (long)*n, .output_frames = (long)most, .src_ratio = ratio};
    int rc = src_simple(&d, SRC_SINC_MEDIUM_QUALITY, 1);
    if (rc || d.output_frames_gen < 1) {
        free(out);
        return err_set(
            e, "%s cannot be resampled from %" PRId64 " to %" PRId64 " samples a second: %s", name, from, to, rc ? src_strerror(rc) : "it is too short");
    }
    free(*x);
    *x = out;
    *n = d.output_frames_gen;
    return 0;
}
#else
int sound_resample(const char *name, int64_t from, int64_t to, float **x, int64_t *n, struct err *e) {
    (void)x, (void)n;
    return err_set(e,
        "%s has %" PRId64 " samples a second, not %" PRId64 " as the others, and this hone was built without libsamplerate: install libsamplerate0-dev "
        "and build again, or resample it, with sox for example",
        name, from, to);
}
#endif
