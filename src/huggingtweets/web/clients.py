"""Who sent a request: the address of the client, also behind proxies that the owner declared.

A proxy appends the address that it sees to ``X-Forwarded-For`` or ``Forwarded``; what stands left
of that may be made up. So the addresses are read from the right, past declared proxies, and only in
requests that come from one. A host has a whole /64 of IPv6 addresses, which counts as one client.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_FORWARDED = re.compile(r'\b(for|proto)\s*=\s*(?:"([^"]*)"|([^\s;,]*))', re.IGNORECASE)
_PORT = re.compile(r"(?<=\]):\d+$|(?<=^)(?P<v4>\d+\.\d+\.\d+\.\d+):\d+$")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """The sender of a request.

    Attributes:
        address: what limits count by: an IPv4 address or an IPv6 network.
        is_encrypted: whether the request left the client over TLS.
        proxy: address of a proxy that forwarded the request and isn't declared, or empty.
    """

    address: str
    is_encrypted: bool = False
    proxy: str = ""


class TrustedProxies:
    """The declared proxies.

    Args:
        addresses: of the proxies, or networks such as ``10.0.0.0/8``.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, addresses: Sequence[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(address, strict=False) for address in addresses]

    def client(self, peer: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]) -> Client:
        """The client of a request.

        Args:
            peer: address of the other side of the connection; empty for a socket without one.
            scheme: ``http`` or ``https``, of the connection.
            headers: of the request; a repeated one counts as one list.
        """
        lists = _lists(headers)
        forwarded = [_pairs(element) for element in lists["forwarded"]]
        if not self._is_trusted(peer):
            proxy = peer if lists["x-forwarded-for"] or forwarded else ""
            return Client(_key(peer), scheme == "https", proxy)
        chains = [lists["x-forwarded-for"], [pairs.get("for", "") for pairs in forwarded]]
        found = {self._first_unknown(peer, chain) for chain in chains if chain}
        # a proxy passes on the header that it doesn't write itself, so two answers are one lie
        address = found.pop() if len(found) == 1 else peer
        proto = lists["x-forwarded-proto"] or [pairs.get("proto", "") for pairs in forwarded]
        return Client(_key(address), (proto[-1] if proto else scheme).lower() == "https")

    def _first_unknown(self, peer: str, chain: Sequence[str]) -> str:
        """The rightmost address that is no declared proxy; a proxy's own if the next is invalid."""
        last = peer
        for text in reversed(chain):
            if _parse(text) is None:
                return last
            last = text
            if not self._is_trusted(text):
                break
        return last

    def _is_trusted(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def problems_of_proxies(addresses: Sequence[str]) -> list[str]:
    """Say which values of ``--trusted-proxy`` are no addresses."""
    problems = []
    for address in addresses:
        try:
            TrustedProxies((address,))
        except ValueError:
            problems.append(
                "--trusted-proxy must be an IP address or a network like 10.0.0.0/8, not "
                f"{address[:80]!r}"
            )
    return problems


def _lists(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, list[str]]:
    """The forwarding headers, split at commas."""
    names = ("x-forwarded-for", "x-forwarded-proto", "forwarded")
    found: dict[str, list[str]] = {name: [] for name in names}
    for key, value in headers:
        if (name := key.decode("latin1").lower()) in found:
            found[name] += [part.strip() for part in value.decode("latin1").split(",")]
    return found


def _pairs(element: str) -> dict[str, str]:
    """``for`` and ``proto`` of an element of ``Forwarded``."""
    return {name.lower(): quoted or plain for name, quoted, plain in _FORWARDED.findall(element)}


def _parse(text: str) -> Address | None:
    """An address, which may have a port; mapped IPv4 counts as IPv4."""
    text = _PORT.sub(lambda match: match["v4"] or "", text.strip()).strip("[]")
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _key(text: str) -> str:
    address = _parse(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or text)
