/* What the commands share: the end of the program on errors, the model that is meant, learned words. */
#ifndef TI_COMMON_H
#define TI_COMMON_H

#include "cli/options.h"
#include "nn/model.h"

/* Prints errors as "ti: LINE" and warnings as "ti: warning: LINE" on stderr and forgets the warnings. Returns whether there
   were no errors. */
bool report(const Messages *errors, Messages *warnings);

/* What a command does with the result of its options_parse: prints help or faults. True: go on; else *status is the exit
   status. */
bool usage_ok(const Command *c, OptionsResult result, const Messages *errors, int *status);

/* The folder or file of the model that is meant: path, or the embedded model's (beside the program, or in the shared folder where
   `make install` put it); says which on stderr. free() it. NULL and a line where it is not found. */
char *find_model(const char *path, Messages *errors);

/* What --prediction offers: what the model says, or one of Prediction, in its order. */
extern const char *const PREDICTIONS[];

/* model_open, with what the UNet predicts as --prediction (an index in PREDICTIONS) says it; a warning where neither that
   nor the model does. */
bool open_model(const char *path, int prediction, Model *m, Messages *errors, Messages *warnings);

/* The learned vectors that prompts may use: rows [vectors, D], the tokenizer's added tokens in their order. */
typedef struct {
    float *rows;
    int64_t vectors;
} Words;

/* Adds a word of n vectors [n, width] under its token. Errors: a token that exists, another width than the model's. */
bool words_add(Words *w, Model *m, const char *token, const float *rows, int64_t n, int64_t width,
               const char *from, Messages *errors);
/* Adds all the words of a learned-embedding file; names them on stderr. */
bool words_load(Words *w, Model *m, const char *path, Messages *errors);
void words_free(Words *w);

/* The ids [max_length] of a prompt, its placeholders expanded; a warning if it is too long. free() them. */
int32_t *prompt_ids(const Model *m, const char *prompt, Messages *warnings);

/* False, with a line, if path exists and force is not given, or cannot be written anyway. Asked before the work. */
bool may_write(const char *path, bool force, Messages *errors);
/* The same for a folder, which is not looked into. */
bool may_make(const char *path, bool force, Messages *errors);

/* "412 MB" */
enum { BYTES_TEXT = 32 };
const char *bytes_text(int64_t bytes, char text[BYTES_TEXT]);

#endif
