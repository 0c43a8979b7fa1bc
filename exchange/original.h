/* The original layout: a whole model in one file, with the names of the program that Stable Diffusion
   was first trained with. Its tensors are presented under diffusers' names, the only ones that the
   loaders use. */
#ifndef TI_ORIGINAL_H
#define TI_ORIGINAL_H

#include "weights/folder.h"

/* A file's tensors, divided into the model's parts. The parts are views of the file's bytes; nothing
   is copied. */
typedef struct {
    SingleFile single;
    Safetensors parts[PART_COUNT]; /* the views under diffusers' names, each part like a file of its own */
    bool openclip;                 /* whether the text encoder's tensors have OpenCLIP's names */
} OriginalFile;

/* Fills *o and takes the file over: the caller closes the parts (safetensors_close) and the single file
   (single_file_close). Tensors that no row of the tables in original.c matches are in none of the parts. It
   does not fail; a part can be empty. */
void original_open(Safetensors file, OriginalFile *o);

/* Renames one tensor by the tables. Sets *part, writes the names in diffusers' layout into renamed, and
   returns how many there are: one; three where the tensor holds queries, keys and values one below the other;
   0 if no row matches. unet_layers is the number of ResNet layers of a level on the way down, vae_levels that
   of the VAE's resolutions. */
enum { ORIGINAL_NAME = 256 };
int original_rename(const char *name, int unet_layers, int vae_levels, ModelPart *part,
                    char renamed[3][ORIGINAL_NAME]);

#endif
