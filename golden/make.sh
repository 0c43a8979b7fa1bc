#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes all golden files: golden/make.sh [PYTHON]. See golden/README.md. PYTHON, by default python3, makes a
# virtual environment in golden/.venv with the versions of requirements.txt. Set VENV to the folder of an
# environment to use that one instead. The CPU wheels of PyTorch are enough.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-golden/.venv}
if [ ! -x "$venv/bin/python" ]; then
    "${1:-python3}" -m venv "$venv"
    "$venv/bin/pip" install -q -r golden/requirements.txt
fi
export HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore
# The order matters: picture.py generates a picture with a word that loop.py has trained, and other scripts
# load the folders that models.py writes.
for script in ops optim draws images tokenizer files modules models words single critters clip loop variants dump grid early_stop samplers picture init_image preview invert ddim conditions real prompts picture_text; do
    echo "golden/$script.py"
    "$venv/bin/python" "golden/$script.py"
done
# Models at full size take 10 GB of memory and an hour, and are made only with FULL=1.
for family in tiny ${FULL:+sd15 sd21}; do
    echo "golden/full.py $family"
    "$venv/bin/python" golden/full.py "$family"
done
