/* JPEG through libjpeg: grey, colour or CMYK, baseline or progressive, turned as its Exif data say. libjpeg leaves by longjmp on an error; the jump stays
 * inside decode, over libjpeg's own frames and over nothing of ours that holds memory. */
#include "config.h"

#include "datasets/formats/image.h"

#include <stdio.h>
#include <string.h>
#ifdef HAVE_JPEG
#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#endif

static bool probe(const struct bytes *in) { return in->n >= 3 && in->p[0] == 0xff && in->p[1] == 0xd8 && in->p[2] == 0xff; }

#ifdef HAVE_JPEG
#define MAX_SCANS 100 /* a file of very many scans is made to waste time */

struct guard {
    struct jpeg_error_mgr err; /* first: libjpeg's view */
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    char text[JMSG_LENGTH_MAX];
};

static void leave(j_common_ptr j) {
    struct guard *g = (struct guard *)j->err;
    j->err->format_message(j, g->text);
    longjmp(g->out, 1);
}

/* Data that are missing are filled with grey and only warned about: here that is an error. */
static void warn(j_common_ptr j, int level) {
    if (level < 0 && (j->err->msg_code == JWRN_JPEG_EOF || j->err->msg_code == JWRN_HIT_MARKER)) leave(j);
}
static void silent(j_common_ptr j) { (void)j; }

static void count_scans(j_common_ptr j) {
    if (((j_decompress_ptr)j)->input_scan_number <= MAX_SCANS) return;
    struct guard *g = (struct guard *)j->err;
    snprintf(g->text, sizeof g->text, "more than %d scans", MAX_SCANS);
    longjmp(g->out, 1);
}

static int orientation(const struct jpeg_decompress_struct *j) {
    for (const struct jpeg_marker_struct *m = j->marker_list; m; m = m->next) {
        int turn = image_exif_turn(m->data, m->data_length);
        if (turn > 1) return turn;
    }
    return 1;
}

/* Four inks to three lights, rounded as Pillow does; Adobe's programs store how much is left of each. */
static void from_cmyk(uint8_t *out, const uint8_t *in, JDIMENSION n, bool adobe) {
    for (JDIMENSION i = 0; i < n; i++, in += 4, out += 3) {
        int left = adobe ? in[3] : 255 - in[3];
        for (int c = 0; c < 3; c++) {
            int ink = (adobe ? 255 - in[c] : in[c]) * left + 128;
            out[c] = (uint8_t)(left - (((ink >> 8) + ink) >> 8));
        }
    }
}

static int decode(const struct bytes *in, struct image *out, struct err *e) {
    struct jpeg_decompress_struct j = {0};
    struct guard g = {.progress.progress_monitor = count_scans};
    volatile int rc = -1, turn = 1;
    j.err = jpeg_std_error(&g.err);
    g.err.error_exit = leave;
    g.err.emit_message = warn;
    g.err.output_message = silent;
    if (setjmp(g.out)) {
        err_set(e, "%s is not a JPEG picture that can be read: %s", in->name, g.text);
        goto end;
    }
    jpeg_create_decompress(&j);
    j.progress = &g.progress;
    jpeg_mem_src(&j, in->p, (unsigned long)in->n);
    jpeg_save_markers(&j, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j, TRUE);
    turn = orientation(&j);
    bool grey = j.jpeg_color_space == JCS_GRAYSCALE, inks = j.jpeg_color_space == JCS_CMYK || j.jpeg_color_space == JCS_YCCK;
    if (!grey && !inks && j.num_components != 3) {
        err_set(e, "%s has %d channels of colour; grey, RGB and CMYK pictures are read", in->name, j.num_components);
        goto end;
    }
    j.out_color_space = grey ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
    if (image_room(in, j.image_width, j.image_height, grey ? 1 : 3, out, e)) goto end;
    jpeg_start_decompress(&j);
    JSAMPARRAY four = inks ? j.mem->alloc_sarray((j_common_ptr)&j, JPOOL_IMAGE, 4 * j.image_width, 1) : NULL;
    while (j.output_scanline < j.output_height) {
        JSAMPROW row = out->p + (size_t)j.output_scanline * (size_t)out->w * (size_t)out->c;
        jpeg_read_scanlines(&j, inks ? four : &row, 1);
        if (inks) from_cmyk(row, four[0], j.image_width, j.saw_Adobe_marker);
    }
    jpeg_finish_decompress(&j);
    rc = 0;
end:
    jpeg_destroy_decompress(&j);
    return rc ? rc : image_turn(out, turn, in->name, e);
}
#else
static int decode(const struct bytes *in, struct image *out, struct err *e) {
    (void)out;
    return err_set(e, "%s is a JPEG picture and this hone was built without libjpeg; convert it to PPM", in->name);
}
#endif

static const char *const ext[] = {".jpg", ".jpeg", NULL};
const struct image_reader image_jpeg = {"jpeg", ext, probe, decode};
