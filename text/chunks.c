/* SPDX-License-Identifier: MIT */
/* How a prompt is laid out in windows of the text encoder. */
#include <stdlib.h>
#include <string.h>

#include "text/prompt.h"

enum { CHUNKS_MAX = 100, COMMA_REACH = 20, LARGE_WORD = 8 };
enum { BREAK_HERE = -1 }; /* the id of a piece that only ends a chunk */

const char *const LONG_PROMPTS_NAMES[] = { "default", "cut", "chunks", NULL };

/* A token with its weight. */
typedef struct {
    int32_t id;
    float weight;
    bool glued; /* whether it is a further vector of the learned word before it */
    bool first; /* whether a word begins with it, where only spaces part words */
} Piece;

typedef struct {
    Piece *at;
    int64_t count, capacity;
} Pieces;

static void add_piece(Pieces *p, Piece piece) {
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 64;
        p->at = mem_grow(p->at, (size_t)p->capacity * sizeof *p->at);
    }
    p->at[p->count++] = piece;
}

/* Whether the id belongs to vector 1, 2, ... of the learned word whose vector before it is id - 1. */
static bool is_further_vector(const Tokenizer *t, int32_t id) {
    if (id <= tokenizer_first_learned_id(t)) return false;
    const char *name = tokenizer_token(t, id), *end = strrchr(name, '_');
    int64_t number = end ? strtol(end + 1, NULL, 10) : 0, first = id - number;
    if (number < 1 || first < tokenizer_first_learned_id(t)) return false;
    const char *word = tokenizer_token(t, (int32_t)first);
    return strlen(word) == (size_t)(end - name) && strncmp(word, name, strlen(word)) == 0;
}

static void add_text(const Tokenizer *t, const char *text, float weight, Pieces *p) {
    int64_t count;
    int32_t *ids = tokenizer_encode_prompt(t, text, &count);
    for (int64_t i = 0; i < count; i++)
        add_piece(p, (Piece) { ids[i], weight,
                               i > 0 && ids[i] == ids[i - 1] + 1 && is_further_vector(t, ids[i]), i == 0 });
    free(ids);
}

/* embedding:name */

/* Returns the token of the learned word that has this name in ComfyUI, which is that of its file, or NULL. */
static const char *named_word(const Tokenizer *t, const char *name, size_t size) {
    const char *found = NULL;
    for (int64_t i = 0; i < tokenizer_learned(t) && !found; i++) {
        int32_t id = tokenizer_first_learned_id(t) + (int32_t)i;
        const char *token = tokenizer_token(t, id);
        char *file = token_file_name(token);
        bool same = (strlen(token) == size && strncmp(token, name, size) == 0) ||
                    (strlen(file) == size && strncmp(file, name, size) == 0);
        if (same && !is_further_vector(t, id)) found = token;
        free(file);
    }
    return found;
}

/* Adds a word of a prompt for ComfyUI. embedding:name is a learned word; commas after the name are text. */
static bool add_word(const Tokenizer *t, const char *word, float weight, Pieces *p, Messages *errors) {
    static const char prefix[] = "embedding:";
    if (strncmp(word, prefix, sizeof prefix - 1) != 0) {
        add_text(t, word, weight, p);
        return true;
    }
    const char *name = word + sizeof prefix - 1;
    size_t size = strlen(name);
    const char *token = named_word(t, name, size);
    while (!token && size > 0 && name[size - 1] == ',') token = named_word(t, name, --size);
    if (!token)
        return messages_add(errors,
                            "embedding:%s: no learned word has this name (--embedding FILE loads one)", name);
    add_text(t, token, weight, p);
    add_text(t, name + size, weight, p);
    return true;
}

static bool add_words(const Tokenizer *t, const char *text, float weight, Pieces *p, Messages *errors) {
    bool ok = true;
    for (const char *c = text; *c && ok;) {
        size_t size = strcspn(c, " \n");
        char *word = mem_format("%.*s", (int)size, c);
        if (size > 0) ok = add_word(t, word, weight, p, errors);
        free(word);
        c += size;
        c += *c != 0;
    }
    return ok;
}

/* Chunks */

/* Chunks that are being filled. */
typedef struct {
    const Tokenizer *t;
    int64_t room; /* the tokens of a chunk, S - 2 */
    Pieces text;  /* of the current chunk */
    Prompt *prompt;
} Filling;

