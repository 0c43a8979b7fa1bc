/* SPDX-License-Identifier: MIT */
/* Runs the commands that show something (ti inspect, plan, tokens, reconstruct, help) as a user does, and
   tests what they print, their JSON, and their messages on bad input. TI names the program; run from the
   repository's root. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/command.h"
#include "tests/refusal.h"
#include "tests/single_file.h"
#include "tests/test.h"
#include "weights/embedding.h"
#include "io/json.h"
#include "weights/safetensors.h"

#define CRITTERS "weights/critters"

/* The folder for what the tests write. */
static char folder[] = "/tmp/test_microscope.XXXXXX";

typedef struct {
    int status;
    char *out, *err;
} Ran;

/* Runs `$TI ARGUMENTS` in a shell. Each @ in the arguments stands for the folder. */
static Ran run(const char *arguments) {
    char *with = with_folder(arguments, folder), *out = with_folder("@/out", folder),
         *err = with_folder("@/err", folder);
    char *command = mem_format(">%s 2>%s '%s' %s", out, err, getenv("TI"), with);
    int status = system(command);
    Ran r = { .status = WIFEXITED(status) ? WEXITSTATUS(status) : -1 };
    r.out = read_text(out, NULL);
    r.err = read_text(err, NULL);
    free(with);
    free(out);
    free(err);
    free(command);
    return r;
}

static void shell(const char *command) {
    char *with = with_folder(command, folder);
    CHECK(system(with) == 0);
    free(with);
}

static void ran_free(Ran *r) {
    free(r->out);
    free(r->err);
}

/* Tests that a command succeeds and that its output contains all these parts, the last of which is NULL. */
static void shows(const char *arguments, const char *const parts[]) {
    Ran r = run(arguments);
    bool ok = r.status == 0;
    const char *missing = "";
    for (int i = 0; parts[i] && ok; i++)
        if (!strstr(r.out, parts[i])) {
            ok = false;
            missing = parts[i];
        }
    test_true(arguments, ok, ok ? "status 0" : "status %d, missing '%s': %s%s", r.status, missing, r.out,
              r.err);
    ran_free(&r);
}

/* Tests that a command fails with this exit status and with this number of error messages, which contain the
   text `says`. */
static void refuses(const char *arguments, int status, int lines, const char *says) {
    Ran r = run(arguments);
    int count = 0;
    for (const char *line = r.err; *line; line = strchr(line, '\n') + 1) {
        bool note = strncmp(line, "ti: model ", 10) == 0 ||
                    strncmp(line, "ti: the embedded model", 22) == 0 ||
                    strncmp(line, "ti: warning:", 12) == 0 || strncmp(line, "ti: see ti ", 11) == 0;
        if (!note) count++;
        if (strncmp(line, "ti: ", 4) != 0 || !strchr(line, '\n')) count = 1000;
        if (!strchr(line, '\n')) break;
    }
    bool ok = r.status == status && count == lines && strstr(r.err, says);
    test_true(arguments, ok, "status %d, %s", r.status, ok ? says : r.err);
    ran_free(&r);
}

/* Runs a command that must print JSON and end with this exit status. Returns the document, or NULL when the
   output is not JSON. */
static json_t *document(const char *arguments, int status) {
    Ran r = run(arguments);
    Messages errors = { 0 };
    json_t *json = json_parse("stdout", r.out, strlen(r.out), false, &errors);
    test_true(arguments, json && r.status == status, "JSON, status %d %s%s", r.status,
              errors.text ? errors.text : "", r.status == status ? "" : r.err);
    messages_free(&errors);
    ran_free(&r);
    return json;
}

