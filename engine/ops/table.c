/* The rows of this instruction set, in the order of list.h; the choice among the sets is engine/graph/select.c. */
#include "engine/ops/plain.h"

#define OP(name) extern const struct op ISA(op_##name);
#include "engine/ops/list.h"
#undef OP

#define OP(name) &ISA(op_##name),
static const struct op *const rows[] = {
#include "engine/ops/list.h"
    NULL};
#undef OP

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
extern const struct isa ISA(isa);
const struct isa ISA(isa) = {.name = TEXT(HONE_ISA), .op = rows, .gemm = ISA(plain_gemm), .fma_flop = ISA(plain_fma), .stream = ISA(plain_stream)};
