"""Types that many threads meet at the same time for the first time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from huggingtweets.decoding import convert, decode

THREADS = """
import sys, threading
from dataclasses import field, make_dataclass
from huggingtweets.decoding import convert, decode

sys.setswitchinterval(1e-6)
def fresh(number):
    inner = [make_dataclass(f"Inner{number}", [("n", int), ("m", int, field(default=0))])
             for _ in range(8)]
    return make_dataclass(f"Outer{number}", [(f"part{i}", kind) for i, kind in enumerate(inner)])

values = {f"part{i}": {"n": i} for i in range(8)}
document = b"{" + b",".join(b'"part%d":{"n":%d}' % (i, i) for i in range(8)) + b"}"
read = []
for number in range(100):
    kind, together = fresh(number), threading.Barrier(4)
    def run(first):
        together.wait()
        read.append(decode(document, kind) if first else convert(values, kind))
    threads = [threading.Thread(target=run, args=(i % 2,)) for i in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(sum(one.part7.n for one in read))
"""
"""With msgspec alone, it crashes within the first few types."""


def test_threads_can_meet_a_type_at_the_same_time() -> None:
    command = [sys.executable, "-c", THREADS]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{7 * 400}\n"


def test_wrong_documents_are_value_errors() -> None:
    assert decode(b'{"a": ["b"]}', dict[str, list[str]]) == {"a": ["b"]}
    for document in (b'{"a": "b"}', b"{", b"\xff", b'{"a": ["\xff"]}', b""):
        with pytest.raises(ValueError, match=r"."):
            decode(document, dict[str, list[str]])
    with pytest.raises(ValueError, match="Expected"):
        convert({"a": "b"}, dict[str, list[str]])
