"""A ``requests`` session that connects only where it may.

A host's name can lead anywhere, also to the router at home, and can lead elsewhere the next second.
So the address is checked where the connection is made, not when a name is looked up before it.
Behind a proxy it is the proxy that looks names up, so only addresses written as such are checked.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import SourceError

if TYPE_CHECKING:
    import requests


@dataclass(eq=False)
class Guard:
    """Which addresses are allowed, and the sockets that are open.

    Attributes:
        loopback: addresses of this machine are fine, because the user named one.
    """

    loopback: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)

    def check(self, host: str, address: str) -> None:
        """Refuse an address that is not on the public internet."""
        found = ipaddress.ip_address(address)
        plain = getattr(found, "ipv4_mapped", None) or found
        if plain.is_loopback and self.loopback:
            return
        if not plain.is_global or plain.is_multicast:
            raise SourceError(
                f"{host} leads to {address}, which is no address on the public internet; "
                "check the name."
            )

    def check_literal(self, host: str) -> None:
        """Refuse a host that is such an address itself, before anything is looked up."""
        with suppress(ValueError):
            self.check(host, str(ipaddress.ip_address(host)))

    def look_up(self, host: str, port: int | None) -> None:
        """Refuse a name when any of its addresses is one; a name without any is told later."""
        with suppress(OSError, UnicodeError):
            for *_, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                self.check(host, str(where[0]))

    def opened(self, connection: socket.socket | None) -> None:
        """Remember a connection for :meth:`close_all`."""
        self._sockets = [one for one in self._sockets if one.fileno() >= 0]
        if connection is not None:
            self._sockets.append(connection)

    def close_all(self) -> None:
        """End every connection, from another thread: whoever reads from one gets an error."""
        for connection in self._sockets:
            with suppress(OSError):  # past SSLSocket's own, which isn't made for two threads
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def guarded_session(guard: Guard) -> requests.Session:
    """Make a session whose connections ask ``guard`` first; redirects are left to the caller."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def connected(host: str, connection: socket.socket) -> socket.socket:
        """Check once more: the name may have led elsewhere the second time it was looked up."""
        try:
            guard.check(host, connection.getpeername()[0])
        except BaseException:
            connection.close()
            raise
        return connection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            guard.look_up(self.host, self.port)
            return connected(self.host, super()._new_conn())

        def connect(self) -> None:
            super().connect()
            guard.opened(self.sock)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            guard.look_up(self.host, self.port)
            return connected(self.host, super()._new_conn())

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
            """Say there is none: `requests` would read such an answer whole, however long."""

    session = Session()
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session
