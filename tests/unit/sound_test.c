/* Sounds: frames of log-mel energies beside those of torch, folders and names that give classes, channels, rates, lengths, and broken files refused by one
 * sentence each. */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "datasets/data_args.h"
#include "datasets/formats/sound.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static char tmp[64];
static const char *top;

static void le(struct buf *b, uint32_t v, int n) {
    for (int i = 0; i < n; i++) buf_addc(b, (char)(v >> (8 * i) & 255));
}
/* 16 bits a sample, the sound of tests/golden/make_mel.py in every channel; format 3: floats that are all `value`. */
static struct buf wav(int rate, int channels, int n, int format, float value) {
    struct buf b = BUF_INIT;
    uint32_t each = format == 3 ? 4 : 2, bytes = (uint32_t)(n * channels) * each;
    buf_adds(&b, "RIFF");
    le(&b, 36 + bytes, 4);
    buf_adds(&b, "WAVEfmt ");
    le(&b, 16, 4), le(&b, (uint32_t)format, 2), le(&b, (uint32_t)channels, 2), le(&b, (uint32_t)rate, 4), le(&b, (uint32_t)(rate * channels) * each, 4);
    le(&b, (uint32_t)channels * each, 2), le(&b, 8 * each, 2);
    buf_adds(&b, "data");
    le(&b, bytes, 4);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < channels; c++) {
            uint32_t bits;
            memcpy(&bits, &value, 4);
            le(&b, format == 3 ? bits : (uint32_t)(int32_t)((i * i * 7 + i * 13) % 2001 - 1000 + (i / 40 % 2 ? 3000 : -3000)), (int)each);
        }
    return b;
}

static void put(const char *name, const struct buf *b) {
    struct err e = {0};
    char *path = io_join(tmp, name), *end = strrchr(path, '/');
    *end = 0;
    if (io_mkdirs(path, 0777, &e)) BUG("%s", e.text);
    *end = '/';
    if (io_write_file(path, b->data ? b->data : "", b->len, &e)) BUG("%s", e.text);
    free(path);
}
static void put_wav(const char *name, int rate, int channels, int n) {
    struct buf b = wav(rate, channels, n, 1, 0);
    put(name, &b);
    buf_release(&b);
}

#ifdef HAVE_SNDFILE
static void golden(void) {
    struct buf b = BUF_INIT, path = BUF_INIT;
    struct err e = {0};
    double worst = 0;
    int lines = 0;
    buf_addf(&path, "%s/tests/golden/mel.txt", top);
    if (io_read_file(path.data, 1 << 20, &b, &e)) BUG("%s", e.text);
    buf_addc(&b, 0);
    for (char *line = b.data, *p; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        int rate, bands, n, k, at = 0;
        if (sscanf(line, "%d %d %d %d%n", &rate, &bands, &n, &k, &at) != 4) BUG("line \"%.40s\"", line);
        struct buf w = wav(rate, 1, n, 1, 0);
        struct bytes in = {"x.wav", (unsigned char *)w.data, w.len};
        struct read_opts o = {.mel = bands};
        struct table t = {0};
        if (format_sound.read(&in, &o, &t, &e)) BUG("%s", e.text);
        const struct column *x = &t.col[0];
        if (x->dim[1] != bands || k >= x->dim[0]) BUG("frame %d of %d", k, (int)x->dim[0]);
        p = line + at;
        for (int i = 0; i < bands; i++) worst = fmax(worst, fabs(strtod(p, &p) - (double)((float *)x->data)[k * bands + i]));
        table_free(&t);
        buf_release(&w);
        lines++;
    }
    tap_ok(lines >= 10 && worst < 2e-5, "log-mel energies of %d frames at 8, 16 and 44.1 kHz: largest difference from torch %.2g", lines, worst);
    buf_release(&b);
    buf_release(&path);
}

static struct dataset *load(struct data_args *a, const char *name, struct err *e) {
    struct val *v = val_table();
    char *path = io_join(tmp, name);
    memset(a, 0, sizeof *a);
    val_set_str(v, "name", path);
    if (args_parse(&data_kind, v, a, e)) BUG("%s", e->text);
    const char *none[] = {NULL};
    struct dataset *d = dataset_load(a, none, NULL, NULL, e);
    args_release(&data_kind, a);
    val_free(v);
    free(path);
    return d;
}

