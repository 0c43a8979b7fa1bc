#include "nn/model.h"

bool model_open(const char *path, Model *m, Messages *errors, Messages *warnings) {
    *m = (Model) { 0 };
    int before = errors->count;
    if (!folder_open(path, &m->folder, errors, warnings)) return false;
    ModelFolder *f = &m->folder;
    m->tokenizer = tokenizer_load(f->vocab_path, f->merges_path, &f->tokenizer, errors);
    m->clip = clip_load(&f->clip, f->text_encoder);
    m->unet = unet_load(&f->unet_config, f->unet);
    m->vae = vae_load(&f->vae_config, f->vae);
    m->diffusion = diffusion_new(&f->scheduler);
    if (m->tokenizer && tokenizer_vocab_size(m->tokenizer) > f->clip.vocab_size)
        messages_add(errors, "%s: the tokenizer has %lld tokens, the text encoder %lld", path,
                     (long long)tokenizer_vocab_size(m->tokenizer), (long long)f->clip.vocab_size);
    if (errors->count == before) return true;
    model_close(m);
    return false;
}

void model_close(Model *m) {
    clip_free(&m->clip);
    unet_free(&m->unet);
    vae_free(&m->vae);
    diffusion_free(&m->diffusion);
    if (m->tokenizer) tokenizer_free(m->tokenizer);
    folder_close(&m->folder);
    *m = (Model) { 0 };
}
