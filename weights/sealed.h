/* SPDX-License-Identifier: MIT */
/* Safetensors files with a checksum. They are used where only this program reads the file: for a run's state
   and for the cache of its latents. */
#ifndef TI_SEALED_H
#define TI_SEALED_H

#include "weights/safetensors.h"

/* Writes tensors of any type (as safetensors_bytes) and the metadata [pairs], each a key and its value.
   Before the metadata it adds "checksum", the FNV-1a hash of the whole file with the checksum's own 16 digits
   taken as zeros. The file appears whole or not at all. Returns false and adds a message when it cannot be
   written. */
bool sealed_write(const char *path, const SafeTensor *tensors, int64_t count,
                  const char *const (*metadata)[2], int64_t pairs, Messages *errors);

/* Computes the checksum of such a file's bytes and writes it into them. Returns false when the bytes have no
   place for a checksum. */
bool sealed_seal(void *bytes, size_t size);

/* Returns whether the bytes are those of such a file and the checksum is right. */
bool sealed_intact(const void *bytes, size_t size);

#endif
