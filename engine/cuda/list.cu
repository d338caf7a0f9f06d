/* Which ops the device runs: the rows of every file. */
#include "engine/cuda/cuda.h"

extern const struct kernel attention_kernels[], binary_kernels[], conv_kernels[], conv1d_kernels[], ctc_kernels[], dropout_kernels[], embed_i8_kernels[],
    embedding_kernels[], frames_kernels[], group_norm_kernels[], image_kernels[], linear_i8_kernels[], move_kernels[], norm_kernels[], optims_kernels[],
    pair_loss_kernels[], product_kernels[], recurrent_kernels[], reduce_kernels[], softmax_kernels[], text_kernels[], unary_kernels[], update_kernels[];
const struct kernel *const kernel_lists[] = {attention_kernels, binary_kernels, conv_kernels, conv1d_kernels, ctc_kernels, dropout_kernels, embed_i8_kernels,
    embedding_kernels, frames_kernels, group_norm_kernels, image_kernels, linear_i8_kernels, move_kernels, norm_kernels, optims_kernels, pair_loss_kernels,
    product_kernels, recurrent_kernels, reduce_kernels, softmax_kernels, text_kernels, unary_kernels, update_kernels, NULL};