/* Returns the member of a document at a path such as "graphs.0.peak.alive", or NULL when there is none. */
static json_t *at(json_t *json, const char *path) {
    char *copy = mem_string(path);
    for (char *name = copy, *dot; name && json; name = dot ? dot + 1 : NULL) {
        dot = strchr(name, '.');
        if (dot) *dot = 0;
        json =
            json_is_array(json) ? json_array_get(json, strtoul(name, NULL, 10)) : json_object_get(json, name);
    }
    free(copy);
    return json;
}
static double number(json_t *json, const char *path) {
    const json_t *item = at(json, path);
    return json_is_number(item) ? json_number_value(item) : (double)NAN;
}
static const char *string(json_t *json, const char *path) {
    const char *text = json_string_value(at(json, path));
    return text ? text : "(none)";
}
static int length(json_t *json, const char *path) { return (int)json_array_size(at(json, path)); }

static void write_text(const char *name, const void *data, size_t size) {
    Messages errors = { 0 };
    char *path = mem_format("%s/%s", folder, name);
    CHECK(file_write(path, data, size, &errors));
    free(path);
}

static void write_tensors(const char *name, const NamedTensor *tensors, int64_t count) {
    Messages errors = { 0 };
    char *path = mem_format("%s/%s", folder, name);
    CHECK(safetensors_write(path, tensors, count, NULL, 0, &errors));
    free(path);
}

/* Writes a learned word of two vectors: twice the embedding of "critter", and one that no token has. */
static void write_word(void) {
    enum { WIDTH = 192, CRITTER = 2095 };
    Messages errors = { 0 };
    Safetensors s;
    CHECK(safetensors_open(CRITTERS "/text_encoder/model.safetensors", &s, &errors));
    const SafeTensor *table = safetensors_find(&s, "embeddings.token_embedding.weight");
    if (!table) table = safetensors_find(&s, "text_model.embeddings.token_embedding.weight");
    CHECK(table && table->weight.shape.dim[1] == WIDTH);
    float learned[2 * WIDTH] = { 0 };
    Panel p = weight_panel(&table->weight, CRITTER, 1, 0, WIDTH, learned);
    for (int i = 0; i < WIDTH; i++) learned[i] = 2 * p.data[i];
    learned[WIDTH + 3] = 5;
    safetensors_close(&s);
    char *path = with_folder("@/word.safetensors", folder);
    CHECK(embedding_write(path, "<two>", learned, 2, WIDTH, &errors));
    free(path);
}

static void test_tokens(void) {
    shows("tokens 'A photo of  a critter'",
          (const char *[]) { "5 tokens; the window of 32 holds 30", "     0    2174  <|startoftext|>",
                             "     2    1515  photo</w>", "     5    2095  critter</w>", " 7-31    2175",
                             NULL });
    shows("tokens ''", (const char *[]) { "0 tokens", NULL });
    shows("tokens --model golden/models/narrow a", (const char *[]) { "window of 12 holds 10", NULL });
    json_t *json = document("tokens --json 'a \"photo\" \\ critter'", 0);
    test_true("prompt", strcmp(string(json, "prompt"), "a \"photo\" \\ critter") == 0, "%s",
              string(json, "prompt"));
    test_true("ids", length(json, "ids") == 32 && number(json, "ids.0") == 2174,
              "32 from the start token on");
    test_true("tokens", length(json, "tokens") == number(json, "count") && length(json, "fallen_off") == 0,
              "all");
    json_decref(json);
    char many[300] = "tokens --json '";
    for (int i = 0; i < 33; i++) strcat(many, "a ");
    json = document(strcat(many, "critter'"), 0);
    test_true("fallen off", length(json, "tokens") == 30 && length(json, "fallen_off") == 4, "4 of 34");
    test_true("the last", strcmp(string(json, "fallen_off.3.token"), "critter</w>") == 0, "%s",
              string(json, "fallen_off.3.token"));
    test_true("the end", number(json, "ids.31") == 2175, "closes the window");
    json_decref(json);
    json = document("tokens --embedding @/word.safetensors 'a <two>' --json", 0);
    test_true("expanded", strcmp(string(json, "expanded"), "a <two> <two>_1") == 0, "%s",
              string(json, "expanded"));
    test_true("added ids", number(json, "tokens.1.id") == 2176 && number(json, "tokens.2.id") == 2177,
              "2176, 2177");
    json_decref(json);
    refuses("tokens", 2, 1, "PROMPT is missing");
    refuses("tokens a photo", 2, 1, "'photo': tokens takes no such argument");
    refuses("tokens --modle x a", 2, 1, "did you mean --model?");
    refuses("tokens a --model @/nowhere", 1, 1, "there is no such folder or file");
    refuses("tokens a --embedding @/nowhere", 1, 1, "nowhere");
    refuses("tokens a --embedding golden/embedding.safetensors", 1, 1, "vectors of 8 numbers");
    refuses("tokens a >/dev/full", 1, 1, "standard output: cannot be written");
}

