/* What the kernels of optimisers share: the control numbers and the gradient that a rule sees (engine/optims/update.h). */
#ifndef HONE_ENGINE_CUDA_UPDATE_CUH
#define HONE_ENGINE_CUDA_UPDATE_CUH

#include "engine/cuda/cuda.h"

extern "C" {
#include "engine/optims/ctl.h"
}

/* clamp(g scale, -clip, clip) + l2 p + l1 sign(p); ctl: of the group */
static __device__ __forceinline__ float sees(const float *ctl, float g, float p) {
    float s = g * ctl[CTL_SCALE], clip = ctl[CTL_CLIP_VALUE];
    s = s > clip ? clip : s;
    s = s < -clip ? -clip : s;
    return s + ctl[CTL_L2] * p + (p > 0 ? ctl[CTL_L1] : 0.0f) - (p < 0 ? ctl[CTL_L1] : 0.0f);
}

#endif
