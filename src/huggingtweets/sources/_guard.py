"""A ``requests`` session that refuses to connect to private networks.

A host name can resolve to any address, such as the router at home, and to another one a second
later. So the connection is made to an address that was checked, not to the name, and the address of
the other side is checked once more. Behind a proxy, the proxy resolves names, so only literal
addresses are checked; what visitors of a server name is requested without a proxy.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests
    from urllib3.connection import HTTPConnection

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_INNER = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # with anycast addresses that the network's own gateway answers
            "192.88.99.0/24",  # relays of 6to4
            "::/96",  # IPv4-compatible
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b:1::/48",  # NAT64 of a network's own
            "2001::/32",  # Teredo
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
            "5f00::/16",  # segment routing
            "fec0::/10",  # site-local
        ),
    )
)
"""Networks that ``ipaddress`` of Python 3.11 takes for global, though they lead, or may lead by an
address inside of theirs, to a private network (IANA's special-purpose registries)."""

_MAX_ADDRESSES = 4
"""Of one name that are tried, as each may take the time limit of a connection."""


@dataclass(eq=False)
class Guard:
    """The address policy, and the open sockets.

    Attributes:
        loopback: allow addresses of this machine, because the user named one.
        strict: for what a visitor of a server named: refuse also this machine's own public address
            and NAT64, whose gateway may forward to private addresses, and name no address.
    """

    loopback: bool = False
    strict: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)

    def check(self, host: str, address: str) -> None:
        """Refuse an address that is not on the public internet."""
        ip = ipaddress.ip_address(address)
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if ip.is_loopback and self.loopback:
            return
        if not _is_public(ip, nat64=not self.strict):
            raise self._refusal(host, address)

    def check_connection(self, host: str, connection: socket.socket) -> None:
        """Refuse a connection whose other side is not on the public internet."""
        address = connection.getpeername()[0]
        self.check(host, address)
        if self.strict and address == connection.getsockname()[0]:
            raise self._refusal(host, address)

    def _refusal(self, host: str, address: str) -> SourceError:
        what = "is" if self.strict else f"resolves to {address}, which is"
        return SourceError(f"{host} {what} not on the public internet; check the name.")

    def check_literal(self, host: str) -> None:
        """Refuse a host that is itself a private address, without a lookup."""
        with suppress(ValueError):
            self.check(host, str(ipaddress.ip_address(host)))

    def look_up(self, host: str, port: int | None) -> list[str]:
        """Return the addresses of a name; refuse it if any of them is private.

        The list is empty for an unknown name, which connecting reports.
        """
        found: dict[str, None] = {}
        with suppress(OSError, UnicodeError):
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                self.check(host, str(address[0]))
                found[str(address[0])] = None
        return list(found)[:_MAX_ADDRESSES]

    def opened(self, connection: socket.socket | None) -> None:
        """Remember a connection for :meth:`close_all`."""
        self._sockets = [opened for opened in self._sockets if opened.fileno() >= 0]
        if connection is not None:
            self._sockets.append(connection)

    def close_all(self) -> None:
        """Close every connection from another thread, so that a blocked read fails."""
        for connection in self._sockets:
            with suppress(OSError):  # bypass SSLSocket.shutdown, which is not thread-safe
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, *, nat64: bool) -> bool:
    """Whether an address is on the public internet.

    Args:
        ip: the address.
        nat64: whether an address of the well-known NAT64 prefix counts as the IPv4 address in it,
            as on networks that have IPv6 only.
    """
    if ip in _NAT64:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return nat64 and _is_public(inner, nat64=False)
    if any(ip in network for network in _INNER):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _connect(
    connection: HTTPConnection, connect: Callable[[], socket.socket], guard: Guard
) -> socket.socket:
    """Connect to a checked address of the host, then check the address of the other side."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    host = connection.host
    for address in guard.look_up(host, connection.port) or [host]:
        connection._dns_host = address  # noqa: SLF001 - what urllib3 connects to
        try:
            opened = connect()
            break
        except (NewConnectionError, ConnectTimeoutError) as error:
            failure = error
        finally:
            connection._dns_host = host  # noqa: SLF001 - the certificate is that of the name
    else:
        raise failure
    try:
        guard.check_connection(host, opened)
    except BaseException:
        opened.close()
        raise
    return opened


def guarded_session(guard: Guard) -> requests.Session:
    """Return a session whose connections ``guard`` checks; redirects are left to the caller."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, super()._new_conn, guard)

        def connect(self) -> None:
            super().connect()
            guard.opened(self.sock)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, super()._new_conn, guard)

        def connect(self) -> None:
            super().connect()
            guard.opened(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    class Session(requests.Session):
        def get_redirect_target(self, resp: object) -> None:
            """Return None: `requests` would read the whole body of a redirect, however long."""

    session = Session()
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session
