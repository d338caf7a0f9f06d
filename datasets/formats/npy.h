/* One npy array from memory, shared by the npy and npz readers. */
#ifndef HONE_DATASETS_FORMATS_NPY_H
#define HONE_DATASETS_FORMATS_NPY_H

#include "datasets/formats/format.h"

int npy_read_column(const char *name, const unsigned char *p, size_t n, struct column *c, int64_t *rows, struct err *e);

#endif
