/* SPDX-License-Identifier: MIT */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_json.h"
#include "text/unicode.h"
#include "io/file.h"

static const char START[] = "<|startoftext|>", END[] = "<|endoftext|>";

/* An added token (a special token, a word of the model, or a placeholder token) and how it matches. */
typedef struct {
    char *name;         /* as it was added */
    CodePoints pattern; /* what is searched for: the name or its normalised form */
    int32_t id;
    bool boundary_before; /* a word character directly before it prevents a match */
    bool boundary_after;  /* a word character directly after it prevents a match */
} Added;

/* Added tokens to search for, the longest pattern first. */
typedef struct {
    Added *at;
    int count;
    bool begins[256]; /* whether any pattern begins with a code point that has this low byte */
} AddedList;

/* The names of tokens with consecutive ids. Their strings belong to the AddedLists. */
typedef struct {
    const char **at;
    int count;
} Names;

struct Tokenizer {
    Bpe *bpe;
    AddedList raw;        /* searched for in the raw text */
    AddedList normalized; /* searched for in the normalised text between matches of `raw` */
    Names added;          /* the model's added tokens that its vocabulary lacks, by id - V */
    Names learned;        /* placeholder tokens, by id - first_learned_id */
    int32_t first_learned_id;
    int32_t hidden_from; /* learned vectors with this id or a higher one are not shown (tokenizer_show) */
    int32_t start, end, pad;
    int64_t max_length;
};

/* Adds a token to the list and takes ownership of the pattern. */
static Added *list_add(AddedList *list, const char *name, CodePoints pattern, int32_t id) {
    list->at = mem_grow(list->at, (size_t)(list->count + 1) * sizeof *list->at);
    int i = list->count++;
    for (; i > 0 && list->at[i - 1].pattern.count < pattern.count; i--) list->at[i] = list->at[i - 1];
    list->at[i] = (Added) { .name = mem_string(name), .pattern = pattern, .id = id };
    list->begins[pattern.at[0] & 0xFF] = true;
    return &list->at[i];
}

static void list_free(AddedList *list) {
    for (int i = 0; i < list->count; i++) {
        free(list->at[i].name);
        free(list->at[i].pattern.at);
    }
    free(list->at);
}