/* Tests how `ti inspect` describes a file with these tensors. */
static void family(const char *says, const NamedTensor *tensors, int64_t count) {
    write_tensors("family.safetensors", tensors, count);
    json_t *json = document("inspect --json @/family.safetensors", 0);
    test_true("family", strstr(string(json, "family"), says), "%s", string(json, "family"));
    json_decref(json);
}

static void test_files(void) {
    static const float zeros[4096];
    json_t *json = document("inspect --json " CRITTERS "/vae/diffusion_pytorch_model.safetensors", 0);
    test_true("tensors", length(json, "tensors") == 156 && number(json, "numbers") == 2702087, "156 tensors");
    test_true("first",
              strcmp(string(json, "tensors.0.name"), "decoder.conv_in.bias") == 0 &&
                  number(json, "tensors.0.shape.0") == 128 && number(json, "tensors.0.bytes") == 256,
              "decoder.conv_in.bias [128], 256 bytes");
    test_true("metadata", strcmp(string(json, "metadata.format"), "pt") == 0, "format pt");
    test_true("vae", strstr(string(json, "family"), "an autoencoder (VAE)"), "%s", string(json, "family"));
    json_decref(json);
    shows("inspect " CRITTERS "/unet/diffusion_pytorch_model.safetensors",
          (const char *[]) { "a UNet alone, in diffusers' layout", "326 tensors, 12,740,740 numbers, 25.5 MB",
                             NULL });
    shows("inspect " CRITTERS "/text_encoder/model.safetensors",
          (const char *[]) { "a CLIP text encoder", "[2176, 192]", NULL });
    shows("inspect golden/draws.safetensors", (const char *[]) { "a file of an unknown kind", NULL });
    const NamedTensor unet[] = { { "time_embedding.linear_1.weight", shape1(1), zeros },
                                 { "conv_in.weight", shape1(1), zeros },
                                 { "mid.attn2.to_k.weight", shape2(2, 768), zeros } };
    family("the UNet of Stable Diffusion 1.x", unet, 3);
    const NamedTensor single[] = { { "model.diffusion_model.middle.attn2.to_k.weight", shape2(2, 1024),
                                     zeros } };
    family("part of a checkpoint of Stable Diffusion 2.x in one file (original layout), without a VAE",
           single, 1);
    const NamedTensor xl[] = { { "clip_l", shape2(2, 768), zeros }, { "clip_g", shape2(2, 1280), zeros } };
    family("Stable Diffusion XL", xl, 2);
    const NamedTensor clip[] = { { "text_model.embeddings.token_embedding.weight", shape2(2, 768), zeros } };
    family("a CLIP text encoder of width 768", clip, 1);
    family("a file of an unknown kind", NULL, 0);
    const NamedTensor odd[] = { { "a\x1b[2Jb.weight", shape1(1), zeros } };
    write_tensors("odd.safetensors", odd, 1);
    shows("inspect @/odd.safetensors", (const char *[]) { "a?[2Jb.weight", NULL });
    write_text("text", "hello, this is a text file", 26);
    write_text("empty", "", 0);
    write_text("pickle.bin", "PK\3\4 and so on", 14);
    refuses("inspect @/text", 1, 1, "text: is not a safetensors file");
    refuses("inspect @/empty --json", 1, 1, "empty: 0 bytes are too few");
    refuses("inspect @/pickle.bin", 1, 1, "its zip file is damaged");
    write_text("pickle.ckpt", "PK\3\4 and so on", 14);
    refuses("inspect @/pickle.ckpt", 1, 1, "its zip file is damaged");
    refuses("inspect @/nowhere", 1, 1, "nowhere");
    refuses("inspect /dev/null", 1, 1, "/dev/null");
    refuses("inspect", 2, 1, "PATH is missing");
    refuses("inspect a b", 2, 1, "'b': inspect takes no such argument");
    refuses("inspect --model " CRITTERS " golden/draws.safetensors", 1, 1, "is not a learned word");
    refuses("inspect --tensors golden/draws.safetensors", 1, 1,
            "is not a model; --tensors is only for models");
}

