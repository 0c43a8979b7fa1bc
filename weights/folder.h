/* A Stable Diffusion model: a folder in the layout of diffusers, or one file in the original layout that is seen as if
   it were one: its configs, checked, and its weights by name. */
#ifndef TI_FOLDER_H
#define TI_FOLDER_H

#include "weights/config.h"
#include "weights/original.h"
#include "weights/store.h"

/* The files of one part: one, or several shards. */
typedef struct {
    Safetensors *files;
    int64_t count;
} WeightFiles;

typedef struct {
    char *path;
    ClipConfig clip;
    UnetConfig unet_config;
    VaeConfig vae_config;
    SchedulerConfig scheduler;
    TokenizerConfig tokenizer;
    char *vocab_path, *merges_path;   /* vocab_path NULL: the vocabulary follows from the merges */
    Store *text_encoder, *unet, *vae; /* text_encoder: with or without "text_model." before its names */
    WeightFiles text_encoder_files, unet_files, vae_files;
    OriginalFile *single;    /* NULL: a folder */
    bool prediction_guessed; /* nothing in the file says what its UNet predicts */
} ModelFolder;

/* A folder or a file. A line in errors for everything that is wrong with the folder's index, configs and files, then
   false and nothing to close. The stores report to errors too, which has to outlive them. */
bool folder_open(const char *path, ModelFolder *m, Messages *errors, Messages *warnings);
void folder_close(ModelFolder *m);

/* Mapped weights leave the process's memory, until they are read again: between two parts of a run that read others. */
void folder_forget(const ModelFolder *m);

/* After the parts are loaded: the tensors that no part had a use for. */
void folder_unused(const ModelFolder *m, Unused *u);

/* The text of model_index.json: is it of a pipeline and of parts that are supported? */
bool model_index_parse(const char *path, const void *text, size_t size, Messages *errors, Messages *warnings);

/* The text of *.safetensors.index.json: the names of the shards, each once; 0 and a line where it is wrong.
   free() each and the list. */
int64_t shard_index_parse(const char *path, const void *text, size_t size, char ***names, Messages *errors);

#endif
