/* SPDX-License-Identifier: MIT */
/* Reads the files that torch.save writes (.pt, .bin, .ckpt): a pickle and the numbers of its tensors. Since
   torch 1.6 they are members of a zip file, which are stored without compression and so are used where they
   lie. In the format before that, several pickles and then the numbers follow each other. */
#ifndef TI_TORCH_FILE_H
#define TI_TORCH_FILE_H

#include "exchange/pickle.h"
#include "exchange/zip.h"
#include "weights/safetensors.h"

typedef struct {
    Pickle pickle; /* its root is what was saved; its storages have their data */
    Zip zip;       /* {0} in the old format */
} TorchFile;

/* Returns whether the bytes begin as such a file does: a zip file, or a pickle of protocol 2 to 5. */
bool is_pickle(const void *bytes, size_t size);

/* Reads such a file, whose bytes must outlive t. With strict, which is for learned words, a name that is not
   in the table of exchange/pickle.c refuses the file, and compressed members are unpacked; otherwise storages
   of unknown types and in compressed members have no data. Returns false and adds a message when the file is
   damaged or is not one of torch.save; then there is nothing to close. */
bool torch_parse(const char *path, const void *bytes, size_t size, bool strict, TorchFile *t,
                 Messages *errors);
void torch_close(TorchFile *t);

/* Makes a list of the tensors in the file's dictionary: the one at "string_to_param" or "state_dict" if it
   has such a key, or else the whole. What is no tensor is left out, except an object of an unknown class,
   which is listed with the class as its type, and is_float false; so is a tensor whose numbers do not lie in
   the file one after the other, unless `gather` is set: then they are copied. The tensors' data belong to the
   file or, when copied, to s, which the caller closes before it closes t. Returns false and adds a message
   when there is no dictionary, or a name occurs twice. */
bool torch_tensors(const TorchFile *t, const char *path, bool gather, Safetensors *s, Messages *errors);

/* Opens a file of weights that torch.save has written as safetensors_open does: it is mapped, and its tensors
   are not copied. */
bool torch_open(const char *path, Safetensors *s, Messages *errors);

#endif