static void test_words(void) {
    shows("inspect @/word.safetensors",
          (const char *[]) { "\"<two>\": 2 vectors of 192 numbers", "5.0000", NULL });
    shows("inspect @/word.safetensors --model " CRITTERS,
          (const char *[]) { "the vocabulary's 2176 words: norms", "critter</w> 1.000, ", NULL });
    json_t *json = document("inspect @/word.safetensors --json --nearest 3 --model " CRITTERS, 0);
    test_true("nearest",
              strcmp(string(json, "words.0.rows.0.nearest.0.token"), "critter</w>") == 0 &&
                  fabs(number(json, "words.0.rows.0.nearest.0.cosine") - 1) < 1e-6,
              "%s", string(json, "words.0.rows.0.nearest.0.token"));
    test_true("count", length(json, "words.0.rows.0.nearest") == 3 && length(json, "words.0.rows") == 2,
              "3 for each vector");
    bool falling =
        number(json, "words.0.rows.1.nearest.0.cosine") >= number(json, "words.0.rows.1.nearest.1.cosine");
    test_true("order", falling && number(json, "words.0.rows.1.nearest.0.cosine") < 0.9, "the nearest first");
    test_true("norm", fabs(number(json, "words.0.rows.1.norm") - 5) < 1e-6, "%g",
              number(json, "words.0.rows.1.norm"));
    double median = number(json, "vocabulary.median_norm"),
           longer = number(json, "words.0.rows.0.longer_than");
    test_true("median", median > 0 && longer > 0.5, "median %g, longer than %g", median, longer);
    json_decref(json);
    json = document("inspect golden/embedding.safetensors --json", 0);
    test_true("learned words", strcmp(string(json, "kind"), "learned words") == 0, "%s",
              string(json, "kind"));
    test_true("token", strcmp(string(json, "words.0.token"), "<grum>") == 0, "%s",
              string(json, "words.0.token"));
    json_decref(json);
    refuses("inspect golden/embedding.safetensors --model " CRITTERS, 1, 1, "the model's have 192");
    refuses("inspect @/word.safetensors --model @", 1, 1, "is not a model folder");
    refuses("inspect @/word.safetensors --nearest 101", 2, 1, "--nearest 101: must be 0 to 100");
}

