/* `ti train`: learns a word from a folder of pictures. */
#define _POSIX_C_SOURCE 200809L
#include "cli/train.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/dry_run.h"
#include "cli/dump.h"
#include "io/system.h"
#include "tensor/threads.h"
#include "cli/memory.h"
#include "cli/progress.h"
#include "cli/resume.h"
#include "cli/signals.h"
#include "cli/train_parts.h"
#include "inversion/grid_loss.h"
#include "inversion/templates.h"
#include "inversion/validation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool not_interrupted(void) { return !signals_caught(); }

/* Everything a run holds. */
typedef struct {
    TrainOptions *o;
    int threads;
    MemoryLimit memory;
    Model model;
    Words words; /* the one word that is learned; words.learned are its vectors */
    Pictures pictures;
    int32_t *prompts; /* [templates, tokens] */
    int64_t templates;
    Encoder encoder;
    Posteriors posteriors;
    Loop loop;
    Validation *validation; /* NULL: none wanted */
    Arena arena;
    RunFolder folder;
    bool has_state; /* it goes on from this one, else from its beginning */
    RunState state;
    StateSaver saver;
    float *initial; /* [vectors, width]: the rows before the first step */
    bool complete;
    bool cut_short; /* a signal ended what belongs to the last step: a resumed run does it first */
    bool spoiled;   /* a file of weights was written to: what was computed since is not kept */
    Profile profile;
} Run;

/* Words and prompts */

static bool initial_rows(Run *r, Messages *errors) {
    r->words.width = r->model.clip.config.hidden_size;
    r->saver.initial = r->initial =
        train_initial_rows(r->o, &r->model, r->has_state ? &r->state : NULL, errors);
    return r->initial && words_add(&r->words, r->model.tokenizer, r->o->token, r->initial, r->o->vectors,
                                   r->words.width, "--token", NULL, errors);
}

/* Each template with the placeholder in it, as ids. */
static bool make_prompts(Run *r, Messages *errors, Messages *warnings) {
    Templates t;
    if (!templates_get(&t, r->o->kind, r->o->templates, errors)) return false;
    int64_t longest, room = tokenizer_max_length(r->model.tokenizer) - 2;
    r->templates = t.count;
    r->prompts = templates_encode(&t, r->model.tokenizer, r->o->token, &longest);
    if (longest > room)
        messages_add(
            warnings,
            "a template has %lld tokens with the word in it; the window holds %lld, the rest falls off",
            (long long)longest, (long long)room);
    templates_free(&t);
    return true;
}

/* Planning */

static void plan_run(Run *r) {
    const Model *m = &r->model;
    int64_t factor = vae_factor(&m->vae.config), side = r->o->resolution / factor;
    r->encoder = encoder_new(&m->vae, r->o->resolution);
    r->posteriors = (Posteriors) { .pictures = r->pictures.count };
    LoopData data = {
        .clip = &m->clip,
        .unet = &m->unet,
        .noise_schedule = &m->noise_schedule,
        .vae = &m->vae.config,
        .posteriors = &r->posteriors,
        .prompts = r->prompts,
        .templates = r->templates,
        .tokens = tokenizer_max_length(m->tokenizer),
        .height = side,
        .width = side,
        .vectors = r->o->vectors,
        .learned = r->words.learned,
    };
    double scale = r->o->scale_lr ? (double)(r->o->batch * r->o->accumulate) : 1;
    LoopOptions options = {
        .steps = r->o->steps,
        .batch = r->o->batch,
        .accumulate = r->o->accumulate,
        .repeats = r->o->repeats,
        .seed = (uint64_t)r->o->seed,
        .flip = !r->o->no_flip,
        .schedule = { r->o->schedule, r->o->lr * scale, r->o->warmup, r->o->steps, (int)r->o->cycles },
        .adamw = ADAMW_DEFAULTS,
    };
    options.adamw.weight_decay = r->o->weight_decay;
    r->loop = loop_new(options, data, (PlanOptions) { 0 });
}

static bool plan_validation(Run *r, Messages *errors, Messages *warnings) {
    const TrainOptions *o = r->o;
    if (!o->validation_prompt) return true;
    if (!check_steps(&r->model, "--sampling-steps", o->sampling_steps, errors)) return false;
    SamplingOptions options = { .count = 1,
                                .steps = o->sampling_steps,
                                .height = o->resolution,
                                .width = o->resolution,
                                .guidance = (float)o->guidance,
                                .seed = (uint64_t)o->seed };
    r->validation = validation_new(&r->model, &r->words, o->validation_prompt, options, errors, warnings);
    return r->validation != NULL;
}

