/* SPDX-License-Identifier: MIT */
/* `ti train`: learns a word from a folder of pictures. run() and train() show the order of its parts. */
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
#include "cli/train_run.h"
#include "inversion/grid_loss.h"
#include "inversion/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How a run ended. A dry run and a dump end with RUN_DONE too. */
typedef enum {
    RUN_DONE,    /* everything that was asked for is done and written */
    RUN_STOPPED, /* a signal or --for stopped it; all that it did is saved, and --resume continues it */
    RUN_FAILED   /* `errors` says why */
} RunResult;

/* Words and prompts */

static bool initial_vectors(Run *r, Messages *errors) {
    r->words.width = r->model.clip.config.hidden_size;
    r->saver.stop = &r->stop;
    r->norm = train_norm(r->o, &r->model);
    r->initial = train_initial_vectors(r->o, &r->model, r->norm, r->has_state ? &r->state : NULL, errors);
    return r->initial && words_add(&r->words, r->model.tokenizer, r->o->token, r->initial, r->o->vectors,
                                   r->words.width, "--token", NULL, errors);
}

/* Planning */

/* Records and plans the graphs of the encoder and of the training step. */
static void plan_run(Run *r) {
    const Model *m = &r->model;
    int64_t factor = vae_factor(&m->vae.config);
    const Sides *sides = &r->o->sides;
    PlanOptions plan = { .precision = (Precision)r->o->precision };
    r->encoder = encoder_new(&m->vae, sides->height, sides->width, plan);
    r->posteriors = (Posteriors) { .pictures = r->pictures.count };
    LoopData data = {
        .clip = &m->clip,
        .unet = &m->unet,
        .noise_schedule = &m->noise_schedule,
        .vae = &m->vae.config,
        .posteriors = &r->posteriors,
        .prompts = &r->prompts,
        .masks = r->o->masks ? &r->masks : NULL,
        .height = sides->height / factor,
        .width = sides->width / factor,
        .vectors = r->o->vectors,
        .own = r->o->per_image > 0 ? r->pictures.count : 0,
        .learned = r->words.learned,
        .initial = r->initial,
    };
    r->loop = loop_new(train_loop_options(r->o, r->norm), data, plan);
    r->stop = train_early_stop(r->o);
}

/* Returns the bytes of the arena, which are those of the graph that needs the most. */
static int64_t arena_bytes(const Run *r) {
    int64_t bytes = max_i64(plan_bytes(&r->encoder.plan, r->threads), loop_bytes(&r->loop, r->threads));
    return r->validation ? max_i64(bytes, sampling_bytes(validation_sampling(r->validation), r->threads))
                         : bytes;
}

/* Returns the bytes of the pictures at the size of training, which stay in memory during the whole run. */
static int64_t picture_bytes(const Run *r) {
    return 3 * r->pictures.count * r->o->sides.width * r->o->sides.height;
}

/* Returns the memory need of reading the pictures. They are read one at a time, before anything else is
   computed, so this is the need of the picture that takes the most memory to read. */
static MemoryNeed reading_need(const Run *r) {
    int64_t largest = pictures_largest(&r->pictures);
    const PictureSize *size = &r->pictures.sizes[largest];
    return (MemoryNeed) { .buffers = picture_bytes(r) + size->bytes,
                          .picture = r->pictures.paths[largest],
                          .width = size->width,
                          .height = size->height };
}

/* Returns the memory need of the run, which is that of encoding or of training. The pictures are encoded
   first. The buffers that this touches stay in memory, but the encoder's weights do not. Validation needs the
   weights of a training step, and then only the decoder's. */
static MemoryNeed memory_need(const Run *r) {
    const Plan *step = &r->loop.full.plan, *encoder = &r->encoder.plan;
    int64_t pictures = picture_bytes(r);
    MemoryNeed encoding = { .weights = encoder->weights,
                            .buffers = pictures + plan_bytes(encoder, r->threads) };
    MemoryNeed training = { .weights = step->weights,
                            .buffers = pictures + arena_bytes(r),
                            .recomputed = step->recomputed,
                            .blocks = step->blocks };
    return memory_larger(training, encoding);
}

static const char SMALLER[] = "a smaller --batch or --resolution";

