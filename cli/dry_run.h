/* SPDX-License-Identifier: MIT */
/* `ti train --dry-run`: prints the memory and the arithmetic of the run, as `ti plan --summary`
   does, and an estimate of its time. */
#ifndef TI_DRY_RUN_H
#define TI_DRY_RUN_H

#include "cli/estimate.h"
#include "cli/memory.h"
#include "cli/train.h"
#include "diffusion/model.h"

/* Prints everything as text or, with options->json, as one JSON document. step is the plan of a training
   step. reading is the memory need of the picture that takes the most memory to read. */
void dry_run(const Model *m, const TrainOptions *options, const Estimate *estimate, const Plan *step,
             const MemoryNeed *reading, int threads);

#endif
