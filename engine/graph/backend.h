/* A backend runs the steps of plans on a device with memory of its own. It is a plugin opened at run time (hone_NAME.so), so the core links nothing of it
 * and one binary serves machines with and without the device. Everything it needs of hone comes through struct host; it calls no function of hone. Engine
 * thread only. */
#ifndef HONE_ENGINE_GRAPH_BACKEND_H
#define HONE_ENGINE_GRAPH_BACKEND_H

#include "engine/graph/op.h"

struct device {
    int index;
    char name[96], capability[16], driver[32], runtime[32]; /* "9.0", "580.65", "13.0" */
    char bus[16]; /* "0000:3b:00" */
    size_t memory; /* bytes */
    int units; /* multiprocessors */
};
struct host { /* what a backend may ask of hone */
    uint64_t abi;
    int (*fail)(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* err_set */
    double (*number)(const struct node *n, const char *name); /* an argument of the op of n: a number, bool or the index of an enum's name */
    int (*shape)(const struct node *n, const char *name, int64_t *out, int max); /* a list of numbers; how many */
    /* What was measured, by what the device is and a key: remembered by machine (engine/graph/tuned.h). */
    bool (*measuring)(void); /* may anything be measured? Not where the same kernels are asked for always */
    int (*recall)(const char *identity, const char *key, char *value, size_t n); /* -1: nothing is known */
    void (*keep)(const char *identity, const char *key, const char *value);
    bool (*parted)(void); /* asked while a device of several is waited for: has another process of them ended? */
    bool (*gone)(const struct device *d); /* the driver reported, a while ago, an error that ended what ran there: what is waited for will not come */
};
/* Changes with the structs that pass between hone and a plugin; a plugin of another one is refused. */
#define BACKEND_ABI                                                                                                                                    \
    ((((((uint64_t)1 * 1021 + sizeof(struct backend)) * 1021 + sizeof(struct exec)) * 1021 + sizeof(struct node)) * 1021 + sizeof(struct op)) * 1021 + \
        sizeof(struct tensor) + sizeof(struct device) + sizeof(struct host))

#define COMM_ID 128
struct takes {
    uint8_t half_in, half_out; /* as node.half_in, half_out: what may be kept in 16 bits */
    bool rounds; /* as node.half: its products take operands rounded to 16 bits */
    bool fp8; /* as node.fp8: it has products in fp8, for shapes and devices that allow them */
};
/* Functions that return int give 0, or -1 with *e. What is queued runs in order; host memory given to a copy stays untouched until sync. */
struct backend {
    const char *name;
    uint64_t abi;
    const int *built_for; /* compute capabilities its kernels were compiled for, 800 is 8.0, rising; 0 ends. None: it is no GPU's */
    int (*probe)(struct device *out, int max, struct err *e); /* how many devices there are; -1 with the reason in words: no driver, no device */
    void *(*open)(int index, struct err *e);
    void (*close)(void *b);
    size_t (*available)(void *b); /* bytes of device memory that are free now */
    void *(*alloc)(void *b, size_t n, struct err *e); /* device memory, 256-byte aligned */
    void (*free)(void *b, void *p);
    void *(*pin)(void *b, size_t n, struct err *e); /* zeroed host memory that copies run from without a stop */
    void (*unpin)(void *b, void *p);
    int (*upload)(void *b, void *device, const void *host, size_t n, struct err *e); /* queued */
    /* Queued beside everything else: an upload of what `take` will copy. take: queued, copies n pieces of device memory behind the uploads asked for ahead;
     * those asked for later wait until it has read. */
    int (*ahead)(void *b, void *device, const void *host, size_t n, struct err *e);
    int (*take)(void *b, int n, void *const *to, const void *const *from, const size_t *bytes, struct err *e);
    int (*download)(void *b, void *host, const void *device, size_t n, struct err *e); /* queued; host is there after sync */
    int (*fill)(void *b, void *device, int byte, size_t n, struct err *e); /* queued */
    int (*mix)(void *b, float *y, const float *x, int64_t n, float share, struct err *e); /* queued: y += share (x - y), of device memory */
    int (*sync)(void *b, struct err *e); /* until all that is queued is done */
    /* n bytes of weights lie at p of the device, and were written just now: what was made from them is out of date. n 0: they are about to go. */
    void (*weights)(void *b, const void *p, size_t n);
    /* Several devices, a process each. One of them makes the id, all open with it at once. Sums are of what is queued so far, and run beside what is queued
     * from then on until comm_join; when a wait fails for want of the others, the devices are parted. */
    int (*comm_id)(void *b, char *id, struct err *e); /* COMM_ID bytes */
    int (*comm_open)(void *b, const char *id, int rank, int size, struct err *e);
    int (*comm_sum)(void *b, float *const *p, const int64_t *n, int count, struct err *e); /* of every process, in place */
    int (*comm_join)(void *b, struct err *e); /* what is queued from now on runs behind the sums */
    void (*comm_close)(void *b, bool broken); /* broken: the others may be gone */
    bool (*lost)(void *b); /* after an error: nothing more runs on it in this process */
    void (*tf32)(void *b, bool on); /* from now on products and convolutions of fp32 may round their operands to 10 bits of fraction */
    bool (*supports)(void *b, const struct node *n, struct takes *t); /* can it run this node, and how under mixed precision? */
    /* Queues one node; the data pointers of x are device memory, at points to the step number there. */
    int (*run)(void *b, const struct exec *x, const uint64_t *at, struct err *e);
    int (*prepare)(
        void *b, const struct exec *x, struct err *e); /* before the first run with these extents: measures what this node's choices need, changes nothing */
    /* What is queued between begin and end is kept instead of run, and can be replayed as a whole; NULL from end: it cannot be kept. */
    int (*begin)(void *b, struct err *e);
    void *(*end)(void *b, struct err *e);
    int (*replay)(void *b, void *kept, struct err *e);
    void (*forget)(void *b, void *kept);
};
typedef const struct backend *(*backend_entry)(const struct host *h); /* the plugin's one symbol, hone_backend */

/* The device named "cuda" or "cuda:N" (path of the plugin: HONE_CUDA, else beside the program or in the library folder), opened once and kept until
 * backends_close. NULL with the reason: no plugin, another build, no driver, no such device. */
struct backend_device *backend_open(const char *name, struct err *e);
void backends_close(void);
int backend_there(const char *name, struct err *e); /* looks without opening */
/* "cpu" gives NULL and 0; what is asked for by name and not there is an error. */
int backend_of_setting(struct backend_device **out, struct err *e);

struct backend_device {
    const struct backend *b;
    void *self;
    struct device info;
    struct mirror *mirrors; /* host blocks that live on the device as well, see below */
    char name[16];
    bool tf32; /* as the setting was when it was last asked for */
    bool lost; /* what it holds is gone; everything fails from here on */
};
void backend_tf32(struct backend_device *d, bool on); /* as backend.tf32 */
/* After an error of the device's: if it is lost, says so in *e, with what the driver reported. */
void backend_failed(struct backend_device *d, struct err *e);
/* Asked about twenty times a second while several devices are waited for; true: there is nothing to wait for. NULL: nobody. */
void backend_on_wait(bool (*parted)(void *ctx), void *ctx);
/* Before half_store and the plan: what is rounded and kept in 16 bits goes by the device instead of the CPU's kernels. */
void backend_half(struct backend_device *d, struct graph *g);
/* One line of words on every device there is, or why there is none; rows for `hone doctor`. */
void backend_say(const char *name, struct buf *b);
bool backend_has_fp8(const struct device *d); /* products of 8-bit floats: by its compute capability */

/* A block of host memory (weights, optimiser state) with a copy on the device. Whoever reads such a block on the host asks for it first; whoever writes it
 * says so. Cheap where no device has it. */
void mirror_read(const void *host); /* the host's copy is current when this returns */
void mirror_wrote(const void *host); /* the device's copy is out of date */
void mirror_drop(const void *host); /* before the block is freed */
/* For running plans: the device's copy, brought up to date; queued. */
void *mirror_device(struct backend_device *d, void *host, size_t n, struct err *e);
void mirror_device_wrote(struct backend_device *d, const void *host);

#endif