/* Where the memory limit is below the run's need, plans the training step so that blocks are recomputed in
   the backward pass. Then prints how much memory the run will take, before any work is done. */
static bool fit_memory(Run *r, Messages *errors, Messages *warnings) {
    MemoryNeed need = memory_need(r);
    if (memory_total(&need) > r->memory.bytes) {
        loop_plan_within(&r->loop, r->memory.bytes - r->loop.full.plan.weights - picture_bytes(r),
                         r->threads);
        need = memory_need(r);
    }
    need = memory_larger(need, reading_need(r));
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

/* --resume: reads the options and the state of the run in --out. A run that was extended, but
   stopped before it saved a state, has more steps in its options than in its state. In this case
   --steps has to say which number is meant. */
static bool read_run(Run *r, Messages *errors) {
    int64_t recorded;
    if (!train_options_resume(r->o, &recorded, errors) ||
        !run_folder_reopen(&r->folder, r->o->out, r->o->token, errors) ||
        !resume_read(&r->folder, &r->state, &r->has_state, errors))
        return false;
    if (r->o->steps_given && resume_ended_early(&r->state)) r->o->stop = STOP_OFF;
    if (!r->state.newer || r->state.steps == recorded || r->o->steps_given) return true;
    return messages_add(errors, "%s/%s: has %lld steps, and the run had %lld: say which with --steps",
                        r->folder.path, RUN_OPTIONS, (long long)recorded, (long long)r->state.steps);
}

static bool is_finished(const Run *r) {
    if (r->o->stop == STOP_OFF && r->state.stop.every > 0) return false; /* another word is kept then */
    return r->state.finished && (r->state.step >= r->o->steps || resume_ended_early(&r->state));
}

static RunIdentity identity_now(const Run *r) {
    return identity_new(r->o, &r->model, &r->pictures, &r->prompts, r->loop.data.masks);
}

static bool begin_run(Run *r, Messages *errors) {
    if (!run_folder_open(&r->folder, r->o->out, r->o->token, r->o->force, errors) ||
        !train_options_save(r->o, r->folder.path, errors) ||
        !run_folder_open_losses(&r->folder, NULL, errors))
        return false;
    r->saver.identity = identity_now(r);
    return true;
}

/* Makes sure that the inputs are those with which the run began, then continues in its folder. */
static bool resume_run(Run *r, Messages *errors) {
    RunIdentity *now = &r->saver.identity;
    *now = identity_now(r);
    if (!r->has_state) {
        console_line(stderr, "ti: %s has no %s yet: it begins with its first step", r->folder.path,
                     RUN_STATE);
        if (!run_folder_open_losses(&r->folder, NULL, errors)) return false;
    } else {
        if (!identity_same(&r->state.identity, now, r->o, &r->model, &r->pictures, errors) ||
            !resume_early_stop(&r->folder, &r->state, r->o, &r->stop, errors) ||
            !resume_folder(&r->folder, &r->state, &r->loop, r->o->grid_loss, errors))
            return false;
        console_line(stderr, "ti: %s continues at step %lld of %lld", r->folder.path,
                     (long long)r->state.step, (long long)r->o->steps);
    }
    return train_options_save(r->o, r->folder.path, errors);
}

/* With several ranks: whether all of them have the inputs of this one. */
static bool ranks_share_inputs(const Run *r, Messages *errors) {
    if (ranks_count() == 1) return true;
    console_line(stderr, "ti: %d ranks, each of which computes at most %lld of a batch's %lld pictures",
                 ranks_count(), (long long)loop_passes(&r->loop), (long long)r->o->batch);
    RunIdentity own = identity_now(r);
    bool same = identity_shared(&own, r->o, &r->model, errors);
    identity_free(&own);
    return same;
}

/* vae_key and cache are those of posteriors_compute. */
static bool compute_posteriors(Run *r, uint64_t vae_key, const char *cache, Messages *errors,
                               Messages *warnings) {
    bool flips = !r->o->no_flip;
    Wait wait;
    double flops = (double)(r->pictures.count * (flips ? 2 : 1)) * r->encoder.plan.forward_flops;
    Watch watch = wait_start(&wait, "encoding pictures", flops, not_interrupted);
    return posteriors_compute(&r->posteriors, &r->encoder, r->pictures.images, r->pictures.count, flips,
                              vae_key, cache, &watch, errors, warnings);
}

/* Weights are mapped files. If another program changes one, everything that is computed
   afterwards is wrong. So this must be called before results are kept. Returns false and adds a
   message when a file was modified. */
static bool weights_unchanged(Run *r, Messages *errors) {
    if (r->weights_changed || folder_unchanged(&r->model.folder, errors)) return !r->weights_changed;
    r->weights_changed = true;
    char *command = resume_command(r->folder.path);
    messages_add(errors, "%s: the run stays as it was last saved; restore the file, then continue with: %s",
                 r->folder.path, command);
    free(command);
    return false;
}

static bool encode_pictures(Run *r, Messages *errors, Messages *warnings) {
    char *cache = run_folder_file(&r->folder, "latents.safetensors");
    bool ok = compute_posteriors(r, store_fingerprint(r->model.folder.vae), cache, errors, warnings);
    report_warnings(warnings);
    if (!weights_unchanged(r, errors)) unlink(cache);
    folder_release_pages(&r->model.folder); /* the encoder's weights are not needed any more */
    free(cache);
    return ok && !r->weights_changed;
}

/* Returns whether the fixed-grid loss is measured. By default this is done before and after
   training, if both together take less than a twentieth of the training's time. A forward pass takes
   about half the time of a training step. */
static bool grid_wanted(const Run *r) {
    if (r->o->grid_loss > 0) return true;
    if (r->o->grid_loss == 0 && r->o->grid_loss_given) return false;
    double passes = (double)ceil_div(r->pictures.count * GRID_TIMESTEPS, r->o->batch);
    return 2 * passes * 0.5 < 0.05 * (double)loop_micro_batches(&r->loop);
}

/* Returns the work that remains, for the estimate of its time. What a resumed run has done is taken from its
   state, since --dry-run opens no run folder; a run that begins has an empty state. */
static Work work_left(const Run *r) {
    const TrainOptions *o = r->o;
    const RunState *before = &r->state;
    int64_t done = before->step, last = o->steps - 1;
    Work w = { .steps = o->steps - done, .batches = loop_micro_batches(&r->loop) - before->records };
    if (grid_wanted(r)) w.grids = 1 + (before->points == 0);
    if (o->grid_loss > 0) w.grids += last / o->grid_loss - done / o->grid_loss;
    int64_t stops = r->stop.count + before->stop.count; /* resume_early_stop moves the latter to the former */
    if (r->stop.every > 0) w.stops = early_stop_evaluations(&r->stop, o->steps) + 1 - stops;
    if (r->validation) w.sampled = 1;
    if (r->validation && o->validation_every > 0)
        w.sampled += last / o->validation_every - done / o->validation_every;
    return w;
}

static Estimate estimate(const Run *r, Work work, double seconds, int rounds) {
    const Sampling *sampling = r->validation ? validation_sampling(r->validation) : NULL;
    return estimate_new(&r->loop, &r->encoder, sampling, work, seconds, rounds);
}

/* Prints how long the run will take. A rough and cheap estimate suffices, since the
   progress line soon shows a better one. */
static void print_time(Run *r) {
    Estimate e = estimate(r, work_left(r), 0.5, 2);
    double step = e.batch.forward + e.batch.backward, bf16 = 0;
    char text[DURATION_TEXT];
    if (step > 1 && r->o->precision == PRECISION_F32)
        bf16 = estimate_bf16(&r->loop, &r->arena, r->threads, 0.5);
    fprintf(stderr, "ti: %lld steps of %lld pictures, %.3g s each: about %s in all", (long long)e.work.steps,
            (long long)(r->o->batch * r->o->accumulate), step * (double)r->o->accumulate,
            duration_text(estimate_all(&e), text));
    if (e.work.grids)
        fprintf(stderr, ", %s of it for the fixed-grid loss%s", duration_text(e.grids, text),
                r->folder.points == 0 ? ", once before the first step" : "");
    if (bf16 > 0)
        fprintf(stderr, "; a step with --precision bf16 takes about %.3g s", bf16 * (double)r->o->accumulate);
    fprintf(stderr, "\n");
}

/* The run */

/* The point of the run at which this process began, from which the progress line computes the speed. */
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

/* The training loop. Returns false after an error; a signal, --for and --stop auto end the loop with true. */
static bool run_loop(Run *r, Messages *errors) {
    Progress progress = progress_new();
    Start start = { r->folder.losses.count, r->loop.step };
    double took = 0; /* the seconds of the last micro-batch */
    /* At the end of a run with --stop auto the pictures are those of the word that was kept. */
    bool last_vectors = !r->state.finished || r->state.stop.every == 0;
    bool ok = start.step == 0 || train_after_update(r, start.step, last_vectors, errors);
    while (ok && !train_is_last(r, r->loop.step) && !stop_asked(took)) {
        double before_batch = system_seconds();
        LoopRecord record = { .given_up = true };
        if (ranks_next(&(RankTask) { TASK_MICRO_BATCH })) record = loop_next(&r->loop);
        took = system_seconds() - before_batch;
        if (!weights_unchanged(r, errors)) return false;
        if (record.given_up) break;
        if (r->folder.losses.count == 0) r->saver.first_loss = (double)record.loss;
        ok = losses_add(&r->folder.losses, record, errors);
        char before[40];
        snprintf(before, sizeof before, "step %lld: ", (long long)record.step);
        ok = check_loss((double)record.loss, r->loop.latest, before, TRAIN_SMALLER_LR, errors) && ok;
        if (ok) show_progress(r, &progress, start, record, r->loop.step == r->o->steps);
        if (ok && record.updated) ok = train_after_update(r, record.step, false, errors);
        if (ok && saver_due(&r->saver))
            ok = weights_unchanged(r, errors) && saver_write(&r->saver, &r->loop, &r->folder, false, errors);
    }
    progress_end(&progress);
    if (r->o->profile) profile_print(&r->profile, r->folder.losses.count - start.records);
    return ok;
}

/* The end */

/* Saves what a loop that has ended leaves: the word, as finished or as a checkpoint, and then the state.
   The state comes last, since it must never claim more than the other files contain. ok is run_loop's
   result; after an error the word is saved, but not the state, so that a resumed run continues from the
   last good one. */
static RunResult finish(Run *r, bool ok, Messages *errors) {
    int64_t width = r->model.clip.config.hidden_size;
    bool complete = ok && train_is_last(r, r->loop.step) && !r->interrupted;
    if (complete && r->stop.every > 0) train_print_early_stop(&r->stop, r->loop.step, r->o->steps);
    if (complete && r->folder.points > 0) {
        double before = r->folder.grid[1], after;
        train_exchange_best(r);
        ok = train_measure_grid(r, &after, errors);
        train_exchange_best(r);
        complete = !r->interrupted;
        if (ok && complete) printf("fixed-grid loss %.5f before, %.5f after\n", before, after);
    }
    if (!weights_unchanged(r, errors)) return RUN_FAILED;
    const float *word = complete ? early_stop_kept(&r->stop, r->words.learned) : r->words.learned;
    bool saved =
        (!complete && r->loop.step == 0) || run_folder_save(&r->folder, complete ? -1 : r->loop.step, word,
                                                            r->words.words[0].vectors, width, errors);
    if (ok && saved) saved = saver_write(&r->saver, &r->loop, &r->folder, complete, errors);
    print_peak_memory();
    if (!ok || !saved) return RUN_FAILED;
    if (complete) train_print_usage(r->o, &r->folder, width, r->loop.step < r->o->steps);
    if (complete) train_print_settled(&r->folder);
    return complete ? RUN_DONE : RUN_STOPPED;
}

/* --dry-run: prints the plan and the estimated time instead of training. */
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
    dry_run(&r->model, r->o, &e, step, &reading, r->threads);
    return true;
}

