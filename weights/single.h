/* A whole Stable Diffusion model in one .safetensors file of the original layout, opened as if it were a folder:
   what the folder's configs say follows from the tensors' shapes here. */
#ifndef TI_SINGLE_H
#define TI_SINGLE_H

#include "weights/folder.h"

/* Fills m, whose path is set: configs, stores, the way to CLIP's vocabulary. False and a line for each fault, also
   for a file that is something else, which is named. folder_close frees what is filled in either way. */
bool single_open(ModelFolder *m, Messages *errors);

#endif
