/* The loss curve as a picture. */
#ifndef TI_PLOT_H
#define TI_PLOT_H

#include "io/image.h"

typedef struct {
    const double *step, *loss; /* [count] each */
    int64_t count;
} PlotPoints;

/* Draws count training losses (one for each micro-batch), spread evenly over the steps 0..steps, as faint
   dots; their smoothed values [count] as a line; and the fixed-grid losses as marked points, the first and
   the last of them in figures, too. Losses that are not finite are left out, and training losses above the
   vertical axis are drawn at its upper end. The same numbers give the same bytes. Returns false and adds a
   message when there is no memory; the caller frees *out with image_free. */
bool plot_draw(const double *loss, const double *smoothed, int64_t count, int64_t steps, PlotPoints grid,
               Image *out, Messages *errors);
/* Draws the same and writes it as PNG to path, replacing a file that is there. Returns false and adds a
   message when there is no memory or it cannot be written. */
bool plot_losses(const char *path, const double *loss, const double *smoothed, int64_t count, int64_t steps,
                 PlotPoints grid, Messages *errors);

#endif
