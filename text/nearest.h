/* Misspelt words. */
#ifndef TI_NEAREST_H
#define TI_NEAREST_H

/* The nearest of names[0..count) to a misspelt word; NULL if none is near. */
const char *nearest_name(const char *word, const char *const *names, int count);

#endif
