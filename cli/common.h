/* What the commands share: the way through a command, the model that is meant, its words and pictures,
   outputs. */
#ifndef TI_COMMON_H
#define TI_COMMON_H

#include "cli/options.h"
#include "diffusion/model.h"
#include "inversion/pictures.h"
#include "inversion/training.h"
#include "text/prompt.h"

/* A command from its words to its end: parses them (help and faults are printed), runs it, prints errors and
   warnings. The exit status: the command's own, 1 for errors, 2 for wrong usage. */
int command_run(const Command *c, int argc, char *const argv[]);

/* Prints errors as "ti: LINE" and warnings as "ti: warning: LINE" on stderr and forgets the warnings. Returns
   whether there were no errors. */
bool report(const Messages *errors, Messages *warnings);
/* The warnings alone, before the work begins. */
void report_warnings(Messages *warnings);

/* Rows of options that several commands have. */
#define MODEL_OPTION(at)                                                                                     \
    {                                                                                                        \
        "model", OPTION_STRING, at, "PATH",                                                                  \
            .may_differ = true, .shown = "the embedded model", .reason = "it needs no download",             \
            .help =                                                                                          \
                "Stable Diffusion 1.x or 2.x: a folder as diffusers lays it out, or one .safetensors file"   \
    }
#define VAE_OPTION(at)                                                                                       \
    {                                                                                                        \
        "vae", OPTION_STRING, at, "PATH",                                                                    \
            .may_differ = true, .shown = "the model's own",                                                  \
            .help =                                                                                          \
                "takes the VAE from elsewhere: a folder or a .safetensors file of a VAE or of a whole model" \
    }
#define PREDICTION_OPTION(at)                                                                                \
    {                                                                                                        \
        "prediction", OPTION_CHOICE, at, "NAME",                                                             \
            .choices = PREDICTIONS, .standard = "auto",                                                      \
            .reason = "what the model's scheduler says, and v_prediction for a single file of 2.x, which "   \
                      "says nothing",                                                                        \
            .help =                                                                                          \
                "what the UNet predicts: epsilon (1.x, and 2.x of 512 pixels) or v_prediction (2.x of 768)"  \
    }
#define RESOLUTION_OPTION(at, text)                                                                          \
    {                                                                                                        \
        "resolution", OPTION_INT, at, "N", 0, 8192, .shown = "the model's own side",                         \
                                                    .reason = "what it was trained on", .help = text         \
    }
#define THREADS_OPTION(at)                                                                                   \
    {                                                                                                        \
        "threads", OPTION_INT, at, "N", 0, 1024,                                                             \
            .shown = "the physical cores",                                                                   \
            .reason = "a core's second thread slows the matrix products down",                               \
            .help = "threads to compute with"                                                                \
    }

/* What --prediction offers: what the model says, or one of Prediction, in its order. */
extern const char *const PREDICTIONS[];
enum { PREDICTION_UNUSED = -1 }; /* of commands that do not use what the UNet predicts */

/* The model at path, or the embedded one's (NULL: beside the program, or in the shared folder where `make
   install` put it); says which on stderr. vae: as in exchange_open_model. prediction: what the UNet predicts,
   an index in PREDICTIONS; a warning where neither that nor the model says it. False and a line for each
   fault; then there is nothing to close. */
bool open_model(const char *path, const char *vae, int prediction, Model *m, Messages *errors,
                Messages *warnings);

/* Adds the words of a source (words_read) to w and to the tokenizer, and names them on stderr as a prompt
   must spell them. prompts, closed by NULL: of optional words those that they use; a warning for another that
   none of them uses. NULL: all. */
bool words_load(Words *w, Tokenizer *t, const char *source, const char *const prompts[], Messages *errors,
                Messages *warnings);

/* pictures_list, with a warning each for all pictures that are squashed by more than a tenth and for all that
   are enlarged. pictures_free in every case. */
bool list_pictures(const char *folder, int64_t resolution, bool center_crop, Pictures *out, Messages *errors,
                   Messages *warnings);
/* And reads them. */
bool load_pictures(const char *folder, int64_t resolution, bool center_crop, Pictures *out, Messages *errors,
                   Messages *warnings);
/* picture_load in the same way. */
bool load_picture(const char *path, int64_t resolution, bool center_crop, Image *out, Messages *errors,
                  Messages *warnings);

/* The side of the model's pictures, in pixels. */
int64_t model_side(const Model *m);
/* A picture's side under an option's name: *side 0 becomes model_side, which is always allowed. False, with a
   line, if another is below `least` or no multiple of 8 and of the VAE's factor. warnings (may be NULL) gets
   a line where the side is not model_side. */
bool check_side(const Model *m, const char *option, int64_t least, int64_t *side, Messages *errors,
                Messages *warnings);
/* The same for --resolution, 64 at least. */
bool check_resolution(const Model *m, int64_t *resolution, Messages *errors, Messages *warnings);
/* False, with a line, if there is no loss for what its UNet predicts. */
bool check_trainable(const Model *m, Messages *errors);
/* False, with a line, if the model cannot draw in so many steps, given by that option. */
bool check_steps(const Model *m, const char *option, int64_t steps, Messages *errors);

/* False, with a line, if a loss is not finite: where that begins. before: what the line begins with, "step 3:
   "; hint: what to do where no weight of the model is to blame. */
bool check_loss(double loss, TrainingStep *ran, const char *before, const char *hint, Messages *errors);

/* All memory for computing: the arena, and what BLAS takes. False, with a line, where there is none. smaller:
   what would take less, "a smaller --batch". */
bool get_arena(Arena *arena, int64_t bytes, const char *smaller, Messages *errors);

/* False, with a line, if that name, given by that option, ends in what no picture is written as. */
bool check_picture_name(const char *option, const char *path, Messages *errors);

/* False, with a line, if path exists and force is not given, or cannot be written anyway. Asked before the
   work. */
bool may_write(const char *path, bool force, Messages *errors);
/* The same for a folder, which is not looked into. */
bool may_make(const char *path, bool force, Messages *errors);

#endif
