/* PNG through libpng's simplified interface: 8 bits a channel, palettes and 16 bits converted, transparent parts over white, as on paper: what is drawn on
 * nothing is mostly dark. */
#include "config.h"

#include "datasets/formats/image.h"

#include <string.h>
#ifdef HAVE_PNG
#include <png.h>
#endif

static bool probe(const struct bytes *in) { return in->n >= 8 && !memcmp(in->p, "\x89PNG\r\n\x1a\n", 8); }

#ifdef HAVE_PNG
static int decode(const struct bytes *in, struct image *out, struct err *e) {
    png_image m = {.version = PNG_IMAGE_VERSION};
    png_color white = {255, 255, 255};
    int r = -1;
    if (!png_image_begin_read_from_memory(&m, in->p, in->n)) err_set(e, "%s is not a PNG picture that can be read: %s", in->name, m.message);
    else {
        bool colour = m.format & PNG_FORMAT_FLAG_COLOR;
        m.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
        m.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
        if (!image_room(in, m.width, m.height, colour ? 3 : 1, out, e)) {
            if (!png_image_finish_read(&m, &white, out->p, 0, NULL)) err_set(e, "%s is damaged: %s", in->name, m.message);
            else if (PNG_IMAGE_FAILED(m)) err_set(e, "%s is damaged: %s", in->name, m.message);
            else r = 0;
        }
    }
    png_image_free(&m);
    return r;
}
#else
static int decode(const struct bytes *in, struct image *out, struct err *e) {
    (void)out;
    return err_set(e, "%s is a PNG picture and this hone was built without libpng; convert it to PPM", in->name);
}
#endif

static const char *const ext[] = {".png", NULL};
const struct image_reader image_png = {"png", ext, probe, decode};