/* The bytes of the one arena that all graphs share in turn. */
static int64_t arena_bytes(const Run *r) {
    int64_t bytes = max_i64(plan_bytes(&r->encoder.plan, r->threads), loop_bytes(&r->loop, r->threads));
    return r->validation ? max_i64(bytes, sampling_bytes(validation_sampling(r->validation), r->threads))
                         : bytes;
}

/* The pictures as they are learned from, which stay. */
static int64_t picture_bytes(const Run *r) {
    return 3 * r->pictures.count * r->o->resolution * r->o->resolution;
}

/* They are read one at a time, before anything else; the largest file takes the most. */
static MemoryNeed reading_need(const Run *r) {
    int64_t largest = pictures_largest(&r->pictures);
    const PictureSize *size = &r->pictures.sizes[largest];
    return (MemoryNeed) { .buffers = picture_bytes(r) + size->bytes,
                          .picture = r->pictures.paths[largest],
                          .width = size->width,
                          .height = size->height };
}

/* The pictures are encoded first; what that touches of the buffers stays. Validation draws with the weights
   of a step, and then with the decoder's alone. */
static MemoryNeed memory_need(const Run *r) {
    const Plan *step = &r->loop.full.plan, *encoder = &r->encoder.plan;
    int64_t pictures = picture_bytes(r);
    MemoryNeed encoding = { .weights = encoder->weights,
                            .buffers = pictures + plan_bytes(encoder, r->threads) };
    MemoryNeed training = { .weights = step->weights,
                            .buffers = pictures + arena_bytes(r),
                            .recomputed = step->recomputed,
                            .blocks = step->blocks };
    return memory_worse(training, encoding);
}

static const char SMALLER[] = "a smaller --batch or --resolution";

/* Plans again with blocks recomputed if the limit is below what the run likes; tells what it will take,
   before any work. */
static bool fit_memory(Run *r, Messages *errors, Messages *warnings) {
    MemoryNeed need = memory_need(r);
    if (memory_total(&need) > r->memory.bytes) {
        loop_plan_within(&r->loop, r->memory.bytes - r->loop.full.plan.weights - picture_bytes(r),
                         r->threads);
        need = memory_need(r);
    }
    need = memory_worse(need, reading_need(r));
    return memory_announce(&need, &r->memory, SMALLER, r->threads, errors, warnings);
}

static bool allocate(Run *r, Messages *errors) {
    if (!get_arena(&r->arena, arena_bytes(r), SMALLER, errors)) return false;
    graph_bind(r->encoder.graph, &r->arena, r->threads);
    loop_bind(&r->loop, &r->arena, r->threads);
    if (r->validation) sampling_bind(validation_sampling(r->validation), &r->arena, r->threads);
    return true;
}

/* Before the first step */

/* --resume: the run in --out, with its options and its state. */
static bool find_run(Run *r, Messages *errors) {
    int64_t recorded;
    if (!train_options_resume(r->o, &recorded, errors) ||
        !run_folder_reopen(&r->folder, r->o->out, r->o->token, errors) ||
        !resume_read(&r->folder, &r->state, &r->has_state, errors))
        return false;
    if (!r->state.newer || r->state.steps == recorded || r->o->steps_given) return true;
    return messages_add(errors, "%s/%s: has %lld steps, and the run had %lld: say which with --steps",
                        r->folder.path, RUN_OPTIONS, (long long)recorded, (long long)r->state.steps);
}

static bool is_finished(const Run *r) { return r->state.finished && r->state.step >= r->o->steps; }

static RunIdentity identity_now(const Run *r) {
    return identity_new(r->o, &r->model, &r->pictures, r->prompts,
                        r->templates * tokenizer_max_length(r->model.tokenizer));
}

static bool begin_run(Run *r, Messages *errors) {
    if (!run_folder_open(&r->folder, r->o->out, r->o->token, r->o->force, errors) ||
        !train_options_save(r->o, r->folder.path, errors) || !run_folder_go_on(&r->folder, NULL, errors))
        return false;
    r->saver.identity = identity_now(r);
    return true;
}