static void folders(void) {
    struct data_args a;
    struct err e = {0};
    put_wav("classes/train/yes/1.wav", 8000, 1, 2000);
    put_wav("classes/train/no/1.wav", 8000, 2, 1000);
    put_wav("classes/test/no/2.wav", 8000, 1, 4000);
    put_wav("classes/test/yes/2.wav", 8000, 1, 100);
    struct dataset *d = load(&a, "classes", &e);
    const struct part *tr = d ? &d->part[PART_TRAIN] : NULL, *te = d ? &d->part[PART_TEST] : NULL;
    tap_ok(d && d->n_class == 2 && !strcmp(d->class_name[0], "no") && tr->n == 2 && te->n == 2, "folders are classes: %s", e.text);
    tap_ok(d && tr->col[0].ndim == 2 && tr->col[0].dim[0] == 48 && te->col[0].dim[0] == 48 && tr->col[0].dim[1] == 40,
        "all parts get the frames of the longest sound (%d)", d ? (int)tr->col[0].dim[0] : 0);
    const float *no = d ? tr->col[0].data : NULL; /* "no" comes first: 11 frames */
    tap_ok(d && no[11 * 40] == (float)log(SOUND_FLOOR) && no[10 * 40] != (float)log(SOUND_FLOOR), "silence follows a shorter one");
    tap_ok(d && val_get_int(d->prep, "rate", 0) == 8000, "the preparation knows the rate");
    if (d) {
        struct val *in = val_list();
        char *one = io_join(tmp, "classes/test/no/2.wav"), *other = io_join(tmp, "fast.wav");
        val_push(in, val_str(one));
        struct part *p = dataset_prepare(d->prep, in, &e);
        tap_ok(p && p->n == 1 && !memcmp(p->col[0].data, te->col[0].data, 48 * 40 * 4), "a file to predict is prepared to the same numbers %s", e.text);
        if (p) part_free(p);
        put_wav("fast.wav", 16000, 1, 900);
        val_free(in);
        in = val_list();
        val_push(in, val_str(other));
        p = dataset_prepare(d->prep, in, &e);
#ifdef HAVE_SAMPLERATE
        tap_ok(p && p->n == 1, "one of another rate is resampled %s", e.text);
#else
        tap_ok(!p && strstr(e.text, "16000 samples a second, not 8000"), "another rate is refused: %s", e.text);
#endif
        if (p) part_free(p);
        val_free(in);
        free(one);
        free(other);
        dataset_unref(d);
    }
    e = (struct err){0};
    put_wav("flat/7_ann_1.wav", 8000, 1, 500);
    put_wav("flat/12_bob_0.wav", 8000, 1, 500);
    put_wav("flat/7_bob_2.wav", 8000, 1, 500);
    d = load(&a, "flat", &e);
    tap_ok(d && d->n_class == 2 && !strcmp(d->class_name[0], "7") && d->part[PART_TRAIN].n == 3, "names that begin with their class: %s", e.text);
    if (d) dataset_unref(d);
    struct table one, two;
    char *mono = io_join(tmp, "mono.wav"), *four = io_join(tmp, "four.wav");
    put_wav("mono.wav", 8000, 1, 700);
    put_wav("four.wav", 8000, 4, 700);
    int r = format_read(mono, NULL, &one, &e) || format_read(four, NULL, &two, &e);
    tap_ok(!r && one.col[0].width == two.col[0].width && !memcmp(one.col[0].data, two.col[0].data, (size_t)one.col[0].width * 4),
        "equal channels mix to what one of them is");
    if (!r) table_free(&one), table_free(&two);
    struct read_opts o = {.frames = 3};
    r = format_read(mono, &o, &one, &e);
    tap_ok(!r && one.col[0].dim[0] == 3, "frames=3 keeps the begin");
    if (!r) table_free(&one);
    free(mono);
    free(four);
}

static int good, total;
static void refused(const char *name, const struct buf *b, const char *want) {
    struct err e = {0};
    struct table t;
    char *path = io_join(tmp, name);
    if (b) put(name, b);
    int r = format_read(path, NULL, &t, &e);
    total++;
    if (r && strstr(e.text, want) && strstr(e.text, tmp) && !strchr(e.text, '\n')) good++;
    else tap_ok(false, "case %d: \"%s\", wanted \"%s\"", total, r ? e.text : "it was read", want);
    if (!r) table_free(&t);
    free(path);
}

static void broken(void) {
    struct buf b = wav(8000, 1, 400, 1, 0);
    b.len -= 100;
    refused("cut.wav", &b, "is cut short");
    b.len = 20;
    refused("head.wav", &b, "is cut short");
    buf_clear(&b);
    buf_adds(&b, "not a sound at all, but text");
    refused("text.wav", &b, "is no sound that can be read");
    buf_release(&b);
    b = wav(8000, 1, 0, 1, 0);
    refused("empty.wav", &b, "");
    buf_release(&b);
    b = wav(10, 1, 300, 1, 0);
    refused("slow.wav", &b, "10 samples a second; 1000 to 384000 are read");
    buf_release(&b);
    b = wav(8000, 100, 30, 1, 0);
    refused("many.wav", &b, "has 100 channels; 1 to 64 are read");
    buf_release(&b);
    b = wav(8000, 1, 300, 3, NAN);
    refused("nan.wav", &b, "sample 0 is no sound pressure");
    buf_release(&b);
    b = wav(1000, 1, 1000 * 601, 1, 0);
    refused("long.wav", &b, "longer than 600 seconds");
    buf_release(&b);
    put_wav("mixed/a/1.wav", 8000, 1, 300);
    buf_adds(&b, "P5 1 1 255\nx");
    put("mixed/b/1.pgm", &b);
    refused("mixed", NULL, "is a picture, but the files before it are sounds");
    buf_release(&b);
    tap_ok(good == total && total >= 9, "%d of %d broken sounds refused by the right sentence", good, total);
}

