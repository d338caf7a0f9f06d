/* Pictures: decoders of single files (PNG, JPEG, PNM) chosen by the first bytes, and the table that a folder or an archive of them becomes.
 * Helper thread; no state. */
#ifndef HONE_DATASETS_FORMATS_IMAGE_H
#define HONE_DATASETS_FORMATS_IMAGE_H

#include "datasets/formats/format.h"

#define IMAGE_MAX_SIDE 32768
struct image {
    int w, h, c;
    uint8_t *p;
}; /* (h, w, c) row by row, c: 1 grey, 3 colour */
struct image_reader {
    const char *name;
    const char *const *ext; /* file name endings, NULL-terminated */
    bool (*probe)(const struct bytes *in);
    int (*decode)(const struct bytes *in, struct image *out, struct err *e); /* out->p comes from image_room; the caller frees it, also after an error */
};
extern const struct image_reader image_png, image_jpeg, image_pnm;

/* For decoders: checks the sizes a header claims and makes room for the pixels. */
int image_room(const struct bytes *in, uint64_t w, uint64_t h, int c, struct image *out, struct err *e);
bool image_name(const char *path); /* ends like a picture */
int image_decode(const struct bytes *in, struct image *out, struct err *e);
/* Scales so that the shorter side is `size` and cuts out the middle square, in place. */
int image_fit(struct image *m, int size, const char *name, struct err *e);

bool imagedir_is(const char *path); /* a folder of folders of pictures */

/* Pictures of one size become column "x" (C, H, W) of bytes, their folders column "label". */
struct images {
    struct table *t; /* gets the rows' origins */
    struct cells label;
    uint8_t *p; /* planar */
    size_t len, cap;
    int64_t cap_n;
    int w, h, c;
    char *first; /* name of the first picture */
    bool broken; /* the last one could not be decoded */
};
int images_add(struct images *s, const struct bytes *in, const char *label, const struct read_opts *o, struct err *e);
void images_into(struct images *s_take, bool labels); /* the columns of s->t; releases s */
/* How a picture is to be turned, 1 (not at all) to 8: of the Exif data of a camera, "Exif\0\0" and what follows it. */
int image_exif_turn(const uint8_t *p, size_t n);
int image_turn(struct image *m, int turn, const char *name, struct err *e);

#endif