/* --dump: writes the tensors of the first batch instead of training. The pictures are encoded without the
   cache, which belongs to the run's folder. */
static bool dump(Run *r, Messages *errors, Messages *warnings) {
    if (r->o->one_by_one)
        return messages_add(errors, "--dump: writes the tensors of a whole batch, so not with --one-by-one");
    return may_make(r->o->dump, r->o->force, errors) && allocate(r, errors) &&
           compute_posteriors(r, 0, NULL, errors, warnings) &&
           dump_step(&r->loop, r->o->dump, errors, warnings);
}

/* What a rank other than the first asks before its part of a micro-batch counts. */
typedef struct {
    Run *run;
    Messages *errors;
} Follower;
static bool intact(void *user) {
    const Follower *f = user;
    return folder_unchanged(&f->run->model.folder, f->errors);
}

/* Rank 0's learned vectors, at which a loss is measured, may be those that --stop auto keeps. */
static void measure_along(Run *r, FixedLoss *fixed_loss) {
    GridLossData data = train_grid_data(r);
    if (ranks_copy(r->words.learned, (size_t)r->loop.adamw.count * sizeof(float)))
        fixed_loss(&data, &r->loop.full, NULL);
}

/* The run of a rank other than the first. It makes the same draws and updates as rank 0, which encodes,
   writes and prints, and says what comes next. */
