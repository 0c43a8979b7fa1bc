/* SPDX-License-Identifier: MIT */
/* Draws the loss curve, and points with names, as pictures. */
#ifndef TI_PLOT_H
#define TI_PLOT_H

#include "io/image.h"

/* The fixed-grid losses and the steps at which they were computed. */
typedef struct {
    const double *step, *loss; /* [count] each */
    int64_t count;
} PlotPoints;

/* Draws count training losses (one for each micro-batch), spread evenly over the steps 0..steps, as faint
   dots; their smoothed values [count] as a line; and the fixed-grid losses as marked points. The first and
   the last of these are also written as numbers. Losses that are not finite are left out, and training losses
   outside the range of the vertical axis are drawn at its ends. The same numbers give the same bytes. Returns
   false and adds a message when there is no memory. The caller frees *out with image_free. */
bool plot_draw(const double *loss, const double *smoothed, int64_t count, int64_t steps, PlotPoints grid,
               Image *out, Messages *errors);
/* Draws the same and writes it as PNG to path, replacing a file that is there. Returns false and adds a
   message when there is no memory or it cannot be written. */
bool plot_losses(const char *path, const double *loss, const double *smoothed, int64_t count, int64_t steps,
                 PlotPoints grid, Messages *errors);

/* A point with a name. The errors are half the lengths of its two bars; one that is not finite has no bar. */
typedef struct {
    double x, y, x_error, y_error;
    const char *name;
    bool reference; /* drawn in another colour, as something that the others are compared with */
    bool joined;    /* a line leads to it from the point before */
} NamedPoint;

/* Draws the points, each with its name beside it where there is room, between axes with these titles.
   Points that are not finite are left out. Returns false and adds a message when there is no memory. The
   caller frees *out with image_free. */
bool plot_points(const NamedPoint *points, int64_t count, const char *x_title, const char *y_title,
                 Image *out, Messages *errors);

#endif
