#include "cli/generate_options.h"

#include "cli/common.h"
#include "cli/memory.h"

#include <string.h>

static const char *const SAMPLERS[] = { "ddim", NULL };

#define AT(field) offsetof(GenerateOptions, field)
#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1 */

static const Option OPTIONS[] = {
    { "prompt", OPTION_STRING, AT(prompt), "TEXT", .required = true, .heading = "what is drawn",
      .help = "what to draw; a learned word stands for all its vectors" },
    { "embedding", OPTION_LIST, AT(embeddings), "FILE", .shown = "none",
      .help = "a learned word, as ti train, diffusers or A1111 write it; once for each word that the prompt "
              "uses" },
    { "negative", OPTION_STRING, AT(negative), "TEXT", .shown = "nothing",
      .reason = "StableDiffusionPipeline's", .help = "what the picture should be unlike" },
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "the embedded model",
      .reason = "it needs no download",
      .help = "Stable Diffusion 1.x or 2.x: a folder as diffusers lays it out, or one .safetensors file" },
    { "prediction", OPTION_CHOICE, AT(prediction), "NAME", .choices = PREDICTIONS, .standard = "auto",
      .reason =
          "what the model's scheduler says, and v_prediction for a single file of 2.x, which says nothing",
      .help = "what the UNet predicts: epsilon (1.x, and 2.x of 512 pixels) or v_prediction (2.x of 768)" },
    { "count", OPTION_INT, AT(count), "N", 1, 1000, .standard = "1", .reason = "the quickest",
      .help = "pictures, drawn together from one generator" },
    { "width", OPTION_INT, AT(width), "N", 0, 8192, .shown = "the model's own side",
      .reason = "what it was trained on", .help = "a multiple of the VAE's factor (8 in Stable Diffusion)" },
    { "height", OPTION_INT, AT(height), "N", 0, 8192, .shown = "the model's own side",
      .reason = "what it was trained on", .help = "a multiple of the VAE's factor" },

    { "seed", OPTION_INT, AT(seed), "N", 0, WHOLE_MAX, .standard = "0", .heading = "how it is drawn",
      .reason = "fixed, so that the same command gives the same picture",
      .help = "of the start noise, as torch.Generator().manual_seed(N) draws it on a CPU" },
    { "steps", OPTION_INT, AT(steps), "N", 1, 1000, .standard = "30", .model = true,
      .reason = "with DDIM little changes beyond; StableDiffusionPipeline has 50",
      .help = "denoising steps" },
    { "guidance", OPTION_REAL, AT(guidance), "X", 0, 1000, .standard = "7.5", .model = true,
      .reason = "StableDiffusionPipeline's",
      .help = "classifier-free guidance: how far to go from the negative prompt to the prompt; 1 or less: no "
              "such pass, "
              "in half the time" },
    { "sampler", OPTION_CHOICE, AT(sampler), "NAME", .choices = SAMPLERS, .standard = "ddim", .model = true,
      .reason = "the paper's", .help = "how noise becomes a picture: ddim" },
    { "eta", OPTION_REAL, AT(eta), "X", 0, 1, .standard = "0",
      .reason = "the paper's: no new noise on the way",
      .help = "how much noise a DDIM step adds; 1: as DDPM" },

    { "out", OPTION_STRING, AT(out), "FILE", .standard = "picture.png",
      .reason = "in the folder where you are", .heading = "what is written",
      .help = "a PNG; several pictures go to NAME-1.png, NAME-2.png, ..." },
    { "grid", OPTION_FLAG, AT(grid), .help = "write a contact sheet of all of them too, NAME-grid.png" },
    { "force", OPTION_FLAG, AT(force), .help = "write over files that exist" },

    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .heading = "the machine",
      .shown = "the physical cores",
      .reason = "a core's second thread slows the matrix products down; the picture is the same with any",
      .help = "threads to compute with" },
    { "memory", OPTION_STRING, AT(memory), "BYTES|auto", .standard = "auto",
      .reason = "what the machine, or the container, has free",
      .help = "the most that the run may take, such as 3GB: it is known before, and what takes more doesn't "
              "start" },
    { "profile", OPTION_FLAG, AT(profile), .help = "print at the end which operations took the time" },
};

const Command GENERATE_COMMAND = {
    .name = "generate",
    .summary = "Draws pictures from a prompt, with words that ti train has learned.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples = "  ti generate --embedding out/grum/grum.safetensors --prompt 'a photo of a <grum> wearing a "
                "crown at night' "
                "\\\n              --count 4 --seed 1 --out grum.png\n",
};

OptionsResult generate_options_parse(GenerateOptions *o, int argc, char *const argv[], Messages *errors) {
    OptionsResult result = options_parse(&GENERATE_COMMAND, argc, argv, o, errors);
    if (result == OPTIONS_OK && (!o->out[0] || o->out[strlen(o->out) - 1] == '/')) {
        messages_add(errors, "--out '%s': the name of a PNG file is meant", o->out);
        result = OPTIONS_WRONG;
    }
    if (result == OPTIONS_OK && !memory_limit_parse(o->memory, &(MemoryLimit) { 0 }, errors))
        result = OPTIONS_WRONG;
    return result;
}

bool generate_options_complete(GenerateOptions *o, const char *model_folder, Messages *errors) {
    return options_read_model(&GENERATE_COMMAND, model_folder, o, errors);
}

void generate_options_free(GenerateOptions *o) { options_free(&GENERATE_COMMAND, o); }
