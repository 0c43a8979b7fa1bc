#include "exchange/word_file.h"

#include "exchange/family.h"
#include "io/file.h"

bool word_file_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors) {
    *e = (Embeddings) { 0 };
    if (!is_pickle(bytes, size)) return embeddings_parse(path, bytes, size, e, errors);
    return messages_add(
        errors,
        "%s: is a pickle, which is not read here; convert it once: python -c \"import torch, "
        "safetensors.torch; d = torch.load('FILE', map_location='cpu'); d = {'emb_params': "
        "d['string_to_param']['*'].data} if 'string_to_param' in d else d; safetensors.torch.save_file(d, "
        "'NAME.safetensors')\"",
        path);
}

bool word_file_read(const char *path, Embeddings *e, Messages *errors) {
    *e = (Embeddings) { 0 };
    File file;
    if (!file_map(path, &file, errors)) return false;
    bool ok = word_file_parse(path, file.data, file.size, e, errors);
    file_unmap(&file);
    return ok;
}
