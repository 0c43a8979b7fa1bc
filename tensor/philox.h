/* SPDX-License-Identifier: MIT */
/* torch.Generator("cuda"): the normal numbers that PyTorch draws on NVIDIA's GPUs, with Philox 4x32-10
   (Salmon et al. 2011) and the Box-Muller transform. A1111 takes its noise from this generator by default. */
#ifndef TI_PHILOX_H
#define TI_PHILOX_H

#include "io/base.h"

typedef struct {
    uint64_t seed; /* torch's manual_seed; all 64 bits count */
    uint32_t call; /* how many tensors have been drawn */
} Philox;

/* torch.randn of a tensor of count elements, which have the bits of the GPU's up to a few ulps. It is
   right for as many elements as a GPU runs threads at once, which are above 100,000 on most: of more
   elements several would come from the same thread. */
void philox_randn(Philox *g, float *out, int64_t count);

#endif
