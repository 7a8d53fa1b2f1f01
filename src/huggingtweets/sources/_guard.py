"""A ``requests`` session that refuses to connect to private networks.

A host name can resolve to any address, such as the router at home, and to another one a second
later. So the address is checked when the connection is made, not only in an earlier lookup. Behind
a proxy, the proxy resolves names, so only literal addresses are checked.
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
    """The address policy, and the open sockets.

    Attributes:
        loopback: allow addresses of this machine, because the user named one.
    """

    loopback: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)

    def check(self, host: str, address: str) -> None:
        """Refuse an address that is not on the public internet."""
        ip = ipaddress.ip_address(address)
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if ip.is_loopback and self.loopback:
            return
        if not ip.is_global or ip.is_multicast:
            raise SourceError(
                f"{host} resolves to {address}, which is not on the public internet; "
                "check the name."
            )

    def check_literal(self, host: str) -> None:
        """Refuse a host that is itself a private address, without a lookup."""
        with suppress(ValueError):
            self.check(host, str(ipaddress.ip_address(host)))

    def look_up(self, host: str, port: int | None) -> None:
        """Refuse a name if any of its addresses is private; connecting reports unknown names."""
        with suppress(OSError, UnicodeError):
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                self.check(host, str(address[0]))

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


def guarded_session(guard: Guard) -> requests.Session:
    """Return a session whose connections ``guard`` checks; redirects are left to the caller."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def checked(host: str, connection: socket.socket) -> socket.socket:
        """Check again: the second lookup of the name may have returned another address."""
        try:
            guard.check(host, connection.getpeername()[0])
        except BaseException:
            connection.close()
            raise
        return connection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            guard.look_up(self.host, self.port)
            return checked(self.host, super()._new_conn())

        def connect(self) -> None:
            super().connect()
            guard.opened(self.sock)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            guard.look_up(self.host, self.port)
            return checked(self.host, super()._new_conn())

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