static RunResult follow(Run *r, Messages *errors) {
    Follower follower = { r, errors };
    if (!get_arena(&r->arena, loop_bytes(&r->loop, r->threads), SMALLER, errors)) return RUN_FAILED;
    loop_bind(&r->loop, &r->arena, r->threads);
    signals_follow();
    r->loop.intact = intact;
    r->loop.user = &follower;
    posteriors_share(&r->posteriors, &r->encoder, r->pictures.count);
    for (RankTask task = TASK_RESTORE; errors->count == 0 && ranks_next(&task);) {
        if (task == TASK_FIRST_LOSS) loop_first_loss(&r->loop);
        if (task == TASK_GRID_LOSS) measure_along(r, grid_loss);
        if (task == TASK_STOP_LOSS) measure_along(r, deterministic_loss);
        if (task == TASK_RESTORE) state_restore(&r->state, &r->loop);
        if (task == TASK_MICRO_BATCH) loop_next(&r->loop);
    }
    return errors->count > 0 ? RUN_FAILED : RUN_DONE;
}

static RunResult result_of(bool ok) { return ok ? RUN_DONE : RUN_FAILED; }

/* Plans all graphs and makes sure that they fit into memory, then reads the pictures, encodes
   them and trains. After signals_catch a signal no longer ends the program; the run stops
   when the current step is done. */
