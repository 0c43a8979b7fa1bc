#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"
#include "text/unicode.h"
#include "io/file.h"
#include "io/text.h"

static const char START[] = "<|startoftext|>", END[] = "<|endoftext|>";

/* A token that is found in the text itself: a special one or a placeholder. */
typedef struct {
    char *name;         /* as it was added */
    CodePoints pattern; /* what is looked for: the name, or its normal form */
    int32_t id;
} Added;

/* Tokens to look for, the longest pattern first. */
typedef struct {
    Added *at;
    int count;
    bool begins[256]; /* by the low byte of the first code point: is there a pattern that begins so? */
} AddedList;

struct Tokenizer {
    Bpe *bpe;
    AddedList exact;      /* looked for in the text as it is */
    AddedList normalized; /* looked for in what lies between, normalised */
    char **names;         /* [added], the placeholder tokens by id - V; their strings are the lists' */
    int added;
    int32_t start, end, pad;
    int64_t max_length;
};

/* Takes the pattern over. */
static void list_add(AddedList *list, const char *name, CodePoints pattern, int32_t id) {
    list->at = mem_grow(list->at, (size_t)(list->count + 1) * sizeof *list->at);
    int i = list->count++;
    for (; i > 0 && list->at[i - 1].pattern.count < pattern.count; i--) list->at[i] = list->at[i - 1];
    list->at[i] = (Added) { mem_string(name), pattern, id };
    list->begins[pattern.at[0] & 0xFF] = true;
}

static void list_free(AddedList *list) {
    for (int i = 0; i < list->count; i++) {
        free(list->at[i].name);
        free(list->at[i].pattern.at);
    }
    free(list->at);
}

