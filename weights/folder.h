/* A Stable Diffusion model as a folder in the layout of diffusers: its configs, checked, and its weights by
   name. A model in one file is presented as if it were such a folder (exchange/single.h). */
#ifndef TI_FOLDER_H
#define TI_FOLDER_H

#include "text/tokenizer.h"
#include "weights/config.h"
#include "weights/store.h"

typedef enum { PART_TEXT_ENCODER, PART_UNET, PART_VAE, PART_COUNT } ModelPart;

/* The files of one part of a model: a single file, or several shards. */
typedef struct {
    Safetensors *files;
    int64_t count;
} WeightFiles;

/* A model in one file. The files of its parts are views of this file's tensors. */
typedef struct {
    Safetensors file;
    int64_t
        *sources[PART_COUNT]; /* for each tensor of a part, the index of the file's tensor that it views */
    char *names;              /* the views' names */
} SingleFile;
void single_file_close(SingleFile *s);

typedef struct {
    char *path;
    ClipConfig clip;
    UnetConfig unet_config;
    VaeConfig vae_config;
    SchedulerConfig scheduler;
    TokenizerConfig tokenizer;
    char *vocab_path, *merges_path;   /* for tokenizer_load, which says when one of them is NULL */
    Store *text_encoder, *unet, *vae; /* text_encoder has names with or without "text_model." in front */
    WeightFiles text_encoder_files, unet_files, vae_files;
    SingleFile *single;      /* the model's one file, or NULL where it is a folder */
    SingleFile *vae_single;  /* another file from which the VAE comes (--vae), or NULL */
    bool prediction_guessed; /* the file does not say what its UNet predicts */
} ModelFolder;

/* Opens the folder, reads its configs and maps its weights; own_vae false leaves its VAE out. Returns false
   and adds a message for everything that is wrong with the folder's index, configs and files; then there is
   nothing to close. The stores keep errors, which has to outlive them. */
bool folder_open(const char *path, bool own_vae, ModelFolder *m, Messages *errors, Messages *warnings);
/* Gives a model without a VAE the one in a folder that holds the VAE's own files, config.json and weights.
   Returns false and adds a message for each fault; the model stays to be closed. */
bool folder_open_vae(const char *folder, ModelFolder *m, Messages *errors, Messages *warnings);
/* Gives a model without a VAE the one in a file with diffusers' names, which m takes over. m->vae_config must
   have been filled in before. */
void folder_set_vae(ModelFolder *m, Safetensors file, Messages *errors);
void folder_close(ModelFolder *m);

/* Releases the physical memory of the mapped weights until they are read again. To be called between two
   parts of a run that read different weights. */
void folder_forget(const ModelFolder *m);

/* Returns false and adds a message for each file of weights that was written to since it was opened, since
   whatever was computed with it meanwhile cannot be trusted. */
bool folder_unchanged(const ModelFolder *m, Messages *errors);

/* Adds the tensors that no part of the model asked for. To be called after the parts are loaded. */
void folder_unused(const ModelFolder *m, Unused *u);

/* Checks that the configs fit each other and adds a message for each that does not. has_clip, has_unet and
   has_vae say which of them could be read. */
void folder_check(const ModelFolder *m, bool has_clip, bool has_unet, bool has_vae, Messages *errors);

/* Checks the text of model_index.json. Returns false and adds messages when its pipeline or a part's class is
   not supported. */
bool model_index_parse(const char *path, const void *text, size_t size, Messages *errors, Messages *warnings);

/* Parses the text of *.safetensors.index.json. Returns the number of shards and fills *names with their file
   names, each once; the caller frees each name and the list. Returns 0 and adds a message when the text is
   wrong. */
int64_t shard_index_parse(const char *path, const void *text, size_t size, char ***names, Messages *errors);

#endif