static void test_folders(void) {
    shows("inspect " CRITTERS,
          (const char *[]) { "12,740,740", "35.3 MB", "width 192, layers 4, heads 4",
                             "64 x 64, as latents 4 x 16 x 16", "ti train: --steps 100", NULL });
    shows("inspect golden/models/wide", (const char *[]) { "BF16", "(3 files)", NULL });
    shows("inspect golden/models/lcm", (const char *[]) { "an embedding of 11 numbers", NULL });
    shows("inspect --tensors golden/models/linear",
          (const char *[]) { "predicts v", "decoder.conv_in.bias", NULL });
    json_t *json = document("inspect --json --tensors " CRITTERS, 0);
    test_true("faults", length(json, "faults") == 0 && length(json, "parts") == 3, "none");
    double sum = 0;
    json_t *tensor, *d;
    size_t i, k;
    json_array_foreach (at(json, "parts.1.files.0.tensors"), i, tensor) {
        double n = 1;
        json_array_foreach (at(tensor, "shape"), k, d) { n *= json_number_value(d); }
        sum += n;
    }
    test_true("parameters", sum > 0 && sum == number(json, "parts.1.parameters"), "%.0f", sum);
    test_true("side", number(json, "side") == 64 && number(json, "architecture.tokenizer.window") == 32,
              "64");
    test_true("defaults", number(json, "defaults.train.steps") == 100, "100 steps");
    json_decref(json);
    shell("for to in broken odd; do cp -R golden/models/narrow @/$to && chmod -R u+w @/$to; done");
    shell("sed -i 's/\"act_fn\": \"silu\"/\"act_fn\": \"relu\"/' @/broken/unet/config.json; rm "
          "@/broken/vae/config.json");
    shell("sed -i 's/\"intermediate_size\": 40/\"intermediate_size\": 41/' @/odd/text_encoder/config.json");
    shell("echo '{\"train\": {\"stepps\": 1}}' >@/odd/defaults.json");
    refuses("inspect @/broken", 1, 2, "act_fn");
    json = document("inspect --json @/broken", 1);
    test_true("faults", length(json, "faults") == 2, "2");
    json_decref(json);
    json = document("inspect --json @/odd", 1);
    test_true("faults", length(json, "faults") == 7 && at(json, "architecture"),
              "%d: the shapes of 2 layers, and defaults.json", length(json, "faults"));
    json_decref(json);
    shell("cp -R golden/models/narrow @/other && chmod -R u+w @/other && sed -i 's/0.00085/0.00085, "
          "\"timestep_spacing\": \"trailing\", \"rescale_betas_zero_snr\": true, \"prediction_type\": "
          "\"sample\"/' @/other/scheduler/scheduler_config.json");
    shows("inspect @/other",
          (const char *[]) { "1000 timesteps, spacing trailing, scaled_linear betas 0.00085 to 0.012 "
                             "rescaled to end in pure noise, the UNet predicts the picture",
                             NULL });
    json = document("inspect --json @/other", 0);
    test_true("scheduler",
              strcmp(string(json, "architecture.scheduler.spacing"), "trailing") == 0 &&
                  json_is_true(at(json, "architecture.scheduler.zero_snr")) &&
                  strcmp(string(json, "architecture.scheduler.prediction"), "sample") == 0,
              "as its config says");
    json_decref(json);
    refuses("inspect @", 1, 1, "is not a model folder");
    refuses("inspect --model " CRITTERS " " CRITTERS, 1, 1, "--model is for a learned word");
}

/* Tests models in one file, and models with files that they do not use. */
static void test_single_file(void) {
    Names names = names_read("small2");
    Entries e = entries_of_names(&names, "F16", "F32");
    entries_put_leftovers(&e);
    char *path = with_folder("@/single.safetensors", folder);
    entries_write(path, &e, false);
    shows("inspect @/single.safetensors",
          (const char *[]) {
              "single.safetensors: a small model in the layout of Stable Diffusion, a model file",
              "text_encoder  F16 ", "unet          F32 ",
              "ignored, since they are no part of the model: 9 tensors", "model_ema. (3)",
              "of 512 pixels predicts the noise", NULL });
    json_t *json = document("inspect --hash --json --tensors @/single.safetensors", 0);
    test_true("file", strcmp(string(json, "kind"), "model file") == 0 && length(json, "faults") == 0,
              "a model file");
    test_true("ignored",
              number(json, "ignored.tensors") == (double)LEFTOVERS &&
                  number(json, "ignored.names.betas") == 1,
              "%g tensors", number(json, "ignored.tensors"));
    test_true("path", strcmp(string(json, "parts.1.files.0.path"), path) == 0, "%s",
              string(json, "parts.1.files.0.path"));
    test_true("hash",
              strlen(string(json, "sha256")) == 64 && number(json, "file_bytes") > 1e6 && !at(json, "known"),
              "%s", string(json, "sha256"));
    char *command = mem_format("echo '%s  %s' | sha256sum -c --quiet", string(json, "sha256"), path);
    test_true("hash", system(command) == 0, "as sha256sum's");
    free(command);
    json_decref(json);
    refuses("inspect @/single.safetensors --model " CRITTERS, 1, 1, "is not a learned word");
    entries_write(path, &(Entries) { e.at, 40 }, false);
    shows("inspect @/single.safetensors",
          (const char *[]) { "a text encoder alone, in the original layout", NULL });
    shell("head -c 5000 @/single.safetensors >@/cut.safetensors");
    refuses("inspect @/cut.safetensors", 1, 1, "truncated");
    shell("cp -R golden/models/narrow @/extra && chmod -R u+w @/extra");
    shell("cp @/extra/unet/diffusion_pytorch_model.fp16.safetensors @/extra/vae/x.safetensors");
    shell("echo '{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": "
          "\"diffusion_pytorch_model.fp16.safetensors\"}}' "
          ">@/extra/vae/diffusion_pytorch_model.safetensors.index.json");
    shows("inspect @/extra",
          (const char *[]) { "ignored, since they are no part of the model: ", "vae/down_blocks. (", NULL });
    refuses("inspect --hash @/extra", 1, 1, "--hash is for a file");
    free(path);
    free(e.at);
    names_free(&names);
}

