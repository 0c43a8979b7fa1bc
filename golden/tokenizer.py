# SPDX-License-Identifier: MIT
"""Writes golden/tokenizer.txt: the tokens that transformers' CLIPTokenizer gives for thousands of generated
texts. Run it in the root folder of the repository. tests/files/test_tokenizer.c reads the file. The first
word of a line is its kind:

    vocab NAME       selects a vocabulary: critters, or clip (derived from weights/clip/merges.txt)
    pad TOKEN        makes a tokenizer of that vocabulary with this padding token
    add N ID WORD    adds a placeholder token for N vectors; the first gets this id
    text IDS|TEXT    all tokens of the text
    window IDS|TEXT  the same, padded or truncated, with start and end token
    expand OUT|IN    the result of maybe_convert_prompt, for prompts on which it replaces words by all their
                     vectors correctly
    prompt IDS|TEXT  all tokens of the text, with words of several vectors replaced by the tokens of all their
                     vectors
    join OUT|WORD    the text that names all vectors of a word, as in the training script
    noise COUNT HASH SEED LENGTH|ALPHABET   the tokens of a text of LENGTH code points from ALPHABET (see
                                            noise)
    block COUNT HASH LOW HIGH               the tokens of a text with every code point of LOW..HIGH (see
                                            block)
    folder NAME      begins a tokenizer folder, whose files follow
    file NAME|TEXT   one file of the folder
    open ROWS        opens the folder; the token embedding has this number of rows

In the texts, bytes outside printable ASCII and valid UTF-8, the backslash and "|" are written as \\xHH. HASH
is FNV-1a over the ids as 32-bit little-endian words, COUNT their number.

Texts have no code point that is newer than Unicode 14, the version that Python 3.11 has, because utf8proc and
the tokenizers package have different versions of Unicode, and classify newer characters differently. The
package's NFC is older still (Unicode 9), so that combining marks and compositions added since then are left
out as well. A word with a space is added with the flag single_word, which diffusers does not set;
text/tokenizer.h explains why.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import unicodedata

import tokenizers
import transformers
from diffusers.loaders import TextualInversionLoaderMixin
from transformers import AddedToken, CLIPTokenizer

SEED = 20220803
CRITTERS = "weights/critters/tokenizer"
MERGES = "weights/clip/merges.txt"
CLIP_LENGTH = 77

rng = random.Random(SEED)
known = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
by_class = {}
for code in known:
    by_class.setdefault(unicodedata.category(chr(code))[0], []).append(code)
marks = [c for c in by_class["M"] if unicodedata.combining(chr(c))]
composing = [c for c in known if unicodedata.decomposition(chr(c)) and not unicodedata.decomposition(chr(c)).startswith("<")]
spaces = [0x9, 0xA, 0xB, 0xC, 0xD, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
not_spaces = [0x1C, 0x1F, 0x180E, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF]
digits = [c for c in known if unicodedata.category(chr(c))[0] == "N"]
odd_case = "İıẞßſKÅΩΣςσǅǆǈﬁﬀŉᾳᾼΐΰŒœᏣꭓᲐაჀⴀ𐐀𐐨ÀÉÑÜÇØÐÞ"
unstable = "\u0958\u0344\u2126\u212B\u1F71\uFB1D\u2ADC\U0001D15E\uFA10\u0F73\u0F75\u0F81\u09CB\u0BCA\u1E69\u1E9B\u0323"
words = """a photo of the critter blue round with one eye and stripes wearing crown holding balloon at night in snow
    painting style don't it's we've they'd I'LL YOU'RE 'tis can't o'clock rock'n'roll Hello WORLD internationalization
    antidisestablishmentarianism naïve café Ångström façade smörgåsbord 3.14159 1,000,000 2nd x86_64 C++ #hashtag
    user@example.com http://example.org/?q=1&r=2 &amp; &lt;b&gt; foo_bar-baz ... --- !!! ?!?! $100 50% (a) [b] {c} ~/. \\n""".split()