/* Compares what the run stands on with what it stood on, then takes up its folder. */
static bool take_up_run(Run *r, Messages *errors) {
    RunIdentity *now = &r->saver.identity;
    *now = identity_now(r);
    if (!r->has_state) {
        console_line(stderr, "ti: %s has no %s yet: it begins with its first step", r->folder.path,
                     RUN_STATE);
        if (!run_folder_go_on(&r->folder, NULL, errors)) return false;
    } else {
        if (!identity_same(&r->state.identity, now, r->o, &r->model, &r->pictures, errors) ||
            !resume_folder(&r->folder, &r->state, &r->loop, r->o->grid_loss, errors))
            return false;
        console_line(stderr, "ti: %s goes on at step %lld of %lld", r->folder.path, (long long)r->state.step,
                     (long long)r->o->steps);
    }
    return train_options_save(r->o, r->folder.path, errors);
}

/* key and cache as in posteriors_compute. */
static bool encode_into(Run *r, uint64_t key, const char *cache, Messages *errors, Messages *warnings) {
    bool flips = !r->o->no_flip;
    Wait wait;
    double flops = (double)(r->pictures.count * (flips ? 2 : 1)) * r->encoder.plan.forward_flops;
    Watch watch = wait_start(&wait, "encoding pictures", flops, not_interrupted);
    return posteriors_compute(&r->posteriors, &r->encoder, r->pictures.images, r->pictures.count, flips, key,
                              cache, &watch, errors, warnings);
}

/* Asked before anything that was computed is kept. */
static bool is_sound(Run *r, Messages *errors) {
    if (r->spoiled || folder_unchanged(&r->model.folder, errors)) return !r->spoiled;
    r->spoiled = true;
    char *command = resume_command(r->folder.path);
    messages_add(errors, "%s: the run is as it was last saved; once the file is as it was, go on with: %s",
                 r->folder.path, command);
    free(command);
    return false;
}

static bool encode_pictures(Run *r, Messages *errors, Messages *warnings) {
    char *cache = run_folder_file(&r->folder, "latents.safetensors");
    bool ok = encode_into(r, store_fingerprint(r->model.folder.vae), cache, errors, warnings);
    report_warnings(warnings);
    if (!is_sound(r, errors)) unlink(cache);
    folder_forget(&r->model.folder); /* the encoder's weights have done their work */
    free(cache);
    return ok && !r->spoiled;
}

/* By default where both runs of it together take less than a twentieth of the training. Forward is about half
   a step. */
static bool grid_wanted(const Run *r) {
    if (r->o->grid_loss > 0) return true;
    if (r->o->grid_loss == 0 && r->o->grid_loss_given) return false;
    double passes = (double)ceil_div(r->pictures.count * 20, r->o->batch);
    return 2 * passes * 0.5 < 0.05 * (double)loop_micro_batches(&r->loop);
}

static Work work_left(const Run *r) {
    const TrainOptions *o = r->o;
    int64_t done = r->folder.losses.step, last = o->steps - 1;
    Work w = { .batches = loop_micro_batches(&r->loop) - r->folder.losses.count };
    if (grid_wanted(r)) w.grids = 1 + (r->folder.points == 0);
    if (o->grid_loss > 0) w.grids += last / o->grid_loss - done / o->grid_loss;
    if (r->validation) w.drawn = 1;
    if (r->validation && o->validation_every > 0)
        w.drawn += last / o->validation_every - done / o->validation_every;
    return w;
}

static Estimate estimate(const Run *r, Work work, double seconds, int rounds) {
    const Sampling *sampling = r->validation ? validation_sampling(r->validation) : NULL;
    return estimate_new(&r->loop, &r->encoder, sampling, work, seconds, rounds);
}

/* A guess that costs little: the line of progress soon knows better. */
static void tell_time(const Run *r) {
    Estimate e = estimate(r, work_left(r), 0.5, 2);
    char text[DURATION_TEXT];
    fprintf(stderr, "ti: %lld steps of %lld pictures, %.3g s each: about %s in all",
            (long long)(r->o->steps - r->folder.losses.step), (long long)(r->o->batch * r->o->accumulate),
            (e.batch.forward + e.batch.backward) * (double)r->o->accumulate,
            duration_text(estimate_all(&e), text));
    if (e.work.grids)
        fprintf(stderr, ", %s of it for the fixed-grid loss%s", duration_text(e.grids, text),
                r->folder.points == 0 ? ", once before the first step" : "");
    fprintf(stderr, "\n");
}

