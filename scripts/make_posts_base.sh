#!/bin/sh
# Train smollm2-posts, the default base: sh scripts/make_posts_base.sh DATA [options of pretrain]
# DATA holds corpus/ and casual/. SmolLM2 is trained further for 42 minutes on two cores (an hour
# with encoding and evaluation). The file has the weights halfway between old and new ones. With more
# minutes, use a smaller share: the base loses what SmolLM2 knew (scripts/pack_base.py).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
data=${1:?name the folder that holds corpus/ and casual/}
shift
chat=$data/casual
"$here/.venv/bin/huggingtweets" pretrain --from smollm2 "$data/corpus:0.25" "$chat/irc.parquet:1" \
    "$chat/meetings.parquet:0.3" "$chat/persona.parquet:1.5" "$chat/casino.parquet:0.5" \
    "$chat/taskmaster.parquet:1" "$chat/requests.parquet:0.7" "$chat/sentences.parquet:1" \
    "$chat/notes.parquet:0.5" "$chat/dialogue.parquet:0.1" "$chat/dialogue-2.parquet:0.1" \
    "$chat/nasa-voice.parquet:1.5" --learning-rate 3e-4 --batch-tokens 2048 --minutes 42 \
    --no-compile --about "$here/scripts/base-data.md" --out "$here/runs/posts-base" "$@"
exec "$here/.venv/bin/python" "$here/scripts/pack_base.py" "$here/runs/posts-base" \
    "$here/packages/huggingtweets-base/src/huggingtweets_base/smollm2-posts.gguf" \
    --from smollm2 --share 0.5 --share-embeddings 0.25