static RunResult train(Run *r, Messages *errors, Messages *warnings) {
    plan_run(r);
    bool first = ranks_own() == 0;
    if ((first && !train_validation(r->o, &r->model, &r->words, &r->validation, errors, warnings)) ||
        !fit_memory(r, errors, warnings) ||
        !train_read_pictures(r->o, &r->model, &r->pictures, &r->masks, errors) ||
        !ranks_share_inputs(r, errors))
        return RUN_FAILED;
    if (!first) return follow(r, errors);
    if (r->o->dry_run) return result_of(show_plan(r, errors));
    if (r->o->dump) return result_of(dump(r, errors, warnings));
    if (!allocate(r, errors) || !(r->o->resume ? resume_run : begin_run)(r, errors)) return RUN_FAILED;
    signals_catch();
    if (!encode_pictures(r, errors, warnings) ||
        !posteriors_share(&r->posteriors, &r->encoder, r->pictures.count))
        return errors->count > 0 ? RUN_FAILED : RUN_STOPPED;
    r->saver.first_loss = r->state.first_loss;
    if (r->has_state) resume_check_first_loss(&r->state, &r->loop);
    if (stop_asked(0)) return RUN_STOPPED; /* nothing has changed since the run was last saved */
    print_time(r);
    if (r->o->profile) {
        profile_start(&r->profile);
        graph_trace(r->loop.full.graph, &r->profile.trace);
    }
    if (!train_show_learned(r, 0, errors)) return RUN_FAILED;
    double loss; /* of the initial vectors */
    if (r->folder.points == 0 && grid_wanted(r) && !train_measure_grid(r, &loss, errors)) return RUN_FAILED;
    if (r->stop.count == 0 && !train_measure_stop(r, 0, errors)) return RUN_FAILED;
    if (stop_asked(0)) return RUN_STOPPED;
    if (r->has_state && !ranks_next(&(RankTask) { TASK_RESTORE })) return RUN_STOPPED;
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
    early_stop_free(&r->stop);
    pictures_free(&r->pictures);
    words_free(&r->words);
    training_prompts_free(&r->prompts);
    masks_free(&r->masks);
    free(r->initial);
    model_close(&r->model);
}

