# SPDX-License-Identifier: MIT
"""Files that are either whole or not there, whenever the program is killed."""
import hashlib
import json
import os
import shutil
from contextlib import contextmanager


@contextmanager
def written(path):
    """Gives another name under which to write a file. When that has succeeded, the file is on the disk and
    gets its own name in one step."""
    new = path + ".new"
    yield new
    with open(new, "rb+") as f:
        os.fsync(f.fileno())
    os.replace(new, path)


@contextmanager
def written_folder(path):
    """The same for a folder, which replaces the one that is there."""
    new = path + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    yield new
    shutil.rmtree(path, ignore_errors=True)
    os.replace(new, path)


def write_json(path, value, **layout):
    """Writes JSON with an indent of 2, or in another layout of json.dump."""
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, **(layout or {"indent": 2}))


def read_json(path):
    """Returns the content of a JSON file. Raises a ValueError that names the file when it has none."""
    with open(path, encoding="utf-8") as f:
        try:
            return json.load(f)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def sha256(path):
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()
