"""The app in its own process: python -m tests.web.program OUT BASE [PASSWORD [share | proxy]]."""

from __future__ import annotations

import sys
from pathlib import Path

from huggingtweets.serving.schemas import Settings
from huggingtweets.web import Options, serve

if __name__ == "__main__":
    out, base, *more = sys.argv[1:]
    settings = Settings(
        out=Path(out),
        shared=bool(more),
        share_gallery=more[1:] == ["share"],
        base=base,
        max_upload_mb=1.0,
        uploads_of_a_visitor_mb=3.0,
        total_uploads_mb=8.0,
        most_epochs=1_000,
        requests_a_minute=10_000,
    )
    password = more[0] if more else None
    proxies = ("127.0.0.1",) if more[1:] == ["proxy"] else ()
    options = Options(settings, port=0, password=password, trusted_proxies=proxies)
    serve(options, lambda address: print(address, flush=True))
