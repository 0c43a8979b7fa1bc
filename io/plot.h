/* The loss curve as a picture. */
#ifndef TI_PLOT_H
#define TI_PLOT_H

#include "io/image.h"

typedef struct {
    const double *step, *loss;
    int64_t count;
} PlotPoints;

/* count training losses (one a micro-batch) over the steps 0..steps, evenly spread, as faint dots; smoothed
   [count] as a line; the fixed-grid losses as marked points, the first and the last also in figures. Values
   that are not finite are left out, and of the training losses the highest lie at the upper edge. The same
   numbers give the same bytes. */
bool plot_draw(const double *loss, const double *smoothed, int64_t count, int64_t steps, PlotPoints grid,
               Image *out, Messages *errors);
/* ... written as PNG, over what is there */
bool plot_losses(const char *path, const double *loss, const double *smoothed, int64_t count, int64_t steps,
                 PlotPoints grid, Messages *errors);

#endif
