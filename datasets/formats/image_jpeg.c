/* JPEG through libjpeg: grey or colour, baseline or progressive. libjpeg leaves by longjmp on an error; the jump stays inside decode, over libjpeg's own
 * frames and over nothing of ours that holds memory. */
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

static int decode(const struct bytes *in, struct image *out, struct err *e) {
    struct jpeg_decompress_struct j = {0};
    struct guard g = {.progress.progress_monitor = count_scans};
    volatile int rc = -1;
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
    jpeg_read_header(&j, TRUE);
    bool grey = j.jpeg_color_space == JCS_GRAYSCALE;
    if (!grey && j.num_components != 3) {
        err_set(e, "%s has %d channels of colour; grey and RGB pictures are read", in->name, j.num_components);
        goto end;
    }
    j.out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    if (image_room(in, j.image_width, j.image_height, grey ? 1 : 3, out, e)) goto end;
    jpeg_start_decompress(&j);
    while (j.output_scanline < j.output_height) {
        JSAMPROW row = out->p + (size_t)j.output_scanline * (size_t)out->w * (size_t)out->c;
        jpeg_read_scanlines(&j, &row, 1);
    }
    jpeg_finish_decompress(&j);
    rc = 0;
end:
    jpeg_destroy_decompress(&j);
    return rc;
}
#else
static int decode(const struct bytes *in, struct image *out, struct err *e) {
    (void)out;
    return err_set(e, "%s is a JPEG picture and this hone was built without libjpeg; convert it to PPM", in->name);
}
#endif

static const char *const ext[] = {".jpg", ".jpeg", NULL};
const struct image_reader image_jpeg = {"jpeg", ext, probe, decode};