static bool equal(const int32_t *a, const int32_t *b, int64_t count) {
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

/* Returns the longest token that matches at position `place`, or NULL when none does. */
static const Added *match_at(const AddedList *list, const int32_t *s, int64_t place, int64_t count) {
    if (!list->begins[s[place] & 0xFF]) return NULL;
    for (int i = 0; i < list->count; i++) {
        const CodePoints *p = &list->at[i].pattern;
        if (p->count <= count - place && equal(p->at, s + place, p->count)) return &list->at[i];
    }
    return NULL;
}

/* Finds the leftmost match of any token of the list in s[from..count), and stores its position in *place.
   When several tokens match there, returns the longest. Returns NULL and stores `count` when there is no
   match. A match that lacks a required word boundary is skipped as a whole, as in the reference, so that no
   other token can match within it. */
static const Added *list_find(const AddedList *list, const int32_t *s, int64_t from, int64_t count,
                              int64_t *place) {
    for (*place = from; *place < count;) {
        const Added *token = match_at(list, s, *place, count);
        int64_t end = *place + (token ? token->pattern.count : 1);
        bool part = token && ((token->boundary_before && *place > 0 && unicode_in_word(s[*place - 1])) ||
                              (token->boundary_after && end < count && unicode_in_word(s[end])));
        if (token && !part) return token;
        *place = end;
    }
    return NULL;
}

/* Returns the added token with this name, or NULL when there is none. */
static const Added *find_added(const Tokenizer *t, const char *name) {
    for (int l = 0; l < 2; l++) {
        const AddedList *list = l ? &t->normalized : &t->raw;
        for (int i = 0; i < list->count; i++)
            if (strcmp(list->at[i].name, name) == 0) return &list->at[i];
    }
    return NULL;
}

/* Adds the special tokens of Stable Diffusion's files, for a folder whose files name none. The reference
   searches the raw text for the tokens that special_tokens_map.json gives as plain strings. In Stable
   Diffusion's files this is only pad_token. Therefore in 1.x <|endoftext|>, which is the padding token,
   matches in exact case and <|startoftext|> in any case. In 2.x, where "!" is the padding token, each "!" in
   a text is that token, and <|endoftext|> matches in any case. */
static void default_special_tokens(AddedTokens *list, const char *pad) {
    const char *const names[] = { START, END, pad };
    for (int i = 0; i < 3; i++)
        if (!added_find(list, names[i]))
            added_put(list,
                      (AddedToken) { (char *)(uintptr_t)names[i], -1, strcmp(names[i], pad) != 0, false });
}

/* Returns the tokens to add, in order: the added tokens of the config and of tokenizer.json (of_file), then
   those special tokens that are not among them. */
static AddedTokens tokens_to_add(const TokenizerConfig *c, const AddedTokens *of_file, const char *pad) {
    AddedTokens all = { 0 }, special = { 0 };
    for (int i = 0; i < c->added.count; i++) added_put(&all, c->added.at[i]);
    for (int i = 0; i < of_file->count && !c->has_decoder; i++) added_put(&all, of_file->at[i]);
    for (int i = 0; i < c->special.count; i++) added_put(&special, c->special.at[i]);
    if (!special.count) default_special_tokens(&special, pad);
    added_sort(&special);
    added_sort(&all);
    for (int i = 0, known = all.count; i < special.count; i++) {
        bool there = false;
        for (int k = 0; k < known && !there; k++) there = strcmp(all.at[k].text, special.at[i].text) == 0;
        if (!there) added_put(&all, special.at[i]);
    }
    added_free(&special);
    return all;
}

/* Adds one of the model's added tokens, with a new id where the vocabulary lacks it. */
static void add_model_token(Tokenizer *t, const AddedToken *token) {
    if (!*token->text) return;
    int32_t id = bpe_find(t->bpe, token->text);
    bool new = id < 0;
    if (new) id = (int32_t)(bpe_size(t->bpe) + t->added.count);
    size_t size = strlen(token->text);
    CodePoints pattern =
        token->normalized ? unicode_normal_form(token->text, size) : unicode_decode(token->text, size);
    Added *added = list_add(token->normalized ? &t->normalized : &t->raw, token->text, pattern, id);
    added->boundary_before = added->boundary_after = token->single_word;
    if (!new) return;
    t->added.at = mem_grow(t->added.at, (size_t)(t->added.count + 1) * sizeof *t->added.at);
    t->added.at[t->added.count++] = added->name;
}

/* Checks that each added token has a row in the token embedding. If a token without a row were left out
   instead, prompts with this token would silently get another meaning. */
static bool check_rows(const Tokenizer *t, const char *path, int64_t rows, Messages *errors) {
    int64_t size = bpe_size(t->bpe), beyond = size + t->added.count - rows;
    if (!rows || size > rows || beyond <= 0) return true; /* model_load reports size > rows */
    return messages_add(
        errors, "%s: the added token \"%s\"%s would have the id %lld, but the token embedding has %lld rows",
        path, t->added.at[rows - size], beyond > 1 ? " (the first of several)" : "", (long long)rows,
        (long long)rows);
}

/* Sets the special tokens' ids, and adds all added tokens of the model. */
static bool add_all_tokens(Tokenizer *t, const char *path, const TokenizerConfig *config,
                           const AddedTokens *of_file, Messages *errors) {
    const char *pad = config->pad_token ? config->pad_token : END;
    int before = errors->count;
    t->start = bpe_find(t->bpe, START);
    t->end = bpe_find(t->bpe, END);
    t->max_length = config->model_max_length;
    if (t->start < 0) messages_add(errors, "%s: has no token \"%s\"", path, START);
    if (t->max_length < 2 || t->max_length > INT32_MAX)
        messages_add(errors, "%s: a tokenizer's model_max_length must be at least 2, but is %lld", path,
                     (long long)t->max_length);
    AddedTokens all = tokens_to_add(config, of_file, pad);
    int64_t room = config->rows - bpe_size(t->bpe);
    for (int i = 0; i < all.count; i++) {
        const char *text = all.at[i].text;
        bool lacks = strcmp(text, pad) == 0 && bpe_find(t->bpe, pad) < 0 && t->added.count >= room;
        if (lacks || (strcmp(text, pad) == 0 && !*pad))
            messages_add(errors, "%s: has no token \"%s\", the padding token of tokenizer_config.json", path,
                         pad);
        else
            add_model_token(t, &all.at[i]);
    }
    added_free(&all);
    if (errors->count > before || !check_rows(t, path, config->rows, errors)) return false;
    t->pad = tokenizer_find(t, pad);
    t->first_learned_id = (int32_t)max_i64(config->rows, tokenizer_vocab_size(t));
    t->hidden_from = INT32_MAX;
    return true;
}

Tokenizer *tokenizer_parse(const char *vocab_path, const void *vocab, size_t vocab_size,
                           const char *merges_path, const void *merges, size_t merges_size,
                           const TokenizerConfig *config, Messages *errors) {
    Tokenizer *t = mem_alloc(sizeof *t);
    AddedTokens added = { 0 };
    t->bpe = merges_path
                 ? bpe_parse(vocab_path, vocab, vocab_size, merges_path, merges, merges_size, END, errors)
                 : tokenizer_json_parse(vocab_path, vocab, vocab_size, END,
                                        config->has_decoder ? NULL : &added, errors);
    bool ok = t->bpe && add_all_tokens(t, vocab_path, config, &added, errors);
    added_free(&added);
    if (ok) return t;
    tokenizer_free(t);
    return NULL;
}

Tokenizer *tokenizer_load(const char *vocab_path, const char *merges_path, const TokenizerConfig *config,
                          Messages *errors) {
    File vocab = { 0 }, merges = { 0 };
    bool have_vocab = !vocab_path || file_read(vocab_path, &vocab, errors),
         have_merges = !merges_path || file_read(merges_path, &merges, errors);
    Tokenizer *t = NULL;
    if (have_vocab && have_merges)
        t = tokenizer_parse(vocab_path ? vocab_path : merges_path, vocab.data, vocab.size, merges_path,
                            merges.data, merges.size, config, errors);
    file_close(&vocab);
    file_close(&merges);
    return t;
}

void tokenizer_free(Tokenizer *t) {
    if (!t) return;
    bpe_free(t->bpe);
    list_free(&t->raw);
    list_free(&t->normalized);
    free(t->added.at);
    free(t->learned.at);
    free(t);
}

int64_t tokenizer_max_length(const Tokenizer *t) { return t->max_length; }
int64_t tokenizer_vocab_size(const Tokenizer *t) { return bpe_size(t->bpe) + t->added.count; }
int32_t tokenizer_first_learned_id(const Tokenizer *t) { return t->first_learned_id; }
int64_t tokenizer_learned(const Tokenizer *t) { return t->learned.count; }

void tokenizer_show(Tokenizer *t, int64_t n) { t->hidden_from = t->first_learned_id + (int32_t)n; }

static bool starts_with(const int32_t *s, int64_t count, const char *ascii) {
    for (int64_t i = 0; ascii[i]; i++)
        if (i >= count || s[i] != ascii[i]) return false;
    return true;
}

/* Returns the length of the piece that begins at s[0], which is not a space. */
static int64_t piece_length(const int32_t *s, int64_t count) {
    static const char *const contractions[] = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" };
    for (int i = 0; i < 7; i++)
        if (starts_with(s, count, contractions[i])) return (int64_t)strlen(contractions[i]);
    CharClass class = unicode_class(s[0]);
    int64_t n = 1;
    if (class != CLASS_NUMBER)
        while (n < count && unicode_class(s[n]) == class) n++;
    return n;
}

static void encode_piece(const Bpe *bpe, const int32_t *s, int64_t count, Ids *ids) {
    size_t size;
    char *text = unicode_encode(s, count, &size);
    bpe_encode(bpe, text, size, ids);
    free(text);
}

/* Encodes normalised text between added tokens. The text can contain the name of a special token that did not
   match as a token because of its case. The reference's regular expression takes such a name as one piece,
   and then splits it by the same rules as any text: "<|", "endoftext", "|>". Therefore no piece may extend
   past the end of such a name. */
static void encode_words(const Bpe *bpe, const int32_t *s, int64_t count, Ids *ids) {
    int64_t name_end = 0;
    for (int64_t i = 0, n; i < count; i += n) {
        if (starts_with(s + i, count - i, START)) name_end = i + (int64_t)strlen(START);
        if (starts_with(s + i, count - i, END)) name_end = i + (int64_t)strlen(END);
        n = 1;
        if (unicode_class(s[i]) == CLASS_SPACE) continue;
        n = piece_length(s + i, (name_end > i ? name_end : count) - i);
        encode_piece(bpe, s + i, n, ids);
    }
}

/* Returns the name of a word's vector i, one of word, word_1, word_2, ... The caller frees it. */
static char *vector_name(const char *word, int64_t i) {
    return i == 0 ? mem_string(word) : mem_format("%s_%lld", word, (long long)i);
}

/* The state of encoding one text. */
typedef struct {
    const Tokenizer *t;
    bool expand;    /* whether a word of several vectors becomes the tokens of all its vectors */
    Ids ids;        /* the result so far */
    Text *expanded; /* the prompt with the names of all vectors of its words; NULL when it is not wanted */
} Encoding;

/* Appends the id of an added token. With e->expand it appends the ids of its further vectors as well, and
   returns whether there were any. */
static bool encode_added(Encoding *e, const Added *token) {
    ids_push(&e->ids, token->id);
    for (int64_t i = 1; e->expand; i++) {
        char *name = vector_name(token->name, i);
        const Added *more = find_added(e->t, name);
        free(name);
        if (!more || more->id >= e->t->hidden_from) return i > 1;
        ids_push(&e->ids, more->id);
    }
    return false;
}

/* Returns the length of the longest prefix of the raw text s whose normalised form has at most `place` code
   points. Each step of the binary search normalises a prefix, which takes long in a long text: for more than
   LONGEST code points, this function does not search and returns 0. */
static int64_t raw_position(const int32_t *s, int64_t count, int64_t place) {
    enum { LONGEST = 1000 };
    int64_t low = 0, high = count <= LONGEST ? count : 0;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        CodePoints normal = unicode_normalize(s, middle);
        if (normal.count <= place)
            low = middle;
        else
            high = middle - 1;
        free(normal.at);
    }
    return low;
}

