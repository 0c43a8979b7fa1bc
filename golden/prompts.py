# SPDX-License-Identifier: MIT
"""Writes golden/prompts.safetensors: prompts with weights and prompts longer than the window, by the rules of
A1111 and ComfyUI. This script is a writing of these rules of its own, made from their descriptions, and runs
them on transformers' tokenizer and text encoder. For MODEL "critters" and "lcm", SYNTAX "a1111", "comfy" and
"plain" (in chunks) and the prompt number I of PROMPTS:

    MODEL/SYNTAX/I/ids        [K, S], token ids of the chunks
    MODEL/SYNTAX/I/weights    [K, S]
    lcm/SYNTAX/I/context      [K S, width], the context

The metadata have the prompts as "prompt/I". In addition there are pictures as golden/picture.py records them,
whose two prompts differ in length, so that the UNet runs once for each of them.
"""
import os
import re
import shlex

import numpy as np
import torch
from diffusers import DDIMScheduler

import picture
from common import CRITTERS, HERE, Golden, normal, relative_error
from models import PLACEHOLDERS, encode_with_learned, load_folder, results

SEED = 71
PROMPTS = [
    "a photo of a cat",
    "a (blue) cat",
    "a (blue:1.3) cat, [snow]",
    "a ((blue)) cat [[in the snow]], (night:0.5)",
    "a \\(blue\\) cat \\[x\\] \\\\ a\\b",
    "a (blue (round:1.5) cat:0.8) at [night (toy)]",
    "a (blue [round (cat",
    "a cat BREAK a toy,BREAK (an animal:1.2) BREAKS",
    "a) blue] cat :1.2) (hat:+.5), (a: 1.4 ) (c:.25) [d:e] (f::2) (:3)",
    "(a <thing>:1.2) to <thing>_1, <thing>s, (<thing> <thing>, an <thing>:0.7) at toy",
    "a photo of a cat, a blue round toy, an animal at night in the snow, an animal on the beach, (a hat, a scarf:1.4), "
    "pixel art, a critter wearing glasses and a crown, a red, [fluffy, green] toy with one eye",
    "toy " * 20 + "(cat " * 5 + "at " * 20,
    "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z " * 2 + "(animal)",
    "",
    "(((())))[]()",
    "an antidisestablishmentarianism (floccinaucinihilipilification:1.3) antidisestablishmentarianism toy",
]  # fmt: skip
COMFY = ["a embedding:thing, (embedding:<thing>:1.3) cat", "(embedding:thing) embedding:thing,, toy\nat"]
CASES = {
    "weighted": "--prompt 'a (blue:1.4) round critter, [a hat], (in the snow:1.2)' --negative '(night)' --sampler ddim --steps 8 --guidance 4 --seed 1 --prompt-syntax a1111",
    "comfy": "--prompt 'a (blue:1.4) round critter, (in the snow:0.6)' --negative '(night:1.3)' --sampler ddim --steps 8 --guidance 4 --seed 1 --prompt-syntax comfy",
    "long": "--prompt 'a photo of a blue round critter with one eye and stripes, wearing glasses and a scarf and a hat, on the beach at night in the snow, pixel art' --negative '(red:1.2)' --sampler ddim --steps 8 --guidance 4 --seed 2 --count 2 --prompt-syntax a1111",
    "long_negative": "--prompt 'a critter' --negative 'a hat BREAK a scarf BREAK glasses' --sampler ddim --steps 8 --guidance 4 --seed 2 --prompt-syntax a1111",
}  # fmt: skip


def a1111(text):
    """Returns [text, weight] of each part; a BREAK is [None, 1]."""
    parts, open_round, open_square = [], [], []

    def scale(start, weight):
        for part in parts[start:]:
            part[1] *= weight

    at = 0
    while at < len(text):
        c = text[at]
        weight = re.compile(r":\s*([+-]?[.\d]+)\s*\)").match(text, at)
        if c == "\\":
            escaped = text[at + 1 : at + 2] if text[at + 1 : at + 2] in tuple("()[]\\") else ""
            parts.append([escaped, 1.0])
            at += 1 + len(escaped)
            continue
        if c == "(":
            open_round.append(len(parts))
        elif c == "[":
            open_square.append(len(parts))
        elif weight and open_round:
            scale(open_round.pop(), float(weight.group(1)))
            at = weight.end()
            continue
        elif c == ")" and open_round:
            scale(open_round.pop(), 1.1)
        elif c == "]" and open_square:
            scale(open_square.pop(), 1 / 1.1)
        else:
            run = weight.group() if weight else re.compile(r"[^\\()\[\]:]+|.", re.S).match(text, at).group()
            for i, part in enumerate(re.split(r"\s*\bBREAK\b\s*", run)):
                if i:
                    parts.append([None, 1.0])
                parts.append([part, 1.0])
            at += len(run)
            continue
        at += 1
    for start in open_round:
        scale(start, 1.1)
    for start in open_square:
        scale(start, 1 / 1.1)
    joined = []
    for part, weight in parts:
        if joined and part is not None and joined[-1][0] is not None and joined[-1][1] == weight:
            joined[-1][0] += part
        else:
            joined.append([part, weight])
    return joined


