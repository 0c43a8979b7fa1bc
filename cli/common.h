/* SPDX-License-Identifier: MIT */
/* What the commands share: running a command from its arguments to its exit status, opening the model,
   loading learned words and pictures, and checking options and outputs before the work begins. */
#ifndef TI_COMMON_H
#define TI_COMMON_H

#include "cli/options.h"
#include "diffusion/model.h"
#include "inversion/pictures.h"
#include "inversion/training.h"
#include "text/prompt.h"

/* Parses the arguments of a command, runs it, and prints its help, errors and warnings. Returns the exit
   status: the command's own, 1 when there were errors, 2 for wrong usage. */
int command_run(const Command *c, int argc, char *const argv[]);

/* Prints errors as "ti: MESSAGE" and warnings as "ti: warning: MESSAGE" on stderr and frees the warnings, so
   that none is printed twice. Returns whether there were no errors. */
bool report(const Messages *errors, Messages *warnings);
/* Prints only the warnings, and frees them. Commands call this before the work begins. */
void report_warnings(Messages *warnings);

/* The values of SIDES_OPTIONS. */
typedef struct {
    int64_t resolution;    /* 0 for the model's own side */
    int64_t width, height; /* each 0 for the resolution, until check_sides sets it */
} Sides;

/* Entries that the option tables of several commands share. */
#define MODEL_OPTION(at)                                                                                     \
    {                                                                                                        \
        "model", OPTION_STRING, at, "PATH",                                                                  \
            .may_differ = true, .shown = "the embedded model", .reason = "it needs no download",             \
            .help =                                                                                          \
                "the model, Stable Diffusion 1.x or 2.x: a folder in diffusers' layout or one .safetensors " \
                "or .ckpt file"                                                                              \
    }
#define VAE_OPTION(at)                                                                                       \
    {                                                                                                        \
        "vae", OPTION_STRING, at, "PATH",                                                                    \
            .may_differ = true, .shown = "the model's own",                                                  \
            .help = "another VAE to use: a folder or a file of a VAE or of a whole model"                    \
    }
#define PREDICTION_OPTION(at)                                                                                \
    {                                                                                                        \
        "prediction", OPTION_CHOICE, at, "NAME",                                                             \
            .choices = PREDICTIONS, .standard = "auto",                                                      \
            .reason = "what the model's scheduler says, or v_prediction for a single file of 2.x, which "    \
                      "does not say",                                                                        \
            .help = "what the UNet predicts: epsilon (1.x, and 2.x of 512 pixels) or v_prediction (2.x of "  \
                    "768 pixels)"                                                                            \
    }
#define CLIP_SKIP_OPTION(at)                                                                                 \
    {                                                                                                        \
        "clip-skip", OPTION_INT, at, "N", 1, 128,                                                            \
            .standard = "1", .reason = "none are left out",                                                  \
            .help = "leave out the text encoder's last N - 1 layers, for the negative prompt too, as "       \
                    "A1111's Clip skip N; diffusers' clip_skip is N - 1 and spares the negative prompt"      \
    }
#define RESCALE_OPTION(at, of)                                                                               \
    {                                                                                                        \
        "guidance-rescale", OPTION_REAL, at, "X", 0, 1,                                                      \
            .standard = "0",                                                                                 \
            .reason = "as in StableDiffusionPipeline; 0.7 suits models with zero-SNR noise",                 \
            .help = "how far guidance keeps the contrast of the prediction without it" of                    \
    }
#define PROMPT_OPTIONS(syntax_at, long_at)                                                                   \
    { "prompt-syntax",                                                                                       \
      OPTION_CHOICE,                                                                                         \
      syntax_at,                                                                                             \
      "NAME",                                                                                                \
      .choices = PROMPT_SYNTAX_NAMES,                                                                        \
      .standard = "plain",                                                                                   \
      .reason = "as in diffusers",                                                                           \
      .help =                                                                                                \
          "how prompts are read: plain, or with weights such as (a hat:1.2) and [less] as A1111 (a1111) or " \
          "ComfyUI (comfy) read them; docs/prompts.md has the rules" },                                      \
    {                                                                                                        \
        "long-prompts", OPTION_CHOICE, long_at, "cut|chunks",                                                \
            .choices = LONG_PROMPTS_NAMES, .standard = "default",                                            \
            .shown = "cut for plain prompts, chunks for others",                                             \
            .help =                                                                                          \
                "what happens to tokens beyond the text encoder's window: they are cut off, or more chunks " \
                "take them, as in A1111 and ComfyUI"                                                         \
    }
#define SIDE_OPTION(name, at, of, why, text)                                                                 \
    { name, OPTION_INT, at, "N", 0, 8192, .shown = of, .reason = why, .help = text }
#define SIDES_OPTIONS(at, text)                                                                              \
    SIDE_OPTION("resolution", (at) + offsetof(Sides, resolution), "the model's own side",                    \
                "it was trained at that size", text),                                                        \
        SIDE_OPTION("width", (at) + offsetof(Sides, width), "--resolution", NULL,                            \
                    "the width, where it is not a square"),                                                  \
        SIDE_OPTION("height", (at) + offsetof(Sides, height), "--resolution", NULL, "the height, likewise")
