/* The original layout: a whole model in one file, under the names of the program that Stable Diffusion was
   first trained with. Here it is seen under diffusers' names, the only ones that the loaders know. */
#ifndef TI_ORIGINAL_H
#define TI_ORIGINAL_H

#include "weights/folder.h"

/* A file's tensors by part: views of the file's bytes, nothing is copied. */
typedef struct {
    SingleFile single;
    Safetensors parts[PART_COUNT]; /* the views, under diffusers' names, as files of their own */
    bool openclip;                 /* the text encoder is named as OpenCLIP's */
} OriginalFile;

/* Takes the file over; the parts and the single file are the caller's to close. What no row of the tables in
   original.c names is in none of the parts. */
void original_open(Safetensors file, OriginalFile *o);

/* A row of the tables applied: which part NAME is of and what it is there, one name, or three where the
   tensor holds queries, keys and values one below the other. 0 if no row names it. unet_layers: ResNet layers
   a level going down; vae_levels: its resolutions. */
enum { ORIGINAL_NAME = 256 };
int original_rename(const char *name, int unet_layers, int vae_levels, ModelPart *part,
                    char ours[3][ORIGINAL_NAME]);

#endif