def comfy(text):
    """Returns [text, weight] of each part."""
    open_, close = "\ue000", "\ue001"  # escaped brackets
    text = text.replace("\\)", close).replace("\\(", open_)

    def split(text):
        items, item, level = [], "", 0
        for c in text:
            if c == "(" and level == 0 and item:
                items.append(item)
                item = ""
            item += c
            level += (c == "(") - (c == ")")
            if c == ")" and level == 0:
                items.append(item)
                item = ""
        return items + [item] if item else items

    def weigh(text, weight):
        parts = []
        for item in split(text):
            if len(item) < 2 or item[0] != "(" or item[-1] != ")":
                parts.append([item, weight])
                continue
            inner, own = item[1:-1], weight * 1.1
            head, colon, tail = inner.rpartition(":")
            if colon and head:
                try:
                    inner, own = head, float(tail)
                except ValueError:
                    inner = head + colon + tail
            parts += weigh(inner, own)
        return parts

    return [[p.replace(close, ")").replace(open_, "("), w] for p, w in weigh(text, 1.0)]


class Windows:
    """Fills windows of a tokenizer."""

    def __init__(self, tokenizer, pad):
        self.tokenizer, self.pad = tokenizer, pad
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.room = tokenizer.model_max_length - 2
        self.vectors = tokenizer.convert_tokens_to_ids(PLACEHOLDERS)
        self.chunks = []

    def tokens(self, text):
        """Returns lists of ids, one for each token and one for each learned word."""
        text = re.sub(r"<thing>(?!_1)", "<thing> <thing>_1", text)
        groups = []
        for i in self.tokenizer(text, add_special_tokens=False).input_ids:
            if groups and groups[-1][-1] == self.vectors[0] and i == self.vectors[1]:
                groups[-1].append(i)
            else:
                groups.append([i])
        return groups

    def close(self, chunk):
        ids = [self.start] + [i for i, _ in chunk] + [self.end]
        weights = [1.0] + [w for _, w in chunk] + [1.0]
        more = self.room - len(chunk)
        self.chunks.append((ids + [self.pad] * more, weights + [1.0] * more))

    def fill_a1111(self, parts, comma, reach=20):
        chunk, last_comma = [], None
        for text, weight in parts:
            if text is None:
                self.close(chunk)
                chunk, last_comma = [], None
                continue
            for group in self.tokens(text):
                full = len(chunk) == self.room
                if group == [comma]:
                    last_comma = len(chunk)
                elif full and last_comma is not None and len(chunk) - last_comma <= reach:
                    self.close(chunk[: last_comma + 1])
                    chunk, last_comma = chunk[last_comma + 1 :], None
                if len(chunk) + len(group) > self.room:
                    self.close(chunk)
                    chunk, last_comma = [], None
                chunk += [(i, weight) for i in group]
        if chunk or not self.chunks:
            self.close(chunk)

    def word_comfy(self, word):
        if not word.startswith("embedding:"):
            return [self.tokens(word)]
        name = word[len("embedding:") :]
        stripped = name.rstrip(",")
        assert stripped in ("thing", "<thing>")
        return [self.tokens("<thing>"), self.tokens(name[len(stripped) :])]

    def fill_comfy(self, parts):
        chunk = []
        for text, weight in parts:
            words = [w for word in text.replace("\n", " ").split(" ") if word for w in self.word_comfy(word)]
            for groups in words:
                large = sum(map(len, groups)) >= 8
                while groups:
                    size = sum(map(len, groups))
                    if len(chunk) + size <= self.room:
                        chunk += [(i, weight) for g in groups for i in g]
                        break
                    while (large or not chunk) and len(chunk) + len(groups[0]) <= self.room:
                        chunk += [(i, weight) for i in groups.pop(0)]
                    self.close(chunk)
                    chunk = []
        self.close(chunk)


