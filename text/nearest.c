/* SPDX-License-Identifier: MIT */
#include "text/nearest.h"

#include "io/base.h"

#include <string.h>

/* The restricted Damerau-Levenshtein distance: the number of insertions, deletions, substitutions and
   transpositions of adjacent bytes that turn a into b. Returns LONGEST when a or b is longer than that. */
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 40 };
    int n = (int)strlen(a), m = (int)strlen(b), d[LONGEST + 1][LONGEST + 1];
    if (n > LONGEST || m > LONGEST) return LONGEST;
    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *nearest_name(const char *word, const char *const *names, int count) {
    const char *nearest = NULL;
    /* A name is close enough when its distance is at most 3 and at most a third of
       the word's length, rounded. */
    int best = 1 + (int)min_i64((int64_t)strlen(word) + 1, 9) / 3;
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(word, names[i]);
        bool begins = strlen(word) >= 3 && strncmp(word, names[i], strlen(word)) == 0;
        if (begins) distance = distance > 0; /* what is missing at the end counts as one change */
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
