/* safetensors: read and write. Header: 8-byte little-endian length (<= 16 MiB), JSON, data without holes or overlap. */
#ifndef HONE_ENGINE_MODEL_SAFETENSORS_H
#define HONE_ENGINE_MODEL_SAFETENSORS_H

#include "engine/graph/tensor.h"
#include "src/base/err.h"
#include "src/base/val.h"

struct st_tensor {
    const char *name;
    enum dtype dtype;
    int64_t dim[TENSOR_DIMS];
    int ndim;
    const void *data; /* read: into the file's bytes, at any alignment; write: what to write */
    size_t bytes;
};
struct st_file {
    struct st_tensor *tensor;
    size_t n;
    struct val *meta; /* __metadata__, strings only, or NULL */
    char *bytes; /* the file */
    size_t n_bytes;
};
int st_parse(char *bytes_take, size_t n, const char *where, struct st_file *out, struct err *e); /* every rule of the format is checked */
int st_read(const char *path, struct st_file *out, struct err *e);
const struct st_tensor *st_find(const struct st_file *f, const char *name);
void st_floats(const struct st_tensor *t, float *out); /* values of any float type as f32 */
void st_release(struct st_file *f);
int st_write(const char *path, const struct st_tensor *t, size_t n, const struct val *meta, struct err *e); /* durable, by io_write */
void st_bytes(const struct st_tensor *t, size_t n, const struct val *meta, struct buf *out);

#endif
