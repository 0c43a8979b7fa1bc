# SPDX-License-Identifier: MIT
"""Writes golden/clip.safetensors, results of CLIPModel and CLIPImageProcessor, which `ti evaluate` scores pictures with:

    pixels                the input of the encoder for picture 0
    image, text           features of the embedded CLIP for PICTURES and TEXTS, scaled to length 1
    tiny/...              a random CLIP with other widths and gelu: weights, patches (crops of its input), ids, and features
    full/image, full/text the same for a model of the size of ViT-B/32, whose weights are made by the rule of full.py

and in the metadata:

    crop:64:I, crop:224:I the SHA-256 of picture I of PICTURES, resized and cropped to so many pixels
    sets                  ten sets of pictures, a JSON list: the files of the references and of the pictures, the text, and
                          the scores of the paper's section 5 with their standard errors
"""
import hashlib
import json
import os

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from common import CRITTERS, HERE, Golden, both, normal, random_weights
from full import FAMILIES, fill, tokenizer_of

SEED = 71
ROOT = os.path.join(HERE, "..")
CONCEPTS = "weights/critters/concepts"
PICTURES = [f"{CONCEPTS}/grum/1.png", "golden/init_picture.png", "golden/pictures/one.png", "golden/pictures/rgb.png",
            "golden/loop_pictures/2.png", "golden/large/turned.jpg"]  # fmt: skip
TEXTS = ["a photo of a critter", "", "a photo of  on the beach", "An oil painting of , by night", "zubok " * 40]
GRUM = [f"{CONCEPTS}/grum/{i}.png" for i in range(1, 6)]
ZOG = [f"{CONCEPTS}/zog/{i}.png" for i in range(1, 6)]
MIMI = [f"{CONCEPTS}/mimi/{i}.png" for i in range(1, 6)]
STYLE = [f"{CONCEPTS}/style-blueprint/{i}.png" for i in range(1, 7)]
OTHERS = PICTURES[1:]
# references, pictures, text
SETS = [
    (GRUM, GRUM, "a photo of a critter"),
    (GRUM, ZOG, "a photo of a critter"),
    (GRUM, MIMI[:2], "a photo of a blue round critter with one eye"),
    (GRUM, ZOG[:1], "a photo of a critter on the beach"),
    (ZOG[:1], MIMI, "a pencil drawing of a critter"),
    (ZOG[:1], MIMI[:1], ""),
    (STYLE, STYLE, "a painting in the style of "),
    (STYLE, GRUM + ZOG, "pixel art of a critter"),
    (OTHERS, GRUM, "A photo of  on the moon"),
    (GRUM, OTHERS, "a critter " * 30),
]


def load(path):
    """Returns a picture as Pillow's RGB, upright, as ti reads it."""
    return ImageOps.exif_transpose(Image.open(os.path.join(ROOT, path))).convert("RGB")


def cropped(processor, images):
    """Returns the bytes that the processor's resizing and cropping give, [H, W, 3] for each."""
    plain = processor(images, do_rescale=False, do_normalize=False)["pixel_values"]
    assert all(p.dtype == np.uint8 for p in plain)
    return [np.ascontiguousarray(np.moveaxis(p, 0, -1)) for p in plain]


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def features_of(model):
    return lambda pixels, ids: (unit(model.get_image_features(pixels).pooler_output),
                                unit(model.get_text_features(ids).pooler_output))  # fmt: skip


def jackknife(score, x):
    """Returns the score of the features x [n, F] and its standard error, None for a single one. The error is that of
    the scores which leave out one feature each."""
    n, value = len(x), score(x)
    if n == 1:
        return value, None
    left = np.array([score(np.delete(x, i, axis=0)) for i in range(n)])
    return value, float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))


def scores(references, pictures, text):
    """Returns the scores of features [R, F], [G, F], [F] in float64."""
    def of_mean(x):
        m = x.mean(0)
        return float(m @ text / np.linalg.norm(m))

    of = {
        "image_similarity": lambda x: float((x @ references.T).mean()),
        "text_similarity": lambda x: float((x @ text).mean()),
        "text_similarity_of_mean": of_mean,
    }
    out = {}
    for name, score in of.items():
        out[name], out[f"{name}_error"] = jackknife(score, pictures)
    return out


