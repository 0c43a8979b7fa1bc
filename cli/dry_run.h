/* `ti train --dry-run`: what `ti plan --summary` says of the run, and how long it would take. */
#ifndef TI_DRY_RUN_H
#define TI_DRY_RUN_H

#include "cli/loop.h"
#include "cli/train_options.h"
#include "nn/drawing.h"
#include "nn/model.h"

/* Prints both (with options->json as a document). loop, encoder and drawing (NULL: no pictures are drawn) are bound; grids:
   how often the fixed-grid loss is taken. Runs one node of each kind a few times: what is in the loop's rows, inputs and
   buffers is lost. */
bool dry_run(const Model *m, const TrainOptions *options, Loop *loop, Encoder *encoder,
             const Drawing *drawing, int64_t grids, int threads, Messages *errors);

#endif
