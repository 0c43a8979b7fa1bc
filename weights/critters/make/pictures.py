# SPDX-License-Identifier: MIT
"""The pictures to learn from, drawn once into OUT/pictures.npy. Their numbers say what they show."""
import os
import time

import numpy as np

import world
from files import written


def path(out):
    return f"{out}/pictures.npy"


def make(out, settings):
    """Draws all pictures: uint8 [count, size, size, 3]."""
    count, size, start = settings.pictures, settings.size, time.time()
    pictures = np.empty((count, size, size, 3), np.uint8)
    for k in range(count):
        what, r = world.shown(k)
        pictures[k] = world.draw(what, r, size)
        if k % 5000 == 4999:
            print(f"  {k + 1} of {count} pictures, {time.time() - start:.0f} s", flush=True)
    with written(path(out)) as new, open(new, "wb") as f:
        np.save(f, pictures)


def faults(out, settings):
    """Returns what is wrong with the file, a list of sentences."""
    return array_faults(path(out), (settings.pictures, settings.size, settings.size, 3), np.uint8)


def array_faults(file, shape, dtype):
    """Returns what is wrong with a file of numpy, which should hold an array of this shape and type."""
    if not os.path.isfile(file):
        return [f"{file} is not there"]
    try:
        array = np.load(file, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        return [f"{file}: {error}"]
    if array.shape != shape or array.dtype != dtype:
        return [f"{file} has {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} {list(shape)}"]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [f"{file} has a value that is not finite"]
    return []


def load(out):
    return np.load(path(out), mmap_mode="r")


def all_shown(settings):
    """Returns what every picture shows."""
    return [world.shown(k)[0] for k in range(settings.pictures)]