/* Appends a part of the prompt to the expanded text. If the normalised form of `raw` is `part`, appends
   `raw`, which has case and spaces as they were written, otherwise `part`. */
static void expand_part(const Encoding *e, CodePoints raw, CodePoints part) {
    CodePoints normal = unicode_normalize(raw.at, raw.count);
    bool is_part = normal.count == part.count && equal(normal.at, part.at, part.count);
    CodePoints *shown = is_part ? &raw : &part;
    size_t size;
    char *text = unicode_encode(shown->at, shown->count, &size);
    text_add_part(e->expanded, text, size);
    free(text);
    free(normal.at);
}

/* How much of a prompt has been expanded so far, as positions in its raw and in its normalised text. */
typedef struct {
    int64_t raw, normal;
} Expanded;

/* Appends the text from the position `done` up to the position `place` of the normalised text. */
static void expand_to(const Encoding *e, Expanded *done, CodePoints raw, CodePoints normal, int64_t place) {
    int64_t end = place < normal.count ? raw_position(raw.at, raw.count, place) : raw.count;
    end = max_i64(end, done->raw);
    expand_part(e, (CodePoints) { raw.at + done->raw, end - done->raw },
                (CodePoints) { normal.at + done->normal, place - done->normal });
    *done = (Expanded) { end, place };
}