/* Ends the chunk after its first `count` tokens; the others begin the next one. */
static void end_chunk(Filling *f, int64_t count) {
    Prompt *p = f->prompt;
    int64_t length = f->room + 2, k = p->chunks++;
    p->ids = mem_grow(p->ids, (size_t)(p->chunks * length) * sizeof *p->ids);
    p->weights = mem_grow(p->weights, (size_t)(p->chunks * length) * sizeof *p->weights);
    p->counts = mem_grow(p->counts, (size_t)p->chunks * sizeof *p->counts);
    int32_t *tokens = mem_alloc((size_t)(f->room + 1) * sizeof *tokens);
    for (int64_t i = 0; i < length; i++) p->weights[k * length + i] = 1;
    for (int64_t i = 0; i < count; i++) {
        tokens[i] = f->text.at[i].id;
        p->weights[k * length + 1 + i] = f->text.at[i].weight;
    }
    tokenizer_window(f->t, tokens, count, p->ids + k * length);
    p->counts[k] = count;
    free(tokens);
    f->text.count -= count;
    if (f->text.count > 0)
        memmove(f->text.at, f->text.at + count, (size_t)f->text.count * sizeof *f->text.at);
}

/* The number of pieces from i on that belong to the same learned word; 1 for a token of the vocabulary. */
static int64_t glued_from(const Pieces *p, int64_t i) {
    int64_t n = 1;
    while (i + n < p->count && p->at[i + n].glued) n++;
    return n;
}

/* Fills chunks as A1111 does. */
static void fill_a1111(Filling *f, const Pieces *all) {
    int32_t comma = tokenizer_find(f->t, ",</w>");
    int64_t last_comma = -1, taken;
    for (int64_t i = 0; i < all->count; i += taken) {
        taken = glued_from(all, i);
        const Piece *piece = &all->at[i];
        if (piece->id == BREAK_HERE) {
            end_chunk(f, f->text.count);
            last_comma = -1;
            continue;
        }
        if (piece->id == comma) {
            last_comma = f->text.count;
        } else if (f->text.count == f->room && last_comma >= 0 && f->room - last_comma <= COMMA_REACH) {
            end_chunk(f, last_comma + 1);
            last_comma = -1;
        }
        if (f->text.count + taken > f->room) {
            end_chunk(f, f->text.count);
            last_comma = -1;
        }
        for (int64_t k = 0; k < taken; k++) add_piece(&f->text, all->at[i + k]);
    }
    if (f->text.count > 0 || f->prompt->chunks == 0) end_chunk(f, f->text.count);
}

/* Fills chunks as ComfyUI does: a word that does not fit any more begins a new chunk, unless it has 8
   tokens or more, of which as many as fit stay. */
static void fill_comfy(Filling *f, const Pieces *all) {
    for (int64_t i = 0, n; i < all->count; i += n) {
        for (n = 1; i + n < all->count && !all->at[i + n].first; n++) continue;
        for (int64_t k = 0, taken; k < n; k += taken) {
            taken = n - k;
            int64_t left = f->room - f->text.count;
            if (taken > left) {
                int64_t fit = n < LARGE_WORD && left < f->room ? 0 : left;
                while (fit > 0 && all->at[i + k + fit].glued) fit--;
                taken = fit;
            }
            for (int64_t j = 0; j < taken; j++) add_piece(&f->text, all->at[i + k + j]);
            if (k + taken < n) end_chunk(f, f->text.count);
        }
    }
    end_chunk(f, f->text.count);
}

/* Whether each learned word fits into a chunk. */
static bool check_sizes(const Tokenizer *t, const Pieces *p, int64_t room, Messages *errors) {
    if (room < 1) return messages_add(errors, "this model's window is too short for chunks of a prompt");
    for (int64_t i = 0; i < p->count; i += glued_from(p, i))
        if (glued_from(p, i) > room)
            return messages_add(
                errors, "the word \"%s\" has %lld vectors, but a chunk of a prompt holds %lld",
                tokenizer_token(t, p->at[i].id), (long long)glued_from(p, i), (long long)room);
    return true;
}

