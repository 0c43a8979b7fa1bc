/* `ti train --dump`: every tensor of one training step and its gradient in files, so that another
   implementation's can be compared with them by name, first to last (golden/dump.py does so with the
   reference's).

   step.safetensors       what the step starts from: input_ids, timesteps (whole numbers, as F32), latents,
                          noise, rows; what follows for the loss: noisy, target; and loss
   forward.safetensors    each node's output in the order of execution
   backward.safetensors   d loss / d each of these that has a gradient, in the order in which they are
                          complete, rows last
   graph.json             the nodes in the order of execution: name, op, what it reads, shape

   A node with weights is called after them, "unet.down_blocks.0.resnets.0.conv1", and any other after its
   block and op with a number, "unet.down_blocks.0.resnets.0/silu.1". */
#ifndef TI_DUMP_H
#define TI_DUMP_H

#include "inversion/loop.h"

/* Runs the run's first batch (with --accumulate not the whole step) and writes it as it comes, so that no
   more memory is taken than by a step. The folder is written aside and renamed. One that exists keeps its
   other files and gets these; the caller has asked for that. A loss that is not finite has no gradients: a
   warning. The loop is bound. */
bool dump_step(Loop *l, const char *path, Messages *errors, Messages *warnings);

#endif
