/* Safetensors files of our own that carry a checksum: a run's state and the cache of its latents. */
#ifndef TI_SEALED_H
#define TI_SEALED_H

#include "weights/safetensors.h"

/* Writes the tensors, of any type (safetensors_bytes), and the metadata, before which a "checksum" stands:
   the FNV-1a hash of the whole file, its own 16 digits taken as zeros. The file is written aside and
   renamed. */
bool sealed_write(const char *path, const SafeTensor *tensors, int64_t count,
                  const char *const (*metadata)[2], int64_t pairs, Messages *errors);

/* Puts the checksum into the bytes of such a file, which has its place for it; false where it has none. */
bool sealed_seal(void *bytes, size_t size);

/* Whether the bytes are those of such a file and all as they were written. */
bool sealed_intact(const void *bytes, size_t size);

#endif
