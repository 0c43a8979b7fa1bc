/* SPDX-License-Identifier: MIT */
/* Suggestions for misspelt names, by edit distance. */
#ifndef TI_NEAREST_H
#define TI_NEAREST_H

/* Returns the name among names[0..count) with the smallest edit distance to the misspelt word, or NULL when
   no name is close enough to be what was meant. A name that begins with the whole word is close enough when
   the word has at least 3 bytes. */
const char *nearest_name(const char *word, const char *const *names, int count);

#endif