/* Appends the names of all vectors of a word to the expanded text. */
static void expand_word(const Encoding *e, const Added *token) {
    char *all = tokenizer_placeholder(e->t, token->name);
    text_add(e->expanded, all);
    free(all);
}

/* Performs steps 2 to 5 of the header on a part of the raw text that contains no token of e->t->raw. */
static void encode_normalized(Encoding *e, const int32_t *s, int64_t count) {
    CodePoints text = unicode_normalize(s, count), raw = { (int32_t *)(uintptr_t)s, count };
    Expanded done = { 0 };
    for (int64_t from = 0, place; from < text.count;) {
        const Added *token = list_find(&e->t->normalized, text.at, from, text.count, &place);
        int64_t end = place + (token ? token->pattern.count : 0);
        encode_words(e->t->bpe, text.at + from, place - from, &e->ids);
        if (token && encode_added(e, token) && e->expanded) {
            expand_to(e, &done, raw, text, place);
            expand_word(e, token);
            done = (Expanded) { max_i64(done.raw, raw_position(s, count, end)), end };
        }
        from = end;
    }
    if (e->expanded) expand_to(e, &done, raw, text, text.count);
    free(text.at);
}

/* Performs all five steps on a text. */
static void encode(Encoding *e, const char *text, size_t size) {
    CodePoints raw = unicode_decode(text, size);
    for (int64_t from = 0, place; from < raw.count;) {
        const Added *token = list_find(&e->t->raw, raw.at, from, raw.count, &place);
        encode_normalized(e, raw.at + from, place - from);
        bool several = token && encode_added(e, token);
        if (several && e->expanded) expand_word(e, token);
        if (token && !several && e->expanded) text_add(e->expanded, token->name);
        from = place + (token ? token->pattern.count : 0);
    }
    free(raw.at);
}

