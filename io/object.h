/* A JSON object, mostly a config file, whose keys are asked for one by one. A getter takes the value that
   holds where the key is absent, and returns that too after it has reported a fault. Which keys were asked
   for is remembered. */
#ifndef TI_OBJECT_H
#define TI_OBJECT_H

#include "io/json.h"

typedef struct {
    char *path;             /* for messages */
    json_t *object, *known; /* known: an object of the keys that were asked for */
    Messages *errors, *warnings;
} JsonObject;

/* Parses at most 64 MB; false, with a line, if that fails or it is no object. Python's Infinity, -Infinity
   and NaN count as null. */
bool object_parse(JsonObject *o, const char *path, const void *text, size_t size, Messages *errors,
                  Messages *warnings);
/* The same of a member that is an object: its messages name both. False, with a line, if the member is
   none. */
bool object_enter(JsonObject *inner, JsonObject *o, const char *key);
void object_close(JsonObject *o);

/* The member, which is known from now on; NULL if it is absent. */
json_t *object_member(JsonObject *o, const char *key);
/* Absent or null. */
bool object_null(JsonObject *o, const char *key);

int64_t object_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high);
double object_number(JsonObject *o, const char *key, double absent, double low, double high);
bool object_bool(JsonObject *o, const char *key, bool absent);
/* The string belongs to o. */
const char *object_string(JsonObject *o, const char *key, const char *absent);
/* The index of the string in names, which NULL closes. */
int object_choice(JsonObject *o, const char *key, int absent, const char *const names[]);
/* count whole numbers: a list of that length, or one number that stands for all (the absent one too). */
void object_ints(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high, int count,
                 int64_t out[]);
/* A list's length, if it is one of 1 to max members; 0 and a fault otherwise, also where it is absent. */
int object_length(JsonObject *o, const char *key, int max);

/* A field that one value alone is supported of (or two that mean the same here), written as in compact
   JSON. Absent counts as that value: the reference's classes have it as their default. */
typedef struct {
    const char *key, *value, *other; /* other may be NULL */
} JsonFixed;
void object_fixed(JsonObject *o, const JsonFixed *fields, size_t count);

/* Keys whose values change nothing here; NULL closes the list. */
void object_ignore(JsonObject *o, const char *const keys[]);
/* One warning that names all keys which nobody asked for, but for private ones ("_name_or_path"). */
void object_finish(JsonObject *o);
/* The same as an error. */
void object_finish_strictly(JsonObject *o);

/* A line `path: "key" is VALUE: reason`. Always false. */
bool object_fault(JsonObject *o, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