static void test_plan(void) {
    shows("plan --summary",
          (const char *[]) { "pictures of 64 x 64, batches of 4", "training step", "peak of", NULL });
    shows("plan --model golden/models/narrow",
          (const char *[]) { "batches of 1", "mse_loss", "conv2d", NULL });
    json_t *json = document("plan --json --batch 2", 0);
    static const char *const graphs[] = { "training step", "picture encoder", "prompt encoder",
                                          "denoising step", "picture decoder" };
    for (int i = 0; i < 5; i++) {
        json_t *graph = json_array_get(at(json, "graphs"), (size_t)i), *node;
        size_t k;
        double gflop = 0, backward = 0, most = 0;
        json_array_foreach (at(graph, "nodes"), k, node) {
            gflop += number(node, "gflop");
            most = fmax(most, number(node, "alive"));
            if (!at(node, "backward_gflop")) continue;
            backward += number(node, "backward_gflop");
            most = fmax(most, number(node, "backward_alive"));
        }
        bool sums = fabs(gflop - number(graph, "gflop")) < 1e-9 && gflop > 0 &&
                    fabs(backward - number(graph, "backward_gflop")) < 1e-9 && (backward > 0) == (i == 0);
        test_true(graphs[i], sums && strcmp(string(graph, "graph"), graphs[i]) == 0, "%.3f + %.3f GFLOP",
                  gflop, backward);
        bool peak = most == number(graph, "peak.alive") && most <= number(graph, "buffers") &&
                    number(graph, "buffers") < number(graph, "unshared");
        test_true("peak", peak, "%.0f alive of %.0f", most, number(graph, "buffers"));
    }
    json_t *last = at(json, "recomputation.3"), *first = at(json, "recomputation.0");
    test_true("recomputation",
              number(last, "buffers") < number(first, "buffers") &&
                  number(last, "gflop") > number(first, "gflop") && number(first, "blocks") == 0 &&
                  number(first, "buffers") == number(json, "graphs.0.buffers"),
              "%.0f -> %.0f bytes", number(first, "buffers"), number(last, "buffers"));
    json_decref(json);
    refuses("plan --batch 0", 2, 1, "--batch 0: must be 1 to 1024");
    refuses("plan --resolution 100", 1, 1, "--resolution 100: must be a multiple of 8");
    refuses("plan --resolution 8", 1, 1, "at least 64");
    refuses("plan --model @", 1, 1, "is not a model folder");
}