int32_t *tokenizer_encode_raw(const Tokenizer *t, const char *text, size_t size, int64_t *count) {
    Encoding e = { .t = t, .ids = { .at = mem_alloc(sizeof(int32_t)), .capacity = 1 } };
    encode(&e, text, size);
    *count = e.ids.count;
    return e.ids.at;
}

int32_t *tokenizer_encode_prompt(const Tokenizer *t, const char *prompt, int64_t *count) {
    Encoding e = { .t = t, .expand = true, .ids = { .at = mem_alloc(sizeof(int32_t)), .capacity = 1 } };
    encode(&e, prompt, strlen(prompt));
    *count = e.ids.count;
    return e.ids.at;
}

char *tokenizer_expand_placeholders(const Tokenizer *t, const char *prompt) {
    Text expanded = { 0 };
    int64_t count, all;
    int32_t *ids = tokenizer_encode_raw(t, prompt, strlen(prompt), &count);
    Encoding e = { .t = t, .expand = true, .expanded = &expanded };
    encode(&e, prompt, strlen(prompt));
    all = e.ids.count;
    free(e.ids.at);
    free(ids);
    if (all > count) return expanded.at;
    free(expanded.at);
    return mem_string(prompt);
}

void tokenizer_window(const Tokenizer *t, const int32_t *tokens, int64_t count, int32_t *ids) {
    int64_t length = 0;
    ids[length++] = t->start;
    for (int64_t i = 0; i < count && i < t->max_length - 2; i++) ids[length++] = tokens[i];
    ids[length++] = t->end;
    while (length < t->max_length) ids[length++] = t->pad;
}

int64_t tokenizer_encode(const Tokenizer *t, const char *text, int32_t *ids) {
    int64_t count;
    int32_t *all = tokenizer_encode_raw(t, text, strlen(text), &count);
    tokenizer_window(t, all, count, ids);
    free(all);
    return count;
}

/* Whether `pattern` is the normalised name of one of the model's added tokens. */
static bool is_model_token(const Tokenizer *t, const CodePoints *pattern) {
    bool found = false;
    for (int i = 0; i < t->raw.count + t->normalized.count && !found; i++) {
        const Added *token = i < t->raw.count ? &t->raw.at[i] : &t->normalized.at[i - t->raw.count];
        if (token->id >= t->first_learned_id) continue;
        CodePoints normal = unicode_normal_form(token->name, strlen(token->name));
        found = normal.count == pattern->count && equal(normal.at, pattern->at, normal.count);
        free(normal.at);
    }
    return found;
}

/* Returns why a placeholder token with this name cannot be added, or NULL when it can. */
static const char *refusal_reason(const Tokenizer *t, const char *name, const CodePoints *pattern) {
    char *normal = unicode_encode(pattern->at, pattern->count, NULL), *word = mem_format("%s</w>", normal);
    const char *why = NULL;
    int64_t place;
    CodePoints raw = unicode_decode(name, strlen(name));
    if (pattern->count == 0 || strcmp(normal, " ") == 0)
        why = "has no characters";
    else if (bpe_find(t->bpe, name) >= 0 || bpe_find(t->bpe, normal) >= 0 || bpe_find(t->bpe, word) >= 0 ||
             is_model_token(t, pattern))
        why = "is in the model's vocabulary already: use a word that it lacks, such as one in <>";
    else if (list_find(&t->raw, raw.at, 0, raw.count, &place))
        why = "contains a special token, so it would never be found in a text";
    for (int i = 0; i < t->normalized.count && !why; i++) {
        const CodePoints *other = &t->normalized.at[i].pattern;
        if (other->count == pattern->count && equal(other->at, pattern->at, other->count))
            why = "is a placeholder token already (upper and lower case count as the same)";
    }
    free(raw.at);
    free(normal);
    free(word);
    return why;
}

