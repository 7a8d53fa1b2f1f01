#!/bin/sh
# Write the lock files: the newest fitting versions, with the hash of every file that an index has.
#
#   requirements.lock        the project and its development tools, on Linux, macOS and Windows
#   requirements-cuda.lock   what PyPI's torch for Linux needs beside it; the CPU build doesn't
#   requirements-tools.lock  uv, pip-audit and cyclonedx-bom, for `make lock`, `audit` and `sbom`
#
# LOCK_OPTIONS=--no-upgrade keeps the versions that still fit.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=${TOOLS:-.venv-tools}
compile() { # INPUT OUTPUT OPTIONS
    input=$1 output=$2
    shift 2
    [ "${LOCK_OPTIONS:-}" != --no-upgrade ] && set -- --upgrade "$@"
    "$tools/bin/uv" pip compile "$input" --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-header --quiet --output-file "$output" "$@"
}

printf '%s\n' cyclonedx-bom pip-audit uv >"$work/tools.in"
[ -f requirements-tools.lock ] && cp requirements-tools.lock "$work/tools.lock"
compile "$work/tools.in" "$work/tools.lock"

cat requirements.lock requirements-cuda.lock 2>/dev/null | grep -v '^#' >"$work/all.lock" || true
compile pyproject.toml "$work/all.lock" --extra dev

# An index may have torch for CPUs only, under the same version: that file counts as well.
"$tools/bin/python" -m pip --disable-pip-version-check --quiet download --no-deps -d "$work/torch" \
    "$(grep -o 'torch==[0-9.]*' pyproject.toml)"
sha256sum "$work"/torch/*.whl | cut -d ' ' -f 1 >"$work/torch.sha256"
"$tools/bin/python" scripts/split_lock.py "$work/all.lock" "$work/torch.sha256" "$work"
{ echo "# Made by \`make lock\`; don't edit." && cat "$work/tools.lock"; } >"$work/requirements-tools.lock"
mv "$work"/requirements*.lock .
