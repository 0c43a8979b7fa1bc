/* A JSON object, usually a config file, whose keys are asked for one by one. The object remembers which keys
   were asked for, so that the others can be reported as unknown. A getter takes the value that holds where
   the key is absent; it returns that value, too, after it has added a message for a member it cannot use. */
#ifndef TI_OBJECT_H
#define TI_OBJECT_H

#include "io/json.h"

typedef struct {
    char *path; /* for messages */
    json_t *object;
    json_t *known; /* an object whose keys are those that were asked for */
    Messages *errors, *warnings;
} JsonObject;

/* Parses at most 64 MB. Python's Infinity, -Infinity and NaN count as null. Returns false, adds a message and
   leaves nothing to close when the text is larger, is not JSON, or is not an object. */
bool object_parse(JsonObject *o, const char *path, const void *text, size_t size, Messages *errors,
                  Messages *warnings);
/* Opens a member that is an object itself; its messages name both. Returns false, adds a message and leaves
   nothing to close when the member is not an object. */
bool object_enter(JsonObject *inner, JsonObject *o, const char *key);
void object_close(JsonObject *o);

/* Returns the member, which belongs to o, and marks it as known; NULL if it is absent. */
json_t *object_member(JsonObject *o, const char *key);
/* Whether the member is absent or null. */
bool object_null(JsonObject *o, const char *key);

/* Return the member if it is a whole number, or any number, from low to high. */
int64_t object_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high);
double object_number(JsonObject *o, const char *key, double absent, double low, double high);
bool object_bool(JsonObject *o, const char *key, bool absent);
/* Returns a string that belongs to o. */
const char *object_string(JsonObject *o, const char *key, const char *absent);
/* Returns the index of the member's string in names, a list that ends with NULL. */
int object_choice(JsonObject *o, const char *key, int absent, const char *const names[]);
/* Reads count whole numbers into out[count], from a list of that length or from one number that holds for
   all. An absent member gives `absent` for all. */
void object_ints(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high, int count,
                 int64_t out[]);
/* Returns the length of a list of 1 to max members. For anything else, also where the key is absent, it adds
   a message and returns 0. */
int object_length(JsonObject *o, const char *key, int max);

/* A key for which only one value is supported, or a second one with the same effect, both as compact JSON. An
   absent key is accepted, since the reference's classes have that value as their default. */
typedef struct {
    const char *key, *value, *other; /* other may be NULL */
} JsonFixed;
/* Adds a message for each field that has another value. */
void object_fixed(JsonObject *o, const JsonFixed *fields, size_t count);

/* Marks keys as known whose values change nothing here; the list ends with NULL. */
void object_ignore(JsonObject *o, const char *const keys[]);
/* Adds one warning that names all unknown keys, except private ones such as "_name_or_path". */
void object_finish(JsonObject *o);
/* Adds an error instead of the warning. */
void object_finish_strictly(JsonObject *o);

/* Adds the error `path: "key" is VALUE: reason`, or `path: "key" is missing: reason` where the key is absent.
   Always returns false. */
bool object_fault(JsonObject *o, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
