"""Who may use the API for programs: keys, limits, pages of other sites, proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.helpers.openai_api import KEY, ask

from huggingtweets.errors import InputError
from huggingtweets.serving.completions import CompletionService
from huggingtweets.web.clients import TrustedProxies
from huggingtweets.web.openai_api.app import Access
from huggingtweets.web.openai_api.server import ApiOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE = "http://localhost:3000"


@pytest.fixture(scope="module")
def service(tiny_base: Path) -> Iterator[CompletionService]:
    made = CompletionService([str(tiny_base)])
    made.start()
    yield made
    made.stop()


def test_a_key_is_needed_and_is_never_told(
    service: CompletionService, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(KEY)

    def request(path: str, key: str | None) -> httpx.Request:
        headers = [] if key is None else [(b"Authorization", key.encode("latin1"))]
        return httpx.Request("GET", f"http://bots.example{path}", headers=headers)

    right = f"Bearer {KEY}"
    wrong = [None, "", KEY, "Bearer ", f"Bearer {KEY}x", f"Basic {KEY}", "Bearer \xe9"]
    answers = ask(service, access, *(request("/v1/models", key) for key in wrong))
    for answer in answers:
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert KEY not in answer.text
    allowed = ask(
        service,
        access,
        request("/v1/models", right),
        request("/metrics", right),
        request("/healthz", None),
    )
    assert [answer.status_code for answer in allowed] == [200] * 3
    (refused,) = ask(service, access, request("/metrics", None))
    assert refused.status_code == 401
    assert KEY not in caplog.text + repr(access) + repr(ApiOptions(("tiny",), key=KEY))


def test_a_client_above_its_limit_is_told_when_to_come_back(service: CompletionService) -> None:
    request = httpx.Request(
        "POST", "http://127.0.0.1/v1/completions", json={"model": "tiny", "max_tokens": 1}
    )
    first, second = ask(service, Access(requests_a_minute=1), request, request)
    assert first.status_code == 200
    assert second.status_code == 429
    assert second.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(second.headers["Retry-After"]) <= 60


def _preflight(origin: str) -> httpx.Request:
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    return httpx.Request("OPTIONS", "http://127.0.0.1/v1/completions", headers=asks)


def _from_site(origin: str, **headers: str) -> httpx.Request:
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"} | headers
    body = {"model": "tiny", "max_tokens": 1}
    return httpx.Request("POST", "http://127.0.0.1/v1/completions", headers=headers, json=body)


def test_pages_of_allowed_sites_may_ask_and_no_others(service: CompletionService) -> None:
    access = Access(origins=(SITE,))
    asked, answer = ask(service, access, _preflight(SITE), _from_site(SITE))
    assert (asked.status_code, answer.status_code) == (200, 200)
    assert "x-stainless-os" in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-allow-origin"] == SITE
    assert answer.headers["access-control-allow-origin"] == SITE
    for other in ("http://localhost:3001", "https://localhost:3000", "null"):
        asked, answer = ask(service, access, _preflight(other), _from_site(other))
        assert (asked.status_code, answer.status_code) == (400, 403)
        assert "access-control-allow-origin" not in answer.headers
    asked, answer = ask(service, Access(), _preflight(SITE), _from_site(SITE))
    assert (asked.status_code, answer.status_code) == (405, 403)


def test_a_page_can_read_why_it_is_refused(service: CompletionService) -> None:
    asked, refused, answer = ask(
        service,
        Access(KEY, origins=("*",)),
        _preflight(SITE),  # browsers ask without the key
        _from_site(SITE),
        _from_site(SITE, Authorization=f"Bearer {KEY}"),
    )
    assert [one.status_code for one in (asked, refused, answer)] == [200, 401, 200]
    assert refused.headers["access-control-allow-origin"] == "*"


def test_limits_count_by_the_client_that_a_declared_proxy_names(
    service: CompletionService, caplog: pytest.LogCaptureFixture
) -> None:
    def request(client: str) -> httpx.Request:
        body = {"model": "tiny", "max_tokens": 1}
        headers = {"X-Forwarded-For": client}
        return httpx.Request("POST", "http://127.0.0.1/v1/completions", headers=headers, json=body)

    clients = [request(f"203.0.113.{number}") for number in (1, 2, 1)]
    declared = Access(requests_a_minute=1, proxies=TrustedProxies(("127.0.0.1",)))
    assert [one.status_code for one in ask(service, declared, *clients)] == [200, 200, 429]
    assert not caplog.text
    answers = ask(service, Access(requests_a_minute=1), *clients)
    assert [one.status_code for one in answers] == [200, 429, 429]
    assert caplog.text.count("--trusted-proxy 127.0.0.1") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origins": ("*",)}, "needs a key"),
        ({"origins": ("https://example.org/",)}, "without a path"),
        ({"origins": ("example.org",)}, "--allow-origin must be"),
        ({"trusted_proxies": ("proxy",)}, "--trusted-proxy must be"),
    ],
)
def test_a_wrong_site_or_proxy_is_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ApiOptions(("ann",), **options)
