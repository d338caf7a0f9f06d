/* The value tree: what crosses between threads, Lua, JSON, command line and files. A table has positional items
 * and named fields (ordered, names unique), like a Lua table. Owned as a tree: val_free releases everything. */
#ifndef HONE_BASE_VAL_H
#define HONE_BASE_VAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum val_type { VAL_NIL, VAL_BOOL, VAL_INT, VAL_NUM, VAL_STR, VAL_TABLE, VAL_HANDLE };

enum handle_kind { HANDLE_NONE, HANDLE_MODEL, HANDLE_DATA, HANDLE_PART, HANDLE_RUN, HANDLE_JOB, HANDLE_KINDS };
struct handle {
    uint32_t id, gen; /* id 0: none */
    uint32_t kind; /* enum handle_kind */
    uint32_t sub; /* HANDLE_PART: 0 train, 1 val, 2 test */
};

struct val;
struct val_field {
    char *name;
    struct val *v;
};
struct val {
    enum val_type type;
    bool is_list; /* an empty table that came from a JSON array */
    union {
        bool b;
        int64_t i;
        double n;
        struct {
            char *p; /* NUL-terminated; may hold NULs inside: use len */
            size_t len;
        } s;
        struct {
            struct val **item; /* 0-based here, 1-based in Lua */
            size_t n_item, cap_item;
            struct val_field *field;
            size_t n_field, cap_field;
        } t;
        struct handle h;
    } u;
};

struct val *val_nil(void);
struct val *val_bool(bool b);
struct val *val_int(int64_t i);
struct val *val_num(double n);
struct val *val_str(const char *s);
struct val *val_strn(const char *s, size_t n);
struct val *val_table(void);
struct val *val_list(void); /* a table whose empty form is [] */
struct val *val_handle(struct handle h);
struct val *val_copy(const struct val *v); /* NULL stays NULL */
void val_free(struct val *v);
bool val_equal(const struct val *a, const struct val *b);

/* The text form of a handle is KIND#ID ("model#3"), of a part data#ID.PART ("data#3.train"). Read from text it has gen 0:
 * whatever lives under that id now. */
extern const char *const handle_names[HANDLE_KINDS], *const handle_parts[3];
bool handle_parse(const char *text, struct handle *out);
void handle_text(struct handle h, char out[48]);

/* Tables. _take: the table owns v from now on. Setting a name again replaces it in place. */
void val_push(struct val *t, struct val *v_take);
void val_set(struct val *t, const char *name, struct val *v_take);
void val_set_int(struct val *t, const char *name, int64_t i);
void val_set_num(struct val *t, const char *name, double n);
void val_set_str(struct val *t, const char *name, const char *s);
void val_set_bool(struct val *t, const char *name, bool b);
void val_unset(struct val *t, const char *name);
void val_append(struct val *t, const char *name, struct val *v_take); /* val_set for a name that is known to be new: no search */
struct val *val_get(const struct val *t, const char *name); /* NULL if t is not a table or has no such field */
struct val *val_at(const struct val *t, size_t i); /* NULL if out of range */
size_t val_len(const struct val *t); /* items; 0 if not a table */

/* Lenient readers: the default where the field is missing or of another type. INT and NUM convert when exact. */
double val_get_num(const struct val *t, const char *name, double def);
int64_t val_get_int(const struct val *t, const char *name, int64_t def);
bool val_get_bool(const struct val *t, const char *name, bool def);
const char *val_get_str(const struct val *t, const char *name, const char *def);
bool val_as_num(const struct val *v, double *out);
bool val_as_int(const struct val *v, int64_t *out);
const char *val_type_name(const struct val *v); /* "number", "string", "table", "model" ... for messages */

#endif
