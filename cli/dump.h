/* SPDX-License-Identifier: MIT */
/* `ti train --dump`: writes every tensor of one training step and its gradient to files, so that they can be
   compared by name with those of another implementation. golden/dump.py compares them with the reference's.

       step.safetensors       the inputs of the step: input_ids and timesteps (whole numbers as F32), latents,
                              noise, rows (the learned vectors); noisy and target, which are computed from
                              them; and the loss
       inputs.safetensors     input_ids, timesteps, latents and noise, each [micro-batches, batch, ...], of
                              the first micro-batches, at most eight; plain/ti.c trains on them
       forward.safetensors    the output of each node, in the order of execution
       backward.safetensors   the gradient d loss / d output of each node that has one, in the order in which
                              they become complete, and then that of rows
       graph.json             the nodes in the order of execution: name, op, names of inputs, shape

   A node with weights is named after them, such as "unet.down_blocks.0.resnets.0.conv1". Any other node is
   named after its block and its op, with a number: "unet.down_blocks.0.resnets.0/silu.1". */
#ifndef TI_DUMP_H
#define TI_DUMP_H

#include "inversion/loop.h"

/* Runs the first micro-batch of a loop that is bound and has not run yet. Each tensor is written as soon as
   it is computed, so that this needs no more memory than a training step. The files are written to a
   temporary folder, which is then renamed. If the folder exists already, these files are replaced and other
   files are kept. If the loss is not finite, there are no gradients and no backward.safetensors, and a
   warning says so. Returns false and adds a message when a file cannot be written. */
bool dump_step(Loop *l, const char *path, Messages *errors, Messages *warnings);

#endif
