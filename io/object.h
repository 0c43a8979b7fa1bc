/* SPDX-License-Identifier: MIT */
/* A JSON object, usually a config file, whose members are read one by one. The object remembers which keys
   were asked for, so that the others can be reported as unknown. The functions that read a member take the
   value `absent`, which they return when there is no such key. They also return it, after adding a message,
   when the member has the wrong type or is out of range. */
#ifndef TI_OBJECT_H
#define TI_OBJECT_H

#include "io/json.h"

typedef struct {
    char *path; /* the name of the file, for messages */
    json_t *object;
    json_t *known; /* an object with the keys that were asked for */
    Messages *errors, *warnings;
} JsonObject;

/* Parses at most 64 MB. Python's Infinity, -Infinity and NaN count as null. Returns false, adds a message and
   leaves nothing to close when the text is larger, is not JSON, or is not an object. */
bool object_parse(JsonObject *o, const char *path, const void *text, size_t size, Messages *errors,
                  Messages *warnings);
/* Opens a member that is itself an object; its messages name the file and the member. Returns false, adds a
   message and leaves nothing to close when the member is not an object. */
bool object_enter(JsonObject *inner, JsonObject *o, const char *key);
void object_close(JsonObject *o);

/* Returns the member, which belongs to o, and marks it as known. Returns NULL when it is absent. */
json_t *object_member(JsonObject *o, const char *key);
/* Returns whether the member is absent or null. */
bool object_null(JsonObject *o, const char *key);

/* object_int returns the member if it is a whole number from low to high, object_number if it is any number
   in that range, object_bool if it is true or false. */
int64_t object_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high);
double object_number(JsonObject *o, const char *key, double absent, double low, double high);
bool object_bool(JsonObject *o, const char *key, bool absent);
/* Returns a string that belongs to o. */
const char *object_string(JsonObject *o, const char *key, const char *absent);
/* Returns the index of the member's string in names, a list that ends with NULL. */
int object_choice(JsonObject *o, const char *key, int absent, const char *const names[]);
/* Reads whole numbers into out [count]: either a list of that length, or one number that holds for all. When
   the member is absent, all are `absent`. */
void object_ints(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high, int count,
                 int64_t out[]);
/* Returns the length of a member that is a list of 1 to max values. Otherwise, also when the key is absent,
   it adds a message and returns 0. */
int object_length(JsonObject *o, const char *key, int max);

/* A key for which only one value is supported, or a second one with the same effect, both as compact JSON. An
   absent key is accepted, since the reference's classes have that value as their default. */
typedef struct {
    const char *key, *value, *other; /* other may be NULL */
} JsonFixed;
/* Adds a message for each field that has another value. */
void object_fixed(JsonObject *o, const JsonFixed *fields, size_t count);

/* Marks as known the keys whose values change nothing here; the list ends with NULL. */
void object_ignore(JsonObject *o, const char *const keys[]);
/* Adds one warning that names all unknown keys, except private ones such as "_name_or_path". */
void object_finish(JsonObject *o);
/* Does the same, but adds an error instead of the warning. */
void object_finish_strictly(JsonObject *o);

/* Adds the error `path: "key" is VALUE: reason`, or `path: "key" is missing: reason` when the key is absent.
   Always returns false. */
bool object_fault(JsonObject *o, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
