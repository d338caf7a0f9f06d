/* The control numbers of one step: for each parameter group a vector in the graph's float type. The host writes the wishes ("hyper") before the step; op
 * update_gate turns them, the loss and the norm of the gradient into what the updates read ("ctl"), so that no synchronisation is needed. */
#ifndef HONE_ENGINE_OPTIMS_CTL_H
#define HONE_ENGINE_OPTIMS_CTL_H

enum {
    CTL_OK, /* hyper: 1; ctl: 0 when loss or gradient is not finite: updates do nothing */
    CTL_SCALE, /* hyper: 1 / loss scale; ctl: what gradients are multiplied with (1 / weight, clip factor) */
    CTL_CLIP_VALUE, /* largest gradient element after scaling; infinity: no limit */
    CTL_L1,
    CTL_L2, /* coupled penalties: l1 sign(p) + l2 p are added to the gradient */
    CTL_CLIP_NORM, /* hyper: largest norm of the whole gradient, infinity: no limit */
    CTL_NORM, /* ctl: norm of the mean gradient before clipping */
    CTL_LOSS, /* ctl: sum of losses / weight */
    CTL_COEF, /* the optimiser's own numbers from here on */
    CTL_N = CTL_COEF + 12
};

#endif