scripts = ["一只戴着帽子的小怪物的照片", "帽子をかぶったモンスターの写真", "모자를 쓴 괴물 사진", "صورة وحش يرتدي قبعةً", "תמונה של מפלצת",
           "фото монстра в шляпе", "φωτογραφία τέρατος ΟΔΟΣ", "एक राक्षस की तस्वीर", "ภาพของสัตว์ประหลาด", "một bức ảnh", "ფოტო მონსტრის",
           "የጭራቅ ፎቶ", "ཨོཾ་མ་ཎི", "ꦧꦱꦗꦮ"]
emoji = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "1️⃣", "🧑🏿‍🚀", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", "™", "©️"]
special = ["<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|endof", "text|>", "<|", "|>", "<|endoftext|>'s",
           "<|Endoftext|>!!", "</w>", "!", "!!"]
placeholders = ["<grum>", "<GRUM>", "<Grum>_1", "<grum>_2", "<thing>_12", "<thing>_1", "<THING>", "<th", "grum>", "e\u0301tre*", "Étre*",
                "étre*_1", "zork", "ZORKs", "azorka", "two words", "two \t words", "İx", "i\u0307x"]


def too_new_for_nfc():
    """Returns the characters that are too new for the package's NFC: marks that it does not sort, and
    compositions that it does not know, with their parts."""
    nfc, nfd = tokenizers.normalizers.NFC(), tokenizers.normalizers.NFD()
    new = set()
    for c in map(chr, known):
        order = unicodedata.combining(c)
        pair = c + "\u0334" if order > 1 else "\u0345" + c
        if order and nfd.normalize_str(pair) != unicodedata.normalize("NFD", pair):
            new.add(c)
        whole = unicodedata.normalize("NFD", c)
        if nfd.normalize_str(c) != whole or nfc.normalize_str(whole) != unicodedata.normalize("NFC", whole):
            new.update(c + whole)
    return new


new_for_nfc = too_new_for_nfc()


def pick(pool):
    c = rng.choice(pool)
    return c if isinstance(c, str) else chr(c)


def fragment(extra):
    kind = rng.randrange(18 + bool(extra) * 5)
    few = rng.randrange(1, 5)
    if kind < 5:
        return rng.choice(words)
    if kind == 5:
        s = rng.choice(scripts)
        return s[rng.randrange(len(s)):][: rng.randrange(1, 12)]
    if kind == 6:
        return pick(emoji)
    if kind == 7:
        return "".join(pick(digits) for _ in range(few))
    if kind == 8:
        return "".join(pick(marks) for _ in range(rng.randrange(1, 8)))
    if kind == 9:
        return unicodedata.normalize("NFD", "".join(pick(composing) for _ in range(few)))
    if kind == 10:
        return "".join(pick(composing) for _ in range(few)) + pick(marks)
    if kind == 11:
        return pick(odd_case) + pick(unstable)
    if kind == 12:
        return "".join(pick(spaces) for _ in range(few))
    if kind == 13:
        return "".join(pick(by_class["C"] + not_spaces) for _ in range(few)) + chr(rng.randrange(0x20))
    if kind == 14:
        return "".join(pick(by_class[rng.choice("LMNPSZC")]) for _ in range(few))
    if kind == 15:
        return "".join(rng.choice("'\"`’.,!?-_*#<>|@s t re ve m ll d") for _ in range(rng.randrange(1, 9)))
    if kind == 16:
        return chr(rng.choice([0x1100, 0x1112, 0x1161, 0x1175, 0x11A8, 0x11C2, 0xAC00, 0xD7A3])) * few + pick(["\u1161", "\u11a8", "가"])
    if kind == 17:
        return pick(special)
    return pick(extra)


