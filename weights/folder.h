/* A Stable Diffusion model: a folder in the layout of diffusers, its configs, checked, and its weights by
   name. A model in one file is seen as if it were one (exchange/single.h). */
#ifndef TI_FOLDER_H
#define TI_FOLDER_H

#include "text/tokenizer.h"
#include "weights/config.h"
#include "weights/store.h"

typedef enum { PART_TEXT_ENCODER, PART_UNET, PART_VAE, PART_COUNT } ModelPart;

/* The files of one part: one, or several shards. */
typedef struct {
    Safetensors *files;
    int64_t count;
} WeightFiles;

/* A model in one file: the files of its parts are views of this one's tensors. */
typedef struct {
    Safetensors file;
    int64_t *sources[PART_COUNT]; /* [tensors of the part]: which of the file's tensors each is a view of */
    char *names;                  /* of the views */
} SingleFile;
void single_file_close(SingleFile *s);

typedef struct {
    char *path;
    ClipConfig clip;
    UnetConfig unet_config;
    VaeConfig vae_config;
    SchedulerConfig scheduler;
    TokenizerConfig tokenizer;
    char *vocab_path, *merges_path;   /* one of them NULL: tokenizer_load */
    Store *text_encoder, *unet, *vae; /* text_encoder: with or without "text_model." before its names */
    WeightFiles text_encoder_files, unet_files, vae_files;
    SingleFile *single;      /* NULL: a folder */
    SingleFile *vae_single;  /* the file that the VAE is from, where it is not of the model; NULL: none */
    bool prediction_guessed; /* nothing in the file says what its UNet predicts */
} ModelFolder;

/* own_vae: with the folder's VAE, else without one. A line in errors for everything that is wrong with the
   folder's index, configs and files, then false and nothing to close. The stores report to errors too, which
   has to outlive them. */
bool folder_open(const char *path, bool own_vae, ModelFolder *m, Messages *errors, Messages *warnings);
/* Gives a model without a VAE the one in a folder that has the VAE's own files (config.json and weights);
   false and a line for each fault, and the model stays to be closed. */
bool folder_open_vae(const char *folder, ModelFolder *m, Messages *errors, Messages *warnings);
/* The same of a file with diffusers' names, which is taken over; its config is m's already. */
void folder_set_vae(ModelFolder *m, Safetensors file, Messages *errors);
void folder_close(ModelFolder *m);

/* Mapped weights leave the process's memory, until they are read again: between two parts of a run that read
   others. */
void folder_forget(const ModelFolder *m);

/* False, and a line for each file of weights that somebody has written to since it was opened: what was
   computed with it since may be anything. */
bool folder_unchanged(const ModelFolder *m, Messages *errors);

/* After the parts are loaded: the tensors that no part had a use for. */
void folder_unused(const ModelFolder *m, Unused *u);

/* What one config says about another part; the parts whose configs could be read are compared. */
void folder_check(const ModelFolder *m, bool has_clip, bool has_unet, bool has_vae, Messages *errors);

/* The text of model_index.json: is it of a pipeline and of parts that are supported? */
bool model_index_parse(const char *path, const void *text, size_t size, Messages *errors, Messages *warnings);

/* The text of *.safetensors.index.json: the names of the shards, each once; 0 and a line where it is wrong.
   free() each and the list. */
int64_t shard_index_parse(const char *path, const void *text, size_t size, char ***names, Messages *errors);

#endif
