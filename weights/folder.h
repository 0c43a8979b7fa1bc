/* SPDX-License-Identifier: MIT */
/* Opens a Stable Diffusion model, a folder in the layout of diffusers: reads and checks its configs and finds
   its weights by name. A model in one file is presented as if it were such a folder (exchange/single.h). */
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
    int64_t *sources[PART_COUNT]; /* for each tensor of a part, the index of the file's tensor it views */
    char *names;                  /* the memory of the views' names */
} SingleFile;
void single_file_close(SingleFile *s);

typedef struct {
    char *path;
    ClipConfig clip;
    UnetConfig unet_config;
    VaeConfig vae_config;
    SchedulerConfig scheduler;
    TokenizerConfig tokenizer;
    char *vocab_path, *merges_path;   /* for tokenizer_load, which defines the meaning of NULL */
    Store *text_encoder, *unet, *vae; /* text_encoder finds names with and without "text_model." */
    WeightFiles text_encoder_files, unet_files, vae_files;
    SingleFile *single;      /* the model's one file, or NULL when it is a folder */
    SingleFile *vae_single;  /* another file from which the VAE comes (--vae), or NULL */
    bool prediction_guessed; /* whether scheduler.prediction is assumed, as for a single file of 2.x */
} ModelFolder;

/* Opens a file of weights, as safetensors_open does. */
typedef bool WeightsOpener(const char *path, Safetensors *s, Messages *errors);

/* Opens the files of a folder's weights, whose names begin with `stem`: "model" of transformers' classes,
   "diffusion_pytorch_model" of diffusers'. Returns false and adds a message for each fault; the caller closes
   them in every case. */
bool weight_files_open(WeightFiles *w, const char *folder, const char *stem, WeightsOpener *open,
                       Messages *errors);
void weight_files_close(WeightFiles *w);

/* A config file of a folder, read as a whole. */
typedef struct {
    char *path;
    File file;
} ConfigFile;

/* Reads the file FOLDER/NAME. Returns false and adds a message when it cannot be read. The caller calls
   config_file_close in every case. */
bool config_file_open(const char *folder, const char *name, ConfigFile *t, Messages *errors);
void config_file_close(ConfigFile *t);

/* Reads the configs of the tokenizer in a folder and finds the files of its vocabulary, for tokenizer_load.
   positions is the length of a prompt, and rows the number of rows in the text encoder's table. Adds a
   message for each fault. The caller frees both paths and calls tokenizer_config_free. */
void tokenizer_files_read(const char *folder, int64_t positions, int64_t rows, TokenizerConfig *c,
                          char **vocab_path, char **merges_path, Messages *errors, Messages *warnings);

/* Opens the folder, reads its configs and maps its weights, those of its VAE only if own_vae is true. open is
   how files of weights are opened: a room above this one knows more formats (weights_open in
   exchange/family.h). Returns false and adds a message for everything that is wrong with the folder's index,
   configs and files; then there is nothing to close. The stores keep the pointer errors, which must outlive
   them. */
bool folder_open(const char *path, bool own_vae, WeightsOpener *open, ModelFolder *m, Messages *errors,
                 Messages *warnings);
/* Gives a model without a VAE the one in a folder that holds a VAE's config.json and weights. Returns false
   and adds a message for each fault; the caller still has to close the model. */
bool folder_open_vae(const char *folder, WeightsOpener *open, ModelFolder *m, Messages *errors,
                     Messages *warnings);
/* Gives a model without a VAE the one in a file with diffusers' names, which m then owns. m->vae_config must
   have been filled in before. */
void folder_set_vae(ModelFolder *m, Safetensors file, Messages *errors);
void folder_close(ModelFolder *m);

/* Releases the physical memory of the mapped weights, which are read from the disk when they are used again.
   To be called between two parts of a run that use different weights. */
void folder_release_pages(const ModelFolder *m);

/* Returns false and adds a message for each file of weights that was written to after it was opened, since
   results that were computed with it cannot be trusted. */
bool folder_unchanged(const ModelFolder *m, Messages *errors);

/* Computes a hash of what a picture depends on: the weights (store_fingerprint), the names and contents of a
   folder's configs and tokenizer, and the scale of the VAE's latents. Returns false and adds a message when a
   file cannot be read. */
bool folder_fingerprint(const ModelFolder *m, uint64_t *fingerprint, Messages *errors);

/* Adds the tensors that no loader asked for to *u. To be called after all parts are loaded. */
void folder_unused(const ModelFolder *m, Unused *u);

/* Checks that the configs agree with each other and adds a message for each contradiction. has_clip, has_unet
   and has_vae say which configs could be read. */
void folder_check(const ModelFolder *m, bool has_clip, bool has_unet, bool has_vae, Messages *errors);

/* Checks the text of model_index.json. Returns false and adds messages when its pipeline or a part's class is
   not supported. */
bool model_index_parse(const char *path, const void *text, size_t size, Messages *errors, Messages *warnings);

/* Parses the text of *.safetensors.index.json or *.bin.index.json. Returns the number of shards and fills
   *names with their file names, each once; the caller frees each name and the list. Returns 0 and adds a
   message when the text is not such an index. */
int64_t shard_index_parse(const char *path, const void *text, size_t size, char ***names, Messages *errors);

#endif
