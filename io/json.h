/* JSON, strictly: files that come from elsewhere are checked against the grammar before cJSON sees them,
   and config files are read through getters that report what is wrong and remember which keys were asked
   for. */
#ifndef TI_JSON_H
#define TI_JSON_H

#include <cjson/cJSON.h>

#include "io/base.h"

/* The document as a tree (cJSON_Delete it), or NULL and one line that names path and line. Refused beyond
   what RFC 8259 refuses: invalid UTF-8, the character U+0000, half a surrogate pair, a key that stands
   twice in its object, numbers that no double holds, nesting deeper than 64, more than 4 million values.
   whole_numbers: nothing but 0, 1, 2, ... as numbers. */
cJSON *json_parse(const char *path, const void *text, size_t size, bool whole_numbers, Messages *errors);

/* The whole number >= 0 of item; -1 if it is none (or 2^53 and above, where doubles skip). */
int64_t json_whole(const cJSON *item);

/* An object, mostly a config file, whose keys are asked for one by one. A getter takes the value that holds
   where the key is absent, and returns that too after it has reported a fault. Which keys were asked for is
   remembered. */
typedef struct {
    char *path; /* for messages */
    cJSON *object;
    bool *known; /* [members] */
    Messages *errors, *warnings;
} JsonObject;

/* Parses at most 64 MB; false, with a line, if that fails or it is no object. Python's -Infinity counts as
   null. */
bool json_object_parse(JsonObject *o, const char *path, const void *text, size_t size, Messages *errors,
                       Messages *warnings);
void json_object_close(JsonObject *o);

/* The member, which is known from now on; NULL if it is absent. */
const cJSON *json_member(JsonObject *o, const char *key);
/* Absent or null. */
bool json_null(JsonObject *o, const char *key);

int64_t json_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high);
double json_number(JsonObject *o, const char *key, double absent, double low, double high);
bool json_bool(JsonObject *o, const char *key, bool absent);
/* The string belongs to o. */
const char *json_string(JsonObject *o, const char *key, const char *absent);
/* The index of the string in names, which NULL closes. */
int json_choice(JsonObject *o, const char *key, int absent, const char *const names[]);
/* count whole numbers: a list of that length, or one number that stands for all (the absent one too). */
void json_ints(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high, int count,
               int64_t out[]);
/* A list's length, if it is one of 1 to max members; 0 and a fault otherwise, also where it is absent. */
int json_length(JsonObject *o, const char *key, int max);

/* A field that one value alone is supported of (or two that mean the same here), written as in compact
   JSON. Absent counts as that value: the reference's classes have it as their default. */
typedef struct {
    const char *key, *value, *other; /* other may be NULL */
} JsonFixed;
void json_fixed(JsonObject *o, const JsonFixed *fields, size_t count);

/* Keys whose values change nothing here; NULL closes the list. */
void json_ignore(JsonObject *o, const char *const keys[]);
/* One warning that names all keys which nobody asked for, but for private ones ("_name_or_path"). */
void json_finish(JsonObject *o);
/* The same as an error. */
void json_finish_strictly(JsonObject *o);

/* A line `path: "key" is VALUE: reason`. Always false. */
bool json_fault(JsonObject *o, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
