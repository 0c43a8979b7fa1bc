# SPDX-License-Identifier: MIT
"""The vocabulary: byte pairs in the layout of CLIP's tokenizer, joined until every word is one token."""
import os
from collections import Counter, defaultdict

import world
from files import read_json, write_json, written_folder

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_characters():
    """Returns a printable character for each of the 256 bytes, in CLIP's order: bytes that are printable in
    Latin-1 are themselves and come first, the others are the characters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def joined(word, pair):
    """Returns a word, a tuple of tokens, where each occurrence of the pair is one token."""
    result, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            result.append(word[i] + word[i + 1])
            i += 2
        else:
            result.append(word[i])
            i += 1
    return tuple(result)


def learn_merges(words):
    """Returns the pairs of tokens to join, in order: always the pair that is most frequent in the words, and
    of equally frequent ones the last in the alphabet, until nothing is left to join."""
    tokens = [(*word[:-1], word[-1] + "</w>") for word in words]
    count, where = Counter(), defaultdict(set)

    def add(i, sign):
        for pair in zip(tokens[i], tokens[i][1:]):
            count[pair] += sign
            (where[pair].add if sign > 0 else where[pair].discard)(i)

    for i in range(len(tokens)):
        add(i, 1)
    merges = []
    while +count:
        best = max(+count, key=lambda pair: (count[pair], pair))
        merges.append(best)
        for i in list(where[best]):
            add(i, -1)
            tokens[i] = joined(tokens[i], best)
            add(i, 1)
    assert all(len(word) == 1 for word in tokens)
    return merges


def write(folder, length):
    """Writes the tokenizer's four files. length is that of prompts in tokens."""
    merges = learn_merges(sorted(set(world.words()) | set(world.names())))
    characters = byte_characters()
    tokens = characters + [c + "</w>" for c in characters] + ["".join(pair) for pair in merges] + [START, END]
    ids = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    write_json(f"{folder}/vocab.json", ids, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {
        name: {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        for name, content in (("bos_token", START), ("eos_token", END), ("unk_token", END))
    }
    special["pad_token"] = END
    write_json(f"{folder}/special_tokens_map.json", special)
    more = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": length}
    write_json(f"{folder}/tokenizer_config.json", {**special, **more, "tokenizer_class": "CLIPTokenizer"})


def make(out, settings):
    """Makes OUT/tokenizer."""
    with written_folder(f"{out}/tokenizer") as folder:
        write(folder, settings.tokens)


def faults(out, settings):
    """Returns what is wrong with OUT/tokenizer, a list of sentences."""
    return folder_faults(f"{out}/tokenizer")


def folder_faults(folder):
    """Returns what is wrong with a tokenizer's folder, a list of sentences."""
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        if not os.path.isfile(f"{folder}/{name}"):
            return [f"{folder}/{name} is not there"]
    try:
        ids, config = read_json(f"{folder}/vocab.json"), read_json(f"{folder}/tokenizer_config.json")
    except ValueError as error:
        return [str(error)]
    wrong = []
    if sorted(ids.values()) != list(range(len(ids))) or not {START, END} <= ids.keys():
        wrong.append(f"{folder}/vocab.json does not number its tokens")
    with open(f"{folder}/merges.txt", encoding="utf-8") as f:
        pairs = [tuple(line.split()) for line in f.read().splitlines()[1:]]
    if any(len(pair) != 2 or "".join(pair) not in ids for pair in pairs):
        wrong.append(f"{folder}/merges.txt joins tokens to one that is not in vocab.json")
    missing = [word for word in [*world.words(), *world.names()] if word + "</w>" not in ids]
    if missing:
        wrong.append(f"{folder}/vocab.json: {missing[0]} is not one token")
    if not isinstance(config.get("model_max_length"), int):
        wrong.append(f"{folder}/tokenizer_config.json: model_max_length is not a number")
    return wrong


def text_config(tokenizer, settings):
    """Returns what a text encoder's config says about its tokens."""
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return dict(ids, vocab_size=len(tokenizer), max_position_embeddings=settings.tokens)


def load(folder, settings):
    """Returns the tokenizer in a folder, and a function from captions to ids, int64 [B, tokens]."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder)
    options = dict(padding="max_length", truncation=True, max_length=settings.tokens, return_tensors="pt")
    return tokenizer, lambda captions: tokenizer(captions, **options).input_ids
