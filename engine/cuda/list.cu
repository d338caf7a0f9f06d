/* Which ops the device runs: the rows of every file. */
#include "engine/cuda/cuda.h"

extern const struct kernel unary_kernels[], binary_kernels[], softmax_kernels[], norm_kernels[], product_kernels[], update_kernels[];
const struct kernel *const kernel_lists[] = {unary_kernels, binary_kernels, softmax_kernels, norm_kernels, product_kernels, update_kernels, NULL};
