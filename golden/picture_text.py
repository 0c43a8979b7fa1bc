# SPDX-License-Identifier: MIT
"""Writes golden/picture_text/: pictures with texts that say how they were made.

Pillow writes some of them by A1111's rules: its text "parameters" as a PNG chunk, which Pillow makes a tEXt or an
iTXt, and as Exif's UserComment of a JPEG. The others are written by ti, which the environment variable TI names:
ti.png and ti.jpg, and the same pictures without texts, bare.png and bare.jpg. Without TI they stay as they are.
texts.json holds what Pillow reads from every file, whoever wrote it, and what A1111's rules make of several settings.
"""
import json
import os
import subprocess
import zlib

from PIL import Image, PngImagePlugin

from common import HERE

FOLDER = os.path.join(HERE, "picture_text")
TI = os.environ.get("TI")
EXIF_DIRECTORY, USER_COMMENT = 0x8769, 0x9286
PLAIN = ("a photo of a <grum>, (red:1.2)\nNegative prompt: a dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, "
         'CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 6ce0161689, Model: v1-5, TI hashes: "grum: 0123456789ab", '
         "Version: v1.10.0")
LATIN1 = PLAIN.replace("photo", "ph\u00f6to")
UNICODE = PLAIN.replace("photo", "\u5199\u771f \U0001f431")

SETTINGS = [
    dict(prompt="a cat", steps=20, sampler="ddim", schedule=0, guidance=7.5, seed=0, width=512, height=512, model="sd"),
    dict(prompt="a\nb, c", negative="d: e", steps=5, sampler="dpm++2m", schedule=1, guidance=7, seed=2**53 - 1, width=64,
         height=768, model='a, "b": \\c', model_hash="0123456789abcdef", clip_skip=2, strength=0.8, gpu_noise=1,
         words="<a>: 012345678901, b: 000000000000"),
    dict(prompt="", negative="x", steps=10, sampler="lcm", schedule=4, guidance=1.25, seed=3, width=8, height=8,
         model="\u00fc: \u5199", batch=4, number=2, eta=0.5, rescale=0.7),
    dict(prompt=" \n p ", steps=1, sampler="euler-a", schedule=2, guidance=0, seed=1, width=8, height=8, model="m"),
    dict(prompt="p", steps=1, sampler="pndm", schedule=3, guidance=0.1, seed=1, width=8, height=8, model="m\nn"),
    dict(prompt="p", steps=1, sampler="euler", schedule=0, guidance=30, seed=1, width=8, height=8, model="m",
         batch=1, number=1),
    dict(prompt="p", steps=1, sampler="dpm++2m-sde", schedule=1, guidance=2, seed=1, width=8, height=8, model="m"),
]
SAMPLERS = {"ddim": "DDIM", "pndm": "PLMS", "euler": "Euler", "euler-a": "Euler a", "dpm++2m": "DPM++ 2M",
            "dpm++2m-sde": "DPM++ 2M SDE", "lcm": "LCM"}
SCHEDULES = ["Uniform", "Karras", "Exponential", "Beta", "Align Your Steps"]


