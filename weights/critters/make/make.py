# SPDX-License-Identifier: MIT
"""Makes the embedded model from nothing.

    python make.py OUT [--minutes VAE,UNET,CLIP | --steps VAE,UNET,CLIP] [--pictures N] [--tiny]

draws the pictures of the world in world.py, makes the vocabulary of its captions, trains the VAE, the UNet
with the text encoder, and CLIP, all with the settings in settings.py, and writes OUT/model, which `ti
--model` opens. It uses a GPU where there is one. A stage whose result is there and has the right form is not
made again, and a training that was killed goes on where it was saved last, so that the same command can be
given until it is done.
"""
import argparse
import ctypes
import json
import os
import shutil
import sys
import time
from dataclasses import asdict, replace

import pictures
import vocabulary
from files import read_json, sha256, write_json, written
from settings import DEFAULTS, SHIPPED, TINY


class Refused(Exception):
    """What a user can change, in one sentence."""


HERE = os.path.dirname(os.path.abspath(__file__))
WORLD = ("world.py", "pen.py", "templates.py")  # the files on which the pictures and captions depend


def parse(arguments):
    """Returns the folder and the settings that the command line asks for."""
    parser = argparse.ArgumentParser(prog="make.py", description="Makes the embedded model from nothing.")
    usual = ",".join(f"{training.minutes:g}" for training in trainings(SHIPPED))
    for name, help in {
        "--minutes": f"the lengths of the three trainings in minutes; default: {usual}",
        "--steps": "their lengths in steps, with which a machine makes the same bits every time",
    }.items():
        parser.add_argument(name, metavar="VAE,UNET,CLIP", help=help)
    parser.add_argument("--pictures", metavar="N", type=int, help="how many; default: %d" % SHIPPED.pictures)
    parser.add_argument(
        "--tiny", action="store_true", help="makes a tiny model for tests, which has learned nothing"
    )
    parser.add_argument(
        "out", metavar="OUT", help="a folder for everything that is made; OUT/model is the model"
    )
    options = parser.parse_args(arguments)
    if options.minutes and options.steps:
        parser.error("--minutes and --steps exclude each other")
    settings = TINY if options.tiny else SHIPPED
    if options.steps:
        settings = with_lengths(settings, "steps", numbers(parser, options.steps, int))
    if options.minutes:
        settings = with_lengths(settings, "minutes", numbers(parser, options.minutes, float))
    if options.pictures is not None:
        if options.pictures <= settings.held_out:
            parser.error(f"--pictures {options.pictures}: must be more than {settings.held_out}")
        settings = replace(settings, pictures=options.pictures)
    return options.out, settings


def trainings(settings):
    return settings.vae_training, settings.unet_training, settings.clip_training


def numbers(parser, text, kind):
    """Returns the three numbers of an option."""
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not all(0 < value < 1e9 for value in values):
        parser.error(f'"{text}" is not three positive numbers, as in 60,280,50')
    return values


def with_lengths(settings, unit, values):
    """Returns the settings with other lengths of the trainings, in steps or minutes."""
    names = ("vae_training", "unet_training", "clip_training")
    changed = {
        name: replace(training, **{"steps": 0, unit: value})
        for name, training, value in zip(names, trainings(settings), values)
    }
    return replace(settings, **changed)


def identity(settings):
    """Returns everything on which the results depend, apart from the trainings' lengths."""
    values = asdict(settings)
    for name in ("vae_training", "unet_training", "clip_training"):
        for key in ("steps", "minutes", "report", "save"):
            del values[name][key]
    world = {name: sha256(os.path.join(HERE, name)) for name in WORLD}
    return {"settings": values, "world": world}


def begin(out, settings):
    """Makes the folder, or sees that it was begun with the same world and the same settings."""
    if not os.path.isfile(DEFAULTS):
        raise Refused(f"{os.path.normpath(DEFAULTS)} is not there: copy it from weights/critters")
    os.makedirs(out, exist_ok=True)
    path = f"{out}/made_with.json"
    now = json.loads(json.dumps(identity(settings)))
    if not os.path.exists(path):
        with written(path) as new:
            write_json(new, now)
        return
    before = read_json(path)
    changed = [name for name in WORLD if before.get("world", {}).get(name) != now["world"][name]]
    if changed:
        raise Refused(f"{out} was begun with another {' or '.join(changed)}: name a new folder")
    changed = [key for key in now["settings"] if before.get("settings", {}).get(key) != now["settings"][key]]
    if changed:
        raise Refused(f"{out} was begun with other settings ({', '.join(changed)}): name a new folder")


def stages():
    """Returns the stages in order: the name, the function that makes the result, the one that says what is
    wrong with it, and what else has to be made again after it. PyTorch is loaded on the way, since the first
    stages do without."""
    yield "pictures", pictures.make, pictures.faults, []
    yield "vocabulary", vocabulary.make, vocabulary.faults, []
    import folder
    import train_clip
    import train_unet
    import train_vae

    yield "vae", train_vae.make, train_vae.faults, ["latents.npy", "unet.safetensors", "unet.state", "model"]
    yield "latents", train_vae.make_latents, train_vae.latents_faults, []
    yield "unet", train_unet.make, train_unet.faults, ["model"]
    yield "clip", train_clip.make, train_clip.faults, ["model"]
    yield "model", folder.make, folder.faults, []


def remove(path):
    """Removes a file or folder, if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


def keep_memory():
    """Has the C library keep what a training step frees. Given back, it would be mapped and filled with zeros
    again in the next step, which took three fifths of the VAE's time in a virtual machine."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
        mallopt(M_MMAP_MAX, 0)  # no block is mapped by itself,
        mallopt(M_TRIM_THRESHOLD, -1)  # and the heap never shrinks


def run(out, settings):
    """Makes everything that is not there yet."""
    begin(out, settings)
    for name, make, faults, later in stages():
        wrong, start = faults(out, settings), time.time()
        if wrong:
            print(f"{name}: {wrong[0]}; it is made now", flush=True)
            for path in later:
                remove(f"{out}/{path}")
            make(out, settings)
            wrong = faults(out, settings)
            if wrong:
                raise Refused(wrong[0])
            print(f"{name}: made in {(time.time() - start) / 60:.1f} minutes", flush=True)
        else:
            print(f"{name}: is there", flush=True)
        remove(f"{out}/{name}.state")
    print(f"{out}/model is the model")


def main(arguments=None):
    out, settings = parse(arguments)
    keep_memory()
    try:
        run(out, settings)
    except (Refused, FloatingPointError, OSError, ValueError) as error:
        sys.exit(f"make.py: {error}")
    except KeyboardInterrupt:
        sys.exit("make.py: stopped; the same command goes on")


if __name__ == "__main__":
    main()
