/* SPDX-License-Identifier: MIT */
/* What a picture says about how it was drawn (io/picture_text.h), written by the commands that draw pictures
   and read by `ti generate --like`. The text "ti" is a JSON object:

       version    of this program
       generate   the options of `ti generate` that draw the picture (options_to_object)
       model      folder_fingerprint, in hexadecimal digits
       words      for each learned word, the SHA-256 of its vectors
       files      for each option with a file of numbers or pixels, the SHA-256 of that file
       step       of a validation picture: the training step; and
       word       the name of the word's file, which lies beside it
       grid       true for a contact sheet of these pictures
       score      of a picture that --keep has kept: its score in CLIP's space; and
       rank       its place among all that were drawn, from 1 for the best
       sheet      instead of generate, the options of `ti sheet` */
#ifndef TI_PICTURE_RECORD_H
#define TI_PICTURE_RECORD_H

#include "cli/generate.h"
#include "cli/train.h"
#include "diffusion/model.h"
#include "diffusion/sampling.h"
#include "io/picture_text.h"
#include "io/sha256.h"
#include "text/prompt.h"

/* The inputs of a drawing, by their hashes. */
typedef struct {
    const Model *model;
    const Words *words;
    char model_sha256[SHA256_TEXT]; /* of a model in one file, else "" */
    json_t *hashes;                 /* an object with "model", "words" and "files" */
    char *word_files;               /* as Parameters.words, or NULL */
} PictureInputs;

/* Hashes the inputs when they are loaded. The SHA-256 of a model in one file, which takes a few seconds, is
   left out with --no-metadata. Returns false and adds a message when a file cannot be read. Call
   picture_inputs_free in every case. */
bool picture_inputs_read(const GenerateOptions *o, const Model *m, const Words *words, PictureInputs *in,
                         Messages *errors);
void picture_inputs_free(PictureInputs *in);

/* Return the texts of picture i of the batch, or of the contact sheet when i is -1, and of a sheet with
   these options of `ti sheet`. prompt and negative are those of the line that is drawn. `more`, which is
   released, are further members of the record, or NULL. The caller frees the result. */
PictureText picture_record(const GenerateOptions *o, const PictureInputs *in, const SamplingOptions *sampling,
                           const char *prompt, const char *negative, int64_t i, json_t *more);
PictureText sheet_record(json_t *options);
/* Makes the texts of a validation picture, which the caller frees in every case. Returns false and adds a
   message when a file of the model cannot be read. */
bool validation_record(const TrainOptions *o, const Model *m, const Words *words,
                       const SamplingOptions *sampling, int64_t step, const char *word_file,
                       PictureText *text, Messages *errors);

/* Reads the picture of --like and sets the options that the user has not given. *record becomes the object of
   its text "ti", which the caller releases. Returns false and adds a message when the picture cannot be drawn
   again; the parameters of another program's picture are printed. */
bool like_read(GenerateOptions *o, json_t **record, Messages *errors, Messages *warnings);
/* Returns false and adds a message for each input that is another one than that of the record, unless the
   user has given the option that names it: like_read has removed it from the record then. */
bool like_check(const GenerateOptions *o, const json_t *record, const PictureInputs *now, Messages *errors);

#endif
