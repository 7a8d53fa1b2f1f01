"""Numbers of the server in the format of Prometheus; none tells what anybody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingtweets.serving.completions import Asked
    from huggingtweets.serving.replicas import AnyService

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one server.

    Args:
        service: asked how much is waiting.
    """

    def __init__(self, service: AnyService) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self.requests = Counter(
            "huggingtweets_requests",
            "Requests by path and status.",
            ("path", "status"),
            registry=self._registry,
        )
        self.open_requests = Gauge(
            "huggingtweets_open_requests",
            "Requests for completions without an end yet.",
            registry=self._registry,
        )
        self.tokens = Counter(
            "huggingtweets_tokens",
            "Tokens read (prompt) and handed over (completion).",
            ("model", "kind"),
            registry=self._registry,
        )
        self.rejected = Counter(
            "huggingtweets_rejected_posts",
            "Posts written again (copy, loop) or changed (masked).",
            ("model", "reason"),
            registry=self._registry,
        )
        self.first_token = Histogram(
            "huggingtweets_first_part_seconds",
            "Seconds from a request to the first part of its completions.",
            ("model",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.seconds = Histogram(
            "huggingtweets_request_seconds",
            "Seconds from a request for completions to its end.",
            ("model",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        waiting = Gauge(
            "huggingtweets_waiting_posts",
            "Posts that wait for a place in a batch.",
            registry=self._registry,
        )
        waiting.set_function(lambda: service.waiting)
        retried = Gauge(
            "huggingtweets_retried_orders",
            "Orders sent to another replica because theirs ended.",
            registry=self._registry,
        )
        retried.set_function(lambda: service.retried)

    def count_rejected(self, model: str, requests: Sequence[Asked]) -> None:
        """Count what the requests of one order rejected."""
        for reason in ("copies", "loops", "masked"):
            number = sum(getattr(request, reason) for request in requests)
            self.rejected.labels(model, reason).inc(number)

    def page(self) -> bytes:
        """All numbers."""
        return generate_latest(self._registry)
