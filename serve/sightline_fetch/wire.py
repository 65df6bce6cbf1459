"""One worker's HTTP: connections kept open, redirects, proxies, and the rule about the token.

http.client, not a client library: it needs nothing installed, and hands a body over in large pieces straight
from the socket.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from sightline_fetch.errors import FetchError, SourceFailed
from sightline_fetch.sources import origin

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_HOPS = 8
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
READ = 512 << 10
"""Bytes asked of the socket at once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How to ask: the token and the only origins that may see it, seconds to wait for a byte."""

    token: str = ""
    token_for: frozenset[tuple[str, str, int]] = frozenset()
    timeout: float = 20.0
    agent: str = "sightline-fetch/1"


class Body:
    """An answer whose head has been read. `headers` holds those of every hop, the last one's first."""

    def __init__(self, wire: Wire, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse):
        self.status = answer.status
        self.headers: list[http.client.HTTPMessage] = [answer.headers]
        self.url = ""
        self._wire, self._connection, self._answer = wire, connection, answer
        length = answer.headers.get("Content-Length", "")
        self.length = int(length) if length.isdigit() else None
        self._read = 0

    def header(self, name: str) -> str:
        """The last hop's value, "" where there is none."""
        return self.headers[0].get(name, "") or ""

    def read(self, most: int = READ) -> bytes:
        """What has arrived, up to `most` bytes; b"" at the end. Raises SourceFailed."""
        if self.length is not None:
            most = min(most, self.length - self._read)
        try:
            data = self._answer.read1(most) if most else b""
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise SourceFailed(f"the connection broke: {_said(problem)}") from problem
        self._read += len(data)
        return data

    def close(self) -> None:
        """Keep the connection for the next request where all was read, else drop it."""
        whole = self.length is not None and self._read == self.length and not self._answer.chunked
        closing = self._answer.will_close
        self._answer.close()
        if not whole or closing:
            self._wire.drop(self._connection)


class Wire:
    """The connections of one thread."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._open: dict[tuple[str, str, int], http.client.HTTPConnection] = {}
        self._tls: ssl.SSLContext | None = None

    def get(self, url: str, first: int | None = None, last: int | None = None) -> Body:
        """Ask for `url`, or for its bytes `first` to `last` (inclusive), and follow redirects.

        Raises:
            SourceFailed: nobody answers, or the redirects lead nowhere. Any status is left to the caller.
        """
        seen: list[http.client.HTTPMessage] = []
        trusted = bool(self._terms.token)
        for _ in range(_MOST_HOPS):
            # Once a hop has led elsewhere the token stays behind, also where a later hop comes back.
            trusted = trusted and origin(url) in self._terms.token_for
            body = self._ask(url, first, last, trusted)
            seen.insert(0, body.headers[0])
            if body.status not in _REDIRECTS:
                body.headers, body.url = seen, url
                return body
            location = body.header("Location")
            while body.length is not None and body.length < 65536 and body.read():
                pass
            body.close()
            following = urljoin(url, location)
            scheme = urlsplit(following).scheme
            if not location or scheme not in ("http", "https"):
                raise SourceFailed(f"a redirect ({body.status}) that leads nowhere", final=True)
            if scheme == "http" and urlsplit(url).scheme == "https":
                raise SourceFailed("a redirect from https to http is not followed", final=True)
            url = following
        raise SourceFailed(f"more than {_MOST_HOPS} redirects", final=True)

    def _ask(self, url: str, first: int | None, last: int | None, trusted: bool) -> Body:
        parts = urlsplit(url)
        headers = {
            "User-Agent": self._terms.agent,
            "Accept-Encoding": "identity",
            "Host": parts.netloc.rpartition("@")[2],
        }
        if first is not None:
            headers["Range"] = f"bytes={first}-{last}"
        if trusted:
            headers["Authorization"] = f"Bearer {self._terms.token}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = _proxy(url)
        if proxy and parts.scheme == "http":
            path = f"http://{headers['Host']}{path}"
            headers |= _proxy_login(proxy)
        reused = origin(url) in self._open
        try:
            return self._send(url, proxy, path, headers)
        except (OSError, http.client.HTTPException) as problem:
            if not reused:
                raise SourceFailed(f"no answer: {_said(problem)}") from problem
        try:  # a connection kept open may have been closed by the other side meanwhile: no fault of anyone's
            return self._send(url, proxy, path, headers)
        except (OSError, http.client.HTTPException) as problem:
            raise SourceFailed(f"no answer: {_said(problem)}") from problem

    def _send(self, url: str, proxy: str, path: str, headers: dict[str, str]) -> Body:
        connection = self._open.get(origin(url)) or self._connect(url, proxy)
        self._open[origin(url)] = connection
        try:
            connection.request("GET", path, headers=headers)
            return Body(self, connection, connection.getresponse())
        except BaseException:
            self.drop(connection)
            raise

    def _connect(self, url: str, proxy: str) -> http.client.HTTPConnection:
        scheme, host, port = origin(url)
        at, tunnel = (host, port), False
        if proxy:
            parts = urlsplit(proxy)
            at, tunnel = (parts.hostname or "", parts.port or 80), scheme == "https"
        connection: http.client.HTTPConnection
        if scheme == "https":
            connection = http.client.HTTPSConnection(
                *at, timeout=self._terms.timeout, context=self._context()
            )
        else:
            connection = http.client.HTTPConnection(*at, timeout=self._terms.timeout)
        if tunnel:
            connection.set_tunnel(host, port, headers=_proxy_login(proxy))
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            if not self._tls.cert_store_stats()["x509_ca"] and not os.environ.get("SSL_CERT_FILE"):
                # A relocated Python looks for certificates where it was built.
                for bundle in filter(os.path.exists, _BUNDLES):
                    self._tls.load_verify_locations(bundle)
                    break
        return self._tls

    def drop(self, connection: http.client.HTTPConnection) -> None:
        """Close a connection that cannot be used again."""
        connection.close()
        self._open = {to: kept for to, kept in self._open.items() if kept is not connection}

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._open.values()):
            self.drop(connection)


def _proxy(url: str) -> str:
    """The proxy of the environment (http_proxy, https_proxy, no_proxy) for `url`; "" for none."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # a tenth of what the start takes

    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return ""
    found = getproxies()
    proxy = found.get(parts.scheme) or found.get("all") or ""
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and urlsplit(proxy).scheme != "http":
        what = f"the proxy {urlsplit(proxy).scheme}://{urlsplit(proxy).hostname} is of a kind not known here"
        raise FetchError(what, "name an http:// proxy in https_proxy and http_proxy, or unset it", words=True)
    return proxy


def _proxy_login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"}


def _said(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