/* Whether a run that goes on computes what it computed before. */
static void check_first_loss(Run *r) {
    r->saver.first_loss = r->state.first_loss;
    if (r->state.records == 0) return;
    Wait wait;
    Watch watch = wait_start(&wait, "the first loss again", r->loop.full.plan.forward_flops, NULL);
    watch_go_on(&watch, 0, 1);
    bool same = (double)loop_first_loss(&r->loop) == r->state.first_loss;
    watch_go_on(&watch, 1, 1);
    if (same) return;
    fprintf(stderr,
            "ti: warning: the model computes other numbers now than when the run began (another processor, "
            "another build of ti, or a config that was changed): the result will not be that of one run to "
            "the bit\n");
}

static const char SMALLER_LR[] = " (a smaller --lr?)";

/* The fixed-grid loss, kept for loss.png; nothing is kept if it is cut short. */
static bool measure_grid(Run *r, double *loss, Messages *errors) {
    int64_t passes = ceil_div(r->pictures.count * GRID_TIMESTEPS, r->o->batch);
    Wait wait;
    Watch watch = wait_start(&wait, "fixed-grid loss", (double)passes * r->loop.full.plan.forward_flops,
                             not_interrupted);
    *loss = grid_loss(&r->loop.data, &r->loop.full, &watch);
    r->cut_short = wait.ended;
    if (r->cut_short) return true;
    run_folder_grid(&r->folder, r->loop.step, *loss);
    return check_loss(*loss, &r->loop.full, "fixed grid: ", SMALLER_LR, errors);
}

/* The run */

/* Where this process began, for the speed. */
typedef struct {
    int64_t records, step;
} Start;

static void show_progress(const Run *r, Progress *p, Start start, LoopRecord record, bool last) {
    int64_t done = r->folder.losses.count - start.records, all = loop_micro_batches(&r->loop) - start.records;
    char left[DURATION_TEXT];
    progress_show(p, last, "step %lld/%lld  loss %.4f  %.3f s/step  %s left", (long long)record.step,
                  (long long)r->o->steps, r->folder.losses.average,
                  progress_elapsed(p) / (double)max_i64(record.step - start.step, 1),
                  duration_text(progress_left(p, done, all), left));
}

/* The picture of a step. If it is cut short there is none, nor one that an older run has left. */
static bool draw_validation(Run *r, int64_t step, Messages *errors) {
    char *path = run_folder_file(&r->folder, "validation-%lld.png", (long long)step);
    Wait wait;
    Watch watch = wait_start(&wait, "drawing, step", sampling_flops(validation_sampling(r->validation)),
                             not_interrupted);
    bool ok = validation_draw(r->validation, path, &watch, errors);
    r->cut_short = wait.ended;
    if (r->cut_short) unlink(path);
    free(path);
    return ok || r->cut_short;
}

