#!/bin/sh
# Make the embedded base from its corpora: sh scripts/make_base.sh DATA [options of pretrain]
# DATA holds corpus/ and casual/; the base ends in runs/base, from where it is copied to
# src/huggingtweets/base. On a GPU add: --preset pocket-gpu --tokens 1000000000
# The base in the package had five sittings on two cores (its pretrain.json has all of it):
#   sh scripts/make_base.sh DATA --minutes 97
#   sh scripts/make_base.sh DATA --resume --minutes 84 --seed 1
#   sh scripts/make_base.sh DATA --resume --minutes 133 --seed 1 --learning-rate 0.0025 \
#      --batch-tokens 8192
#   sh scripts/make_base.sh DATA --resume --minutes 100 --seed 2 --learning-rate 0.002 \
#      --batch-tokens 8192
#   sh scripts/make_base.sh DATA --resume --minutes 54 --seed 3 --learning-rate 0.0025 \
#      --batch-tokens 8192
# Only the last two ended with the mean of their weights and those before; now each would.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
data=${1:?name the folder that holds corpus/ and casual/}
shift
chat=$data/casual
# Chats count double and quoted speech of old books a third: the mix should sound like posts.
exec "${HUGGINGTWEETS:-$here/.venv/bin/huggingtweets}" pretrain "$data/corpus" \
    "$chat/dialogue.parquet:0.3" "$chat/irc.parquet:2" "$chat/meetings.parquet" \
    "$chat/persona.parquet:2" "$chat/casino.parquet" "$chat/taskmaster.parquet:2" \
    "$chat/requests.parquet" "$chat/sentences.parquet:2" "$chat/notes.parquet:1.5" \
    "$chat/dialogue-2.parquet:0.3" "$chat/nasa-voice.parquet:2" \
    --about "$here/scripts/base-data.md" --out "$here/runs/base" "$@"