/* Keeps the first chunk. */
static void cut_chunks(Prompt *p, const char *text, Messages *warnings) {
    if (p->chunks > 1) {
        int64_t kept = p->counts[0], all = 0;
        for (int64_t k = 0; k < p->chunks; k++) all += p->counts[k];
        messages_add(warnings, "the prompt \"%s\" has %lld tokens; the last %lld do not fit and are ignored",
                     text, (long long)all, (long long)(all - kept));
        p->left_out = all - kept;
    }
    p->chunks = 1;
}

static void drop_equal_weights(Prompt *p, int64_t length) {
    bool weighted = false;
    for (int64_t i = 0; i < p->chunks * length; i++) weighted = weighted || p->weights[i] != 1;
    if (weighted) return;
    free(p->weights);
    p->weights = NULL;
}

static bool read_pieces(const Tokenizer *t, const char *text, PromptSyntax syntax, Pieces *p,
                        Messages *errors) {
    Segments segments;
    if (!segments_parse(text, syntax, &segments, errors)) return false;
    bool ok = true;
    for (int64_t i = 0; i < segments.count && ok; i++) {
        const Segment *s = &segments.at[i];
        if (s->is_break)
            add_piece(p, (Piece) { .id = BREAK_HERE });
        else if (syntax == SYNTAX_COMFY)
            ok = add_words(t, s->text, (float)s->weight, p, errors);
        else
            add_text(t, s->text, (float)s->weight, p);
    }
    segments_free(&segments);
    return ok;
}

/* A plain prompt that is cut: as many tokens as fit. */
static void read_cut(const Tokenizer *t, const char *text, Prompt *p, Messages *warnings) {
    int64_t count, room = tokenizer_max_length(t) - 2;
    p->ids = prompt_ids(t, text, warnings);
    free(tokenizer_encode_prompt(t, text, &count));
    p->counts = mem_alloc(sizeof *p->counts);
    p->counts[0] = min_i64(count, room);
    p->left_out = count - p->counts[0];
    p->chunks = 1;
}

bool prompt_read(const Tokenizer *t, const char *text, PromptOptions o, Prompt *p, Messages *errors,
                 Messages *warnings) {
    *p = (Prompt) { .syntax = o.syntax };
    bool cut = o.long_prompts == LONG_PROMPTS_CUT ||
               (o.long_prompts == LONG_PROMPTS_DEFAULT && o.syntax == SYNTAX_PLAIN);
    if (o.syntax == SYNTAX_PLAIN && prompt_looks_weighted(text))
        messages_add(warnings,
                     "the prompt \"%s\" looks weighted, but its brackets are read as text (--prompt-syntax "
                     "a1111 or comfy reads them as weights)",
                     text);
    if (cut && o.syntax == SYNTAX_PLAIN) {
        read_cut(t, text, p, warnings);
        return true;
    }
    Filling f = { .t = t, .room = tokenizer_max_length(t) - 2, .prompt = p };
    Pieces all = { 0 };
    bool ok = read_pieces(t, text, o.syntax, &all, errors) && check_sizes(t, &all, f.room, errors);
    if (ok && o.syntax == SYNTAX_COMFY) fill_comfy(&f, &all);
    if (ok && o.syntax != SYNTAX_COMFY) fill_a1111(&f, &all);
    free(all.at);
    free(f.text.at);
    if (ok && !cut && p->chunks > CHUNKS_MAX)
        ok = messages_add(errors, "the prompt \"%s\" is longer than %d chunks of %lld tokens", text,
                          CHUNKS_MAX, (long long)f.room);
    if (!ok) {
        prompt_free(p);
        return false;
    }
    if (cut) cut_chunks(p, text, warnings);
    drop_equal_weights(p, f.room + 2);
    if (o.syntax == SYNTAX_COMFY) {
        p->empty = mem_alloc((size_t)(f.room + 2) * sizeof *p->empty);
        tokenizer_window(t, NULL, 0, p->empty);
    }
    return true;
}

Prompt prompt_empty(const Tokenizer *t) {
    Prompt p = { .chunks = 1,
                 .ids = mem_alloc((size_t)tokenizer_max_length(t) * sizeof *p.ids),
                 .counts = mem_alloc(sizeof *p.counts) };
    tokenizer_window(t, NULL, 0, p.ids);
    return p;
}

void prompt_free(Prompt *p) {
    free(p->ids);
    free(p->weights);
    free(p->counts);
    free(p->empty);
    *p = (Prompt) { 0 };
}