static bool same(const int32_t *a, const int32_t *b, int64_t count) {
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

/* The first token of the list in s[from..count): the leftmost, of these the longest. Its place goes to
   *place; NULL and count if there is none. */
static const Added *list_find(const AddedList *list, const int32_t *s, int64_t from, int64_t count,
                              int64_t *place) {
    for (*place = from; *place < count; ++*place) {
        if (!list->begins[s[*place] & 0xFF]) continue;
        for (int i = 0; i < list->count; i++) {
            const CodePoints *p = &list->at[i].pattern;
            if (p->count <= count - *place && same(p->at, s + *place, p->count)) return &list->at[i];
        }
    }
    return NULL;
}

/* The token of that name in either list. */
static const Added *find_added(const Tokenizer *t, const char *name) {
    for (int l = 0; l < 2; l++) {
        const AddedList *list = l ? &t->normalized : &t->exact;
        for (int i = 0; i < list->count; i++)
            if (strcmp(list->at[i].name, name) == 0) return &list->at[i];
    }
    return NULL;
}

static CodePoints normal_form(const char *text) {
    CodePoints raw = unicode_decode(text, strlen(text));
    CodePoints normal = unicode_normalize(raw.at, raw.count);
    free(raw.at);
    return normal;
}

/* Which special tokens are looked for before the text is normalised: those that special_tokens_map.json gives
   as plain strings, as SD's files do for pad_token alone. So <|endoftext|>, being that, counts in exact case,
   but <|startoftext|> in any; and where the padding is "!" (SD 2.x) each "!" of a text is that token, and
   <|endoftext|> counts in any. */
static bool add_special(Tokenizer *t, const char *path, const TokenizerConfig *config, Messages *errors) {
    const char *pad = config->pad_token ? config->pad_token : END;
    t->start = bpe_find(t->bpe, START);
    t->end = bpe_find(t->bpe, END);
    t->pad = bpe_find(t->bpe, pad);
    if (t->start < 0) messages_add(errors, "%s: has no token \"%s\"", path, START);
    if (t->pad < 0 || !pad[0])
        messages_add(errors, "%s: has no token \"%s\", which pads by tokenizer_config.json", path, pad);
    if (config->model_max_length < 2 || config->model_max_length > INT32_MAX)
        messages_add(errors, "%s: a tokenizer's model_max_length is 2 or more, here %lld", path,
                     (long long)config->model_max_length);
    if (t->start < 0 || t->pad < 0 || !pad[0] || config->model_max_length < 2 ||
        config->model_max_length > INT32_MAX)
        return false;
    t->max_length = config->model_max_length;
    list_add(&t->exact, pad, unicode_decode(pad, strlen(pad)), t->pad);
    if (t->pad != t->start) list_add(&t->normalized, START, normal_form(START), t->start);
    if (t->pad != t->end) list_add(&t->normalized, END, normal_form(END), t->end);
    return true;
}

Tokenizer *tokenizer_parse(const char *vocab_path, const void *vocab, size_t vocab_size,
                           const char *merges_path, const void *merges, size_t merges_size,
                           const TokenizerConfig *config, Messages *errors) {
    Tokenizer *t = mem_alloc(sizeof *t);
    t->bpe = bpe_parse(vocab_path, vocab, vocab_size, merges_path, merges, merges_size, END, errors);
    if (t->bpe && add_special(t, vocab_path, config, errors)) return t;
    tokenizer_free(t);
    return NULL;
}

Tokenizer *tokenizer_load(const char *vocab_path, const char *merges_path, const TokenizerConfig *config,
                          Messages *errors) {
    File vocab = { 0 }, merges;
    bool have_vocab = !vocab_path || file_map(vocab_path, &vocab, errors),
         have_merges = file_map(merges_path, &merges, errors);
    Tokenizer *t = NULL;
    if (have_vocab && have_merges)
        t = tokenizer_parse(vocab_path ? vocab_path : merges_path, vocab.data, vocab.size, merges_path,
                            merges.data, merges.size, config, errors);
    file_unmap(&vocab);
    file_unmap(&merges);
    return t;
}

void tokenizer_free(Tokenizer *t) {
    if (!t) return;
    bpe_free(t->bpe);
    list_free(&t->exact);
    list_free(&t->normalized);
    free(t->names);
    free(t);
}

int64_t tokenizer_max_length(const Tokenizer *t) { return t->max_length; }
int64_t tokenizer_vocab_size(const Tokenizer *t) { return bpe_size(t->bpe); }

static bool starts_with(const int32_t *s, int64_t count, const char *ascii) {
    for (int64_t i = 0; ascii[i]; i++)
        if (i >= count || s[i] != ascii[i]) return false;
    return true;
}

/* The length of the piece at s[0..count), which is no space. */
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

/* Text between added tokens. The reference cuts out the names of the special tokens as pieces, where they were
   not taken as tokens, and cuts these once more, as if they stood alone: "<|", "endoftext", "|>". */
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

static void encode_normalized(const Tokenizer *t, const int32_t *s, int64_t count, Ids *ids) {
    CodePoints text = unicode_normalize(s, count);
    for (int64_t from = 0, place; from < text.count;) {
        const Added *token = list_find(&t->normalized, text.at, from, text.count, &place);
        encode_words(t->bpe, text.at + from, place - from, ids);
        if (token) ids_push(ids, token->id);
        from = place + (token ? token->pattern.count : 0);
    }
    free(text.at);
}

int32_t *tokenizer_encode_raw(const Tokenizer *t, const char *text, size_t size, int64_t *count) {
    CodePoints raw = unicode_decode(text, size);
    Ids ids = { .at = mem_alloc(sizeof(int32_t)), .capacity = 1 };
    for (int64_t from = 0, place; from < raw.count;) {
        const Added *token = list_find(&t->exact, raw.at, from, raw.count, &place);
        encode_normalized(t, raw.at + from, place - from, &ids);
        if (token) ids_push(&ids, token->id);
        from = place + (token ? token->pattern.count : 0);
    }
    free(raw.at);
    *count = ids.count;
    return ids.at;
}

int64_t tokenizer_encode(const Tokenizer *t, const char *text, int32_t *ids) {
    int64_t count, length = 0;
    int32_t *all = tokenizer_encode_raw(t, text, strlen(text), &count);
    ids[length++] = t->start;
    for (int64_t i = 0; i < count && i < t->max_length - 2; i++) ids[length++] = all[i];
    ids[length++] = t->end;
    while (length < t->max_length) ids[length++] = t->pad;
    free(all);
    return count;
}

/* Why the tokenizer can't take this token on; NULL if it can. */
static const char *refusal(const Tokenizer *t, const char *name, const CodePoints *pattern) {
    char *normal = unicode_encode(pattern->at, pattern->count, NULL), *word = mem_format("%s</w>", normal);
    const char *why = NULL;
    int64_t place;
    CodePoints raw = unicode_decode(name, strlen(name));
    if (pattern->count == 0 || strcmp(normal, " ") == 0)
        why = "has no characters";
    else if (bpe_find(t->bpe, name) >= 0 || bpe_find(t->bpe, normal) >= 0 || bpe_find(t->bpe, word) >= 0)
        why = "is in the model's vocabulary already: take a word that it doesn't know, such as one in <>";
    else if (list_find(&t->exact, raw.at, 0, raw.count, &place))
        why = "holds a special token, so it would never be found in a text";
    for (int i = 0; i < t->normalized.count && !why; i++) {
        const CodePoints *other = &t->normalized.at[i].pattern;
        if (other->count == pattern->count && same(other->at, pattern->at, other->count))
            why = "is a placeholder token already (upper and lower case are one)";
    }
    free(raw.at);
    free(normal);
    free(word);
    return why;
}

static char *vector_name(const char *word, int64_t i) {
    return i == 0 ? mem_string(word) : mem_format("%s_%lld", word, (long long)i);
}

int32_t tokenizer_add(Tokenizer *t, const char *word, int vectors, Messages *errors) {
    CHECK(vectors >= 1);
    int faults = errors->count;
    for (int i = 0; i < vectors && errors->count == faults; i++) {
        char *name = vector_name(word, i);
        CodePoints pattern = normal_form(name);
        const char *why = refusal(t, name, &pattern);
        if (why) messages_add(errors, "the token '%s' %s", name, why);
        free(pattern.at);
        free(name);
    }
    if (errors->count > faults) return -1;
    int32_t first = (int32_t)(bpe_size(t->bpe) + t->added);
    t->names = mem_grow(t->names, (size_t)(t->added + vectors) * sizeof *t->names);
    for (int i = 0; i < vectors; i++) {
        char *name = vector_name(word, i);
        list_add(&t->normalized, name, normal_form(name), first + i);
        const Added *added = find_added(t, name);
        CHECK(added);
        t->names[t->added++] = added->name;
        free(name);
    }
    return first;
}

/* A token's text in a normalised prompt, which is also how the reference gives it back for an id. */
static char *normal_name(const char *name) {
    CodePoints normal = normal_form(name);
    char *text = unicode_encode(normal.at, normal.count, NULL);
    free(normal.at);
    return text;
}

char *tokenizer_placeholder(const Tokenizer *t, const char *word) {
    Text all = { 0 };
    for (int64_t i = 0;; i++) {
        char *name = vector_name(word, i), *normal = normal_name(name);
        bool there = find_added(t, name);
        if (there && i) text_add(&all, " ");
        if (there) text_add(&all, normal);
        free(name);
        free(normal);
        if (!there) return all.at ? all.at : mem_string(word);
    }
}

/* Frees text. */
static char *replace_all(char *text, const char *old, const char *new) {
    Text out = { 0 };
    const char *from = text;
    for (const char *hit; (hit = strstr(from, old)); from = hit + strlen(old)) {
        text_add_part(&out, from, (size_t)(hit - from));
        text_add(&out, new);
    }
    text_add(&out, from);
    free(text);
    return out.at;
}

char *tokenizer_expand_placeholders(const Tokenizer *t, const char *prompt) {
    char *out = mem_string(prompt);
    int64_t count;
    int32_t *ids = tokenizer_encode_raw(t, prompt, strlen(prompt), &count);
    bool *done = mem_alloc((size_t)t->added);
    for (int64_t i = 0; i < count; i++) {
        int64_t which = ids[i] - bpe_size(t->bpe);
        if (which < 0 || done[which]) continue;
        done[which] = true;
        const char *word = t->names[which];
        char *found = normal_name(word);
        if (strcmp(found, word) == 0) {
            char *all = tokenizer_placeholder(t, word);
            out = replace_all(out, word, all);
            free(all);
        }
        free(found);
    }
    free(done);
    free(ids);
    return out;
}

int32_t tokenizer_single(const Tokenizer *t, const char *word, Messages *errors) {
    int64_t count;
    int32_t *ids = tokenizer_encode_raw(t, word, strlen(word), &count);
    int32_t id = count == 1 ? ids[0] : -1;
    if (count == 0) messages_add(errors, "'%s' is no token of this model's vocabulary: name a word", word);
    if (count > 1) {
        Text list = { 0 };
        for (int64_t i = 0; i < count && i < 8; i++) {
            char *text = tokenizer_token_text(t, ids[i]);
            text_format(&list, "%s'%s'", i ? ", " : "", text);
            free(text);
        }
        messages_add(errors, "'%s' is %lld tokens in this model's vocabulary (%s%s): take a word that is one",
                     word, (long long)count, list.at, count > 8 ? ", ..." : "");
        free(list.at);
    }
    free(ids);
    return id;
}

const char *tokenizer_token(const Tokenizer *t, int32_t id) {
    int64_t added = id - bpe_size(t->bpe);
    CHECK(added < t->added);
    return added >= 0 ? t->names[added] : bpe_token(t->bpe, id);
}

char *tokenizer_token_text(const Tokenizer *t, int32_t id) {
    return id < bpe_size(t->bpe) ? bpe_text(t->bpe, id) : mem_string(tokenizer_token(t, id));
}

int32_t tokenizer_find(const Tokenizer *t, const char *token) {
    const Added *added = find_added(t, token);
    return added ? added->id : bpe_find(t->bpe, token);
}
