#!/bin/sh
# Makes all goldens anew: golden/make.sh [PYTHON]. PYTHON (python3) makes a virtual environment with the pinned versions in
# golden/.venv; set VENV to use one that is there. The CPU wheels of PyTorch are enough.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-golden/.venv}
if [ ! -x "$venv/bin/python" ]; then
    "${1:-python3}" -m venv "$venv"
    "$venv/bin/pip" install -q -r golden/requirements.txt
fi
export HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore
# loop before picture: a picture is drawn with a word that a loop learned; models before those that load folders as they do
for script in ops optim draws images tokenizer files modules models single critters loop dump grid picture ddim; do
    echo "golden/$script.py"
    "$venv/bin/python" "golden/$script.py"
done
# At full size only where asked for (FULL=1): 10 GB of memory and an hour
for family in tiny ${FULL:+sd15 sd21}; do
    echo "golden/full.py $family"
    "$venv/bin/python" golden/full.py "$family"
done