def quoted(value):
    """A value is a JSON string where it could be taken for more than one pair."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",:\n") else text


def infotext(s):
    """The text of one picture."""
    alone = s.get("gpu_noise")
    several = s.get("batch", 1) > 1
    pairs = {
        "Steps": s["steps"], "Sampler": SAMPLERS[s["sampler"]], "Schedule type": SCHEDULES[s["schedule"]],
        "CFG scale": s["guidance"], "Seed": s["seed"], "Size": f"{s['width']}x{s['height']}",
        "Model hash": s.get("model_hash", "")[:10] or None, "Model": s["model"],
        "Batch size": s["batch"] if several else None, "Batch pos": s["number"] if several else None,
        "Denoising strength": s.get("strength"), "Clip skip": s.get("clip_skip"), "RNG": None if alone else "CPU",
        "Eta DDIM": s.get("eta"), "Guidance rescale": s.get("rescale"), "TI hashes": s.get("words"), "Version": "ti 1.2",
    }
    last = ", ".join(f"{name}: {quoted(value)}" for name, value in pairs.items() if value is not None)
    negative = f"\nNegative prompt: {s['negative']}" if s.get("negative") else ""
    return f"{s['prompt']}{negative}\n{last}".strip()


def path(name):
    return os.path.join(FOLDER, name)


def small():
    image = Image.new("RGB", (2, 2))
    image.putdata([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)])
    return image


def write_png(name, *texts):
    info = PngImagePlugin.PngInfo()
    for key, value, method in texts:
        getattr(info, method)(key, value, **({"zip": True} if method == "add_itxt" else {}))
    small().save(path(name), pnginfo=info)


def write_ztxt(name, key, value):
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", key.encode() + b"\0\0" + zlib.compress(value, 9))
    small().save(path(name), pnginfo=info)


def write_jpeg(name, comment, endian):
    exif = Image.Exif()
    exif.endian = endian
    exif.get_ifd(EXIF_DIRECTORY)[USER_COMMENT] = comment
    small().save(path(name), exif=exif.tobytes())


def ti(*arguments):
    subprocess.run([TI, *arguments], check=True, capture_output=True)


def draw(name, *more):
    ti("generate", "--model", "golden/models/narrow", "--steps", "1", "--prompt", "a toy, caf\u00e9: \u5199\u771f \U0001f431",
       "--negative", "an animal", "--seed", "5", "--count", "2", "--picture", "2", "--force", "--out", path(name), *more)


def read(name):
    """Returns the texts as Pillow has them, with the UserComment as A1111 decodes it."""
    with Image.open(path(name)) as image:
        image.load()
        found = {key: value for key, value in image.info.items() if isinstance(value, str)}
        comment = image.getexif().get_ifd(EXIF_DIRECTORY).get(USER_COMMENT)
        if comment:
            found["parameters"] = comment[8:].decode("utf-16-be" if comment[:7] == b"UNICODE" else "utf-8")
        if image.info.get("comment", b"").startswith(b"ti "):
            found["ti"] = image.info["comment"][3:].decode()
    return {key: found[key] for key in ("parameters", "ti") if key in found}


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for name in ("bomb.png", "little.jpg", "texts.json"):
        if os.path.exists(path(name)):
            os.remove(path(name))
    write_png("plain.png", ("parameters", PLAIN, "add_text"))
    write_png("latin1.png", ("parameters", LATIN1, "add_text"))
    write_png("unicode.png", ("parameters", UNICODE, "add_text"))
    write_png("twice.png", ("parameters", "not this one", "add_text"), ("parameters", PLAIN, "add_text"))
    write_png("itxt.png", ("parameters", UNICODE, "add_itxt"))
    write_png("comfy.png", ("prompt", "{}", "add_text"), ("workflow", "{}", "add_text"))
    write_ztxt("ztxt.png", "parameters", LATIN1.encode("latin-1"))
    write_jpeg("unicode.jpg", b"UNICODE\0" + UNICODE.encode("utf-16-be"), ">")
    write_jpeg("intel.jpg", b"UNICODE\0" + UNICODE.encode("utf-16-be"), "<")
    write_jpeg("ascii.jpg", b"ASCII\0\0\0" + PLAIN.encode(), "<")
    for ending in ("png", "jpg") if TI else ():
        draw("ti." + ending)
        draw("bare." + ending, "--no-metadata")
    texts = {name: read(name) for name in sorted(os.listdir(FOLDER))}
    assert texts["ti.png"] == texts["ti.jpg"] and not texts["bare.png"]
    assert texts["plain.png"]["parameters"] == PLAIN and texts["unicode.jpg"]["parameters"] == UNICODE
    # A text of 4 MB, with which Pillow refuses the picture.
    write_ztxt("bomb.png", "parameters", b" " * (4 << 20))
    # Pillow writes this comment in the byte order of its author only when asked to; exiftool does.
    write_jpeg("little.jpg", b"UNICODE\0" + UNICODE.encode("utf-16-le"), "<")
    texts["little.jpg"] = {"parameters": UNICODE}
    with open(path("texts.json"), "w", encoding="utf-8") as out:
        json.dump({"pictures": texts, "settings": [dict(s, text=infotext(s)) for s in SETTINGS]}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
