#!/bin/sh
# Make the embedded base from its corpora: sh scripts/make_base.sh DATA [options of pretrain]
# DATA holds corpus/ and casual/; the base ends in runs/base, from where it is copied to
# src/huggingtweets/base. The one in the package was made on an H200 (its pretrain.json has all of
# it), with corpora that were encoded on two CPU cores first (--encode-only, 70 seconds):
#   sh scripts/make_base.sh DATA --preset pocket-gpu --minutes 2.35
# The one before it had five sittings on two cores, of which the last two were:
#   sh scripts/make_base.sh DATA --resume --minutes 100 --seed 2 --learning-rate 0.002 \
#      --batch-tokens 8192
#   sh scripts/make_base.sh DATA --resume --minutes 54 --seed 3 --learning-rate 0.0025 \
#      --batch-tokens 8192
# (Then dialogue and dialogue-2 weighed 0.3.) On a GPU keep to three to five passes over the mix,
# 180 to 300 million tokens: twelve learnt it by heart.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
data=${1:?name the folder that holds corpus/ and casual/}
shift
chat=$data/casual
# Chats count double and quoted speech of old books half: the mix should sound like posts.
exec "${HUGGINGTWEETS:-$here/.venv/bin/huggingtweets}" pretrain "$data/corpus" \
    "$chat/dialogue.parquet:0.5" "$chat/irc.parquet:2" "$chat/meetings.parquet" \
    "$chat/persona.parquet:2" "$chat/casino.parquet" "$chat/taskmaster.parquet:2" \
    "$chat/requests.parquet" "$chat/sentences.parquet:2" "$chat/notes.parquet:1.5" \
    "$chat/dialogue-2.parquet:0.5" "$chat/nasa-voice.parquet:2" \
    --about "$here/scripts/base-data.md" --out "$here/runs/base" "$@"
