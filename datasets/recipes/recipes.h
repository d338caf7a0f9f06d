/* Where each public data set and pretrained model lives, what its files are, their checksums, licence and split. Const rows; helper thread and tests read
 * them. */
#ifndef HONE_DATASETS_RECIPES_RECIPES_H
#define HONE_DATASETS_RECIPES_RECIPES_H

#include <stdbool.h>
#include <stdint.h>

#include "datasets/dataset.h"

enum recipe_role { ROLE_ALL, ROLE_X, ROLE_Y }; /* columns, only inputs, only the target */
struct recipe_file {
    const char *path; /* in the folder of the set, as published; it may as well be packed otherwise or not (.gz, .xz) */
    const char *variant; /* NULL: of every variant */
    int part; /* PART_TRAIN ... */
    int role; /* enum recipe_role */
    int64_t bytes; /* of the file at url */
    const char *sha256; /* of the file at url */
    const char *url; /* NULL: no public address of this very file */
    const char *pick; /* of a JSON file of several lists the names of those of this part, separated by blanks; of an archive its folder; NULL: the whole file */
};
struct recipe_package {
    const char *name, *folder;
}; /* "NAME==VERSION" as pip takes it, and where in it the files lie */
struct recipe {
    const char *name, *task, *licence, *attribution;
    const char *variants; /* "eng_Latn zho_Hans ...", first is the default; NULL: one */
    const struct recipe_file *file; /* ends with path == NULL */
    const char *text, *y; /* columns, the first of several space-separated names that is there; NULL: by the rules for any file */
    const char *drop; /* the same for a column that is no input (an id) */
    int sep, header, quote; /* as in struct read_opts */
    const char *const *value; /* target values in class order, or NULL: sorted */
    const char *const *class_name; /* their names, NULL: the values */
    bool stream; /* a plain text, for language models */
    double val_share; /* of a stream: share of the tokens at its end that is the validation part unless val= says otherwise */
    const char *package; /* Debian package that carries it, or NULL */
    const struct recipe_package *python; /* Python package that carries it, or NULL */
    bool model; /* no data set: a pretrained model, for hone.load and tokenizer= */
    const char *hint; /* how to get it where no file has a url, or NULL */
};
extern const struct recipe recipes[]; /* ends with name == NULL */
const struct recipe *recipe_find(const char *name);
const char *recipe_nearest(const char *wrong); /* NULL: none is near */
/* variant NULL: the default. Returns the canonical one (NULL for a recipe without variants), sets *ok. */
const char *recipe_variant(const struct recipe *r, const char *variant, bool *ok);
bool recipe_file_is(const struct recipe_file *f, const char *variant); /* part of this variant */

#endif
