/* Sounds: WAV, FLAC, Ogg and MP3 through libsndfile, mixed to one channel, as frames of log-mel energies; the table that a folder or an archive of them
 * becomes, and one for pictures or sounds, whichever come. Helper thread; no state. */
#ifndef HONE_DATASETS_FORMATS_SOUND_H
#define HONE_DATASETS_FORMATS_SOUND_H

#include "datasets/formats/image.h"

#define SOUND_MEL 40 /* bands if none are asked for */
#define SOUND_MAX_MEL 512
#define SOUND_MAX_SECONDS 600
#define SOUND_FLOOR 1e-7 /* added to an energy before its logarithm; silence behind a sound is log(SOUND_FLOOR) */

/* mel.c: frames of 25 ms, 10 ms apart, periodic Hann window; energies of a power spectrum under triangles at equal distances of the mel scale 2595 log10(1
 * + f / 700) from 0 to half the rate (Davis and Mermelstein 1980), natural logarithm. The same bits on every machine. */
struct mel;
struct mel *mel_new(int64_t rate, int bands);
void mel_free(struct mel *m);
int64_t mel_frames(const struct mel *m, int64_t samples); /* at least 1: shorter sounds end in silence */
int64_t mel_samples(const struct mel *m, int64_t frames); /* that those frames look at */
void mel_run(struct mel *m, const float *x, int64_t n, int64_t frames, float *out); /* out (frames, bands) */

/* x (n samples, heap) becomes the same sound at the rate `to`. */
int sound_resample(const char *name, int64_t from, int64_t to, float **x, int64_t *n, struct err *e);

bool sound_name(const char *path); /* ends like a sound */

/* Sounds, resampled to one rate, become column "x" (T, bands) of f32, their labels column "label". T: opts.frames, else the longest. */
struct sounds {
    struct table *t;
    struct cells label;
    struct mel *mel;
    float *p; /* rows of frames one after the other */
    size_t len, cap;
    int64_t *frames, cap_n; /* of each row */
    int bands;
    char *first;
    bool broken; /* the last one could not be decoded */
    int64_t resampled; /* that had another rate */
};
int sounds_add(struct sounds *s, const struct bytes *in, const char *label, const struct read_opts *o, struct err *e);
int sounds_into(struct sounds *s_take, bool labels, const struct read_opts *o, struct err *e);
/* All rows get `frames` frames, silence behind them. */
int sounds_widen(struct table *t, int64_t frames, struct err *e);

/* Pictures or sounds; the first decides. */
struct media {
    struct images im;
    struct sounds so;
    struct table *t;
    bool sound;
    int64_t left; /* files left out: they cannot be decoded */
};
bool media_name(const char *path);
int media_add(struct media *m, const struct bytes *in, const char *label, const struct read_opts *o, struct err *e);
int media_into(struct media *m_take, bool labels, const struct read_opts *o, struct err *e);
/* The class that a name gives by itself: LABEL_REST.wav. False: there is no such label. */
bool sound_label(const char *name, const char **label, size_t *n);

#endif