/* What lossy coders keep of 0.3 s of the tones of put_tone (by libsndfile): the loudest band of the middle. */
static int loudest(const char *file, struct err *e) {
    struct buf path = BUF_INIT;
    struct table t;
    int best = -1;
    buf_addf(&path, "%s/tests/%s", top, file);
    if (format_read(path.data, NULL, &t, e) == 0) {
        const float *x = (const float *)t.col[0].data + t.col[0].dim[0] / 2 * 40;
        best = 0;
        for (int i = 1; i < 40; i++) best = x[i] > x[best] ? i : best;
        if (t.rate != 16000 || t.col[0].dim[0] < 25) best = -2;
        table_free(&t);
    }
    buf_release(&path);
    return best;
}
static void lossy(void) {
    struct err e = {0};
    int ogg = loudest("fuzz/corpus/sound/tone.ogg", &e), mp3 = loudest("golden/tone.mp3", &e);
    tap_ok(ogg >= 0 && ogg == mp3, "Ogg and MP3 sounds are read, loudest in band %d, %d %s", ogg, mp3, e.text);
}

#ifdef HAVE_SAMPLERATE
/* 3 s: a tone of 440 Hz, and one of 5 kHz that fits into half of a rate of 16 kHz but not of 8 kHz. */
static void put_tone(const char *name, int rate) {
    struct buf b = wav(rate, 1, 3 * rate, 1, 0);
    for (int i = 0; i < 3 * rate; i++) {
        double v = 9000 * sin(2 * M_PI * 440 * i / rate) + (rate > 10000 ? 9000 * sin(2 * M_PI * 5000 * i / rate) : 0);
        int16_t s = (int16_t)lrint(v);
        memcpy(b.data + 44 + 2 * i, &s, 2);
    }
    put(name, &b);
    buf_release(&b);
}

static struct dataset *tones(int64_t rate, struct err *e) {
    struct data_args *a = mem_new(1, data_kind.size);
    struct val *v = val_table();
    char *path = io_join(tmp, "tones");
    val_set_str(v, "name", path);
    if (rate) val_set_int(v, "rate", rate);
    struct dataset *d = args_parse(&data_kind, v, a, e) ? NULL : dataset_load(a, NULL, NULL, NULL, e);
    args_release(&data_kind, a);
    free(a);
    free(path);
    val_free(v);
    return d;
}

/* Sounds of three rates: at the rate of 8 kHz each is the tone of 440 Hz, and the other leaves no trace where it would be folded back. */
static void rates(void) {
    static const int rate[] = {8000, 16000, 44100};
    static const char *const name[] = {"tones/a/8.wav", "tones/b/16.wav", "tones/c/44.wav"};
    struct err e = {0};
    for (int i = 0; i < 3; i++) put_tone(name[i], rate[i]);
    struct dataset *d = tones(0, &e);
    const struct column *x = d ? &d->part[PART_TRAIN].col[0] : NULL;
    tap_ok(d && d->part[PART_TRAIN].n == 3 && val_get_int(d->prep, "rate", 0) == 8000 && x->dim[0] == 298, "sounds get the rate of the first %s", e.text);
    double worst = 0, scale = d ? (double)x->scale : 1;
    for (int64_t i = 1; d && i < 3; i++)
        for (int64_t f = 20; f < 270; f++)
            for (int64_t b = 0; b < 40; b++) {
                double one = (double)((float *)x->data)[f * 40 + b], other = (double)((float *)x->data)[(i * x->dim[0] + f) * 40 + b];
                worst = fmax(worst, fabs(one - other) * scale); /* in deviations of the training part */
            }
    tap_ok(d && scale > 0 && worst < 0.02, "and its frames: %g deviations apart", worst);
    if (d) dataset_unref(d);
    d = tones(16000, &e);
    tap_ok(d && val_get_int(d->prep, "rate", 0) == 16000 && d->part[PART_TRAIN].n == 3, "or that of rate= %s", e.text);
    if (d) dataset_unref(d);
}
#endif
#endif

int main(void) {
    top = getenv("top_srcdir");
    top = top ? top : ".";
    snprintf(tmp, sizeof tmp, "%s/hone-sound-XXXXXX", getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(tmp)) BUG("no folder %s", tmp);
    struct err e = {0};
#ifdef HAVE_SNDFILE
    golden();
    folders();
    broken();
    lossy();
#ifdef HAVE_SAMPLERATE
    rates();
#else
    tap_skip("rates", "built without libsamplerate");
#endif
#else
    struct table t;
    char *path = io_join(tmp, "x.wav");
    put_wav("x.wav", 8000, 1, 300);
    tap_ok(format_read(path, NULL, &t, &e) && strstr(e.text, "built without libsndfile"), "without the library a sentence says so: %s", e.text);
    tap_skip("sounds", "built without libsndfile");
    free(path);
#endif
    io_remove_tree(tmp, &e);
    return tap_done();
}