def sentence(extra):
    parts = [fragment(extra) for _ in range(rng.choice([1, 1, 2, 2, 3, 4, 6]))]
    text = rng.choice(["", "", " ", " ", "  "]).join(parts)
    return rng.choice([str, str, str, str.upper, str.title])(text)


def assigned(text):
    return all(unicodedata.category(c) not in ("Cn", "Cs") and c not in new_for_nfc for c in text)


def escape(data):
    if isinstance(data, str):
        data = data.encode()
    text = data.decode("utf-8", "surrogateescape")
    out = ""
    for c in text:
        o = ord(c)
        if 0xDC80 <= o <= 0xDCFF:
            out += "\\x%02x" % (o - 0xDC00)
        elif o < 0x20 or o == 0x7F or c in "\\|":
            out += "\\x%02x" % o
        elif not c.isprintable():
            out += "".join("\\x%02x" % b for b in c.encode())
        else:
            out += c
    return out


def fnv(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def noise(seed, length, alphabet):
    """Returns a random text. A linear congruential generator, x' = 6364136223846793005 x +
    1442695040888963407 mod 2^64, chooses element (x' >> 33) mod n of the alphabet, of length n, each time."""
    out = []
    for _ in range(length):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(alphabet[(seed >> 33) % len(alphabet)])
    return "".join(out)


def block(low, high):
    return "".join("a%cb %c1" % (c, c) for c in range(low, high + 1))


class Reference:
    """A tokenizer of the reference. Each method appends lines with its results to `out`."""

    def __init__(self, out, name, pad=None):
        self.out = out
        with tempfile.TemporaryDirectory() as folder:
            if name == "critters":
                shutil.copy(CRITTERS + "/vocab.json", folder)
                shutil.copy(CRITTERS + "/merges.txt", folder)
            else:
                self.clip_vocabulary(folder)
            for file in ("tokenizer_config.json", "special_tokens_map.json"):
                with open(f"{CRITTERS}/{file}") as f:
                    config = json.load(f)
                if pad:
                    config["pad_token"] = pad
                if "model_max_length" in config and name == "clip":
                    config["model_max_length"] = CLIP_LENGTH
                with open(f"{folder}/{file}", "w") as f:
                    json.dump(config, f)
            self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.vectors = {}
        out.append(f"vocab {name}")
        out.append(f"pad {self.tokenizer.pad_token}")

    @staticmethod
    def clip_vocabulary(folder):
        shutil.copy(MERGES, folder + "/merges.txt")
        with open(MERGES, encoding="utf-8") as f:
            merges = [line.rstrip("\n") for line in f][1:]
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        symbols = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
        tokens = symbols + [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in merges]
        tokens += ["<|startoftext|>", "<|endoftext|>"]
        assert len(tokens) == len(set(tokens)) == 49408
        with open(folder + "/vocab.json", "w", encoding="utf-8") as f:
            json.dump({t: i for i, t in enumerate(tokens)}, f)

    def add(self, word, vectors):
        names = [word] + [f"{word}_{i}" for i in range(1, vectors)]
        assert self.tokenizer.add_tokens([AddedToken(n, single_word=" " in n) for n in names]) == vectors
        ids = self.tokenizer.convert_tokens_to_ids(names)
        assert ids == list(range(ids[0], ids[0] + vectors))
        self.vectors[ids[0]] = ids
        self.out.append(f"add {vectors} {ids[0]} {escape(word)}")
        self.out.append(f"join {escape(' '.join(self.tokenizer.convert_ids_to_tokens(ids)))}|{escape(word)}")

    def ids(self, text):
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def text(self, data):
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        if assigned(text):
            self.out.append(f"text {' '.join(map(str, self.ids(text)))}|{escape(data)}")

    def window(self, text):
        ids = self.tokenizer(text, padding="max_length", truncation=True).input_ids
        if assigned(text) and "\0" not in text:
            self.out.append(f"window {' '.join(map(str, ids))}|{escape(text)}")

    def expand(self, prompt):
        if "\0" in prompt or not assigned(prompt):
            return
        ids = [v for i in self.ids(prompt) for v in self.vectors.get(i, [i])]
        self.out.append(f"prompt {' '.join(map(str, ids))}|{escape(prompt)}")
        converted = TextualInversionLoaderMixin().maybe_convert_prompt(prompt, self.tokenizer)
        if self.ids(converted) == ids:
            self.out.append(f"expand {escape(converted)}|{escape(prompt)}")

    def noise(self, length, alphabet):
        seed = rng.randrange(2**32)
        ids = self.ids(noise(seed, length, alphabet))
        self.out.append(f"noise {len(ids)} {fnv(ids):016x} {seed} {length}|{escape(alphabet)}")

    def blocks(self):
        start = 0
        while start < len(known):
            end = start
            while end + 1 < len(known) and known[end + 1] == known[end] + 1 and end - start < 2047:
                end += 1
            ids = self.ids(block(known[start], known[end]))
            self.out.append(f"block {len(ids)} {fnv(ids):016x} {known[start]} {known[end]}")
            start = end + 1


class Folder(Reference):
    """A tokenizer from files, whose contents are given as texts or as JSON values."""

    def __init__(self, out, name, files):
        self.out = out
        self.vectors = {}
        out.append(f"folder {name}")
        with tempfile.TemporaryDirectory() as folder:
            for file, content in files.items():
                text = content if isinstance(content, str) else json.dumps(content)
                out.append(f"file {file}|{escape(text)}")
                with open(f"{folder}/{file}", "w", encoding="utf-8") as f:
                    f.write(text)
            self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        out.append(f"open {len(self.tokenizer)}")
        known = self.tokenizer.get_added_vocab()
        for word, i in known.items():
            if word + "_1" in known:
                self.vectors[i] = [i] + [known[f"{word}_{n}"] for n in range(1, 9) if f"{word}_{n}" in known]


START, END = "<|startoftext|>", "<|endoftext|>"
SMALL = {t: i for i, t in enumerate([START, END, "a", "b", "c", "a</w>", "b</w>", "c</w>", "ab</w>", "<", ">", "<</w>", "></w>", "!",
                                     "!</w>", "_</w>", "bc</w>", "ab", "abc</w>"])}
SMALL_MERGES = [["a", "b</w>"], ["b", "c</w>"], ["a", "b"], ["ab", "c</w>"]]
SMALL_TEXT = ["ab", "AB", "abc", "bc", "BC", "<ab>", "<AB>", "<ab>_1", "<Ab>_2", "zork", "Zork", "my cat", "My Cat", "my  cat", "my cat_1",
              START, START.upper(), END, END.upper(), "[PAD]", "[pad]", "foo", "bar", "!", "_", "1", "\u00e9", "e\u0301", "\u0301", "-", "'s",
              "\u24d0", "\u4e00", "\u200d"]


def added(index, content, normalized=True, special=False, **flags):
    return {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized,
            "special": special, **flags}


def without_id(token):
    return {k: v for k, v in token.items() if k != "id"}


def tokenizer_json(words=(), vocab=SMALL, merges=SMALL_MERGES):
    """Returns a tokenizer.json as save_pretrained writes it."""
    saved = CLIPTokenizer(vocab=vocab, merges=[tuple(m.split(" ") if isinstance(m, str) else m) for m in merges])
    document = json.loads(saved.backend_tokenizer.to_str())
    document["added_tokens"] = [added(0, START, True, True), added(1, END, False, True), *words]
    document["model"]["merges"] = merges
    return document


def folders(out):
    config = {"model_max_length": 12, "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END,
              "tokenizer_class": "CLIPTokenizer"}
    mapped = {"bos_token": added(0, START, True), "eos_token": added(1, END, True), "unk_token": added(1, END, True), "pad_token": END}
    mapped = {k: v if isinstance(v, str) else {n: f for n, f in without_id(v).items() if n != "special"} for k, v in mapped.items()}
    n = len(SMALL)
    old = {"vocab.json": SMALL, "merges.txt": "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in SMALL_MERGES)}
    # Added tokens that are not in the order of their ids, each with other flags.
    words = [added(n + 3, "<ab>"), added(n, "zork", False), added(n + 1, "my cat", True, False, single_word=True),
             added(n + 2, "foo", True, True, lstrip=True, rstrip=True), added(n + 4, "<ab>_1"), added(n + 5, "<ab>_2"),
             added(n + 6, "Bar", False, False, single_word=True)]
    gaps = [added(n + 30, "<ab>"), added(n + 14, "zork", False)]
    few = ["a b", "b c</w>"]
    plain = {"tokenizer_config.json": config}
    decoder = {"tokenizer_config.json": {**config, "added_tokens_decoder": {
        "0": without_id(added(0, START, True, True)), "1": without_id(added(1, END, True, True)), str(n): without_id(added(n, "bar")),
        str(n + 1): without_id(added(n + 1, "<AB>", False))}}}
    cases = {
        "tokenizer.json": {**plain, "tokenizer.json": tokenizer_json()},
        "merges as lines": {**plain, "tokenizer.json": tokenizer_json(merges=few)},
        "both, other merges": {**plain, **old, "tokenizer.json": tokenizer_json(merges=[])},
        "both, other vocabulary": {**plain, **old, "vocab.json": {**SMALL, "a": 3, "b": 2},
                                   "tokenizer.json": tokenizer_json(words[:1])},
        "words": {**plain, "tokenizer.json": tokenizer_json(words)},
        "words, mapped": {**plain, "special_tokens_map.json": mapped, "tokenizer.json": tokenizer_json(words[:5])},
        "words, ids with gaps": {**plain, "tokenizer.json": tokenizer_json(gaps)},
        "words of two files": {**plain, "tokenizer.json": tokenizer_json(gaps), "added_tokens.json": {"foo": n, "bar": n + 14, "[PAD]": n + 15}},
        "words of the vocabulary": {**plain, "tokenizer.json": tokenizer_json([added(2, "a"), added(8, "ab</w>"), added(18, "abc</w>", False)])},
        "flags left out": {**plain, "tokenizer.json": tokenizer_json([{"id": n, "content": "foo"}, {"id": n + 1, "content": "bar", "special": True}])},
        "plain strings": {**plain, **old},
        "mapped": {**plain, **old, "special_tokens_map.json": mapped},
        "added_tokens.json": {**plain, **old, "special_tokens_map.json": mapped, "added_tokens.json": {"<ab>": n + 1, "zork": n, END: 1}},
        "decoder": {**decoder, **old, "special_tokens_map.json": mapped, "added_tokens.json": {"foo": n}},
        "decoder and tokenizer.json": {**decoder, "tokenizer.json": tokenizer_json(words)},
        "padding of its own": {**old, "tokenizer_config.json": {**config, "pad_token": "[PAD]"}},
        "more special tokens": {**old, "tokenizer_config.json": {**config, "additional_special_tokens": ["<ab>"], "foo_token": "bar"}},
        "extra special tokens": {"tokenizer_config.json": {**config, "extra_special_tokens": ["<ab>"]}, "tokenizer.json": tokenizer_json()},
        "mapped special tokens": {**plain, "special_tokens_map.json": {"additional_special_tokens": ["<ab>"]}, "tokenizer.json": tokenizer_json()},
    }
    for name, files in cases.items():
        r = Folder(out, name, files)
        for piece in SMALL_TEXT:
            r.text(piece)
            r.expand(f"a {piece} b")
        for _ in range(25):
            text = "".join(rng.choice(SMALL_TEXT + [" "] * 12) for _ in range(rng.randrange(2, 9)))
            r.text(text)
            r.window(text)
            r.expand(text)
        r.add("<new>", 3)
        r.add("two words", 2)
        for text in ("<NEW> <new>_1 a", "two words two wordsa atwo words", "a two words_1b <new>_12"):
            r.text(text)
            r.expand(text)


def broken():
    """Returns a sentence with some bytes that are not UTF-8."""
    data = bytearray(sentence([]).encode())
    for _ in range(rng.randrange(1, 5)):
        i = rng.randrange(len(data) + 1)
        bad = [b"\x80", b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf8\x88", b"\xe0\x9f",
               b"\xf0\x80\x80\x80", b"\xc2", bytes([rng.randrange(256)])]
        data[i:i + rng.randrange(2)] = rng.choice(bad)
    return bytes(data)


def texts(r, count, extra=()):
    for _ in range(count):
        r.text(sentence(extra))
    for _ in range(count // 10):
        r.text(broken())
    for _ in range(count // 20):
        r.window(sentence(extra) * rng.choice([1, 1, 1, 5, 20]))


def long_noise(r):
    letters = "abcdefghijklmnopqrstuvwxyz"
    r.noise(200_000, letters)
    r.noise(200_000, "a")
    r.noise(200_000, letters + letters.upper() + "0123456789      .,'!-<>")
    r.noise(100_000, "a\u0301\u0323\u0327\u05b0\u0345\u1dce\u0334")
    r.noise(60_000, "\u0301\u0323\u0327\u05b0\u0345")
    r.noise(60_000, "怪物帽子照片한글モンスター")
    r.noise(100_000, "<grum>_123 GRUM")
    r.noise(50_000, "<|endofstar> ")
    r.noise(40_000, "😀👩\u200d\ufe0f🏽🇩🇪 ")
    r.noise(100_000, "!?.,;:'\"")


def main():
    print(f"{len(new_for_nfc)} code points are too new for the package's NFC")
    out = [f"# made by golden/tokenizer.py, seed {SEED}, transformers {transformers.__version__}, "
           f"tokenizers {tokenizers.__version__}, Unicode {unicodedata.unidata_version}"]
    for name in ("critters", "clip"):
        r = Reference(out, name)
        texts(r, 1100)
        r.blocks()
        long_noise(r)
        for word, vectors in (("<grum>", 3), ("<thing>", 13), ("Étre*", 2), ("zork", 1), ("two  words", 1), ("İx", 1), ("ab", 1)):
            if word == "ab" or f"{word}</w>" in r.tokenizer.get_vocab():
                continue
            r.add(word, vectors)
        texts(r, 700, placeholders)
        for p in placeholders:
            r.text(p)
            r.text("a photo of %s's hat" % p)
            r.text("x%sy" % p)
            r.expand("a photo of %s" % p)
            r.expand("%s and %s_1 and <grum>" % (p, p))
        r.noise(100_000, "<grum>_12 thingGRUM")
    r = Reference(out, "critters", "!")
    texts(r, 300)
    r.add("<grum>", 2)
    texts(r, 100, placeholders)
    r = Reference(out, "critters")
    r.add("two words", 2)
    for c in rng.sample(known, 500) + [0x24B6, 0x24E9, 0x24EA, 0x1F130, 0x1F149, 0x1F14A, 0x1F150, 0x1F169, 0x1F16A, 0x1F170, 0x1F189,
                                        0x1F18A, 0x200B, 0x200C, 0x200D, 0x200E, 0x203F, 0x2160, 0xB2, 0x5F, 0x2D, 0x20DD]:
        r.text(f"{chr(c)}two words b")
        r.text(f"b two words{chr(c)}")
    folders(out)
    with open("golden/tokenizer.txt", "w", encoding="utf-8", newline="\n") as f:
        f.write("\n".join(out) + "\n")
    print(f"golden/tokenizer.txt: {len(out)} lines, {os.path.getsize('golden/tokenizer.txt')} bytes")


if __name__ == "__main__":
    sys.exit(main())