static bool has_picture(const Run *r, int64_t step) {
    char *path = run_folder_file(&r->folder, "validation-%lld.png", (long long)step);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

/* What happens at some steps: a picture, the fixed-grid loss, a checkpoint. resumed: the run was stopped at
   this step, and what of it was done then is not done again. */
static bool after_update(Run *r, int64_t step, bool resumed, Messages *errors) {
    const TrainOptions *o = r->o;
    bool last = step == o->steps;
    if (r->validation && (last || (o->validation_every > 0 && step % o->validation_every == 0)) &&
        !(resumed && has_picture(r, step)) && !draw_validation(r, step, errors))
        return false;
    bool measured = r->folder.points > 0 && (int64_t)r->folder.grid[2 * r->folder.points - 2] == step;
    if (o->grid_loss > 0 && step % o->grid_loss == 0 && !last && !measured && !r->cut_short) {
        double loss;
        if (!measure_grid(r, &loss, errors)) return false;
        if (!r->cut_short) printf("step %lld: fixed-grid loss %.5f\n", (long long)step, loss);
    }
    return r->cut_short || o->checkpoint_every == 0 || step % o->checkpoint_every != 0 ||
           run_folder_save(&r->folder, step, r->words.learned, o->vectors, r->model.clip.config.hidden_size,
                           errors);
}

static bool run_loop(Run *r, Messages *errors) {
    Progress progress = progress_new();
    Start start = { r->folder.losses.count, r->loop.step };
    bool ok = start.step == 0 || after_update(r, start.step, true, errors);
    while (ok && r->loop.step < r->o->steps && !signals_caught()) {
        LoopRecord record = loop_next(&r->loop);
        if (!is_sound(r, errors)) return false;
        if (r->folder.losses.count == 0) r->saver.first_loss = (double)record.loss;
        ok = losses_add(&r->folder.losses, record, errors);
        char before[40];
        snprintf(before, sizeof before, "step %lld: ", (long long)record.step);
        ok = check_loss((double)record.loss, r->loop.ran, before, SMALLER_LR, errors) && ok;
        if (ok) show_progress(r, &progress, start, record, r->loop.step == r->o->steps);
        if (ok && record.updated) ok = after_update(r, record.step, false, errors);
        if (ok && saver_due(&r->saver))
            ok = is_sound(r, errors) && saver_write(&r->saver, &r->loop, &r->folder, false, errors);
    }
    if (r->o->profile) profile_print(&r->profile, r->folder.losses.count - start.records);
    return ok;
}

/* The end */

static void print_stopped(const Run *r) {
    int64_t step = max_i64(r->loop.step, r->state.step);
    char *command = resume_command(r->folder.path);
    if (r->loop.step > 0)
        console_line(stderr, "ti: the word as it is by now: %s/learned_embeds-steps-%lld.safetensors",
                     r->folder.path, (long long)step);
    console_line(stderr, "ti: stopped at step %lld of %lld; go on with: %s", (long long)step,
                 (long long)r->o->steps, command);
    free(command);
}

/* What ended, ended well, or was stopped: the word as it is, and the state last, so that it never says more
   than there is. */
static bool finish(Run *r, bool ok, Messages *errors) {
    int64_t width = r->model.clip.config.hidden_size;
    bool complete = ok && r->loop.step == r->o->steps && !r->cut_short;
    if (complete && r->folder.points > 0) {
        double before = r->folder.grid[1], after;
        ok = measure_grid(r, &after, errors);
        complete = !r->cut_short;
        if (ok && complete) printf("fixed-grid loss %.5f before, %.5f after\n", before, after);
    }
    if (!is_sound(r, errors)) return false;
    bool saved =
        (!complete && r->loop.step == 0) || run_folder_save(&r->folder, complete ? -1 : r->loop.step,
                                                            r->words.learned, r->o->vectors, width, errors);
    if (ok && saved) saved = saver_write(&r->saver, &r->loop, &r->folder, complete, errors);
    tell_peak_memory();
    r->complete = complete && saved;
    if (r->complete) train_print_usage(r->o, &r->folder, width);
    return ok && saved;
}

/* --dry-run */
static bool show_plan(Run *r, Messages *errors) {
    if (!allocate(r, errors)) return false;
    Work work = work_left(r);
    work.encoded = r->pictures.count * (r->o->no_flip ? 1 : 2);
    enum { SECONDS = 5, ROUNDS = 20 };
    const Plan *step = &r->loop.full.plan;
    Wait wait;
    Watch watch = wait_start(&wait, "timing operations",
                             (double)ROUNDS * (step->forward_flops + step->backward_flops), NULL);
    watch_go_on(&watch, 0, 1);
    Estimate e = estimate(r, work, SECONDS, ROUNDS);
    watch_go_on(&watch, 1, 1);
    MemoryNeed reading = reading_need(r);
    dry_run(&r->model, r->o, &e, &r->loop.full.plan, &reading, r->threads);
    return true;
}

/* --dump: the pictures are encoded anew, since the cache is the run's. */
static bool dump(Run *r, Messages *errors, Messages *warnings) {
    return may_make(r->o->dump, r->o->force, errors) && allocate(r, errors) &&
           encode_into(r, 0, NULL, errors, warnings) && dump_step(&r->loop, r->o->dump, errors, warnings);
}

static bool train(Run *r, Messages *errors, Messages *warnings) {
    plan_run(r);
    if (!plan_validation(r, errors, warnings) || !fit_memory(r, errors, warnings) ||
        !pictures_read(&r->pictures, (int)r->o->resolution, r->o->center_crop, errors))
        return false;
    if (r->o->dry_run) return show_plan(r, errors);
    if (r->o->dump) return dump(r, errors, warnings);
    if (!allocate(r, errors) || !(r->o->resume ? take_up_run : begin_run)(r, errors)) return false;
    signals_catch();
    if (!encode_pictures(r, errors, warnings)) return false;
    if (r->has_state) check_first_loss(r); /* on the rows that the run began with */
    if (signals_caught()) return true;     /* what is saved is still all there is */
    tell_time(r);
    if (r->o->profile) {
        profile_start(&r->profile);
        graph_trace(r->loop.full.graph, &r->profile.trace);
    }
    double loss; /* of the initial rows */
    if (r->folder.points == 0 && grid_wanted(r) && !measure_grid(r, &loss, errors)) return false;
    if (signals_caught()) return true;
    if (r->has_state) state_restore(&r->state, &r->loop);
    bool ok = run_loop(r, errors);
    return finish(r, ok, errors);
}

static void run_free(Run *r) {
    loop_free(&r->loop);
    encoder_free(&r->encoder);
    validation_free(r->validation);
    posteriors_free(&r->posteriors);
    arena_free(&r->arena);
    run_folder_close(&r->folder);
    identity_free(&r->saver.identity);
    state_free(&r->state);
    pictures_free(&r->pictures);
    words_free(&r->words);
    free(r->prompts);
    free(r->initial);
    model_close(&r->model);
}

/* The folder that is written must be none of those that are read: not the pictures' own, not in the model's
   or the VAE's folder, not the one in which a file of weights or the word of --init lies. */
static void check_places(const Run *r, Messages *errors) {
    const TrainOptions *o = r->o;
    const ModelFolder *m = &r->model.folder;
    const char *option = o->dump ? "--dump" : "--out", *out = o->dump ? o->dump : o->out;
    const char *files[] = { store_path(m->text_encoder), store_path(m->unet), store_path(m->vae),
                            o->init_is_file ? o->init.items[0] : "" };
    const char *folders[] = { m->path, o->vae ? o->vae : "" };
    const char *clash = path_same(out, o->images) ? o->images : NULL;
    for (int i = 0; i < 2 && !clash; i++)
        if (path_is_folder(folders[i]) && path_inside(out, folders[i])) clash = folders[i];
    for (int i = 0; i < 4 && !clash; i++)
        if (*files[i] && path_holds(out, files[i])) clash = files[i];
    if (clash)
        messages_add(errors, "%s %s: is where %s lies, which the run reads; take a folder of its own", option,
                     out, clash);
}

static bool prepare(Run *r, Messages *errors, Messages *warnings) {
    if (!open_model(r->o->model, r->o->vae, r->o->prediction, &r->model, errors, warnings) ||
        !train_options_complete(r->o, r->model.folder.path, errors))
        return false;
    check_trainable(&r->model, errors);
    check_resolution(&r->model, &r->o->resolution, errors, warnings);
    check_places(r, errors);
    initial_rows(r, errors);
    if (errors->count == 0)
        list_pictures(r->o->images, r->o->resolution, r->o->center_crop, &r->pictures, errors, warnings);
    if (r->pictures.count * r->o->repeats >= RANDPERM_MAX)
        messages_add(errors,
                     "--repeats %lld: with %lld pictures that is more to an epoch than can be shuffled (%d)",
                     (long long)r->o->repeats, (long long)r->pictures.count, RANDPERM_MAX);
    if (errors->count == 0) make_prompts(r, errors, warnings);
    threads_check_blas(warnings);
    return errors->count == 0;
}

/* The exit status of a run that ended without an error: 128 and the signal, as a shell says it, where one
   stopped it. */
static int ending(const Run *r) {
    if (r->complete || !signals_caught()) return 0;
    print_stopped(r);
    return 128 + signals_caught();
}

/* The word's files, should they be damaged or gone. */
static bool show_finished(Run *r, Messages *errors) {
    int64_t vectors = r->o->vectors, width = r->state.count / vectors;
    if (width * vectors != r->state.count)
        return messages_add(errors, "%s/%s: has no %lld vectors", r->folder.path, RUN_STATE,
                            (long long)vectors);
    console_line(stderr, "ti: %s is finished: all its %lld steps are done", r->folder.path,
                 (long long)r->state.step);
    if (!run_folder_restore(&r->folder, r->state.learned, vectors, width, errors)) return false;
    train_print_usage(r->o, &r->folder, width);
    return true;
}

static bool run(Run *r, Messages *errors, Messages *warnings) {
    if (r->o->resume && !find_run(r, errors)) return false;
    r->complete = is_finished(r);
    if (r->complete) return show_finished(r, errors);
    r->threads = threads_start(r->o->threads);
    return memory_limit_parse(r->o->memory, &r->memory, errors) && prepare(r, errors, warnings) &&
           train(r, errors, warnings);
}

int train_run(void *options, Messages *errors, Messages *warnings) {
    Run *r = mem_alloc(sizeof *r);
    r->o = options;
    run(r, errors, warnings);
    signals_release();
    int status = errors->count > 0 ? 1 : ending(r);
    run_free(r);
    free(r);
    return status;
}
