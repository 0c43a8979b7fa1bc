/* SPDX-License-Identifier: MIT */
/* The original layout: a whole model in one file, whose tensors have the names of the program that Stable
   Diffusion was first trained with. Here they are renamed to diffusers' names, the only ones that the loaders
   use. */
#ifndef TI_ORIGINAL_H
#define TI_ORIGINAL_H

#include "weights/folder.h"

/* A file's tensors, divided into the model's parts. The parts are views of the file's bytes, which are
   not copied. */
typedef struct {
    SingleFile single;
    Safetensors parts[PART_COUNT]; /* views with diffusers' names, each part like a file of its own */
    bool openclip;                 /* whether the text encoder's tensors have OpenCLIP's names */
} OriginalFile;

/* Fills *o, which then owns the file: the caller closes the parts (safetensors_close) and the single file
   (single_file_close). Tensors that match no row of the tables in original.c are in none of the parts, and a
   part can be empty. */
void original_open(Safetensors file, OriginalFile *o);

/* Renames one tensor by the tables. Sets *part, writes the names in diffusers' layout into renamed, and
   returns how many there are: usually 1; 3 when the tensor holds the projections to queries, keys and values
   one below the other; 0 if no row matches. unet_layers is the number of ResNet layers in each of the UNet's
   down blocks, vae_levels the number of the VAE's resolutions. */
enum { ORIGINAL_NAME = 256 };
int original_rename(const char *name, int unet_layers, int vae_levels, ModelPart *part,
                    char renamed[3][ORIGINAL_NAME]);

#endif