/* Makes a name with a space match whole words only: at each end where the name has a word character, no other
   word character may be directly beside it. */
static void require_boundaries(Added *word) {
    const CodePoints *p = &word->pattern;
    bool space = false;
    for (int64_t i = 0; i < p->count; i++) space = space || p->at[i] == ' ';
    word->boundary_before = space && unicode_in_word(p->at[0]);
    word->boundary_after = space && unicode_in_word(p->at[p->count - 1]);
}

int32_t tokenizer_add(Tokenizer *t, const char *word, int vectors, Messages *errors) {
    CHECK(vectors >= 1);
    int faults = errors->count;
    for (int i = 0; i < vectors && errors->count == faults; i++) {
        char *name = vector_name(word, i);
        CodePoints pattern = unicode_normal_form(name, strlen(name));
        const char *why = refusal_reason(t, name, &pattern);
        if (why) messages_add(errors, "the token '%s' %s", name, why);
        free(pattern.at);
        free(name);
    }
    if (errors->count > faults) return -1;
    int32_t first = t->first_learned_id + t->learned.count;
    t->learned.at = mem_grow(t->learned.at, (size_t)(t->learned.count + vectors) * sizeof *t->learned.at);
    for (int i = 0; i < vectors; i++) {
        char *name = vector_name(word, i);
        Added *added = list_add(&t->normalized, name, unicode_normal_form(name, strlen(name)), first + i);
        require_boundaries(added);
        t->learned.at[t->learned.count++] = added->name;
        free(name);
    }
    return first;
}

char *tokenizer_placeholder(const Tokenizer *t, const char *word) {
    Text all = { 0 };
    for (int64_t i = 0;; i++) {
        char *name = vector_name(word, i), *normal = unicode_normal_text(name);
        const Added *added = find_added(t, name);
        bool there = added && added->id < t->hidden_from;
        if (there && i) text_add(&all, " ");
        if (there) text_add(&all, normal);
        free(name);
        free(normal);
        if (!there) return all.at ? all.at : mem_string(word);
    }
}

int32_t tokenizer_single_token(const Tokenizer *t, const char *word, Messages *errors) {
    int64_t count;
    int32_t *ids = tokenizer_encode_raw(t, word, strlen(word), &count);
    int32_t id = count == 1 ? ids[0] : -1;
    if (count == 0) messages_add(errors, "'%s' has no token in this model's vocabulary: give a word", word);
    if (count > 1) {
        Text list = { 0 };
        for (int64_t i = 0; i < count && i < 8; i++) {
            char *text = tokenizer_token_text(t, ids[i]);
            text_format(&list, "%s'%s'", i ? ", " : "", text);
            free(text);
        }
        messages_add(
            errors,
            "'%s' is %lld tokens in this model's vocabulary (%s%s): use a word that is a single token", word,
            (long long)count, list.at, count > 8 ? ", ..." : "");
        free(list.at);
    }
    free(ids);
    return id;
}

const char *tokenizer_token(const Tokenizer *t, int32_t id) {
    int64_t added = id - bpe_size(t->bpe), learned = id - t->first_learned_id;
    if (added < 0) return bpe_token(t->bpe, id);
    if (added < t->added.count) return t->added.at[added];
    CHECK(learned >= 0 && learned < t->learned.count);
    return t->learned.at[learned];
}

char *tokenizer_token_text(const Tokenizer *t, int32_t id) {
    return id < bpe_size(t->bpe) ? bpe_text(t->bpe, id) : mem_string(tokenizer_token(t, id));
}

int32_t tokenizer_find(const Tokenizer *t, const char *token) {
    const Added *added = find_added(t, token);
    return added ? added->id : bpe_find(t->bpe, token);
}