/* Opens the model and checks the options against it, before anything is planned. */
static bool prepare(Run *r, Messages *errors, Messages *warnings) {
    if (!open_model(r->o->model, r->o->vae, r->o->prediction, &r->model, errors, warnings) ||
        !train_options_complete(r->o, r->model.folder.path, errors) ||
        !train_prepare_model(r->o, &r->model, errors, warnings))
        return false;
    initial_vectors(r, errors);
    if (errors->count == 0)
        list_pictures(r->o->images, fit_of(&r->o->sides, r->o->center_crop), &r->pictures, errors, warnings);
    if (errors->count == 0 && r->o->per_image > 0)
        train_own_vectors(&r->words, &r->initial, r->pictures.count);
    r->saver.initial = r->initial;
    if (r->pictures.count * r->o->repeats >= RANDPERM_MAX)
        messages_add(
            errors, "--repeats %lld: with %lld pictures an epoch has more examples than can be shuffled (%d)",
            (long long)r->o->repeats, (long long)r->pictures.count, RANDPERM_MAX);
    if (errors->count == 0)
        train_prompts(r->o, r->model.tokenizer, &r->pictures, &r->prompts, errors, warnings);
    if (ranks_count() > r->o->batch)
        messages_add(warnings,
                     "--batch %lld: is less than the number of ranks, so some of them have nothing to do",
                     (long long)r->o->batch);
    threads_check_blas(warnings);
    check_precision((Precision)r->o->precision, warnings);
    return errors->count == 0;
}

/* --resume of a run that is finished: writes the word's files if they are damaged or
   missing, and says how to use the word. */
static bool show_finished(Run *r, Messages *errors) {
    int64_t vectors = r->o->vectors, width = train_state_width(r->o, &r->state);
    if (width == 0)
        return messages_add(errors, "%s/%s: does not hold %lld vectors", r->folder.path, RUN_STATE,
                            (long long)vectors);
    bool early = r->state.step < r->o->steps;
    console_line(stderr,
                 early ? "ti: %s is finished: --stop auto ended it at step %lld"
                       : "ti: %s is finished: all its %lld steps are done",
                 r->folder.path, (long long)r->state.step);
    const float *word = early_stop_kept(&r->state.stop, r->state.learned);
    if (!run_folder_restore(&r->folder, word, vectors, width, errors)) return false;
    train_print_usage(r->o, &r->folder, width, early);
    return true;
}

/* Gives the files of a run that is resumed to ranks that may not see its folder. */
static void read_ahead(const char *folder) {
    char *options = mem_format("%s/%s", folder, RUN_OPTIONS), *state = mem_format("%s/%s", folder, RUN_STATE);
    ranks_read_ahead((const char *[]) { options, state }, 2);
    free(options);
    free(state);
}

static RunResult run(Run *r, Messages *errors, Messages *warnings) {
    if (r->o->resume) read_ahead(r->o->out);
    if (r->o->resume && !read_run(r, errors)) return RUN_FAILED;
    if (is_finished(r)) return ranks_own() > 0 ? RUN_DONE : result_of(show_finished(r, errors));
    r->threads =
        threads_start(r->o->threads > 0 ? r->o->threads : max_i64(1, threads_cores() / ranks_on_cores()));
    if (!memory_limit_parse(r->o->memory, &r->memory, errors) || !prepare(r, errors, warnings))
        return RUN_FAILED;
    return train(r, errors, warnings);
}

/* The exit status of a run that a signal stopped is 128 and the signal's number, as a shell reports it; that
   of a run that --for ended is 0. */
int train_run(void *options, Messages *errors, Messages *warnings) {
    Run *r = mem_alloc(sizeof *r);
    r->o = options;
    if (r->o->duration) stop_at(system_seconds() + r->o->seconds);
    RunResult result = run(r, errors, warnings);
    bool lost = result != RUN_DONE && !ranks_report(errors);
    signals_release();
    if (result == RUN_STOPPED)
        train_print_stopped(r->o, &r->folder, max_i64(r->loop.step, r->state.step), r->loop.step > 0);
    run_free(r);
    free(r);
    if (result == RUN_STOPPED && !lost) return signals_caught() ? 128 + signals_caught() : 0;
    return result != RUN_DONE;
}