def lay_out(tokenizer, pad, syntax, text):
    """Returns ids and weights [K, S]."""
    w = Windows(tokenizer, pad)
    comma = tokenizer.get_vocab().get(",</w>")
    if syntax == "comfy":
        w.fill_comfy(comfy(text))
    else:
        w.fill_a1111(a1111(text) if syntax == "a1111" else [[text, 1.0]], comma)
    return torch.tensor([i for i, _ in w.chunks]), torch.tensor([x for _, x in w.chunks], dtype=torch.float32)


def empty_window(tokenizer, pad):
    s = tokenizer.model_max_length
    return torch.tensor([[tokenizer.bos_token_id, tokenizer.eos_token_id] + [pad] * (s - 2)])


def weigh(syntax, states, weights, empty):
    """states [K, S, D] -> the context [K S, D]."""
    w, chunks = weights.to(states.dtype)[..., None], []
    for k in range(len(states)):
        z = states[k]
        if syntax == "a1111":
            weighted = z * w[k]
            z = weighted * (z.mean() / weighted.mean())
        if syntax == "comfy":
            z = torch.where(w[k] == 1, z, (z - empty) * w[k] + empty)
        chunks.append(z)
    return torch.cat(chunks)


def write_prompts(golden, name, parts, contexts):
    tokenizer, clip = parts["tokenizer"], parts["clip"]
    assert tokenizer.add_tokens(PLACEHOLDERS) == 2
    pad = tokenizer.pad_token_id
    learned = 0.5 * normal(2, clip.config.hidden_size, seed=SEED)
    if contexts:
        golden.put("rows", learned)
    for syntax in ("a1111", "comfy", "plain"):
        for i, text in enumerate(PROMPTS + (COMFY if syntax == "comfy" else [])):
            ids, weights = lay_out(tokenizer, pad, syntax, text)
            golden.put(f"{name}/{syntax}/{i}/ids", ids.int())
            golden.put(f"{name}/{syntax}/{i}/weights", weights)
            if not contexts:
                continue

            def run(learned):
                empty = encode_with_learned(clip, empty_window(tokenizer, pad), learned)[0]
                return (weigh(syntax, encode_with_learned(clip, ids, learned), weights, empty),)

            results(golden, f"{name}/{syntax}/{i}", ["context"], run, [clip], [learned])


def generate(options, threads):
    """Returns the last latents and the 8-bit pictures of a case."""
    words = shlex.split(options)
    at = words.index("--prompt-syntax")
    syntax = words[at + 1]
    a = picture.parse(words[:at] + words[at + 2 :])
    torch.set_num_threads(threads)
    pipe = picture.open_pipeline(os.path.normpath(a.model))
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(a.steps)
    pad = pipe.tokenizer.pad_token_id
    with torch.no_grad():
        empty = pipe.text_encoder(empty_window(pipe.tokenizer, pad)).last_hidden_state[0]

        def context(text):
            ids, weights = lay_out(pipe.tokenizer, pad, syntax, text)
            return weigh(syntax, pipe.text_encoder(ids).last_hidden_state, weights, empty)[None].repeat(a.count, 1, 1)

        cond, uncond = context(a.prompt), context(a.negative)
        side = pipe.unet.config.sample_size
        x = torch.randn((a.count, 4, side, side), generator=torch.Generator().manual_seed(a.seed))
        for t in scheduler.timesteps:
            e0, e1 = (pipe.unet(x, t, c).sample for c in (uncond, cond))
            x = scheduler.step(e0 + a.guidance * (e1 - e0), t, x).prev_sample
        image = pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample
    image = (image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return x, torch.from_numpy((image * 255).round().astype(np.uint8))


def main():
    golden = Golden(__file__, SEED)
    for i, text in enumerate(PROMPTS + COMFY):
        golden.meta(f"prompt/{i}", text)
    for name, folder in (("critters", CRITTERS), ("lcm", os.path.join(HERE, "models", "lcm"))):
        write_prompts(golden, name, load_folder(os.path.normpath(folder)), name == "lcm")
    os.chdir(os.path.join(HERE, ".."))
    for name, options in CASES.items():
        latents, pictures = generate(options, 2)
        other, again = generate(options, 1)
        difference = (again.int() - pictures.int()).abs().max().item()
        golden.meta(f"{name}/options", options)
        golden.put(f"{name}/pictures", pictures.half())
        golden.meta(f"{name}/threads", "%.1e %d" % (relative_error(other, latents), difference))
        print(f"{name}: {tuple(pictures.shape)}, std {pictures.float().std():.0f}, with 1 thread",
              golden.metadata[f"{name}/threads"])  # fmt: skip
    golden.save("prompts.safetensors")


if __name__ == "__main__":
    main()