static void test_reconstruct(void) {
    Ran r = run("reconstruct " CRITTERS "/concepts/grum/1.png @/back.png");
    const char *psnr = strstr(r.out, "PSNR"), *mean = strstr(r.out, "mean absolute error");
    double decibel = psnr ? strtod(psnr + 4, NULL) : 0, error = mean ? strtod(mean + 19, NULL) : 255;
    test_true("reconstruct", r.status == 0 && decibel > 20 && error < 10, "%.2f of 255, %.2f dB", error,
              decibel);
    ran_free(&r);
    refuses("reconstruct " CRITTERS "/concepts/grum/1.png @/back.png", 1, 1, "exists already");
    shows("reconstruct --force --resolution 128 " CRITTERS "/concepts/grum/1.png @/back.png",
          (const char *[]) { "4 x 32 x 32 of 128 x 128 x 3", "back.png", NULL });
    shows("reconstruct --center-crop golden/pictures/rgba.png @/crop.png", (const char *[]) { "PSNR", NULL });
    refuses("reconstruct @/text @/new.png", 1, 1, "text");
    refuses("reconstruct @/nowhere @/new.png", 1, 1, "nowhere");
    refuses("reconstruct " CRITTERS "/concepts/grum/1.png @/no/new.png", 1, 1, "no/new.png");
    refuses("reconstruct " CRITTERS "/concepts/grum/1.png", 2, 1, "OUT is missing");
    refuses("reconstruct x ''", 2, 1, "must be the name of a file");
    char *path = with_folder("@/new.png", folder);
    test_true("nothing written", access(path, F_OK) != 0, "after a refusal");
    free(path);
}

static void test_help(void) {
    static const char *const commands[] = { "train",  "generate",    "evaluate", "sheet",   "inspect", "plan",
                                            "tokens", "reconstruct", "invert",   "convert", "mix" };
    Ran man = run("help --man"), bash = run("help --completion bash"), zsh = run("help --completion zsh"),
        fish = run("help --completion fish");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char *section = mem_format("\n.SS ti %s", commands[i]),
             *word = mem_format("\n    %s)\n", commands[i]),
             *from = mem_format("__fish_seen_subcommand_from %s' -l ", commands[i]);
        bool all = strstr(man.out, section) && strstr(bash.out, word) && strstr(zsh.out, word) &&
                   strstr(fish.out, from);
        test_true(commands[i], all, "has a manual section and completions");
        free(section);
        free(word);
        free(from);
    }
    ran_free(&man);
    ran_free(&bash);
    ran_free(&zsh);
    ran_free(&fish);
    Ran one = run("help train"), two = run("train --help"), list = run("help"), same = run("--help");
    test_true("help train", one.status == 0 && strcmp(one.out, two.out) == 0, "is train --help");
    test_true("help", list.status == 0 && strcmp(list.out, same.out) == 0, "is --help");
    ran_free(&one);
    ran_free(&two);
    ran_free(&list);
    ran_free(&same);
    shell("! command -v bash >/dev/null || \"$TI\" help --completion bash >@/completion");
    shell("! command -v bash >/dev/null || bash -c '. @/completion; COMP_WORDS=(ti train --kind s); "
          "COMP_CWORD=3; _ti && [ \"${COMPREPLY[*]}\" = style ] && COMP_WORDS=(ti reconstruct --cen); "
          "COMP_CWORD=2; _ti && [ \"${COMPREPLY[*]}\" = --center-crop ]'");
    refuses("help trian", 2, 1, "did you mean train?");
    refuses("reconstuct", 2, 1, "did you mean reconstruct?");
    shell("\"$TI\" help --completion fish >@/ti.fish");
    shell("! command -v fish >/dev/null || fish -c 'source @/ti.fish; complete -C \"ti train --kind s\"' "
          "| grep -q '^style'");
    refuses("help --completion tcsh", 2, 1, "must be none, bash, zsh or fish");
    refuses("help --man >/dev/full", 1, 1, "standard output: cannot be written");
}

int main(void) {
    if (!getenv("TI")) {
        fprintf(stderr, "set TI to the program\n");
        return 1;
    }
    CHECK(mkdtemp(folder));
    write_word();
    test_tokens();
    test_files();
    test_words();
    test_folders();
    test_single_file();
    test_plan();
    test_reconstruct();
    test_help();
    char *remove_all = mem_format("rm -rf '%s'", folder);
    if (system(remove_all) != 0) fprintf(stderr, "%s: left behind\n", folder);
    free(remove_all);
    return test_finish();
}
