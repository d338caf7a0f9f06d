/* What a reader of a file format is: a const row with a probe and a read function over the whole (already unpacked) file in memory.
 * A reader produces a table: columns of text cells (csv, jsonl, textdir) or of numbers with a shape (idx, npy, npz).
 * Readers never trust a size: each is checked against the bytes that are really there before anything is allocated. */
#ifndef HONE_DATASETS_FORMATS_FORMAT_H
#define HONE_DATASETS_FORMATS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datasets/dataset.h"
#include "src/base/err.h"

#define FORMAT_MAX_BYTES ((int64_t)8 << 30) /* of one unpacked file */
#define FORMAT_MAX_COLUMNS 4096
#define FORMAT_BOMB_BYTES ((uint64_t)64 << 20) /* unpacked, up to which any ratio is taken */
#define FORMAT_BOMB_RATIO 200 /* real data packs 2 to 50 to 1 */
static inline bool format_bomb(uint64_t packed, uint64_t unpacked) { return unpacked > FORMAT_BOMB_BYTES && unpacked / FORMAT_BOMB_RATIO > packed; }

struct bytes {
    const char *name; /* for messages */
    const unsigned char *p;
    size_t n;
};
/* Columns of equal length. Type TEXT: cells as read, packed, with offsets. U8 I32 F32: n * width numbers. */
struct table {
    char *file;
    int64_t n;
    int n_col;
    struct column *col;
    int32_t *line; /* text formats: line number of each row; else NULL */
    char **origin; /* textdir: file of each row; else NULL */
    int64_t *rows; /* npz: length of each column, as they may belong to different parts; else NULL */
    bool blank_first; /* the header has no name for the first column: what pandas writes above the numbers of the rows */
    bool named; /* the columns have names of their own, not "1", "2" .. */
    char **label_name; /* names of the labels 0, 1, .. where the format has them; else NULL */
    int n_label_name;
    int64_t rate; /* sounds: samples a second; else 0 */
    const struct format *format; /* as which it was read; NULL: made from numbers */
};
struct read_opts {
    int sep; /* byte; 0: guess */
    int header; /* 1, 0; -1: guess */
    int quote; /* 1: RFC 4180 quotes; 0: none; -1: by the file name and separator */
    bool latin1; /* text is ISO 8859-1 */
    const char *pick; /* read these lists of a JSON object of lists, separated by blanks, or this folder of an archive or, with * in them, members whose path
                         fits one of these patterns; NULL: the file as its format says */
    bool optional; /* a folder of an archive that may be missing: no rows then */
    bool stream; /* the file is one plain text */
    bool leave_broken; /* pictures and sounds that cannot be decoded are left out */
    int size; /* side of pictures; 0: as they are */
    int mel; /* bands of sounds; 0: the usual number */
    int64_t frames, rate; /* of sounds: frames that each gets, 0: those of the longest; samples a second they get, 0: those of the first */
    const char *const *want; /* column names given by the user or recipe (help to recognise a header), NULL-terminated, or NULL */
    data_progress progress;
    void *ctx;
};
struct format {
    const char *name, *help;
    const char *const *ext; /* file name endings, without .gz or .xz; NULL-terminated */
    bool (*probe)(const struct bytes *head); /* first bytes; NULL: only by the name */
    int (*read)(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e);
    int (*read_dir)(const char *path, const struct read_opts *o, struct table *out, struct err *e); /* of a format that is a folder */
    int (*beside)(const char *path, struct table *out, struct err *e); /* what lies beside the file: names of labels; NULL: nothing */
    const char *takes; /* arguments of hone.data that say how it is read, separated by blanks; NULL: none */
};
extern const struct format *const formats[]; /* list.c; ends with NULL */
extern const struct format format_idx, format_npy, format_npz, format_jsonl, format_jsonlists, format_csv, format_textdir;
extern const struct format format_cifar, format_image, format_imagedir, format_tar, format_plain, format_sound;

const struct format *format_find(const char *path, const struct bytes *head); /* never NULL: csv is the last guess */
/* ends in one of a NULL-terminated list; packed: .gz or .xz may follow */
bool format_ends(const char *path, const char *const *ext, bool packed);
bool format_has_ext(const struct format *f, const char *path); /* its endings, also packed */
bool format_known_name(const char *path); /* ends in a known ending, also .gz or .xz */
/* Reads, unpacks and parses one file or a folder of texts. */
int format_read(const char *path, const struct read_opts *o, struct table *out, struct err *e);

/* A file that is not read but known by its first bytes: what it is and what to do; NULL. */
const char *format_foreign(const struct bytes *in);

void table_free(struct table *t); /* releases what is inside */
struct column *table_add(struct table *t, const char *name, enum col_type type); /* a zeroed column; the pointers of earlier ones die */
void table_keep(struct table *t, const int64_t *row, int64_t n); /* these rows alone, given in rising order; of text columns, with line or origin */
int table_find(const struct table *t, const char *name); /* -1: none */
/* "FILE line 7" or "FILE row 7" for messages, into a buffer of the caller. */
const char *table_where(const struct table *t, int64_t row, char *out, size_t n);
const char *table_text(const struct table *t, int col, int64_t row, size_t *n);

/* A growing TEXT column; cells_into moves it into the column. */
struct cells {
    char *data;
    size_t len, cap;
    int64_t *offset;
    int64_t n, cap_n;
};
void cells_add(struct cells *c, const void *p, size_t n); /* bytes of the current cell */
void cells_end_cell(struct cells *c);
void cells_into(struct cells *c_take, struct column *out);
void cells_release(struct cells *c);

/* Text of a file: byte order marks, NUL bytes and encoding. Returns 0 with *out borrowed from in, or from *own (to be freed). */
int text_open(const struct bytes *in, bool latin1, struct bytes *out, char **own, struct err *e);
/* First byte that is not UTF-8, or -1. */
int64_t text_bad_byte(const unsigned char *p, size_t n);

#endif