#define PRECISION_OPTION(at)                                                                                 \
    {                                                                                                        \
        "precision", OPTION_CHOICE, at, "f32|bf16",                                                          \
            .choices = PRECISIONS, .standard = "f32", .reason = "it is exact to 24 bits",                    \
            .help =                                                                                          \
                "the precision of matrix products; with bf16 their factors are rounded to 8 bits, which is " \
                "faster on processors with AVX512-BF16"                                                      \
    }
#define THREADS_OPTION(at)                                                                                   \
    {                                                                                                        \
        "threads", OPTION_INT, at, "N", 0, 1024,                                                             \
            .shown = "the physical cores", .reason = "a core's second thread slows matrix products down",    \
            .help = "the number of threads to compute with"                                                  \
    }

/* The choices of --precision, in the order of PRECISION_F32 and PRECISION_BF16, ending with NULL. */
extern const char *const PRECISIONS[];
/* Adds a warning when --precision is bf16 and the processor has no instructions for it. */
void check_precision(Precision precision, Messages *warnings);

/* The choices of --prediction, ending with NULL: "auto", which takes what the model says, and the names of
   PREDICT_EPSILON and PREDICT_V, each at the index constant + 1. */
extern const char *const PREDICTIONS[];
enum { PREDICTION_UNUSED = -1 }; /* for commands that do not use the UNet's prediction */

/* Opens the model at path, and prints on stderr which one it is. When path is NULL it opens the embedded
   model, which lies beside the program or in the shared folder where `make install` put it. vae is passed to
   exchange_open_model. prediction is an index into PREDICTIONS; when it is "auto" and the model does not say
   what its UNet predicts, a warning says what is assumed. Returns false and adds a message for each fault;
   then there is nothing to close. */
bool open_model(const char *path, const char *vae, int prediction, Model *m, Messages *errors,
                Messages *warnings);

/* Adds the learned words of a source, as words_read takes it, to w and to the tokenizer, and prints on stderr
   how a prompt must spell them. prompts ends with NULL. From a folder, only the words that a prompt uses are
   added; a word that was given as a file is always added, with a warning when no prompt uses it. When
   prompts is NULL all words are added without warnings. */
bool words_load(Words *w, Tokenizer *t, const char *source, const char *const prompts[], Messages *errors,
                Messages *warnings);

/* Calls pictures_list, and adds one warning for all pictures that are squashed by more than a tenth and one
   for all that are enlarged. The caller frees the pictures in every case. */
bool list_pictures(const char *folder, PictureFit fit, Pictures *out, Messages *errors, Messages *warnings);
/* Lists the pictures in the same way and reads them. */
bool load_pictures(const char *folder, PictureFit fit, Pictures *out, Messages *errors, Messages *warnings);
/* Loads one picture, with the warning when it is squashed. */
bool load_picture(const char *path, PictureFit fit, Image *out, Messages *errors, Messages *warnings);

/* The side in pixels of the pictures that the model was trained on. */
int64_t model_side(const Model *m);
/* Checks the side of a picture, in pixels, that the named option gives. A *side of 0 becomes model_side,
   which is always allowed. Returns false and adds a message when another side is below `least` or is not a
   multiple of 8 and of the VAE's factor. Adds a warning when the side is not model_side, unless warnings
   is NULL. */
bool check_side(const Model *m, const char *option, int64_t least, int64_t *side, Messages *errors,
                Messages *warnings);
/* Does the same for --resolution, --width and --height, which must be at least 64. */
bool check_sides(const Model *m, Sides *sides, Messages *errors, Messages *warnings);
/* Returns what pictures are made to fit, when check_sides has set the sides. */
PictureFit fit_of(const Sides *sides, bool center_crop);
/* Returns false and adds a message when the training loss is not defined for the kind of output that the
   model's UNet has. */
bool check_trainable(const Model *m, Messages *errors);
/* Makes the text encoder leave out its last n - 1 layers, as --clip-skip n asks for. Returns false and adds a
   message when it has fewer than n layers. */
bool set_clip_skip(Model *m, int64_t n, Messages *errors);

/* Returns false and adds a message when the loss of a training step, which has been run, is not finite. The
   message begins with `prefix`, such as "step 3: ", and names the first node with such a value. When the
   cause is not a weight of the model, the message ends with `hint`, which says what to do. */
bool check_loss(double loss, TrainingStep *ran, const char *prefix, const char *hint, Messages *errors);

/* Allocates all memory that the computation needs: the arena, and OpenBLAS's buffers. Returns false and adds
   a message when there is too little. `smaller` says what would take less, such as "a smaller --batch". */
bool get_arena(Arena *arena, int64_t bytes, const char *smaller, Messages *errors);

/* Returns false and adds a message when the file name that the named option gives has an ending that belongs
   to no format in which pictures can be written. */
bool check_picture_name(const char *option, const char *path, Messages *errors);

/* Returns false and adds a message when the file exists and force is not set, or when it could not be
   written. Commands call this before the work begins, so that no result is lost at its end. */
bool may_write(const char *path, bool force, Messages *errors);
/* Returns false and adds a message when something exists at the path, where a folder will be made, and force
   is not set. */
bool may_make(const char *path, bool force, Messages *errors);

#endif