def embedded(golden):
    folder = f"{CRITTERS}/clip"
    processor, tokenizer = CLIPImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    model = CLIPModel.from_pretrained(folder, attn_implementation="sdpa").float().eval().requires_grad_(False)
    encode = lambda texts: tokenizer(texts, padding="max_length", truncation=True, max_length=32, return_tensors="pt").input_ids
    pixels_of = lambda paths: torch.from_numpy(np.stack(processor([load(p) for p in paths])["pixel_values"]))
    images = [load(p) for p in PICTURES]
    golden.meta("pictures", "\n".join(PICTURES))
    golden.meta("texts", "\n".join(TEXTS))
    for side, p in ((64, processor), (224, CLIPImageProcessorPil())):
        for i, crop in enumerate(cropped(p, images)):
            golden.meta(f"crop:{side}:{i}", hashlib.sha256(crop.tobytes()).hexdigest())
    pixels, ids = pixels_of(PICTURES), encode(TEXTS)
    golden.put("pixels", pixels[0])
    for name, f64, f32 in zip(("image", "text"), *both(features_of(model), [model], [pixels, ids])):
        golden.result(name, f64, f32)

    model.double()
    sets = []
    for references, pictures, text in SETS:
        run = features_of(model)
        r, t = (x.numpy() for x in run(pixels_of(references).double(), encode([text])))
        g = run(pixels_of(pictures).double(), encode([text]))[0].numpy()
        sets.append(dict(references=references, pictures=pictures, text=text, **scores(r, g, t[0])))
    golden.meta("sets", json.dumps(sets))


def tiny(golden):
    """A CLIP whose encoders have different widths, with gelu and an odd patch, and an end token that is neither the
    largest nor the last id. With eos_token_id 2 the feature is at the largest id instead."""
    config = CLIPConfig(
        text_config=dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, vocab_size=50,
                         max_position_embeddings=9, hidden_act="gelu", eos_token_id=40, bos_token_id=41, pad_token_id=40),
        vision_config=dict(hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=5, image_size=15,
                           patch_size=5, hidden_act="gelu", layer_norm_eps=1e-3), projection_dim=17)  # fmt: skip
    model = random_weights(CLIPModel._from_config(config, attn_implementation="sdpa"), SEED)
    for name, p in model.state_dict().items():
        if name != "logit_scale" and not name.endswith("position_ids"):
            golden.put(f"tiny/{name}", p)
    pixels = normal(1, 3, 15, 15, seed=SEED + 1)
    patches = torch.nn.functional.unfold(pixels, 5, stride=5).transpose(1, 2)
    golden.put("tiny/patches", torch.nn.functional.pad(patches, (0, 0, 1, 0)))
    ids = torch.tensor([[41, 7, 49, 12, 40, 3, 40, 40, 40]])
    golden.put("tiny/ids", ids.int())
    for name, f64, f32 in zip(("tiny/image", "tiny/text"), *both(features_of(model), [model], [pixels, ids])):
        golden.result(name, f64, f32)
    model.config.text_config.eos_token_id = model.text_model.eos_token_id = 2
    for name, f64, f32 in zip(("image", "tiny/text_legacy"), *both(features_of(model), [model], [pixels, ids])):
        if name != "image":
            golden.result(name, f64, f32)


def full(golden):
    """A model of the size of ViT-B/32."""
    with torch.device("meta"):
        model = CLIPModel._from_config(CLIPConfig(), attn_implementation="sdpa")
    model.to_empty(device="cpu")
    for b in model.buffers():  # position ids
        b.copy_(torch.arange(b.numel()).reshape(b.shape))
    fill("clip", model)
    pixels = torch.from_numpy(np.stack(CLIPImageProcessorPil()([load(PICTURES[0])])["pixel_values"]))
    ids = tokenizer_of(FAMILIES["sd15"])([TEXTS[0]], padding="max_length", max_length=77, return_tensors="pt").input_ids
    for name, f64, f32 in zip(("full/image", "full/text"), *both(features_of(model), [model], [pixels, ids])):
        golden.result(name, f64, f32)


def main():
    golden = Golden(__file__, SEED)
    with torch.no_grad():
        embedded(golden)
        tiny(golden)
        full(golden)
    golden.save("clip.safetensors")


if __name__ == "__main__":
    main()
