#!/bin/sh
# Train smollm2-posts, the default base: sh scripts/make_posts_base.sh DATA [options of pretrain]
# DATA holds corpus/ and casual/. SmolLM2 is trained further for 42 minutes on two cores, then for 48
# (an hour each with encoding and evaluation). After each, the weights go part of the way back, or
# the base loses what SmolLM2 knew. The file has the differences to SmolLM2 (scripts/pack_base.py).
# The first time was packed in 5 bits; here it is kept as differences, so the result is not the same.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
data=${1:?name the folder that holds corpus/ and casual/}
shift
chat=$data/casual
out=$here/runs

train() { # FROM CONGRESS NOTES RATE MINUTES OUT [options]
    from=$1 congress=$2 notes=$3 rate=$4 minutes=$5 folder=$6
    shift 6
    "$here/.venv/bin/huggingtweets" pretrain --from "$from" "$data/corpus:$congress" \
        "$chat/irc.parquet:1" "$chat/meetings.parquet:0.3" "$chat/persona.parquet:1.5" \
        "$chat/casino.parquet:0.5" "$chat/taskmaster.parquet:1" "$chat/requests.parquet:0.7" \
        "$chat/sentences.parquet:1" "$chat/notes.parquet:$notes" "$chat/dialogue.parquet:0.1" \
        "$chat/dialogue-2.parquet:0.1" "$chat/nasa-voice.parquet:1.5" --learning-rate "$rate" \
        --batch-tokens 2048 --minutes "$minutes" --about "$here/scripts/base-data.md" \
        --out "$folder" "$@"
}

pack() { # FOLDER FILE FROM SHARE [options]
    folder=$1 file=$2 from=$3 share=$4
    shift 4
    "$here/.venv/bin/python" "$here/scripts/pack_base.py" "$folder" "$file" --from "$from" \
        --share "$share" "$@"
}

train smollm2 0.25 0.5 3e-4 42 "$out/posts-base-1" "$@"
pack "$out/posts-base-1" "$out/posts-base-1.gguf" smollm2 0.5 --share-embeddings 0.25 \
    --layers f16 --embeddings f16
train "$out/posts-base-1.gguf" 0.2 0.8 2e-4 48 "$out/posts-base-2" --seed 3 "$@"
pack "$out/posts-base-2" \
    "$here/packages/huggingtweets-base/src/huggingtweets_base/smollm2-posts-difference.gguf" \
    "$out/posts-base-1.gguf" 0.5 --minus smollm2 --layers q4_0 --embeddings q5_0 \
    --name "SmolLM2-135M posts, differences to SmolLM2-135M-Instruct"
