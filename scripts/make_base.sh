#!/bin/sh
# Train the embedded base on its corpora: sh scripts/make_base.sh DATA [options of pretrain]
# DATA holds corpus/ and casual/. The base is written to runs/base; copy it to
# src/huggingtweets/base. The one in the package was trained on an H200 (see its pretrain.json), on
# corpora encoded beforehand on two CPU cores (--encode-only, 70 seconds):
#   sh scripts/make_base.sh DATA --preset pocket-gpu --minutes 2.35
# The previous one had five sessions on two cores, of which the last two were:
#   sh scripts/make_base.sh DATA --resume --minutes 100 --seed 2 --learning-rate 0.002 \
#      --batch-tokens 8192
#   sh scripts/make_base.sh DATA --resume --minutes 54 --seed 3 --learning-rate 0.0025 \
#      --batch-tokens 8192
# (The weight of dialogue and dialogue-2 was 0.3 then.) On a GPU, use three to five passes over the
# mixture, 180 to 300 million tokens: with twelve, the base memorised it.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
data=${1:?name the folder that holds corpus/ and casual/}
shift
chat=$data/casual
# Chats have weight 2 and quoted speech of old books 0.5, so that the mixture resembles posts.
exec "${HUGGINGTWEETS:-$here/.venv/bin/huggingtweets}" pretrain "$data/corpus" \
    "$chat/dialogue.parquet:0.5" "$chat/irc.parquet:2" "$chat/meetings.parquet" \
    "$chat/persona.parquet:2" "$chat/casino.parquet" "$chat/taskmaster.parquet:2" \
    "$chat/requests.parquet" "$chat/sentences.parquet:2" "$chat/notes.parquet:1.5" \
    "$chat/dialogue-2.parquet:0.5" "$chat/nasa-voice.parquet:2" \
    --about "$here/scripts/base-data.md" --out "$here/runs/base" "$@"
