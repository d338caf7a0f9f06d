/* WAV, FLAC, Ogg (Vorbis, Opus) and MP3 to samples, tables of sounds, and the format of a single one: a table of one row, for prediction. What a header
 * claims is believed only as far as samples really come. */
#include "config.h"

#include "datasets/formats/sound.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_SNDFILE
#include <sndfile.h>
#endif

#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/size.h"

#define MIN_RATE 1000
#define MAX_RATE 384000
#define MAX_CHANNELS 64
#define BLOCK 4096
#define BROKEN_TOLD 5 /* files that are left out, each in a line of its own */
#define FREE_BYTES ((uint64_t)8 << 20) /* of samples, up to which any ratio to the packed size is taken */

static const char *const ext[] = {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", NULL};

bool sound_name(const char *path) { return format_ends(path, ext, false); }

static bool is_wav(const struct bytes *in) { return in->n >= 12 && !memcmp(in->p, "RIFF", 4) && !memcmp(in->p + 8, "WAVE", 4); }
static bool is_flac(const struct bytes *in) { return in->n >= 8 && !memcmp(in->p, "fLaC", 4); }
static bool is_ogg(const struct bytes *in) { return in->n >= 8 && !memcmp(in->p, "OggS", 5); }
/* A tag, or the head of a frame of layer III (ISO 11172-3, 2.4.2.3). */
static bool is_mp3(const struct bytes *in) {
    return in->n >= 8 && ((!memcmp(in->p, "ID3", 3) && in->p[3] <= 4) || (in->p[0] == 0xff && (in->p[1] & 0xe6) == 0xe2));
}
static bool probe(const struct bytes *in) { return is_wav(in) || is_flac(in) || is_ogg(in) || is_mp3(in); }

#ifdef HAVE_SNDFILE
struct source {
    const struct bytes *in;
    sf_count_t at;
};
static sf_count_t length(void *p) { return (sf_count_t)((struct source *)p)->in->n; }
static sf_count_t tell(void *p) { return ((struct source *)p)->at; }
static sf_count_t seek(sf_count_t offset, int whence, void *p) {
    struct source *s = p;
    sf_count_t n = (sf_count_t)s->in->n, to = whence == SEEK_SET ? offset : whence == SEEK_CUR ? s->at + offset : n + offset;
    if (to < 0 || to > n) return -1;
    return s->at = to;
}
static sf_count_t get(void *to, sf_count_t count, void *p) {
    struct source *s = p;
    sf_count_t left = (sf_count_t)s->in->n - s->at, k = count < 0 ? 0 : count < left ? count : left;
    memcpy(to, s->in->p + s->at, (size_t)k);
    s->at += k;
    return k;
}
static sf_count_t put(const void *from, sf_count_t count, void *p) {
    (void)from, (void)count, (void)p;
    return 0;
}

/* A WAV file whose RIFF chunk is longer than the file; recorders that stream leave 0 or the most there. */
static int whole(const struct bytes *in, struct err *e) {
    uint32_t size = (uint32_t)in->p[4] | (uint32_t)in->p[5] << 8 | (uint32_t)in->p[6] << 16 | (uint32_t)in->p[7] << 24;
    if (!is_wav(in) || size == 0 || size >= 0x7fffff00u || (uint64_t)size + 8 <= (uint64_t)in->n + 1) return 0;
    return err_set(e, "%s is cut short: its header says %" PRIu64 " bytes, it has %zu", in->name, (uint64_t)size + 8, in->n);
}

static int check_info(const struct bytes *in, const SF_INFO *f, struct err *e) {
    if (f->samplerate < MIN_RATE || f->samplerate > MAX_RATE)
        return err_set(e, "%s: %d samples a second; %d to %d are read", in->name, f->samplerate, MIN_RATE, MAX_RATE);
    if (f->channels < 1 || f->channels > MAX_CHANNELS) return err_set(e, "%s has %d channels; 1 to %d are read", in->name, f->channels, MAX_CHANNELS);
    return 0;
}

/* Samples of one channel, the mean of all, at most `most` of them; whether there are more. */
static int samples(SNDFILE *f, const struct bytes *in, int channels, int64_t most, float **out, int64_t *n, bool *more, struct err *e) {
    float *block = X_NEW(float, (size_t)BLOCK *(size_t)channels);
    int64_t cap = 0;
    sf_count_t k = 0;
    int rc = 0;
    while (rc == 0 && *n <= most && (k = sf_readf_float(f, block, BLOCK)) > 0) {
        if (*n + k > cap) *out = X_GROW(*out, float, (size_t)(cap = *n + *n / 2 + k));
        for (sf_count_t i = 0; i < k && rc == 0; i++) {
            double sum = 0;
            for (int c = 0; c < channels; c++) sum += (double)block[i * channels + c];
            if (!isfinite(sum) || fabs(sum) > 1e9) rc = err_set(e, "%s: sample %" PRId64 " is no sound pressure (%g)", in->name, *n + (int64_t)i, sum);
            (*out)[*n + (int64_t)i] = (float)(sum / channels);
        }
        *n += (int64_t)k;
        if (rc == 0 && (uint64_t)*n * 4 > FREE_BYTES && (uint64_t)*n * 4 / FORMAT_BOMB_RATIO > in->n)
            rc = err_set(e, "%s unpacks to more than %d times its %zu bytes, as files have that are made to fill a memory", in->name, FORMAT_BOMB_RATIO, in->n);
    }
    *more = *n > most;
    if (*n > most) *n = most;
    if (rc == 0 && sf_error(f) != SF_ERR_NO_ERROR) rc = err_set(e, "%s is damaged after %" PRId64 " samples: %s", in->name, *n, sf_strerror(f));
    if (rc == 0 && *n == 0) rc = err_set(e, "%s holds no samples", in->name);
    free(block);
    return rc;
}

/* The rate the sound had, or -1; it gets the rate `to`, 0: its own. frames > 0: no more samples than they look at. *mel is made where it is NULL. */
static int64_t decode(const struct bytes *in, struct mel **mel, int bands, int64_t frames, int64_t to, float **out, int64_t *n, struct err *e) {
    SF_VIRTUAL_IO io = {length, seek, get, put, tell};
    struct source s = {in, 0};
    SF_INFO info = {0};
    bool more = false;
    if (whole(in, e)) return -1;
    SNDFILE *f = sf_open_virtual(&io, SFM_READ, &info, &s);
    int rc = f ? check_info(in, &info, e) : err_set(e, "%s is no sound that can be read: %s", in->name, sf_strerror(NULL));
    if (!to) to = info.samplerate;
    if (rc == 0 && !*mel) *mel = mel_new(to, bands);
    int64_t most = rc == 0 ? (int64_t)info.samplerate * SOUND_MAX_SECONDS : 0;
    if (rc == 0 && frames > 0) {
        int64_t need = mel_samples(*mel, frames);
        if (to != info.samplerate) need = need * info.samplerate / to + info.samplerate / 10; /* interpolation looks beyond them */
        if (need < most) most = need;
    }
    if (rc == 0) rc = samples(f, in, info.channels, most, out, n, &more, e);
    if (rc == 0 && more && !(frames > 0))
        rc = err_set(e, "%s is longer than %d seconds: cut it, or give frames=N to keep its begin", in->name, SOUND_MAX_SECONDS);
    if (f) sf_close(f);
    if (rc == 0 && to != info.samplerate) rc = sound_resample(in->name, info.samplerate, to, out, n, e);
    return rc == 0 ? info.samplerate : -1;
}
#else
static int64_t decode(const struct bytes *in, struct mel **mel, int bands, int64_t frames, int64_t to, float **out, int64_t *n, struct err *e) {
    (void)mel, (void)bands, (void)frames, (void)to, (void)out, (void)n;
    return err_set(e, "%s is a sound and this hone was built without libsndfile: install libsndfile1-dev and build again", in->name);
}
#endif

int sounds_add(struct sounds *s, const struct bytes *in, const char *label, const struct read_opts *o, struct err *e) {
    float *x = NULL;
    int64_t n = 0, want = o ? o->frames : 0;
    s->broken = true;
    if (!probe(in)) return err_set(e, "%s is no sound that can be read: WAV, FLAC, Ogg and MP3 are", in->name);
    if (!s->bands) s->bands = o && o->mel > 0 ? o->mel : SOUND_MEL;
    int64_t to = s->first ? s->t->rate : o ? o->rate : 0, rate = decode(in, &s->mel, s->bands, want, to, &x, &n, e);
    int rc = rate < 0 ? -1 : 0;
    s->broken = rc < 0;
    if (rc == 0 && !s->first) {
        s->first = mem_str(in->name);
        s->t->rate = to ? to : rate;
    }
    s->resampled += rc == 0 && rate != s->t->rate;
    int64_t frames = rc == 0 ? mel_frames(s->mel, n) : 0, size = 0;
    if (rc == 0 && want > 0 && frames > want) frames = want;
    if (rc == 0 && (!size_mul_i64(frames, s->bands, &size) || (int64_t)(s->len + (size_t)size) > FORMAT_MAX_BYTES / 4))
        rc = err_set(e, "the frames of the sounds up to %s are more than %lld MiB; give frames=N", in->name, (long long)(FORMAT_MAX_BYTES >> 20));
    if (rc == 0) {
        if (s->cap - s->len < (size_t)size) s->p = X_GROW(s->p, float, s->cap = s->len + s->len / 2 + (size_t)size);
        mel_run(s->mel, x, n, frames, s->p + s->len);
        s->len += (size_t)size;
        if (s->t->n == s->cap_n) {
            s->cap_n = s->cap_n ? 2 * s->cap_n : 64;
            s->t->origin = X_GROW(s->t->origin, char *, (size_t)s->cap_n);
            s->frames = X_GROW(s->frames, int64_t, (size_t)s->cap_n);
        }
        s->frames[s->t->n] = frames;
        s->t->origin[s->t->n++] = mem_str(in->name);
        cells_add(&s->label, label, strlen(label));
        cells_end_cell(&s->label);
    }
    free(x);
    return rc;
}

static float *spread(const float *p, const int64_t *frames, int64_t each, int64_t n, int64_t to, int bands, struct err *e) {
    int64_t size;
    if (!size_mul_i64(n, to, &size) || !size_mul_i64(size, bands, &size) || size > FORMAT_MAX_BYTES / 4) {
        err_set(e, "%" PRId64 " sounds of %" PRId64 " frames are more than %lld MiB; give frames=N", n, to, (long long)(FORMAT_MAX_BYTES >> 20));
        return NULL;
    }
    float *all = mem_try((size_t)size + 1, sizeof *all, "the sounds", e), silence = (float)log(SOUND_FLOOR);
    for (int64_t i = 0; all && i < n; i++) {
        int64_t have = (frames ? frames[i] : each) * bands, row = to * bands;
        memcpy(all + i * row, p, (size_t)have * sizeof *p);
        for (int64_t k = have; k < row; k++) all[i * row + k] = silence;
        p += have;
    }
    return all;
}

int sounds_into(struct sounds *s, bool labels, const struct read_opts *o, struct err *e) {
    int64_t to = o ? o->frames : 0;
    if (s->resampled && labels)
        log_write(LOG_INFO, "%" PRId64 " of %" PRId64 " sounds were resampled to %" PRId64 " samples a second%s%s%s", s->resampled, s->t->n, s->t->rate,
            o && o->rate ? "" : ", those of ", o && o->rate ? "" : s->first, o && o->rate ? "" : " (rate= takes another rate)");
    for (int64_t i = 0; i < s->t->n && !(o && o->frames > 0); i++) to = s->frames[i] > to ? s->frames[i] : to;
    struct column *x = table_add(s->t, "x", COL_F32);
    x->ndim = 2;
    x->dim[0] = to, x->dim[1] = s->bands;
    x->width = to * s->bands;
    x->data = spread(s->p, s->frames, 0, s->t->n, to, s->bands, e);
    int rc = x->data ? 0 : -1;
    if (labels) cells_into(&s->label, table_add(s->t, "label", COL_TEXT));
    else cells_release(&s->label);
    s->t->named = true;
    mel_free(s->mel);
    free(s->p);
    free(s->frames);
    free(s->first);
    memset(s, 0, sizeof *s);
    return rc;
}

int sounds_widen(struct table *t, int64_t frames, struct err *e) {
    struct column *x = &t->col[0];
    float *all = spread(x->data, NULL, x->dim[0], t->n, frames, (int)x->dim[1], e);
    if (!all) return -1;
    free(x->data);
    x->data = all;
    x->dim[0] = frames;
    x->width = frames * x->dim[1];
    return 0;
}

bool sound_label(const char *name, const char **label, size_t *n) {
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *end = strchr(base, '_');
    *label = base;
    *n = end ? (size_t)(end - base) : 0;
    return *n > 0;
}

/* ---- pictures or sounds ---- */

bool media_name(const char *path) { return image_name(path) || sound_name(path); }

static int add_one(struct media *m, const struct bytes *in, const char *label, const struct read_opts *o, bool *broken, struct err *e) {
    const char *colon = strrchr(in->name, ':'), *name = colon ? colon + 1 : in->name;
    bool sound = sound_name(name);
    *broken = !in->n;
    if (!in->n) return err_set(e, "%s is empty", in->name);
    if (!m->t->n) m->sound = sound;
    if (sound != m->sound)
        return err_set(e, "%s is a %s, but the files before it are %s: keep them apart", in->name, sound ? "sound" : "picture", sound ? "pictures" : "sounds");
    m->im.t = m->so.t = m->t;
    int r = sound ? sounds_add(&m->so, in, label, o, e) : images_add(&m->im, in, label, o, e);
    *broken = sound ? m->so.broken : m->im.broken;
    return r;
}

int media_add(struct media *m, const struct bytes *in, const char *label, const struct read_opts *o, struct err *e) {
    struct err own = {0};
    bool broken, tell = m->left < BROKEN_TOLD;
    int r = add_one(m, in, label, o, &broken, &own);
    if (r && broken && o && o->leave_broken) {
        m->left++;
        if (tell) log_write(LOG_WARN, "%s; it is left out", own.text);
        return 0;
    }
    if (r && broken)
        return err_code(e, own.code, "%s; mend or remove it, or load the data with missing=\"drop\", which leaves out what cannot be read", own.text);
    if (r && e) *e = own;
    return r;
}

int media_into(struct media *m, bool labels, const struct read_opts *o, struct err *e) {
    if (m->left > BROKEN_TOLD) log_write(LOG_WARN, "%lld files in all cannot be read and are left out", (long long)m->left);
    m->im.t = m->so.t = m->t;
    if (m->sound) return sounds_into(&m->so, labels, o, e);
    images_into(&m->im, labels);
    return 0;
}

static int sound_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct sounds s = {.t = out};
    struct err none = {0};
    int r = sounds_add(&s, in, "", o, e);
    return sounds_into(&s, false, o, r ? &none : e) || r ? -1 : 0;
}
const struct format format_sound = {
    "sound", "a sound as frames of log-mel energies: WAV, FLAC, Ogg, MP3", ext, probe, sound_read, NULL, NULL, "frames mel rate"};
