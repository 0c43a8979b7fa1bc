/* `ti train --dry-run`: what `ti plan --summary` says of the run, and how long it would take. */
#ifndef TI_DRY_RUN_H
#define TI_DRY_RUN_H

#include "cli/estimate.h"
#include "cli/memory.h"
#include "cli/train.h"
#include "diffusion/model.h"

/* Prints both (with options->json as a document). step: the plan of a batch. reading: the picture that takes
   the most memory to read. */
void dry_run(const Model *m, const TrainOptions *options, const Estimate *estimate, const Plan *step,
             const MemoryNeed *reading, int threads);

#endif
