#!/bin/sh
# Write requirements.lock: the versions that a new install of this project and its tools gets today.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --disable-pip-version-check --quiet"
# torch first, and its exact version: a range can pull several GB of CUDA packages
$pip install "$(grep -o 'torch==[0-9.]*' pyproject.toml)"
$pip install ".[dev]"
{
    echo "# Made by \`make lock\`; don't edit."
    $pip freeze | grep -v '^huggingtweets' | sed 's/+cpu$//'
} >"$work/lock"
mv "$work/lock" requirements.lock
