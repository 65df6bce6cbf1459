"""Pictures by URL, from public addresses only.

A URL is a request that a stranger makes with our network. So every hop (the URL and each redirect) has its
name looked up once, all its addresses checked, and the connection made to the checked address itself: a
name that changes its answer between check and connection gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from sightline_serve.pictures import PictureError
from sightline_serve.settings import MIB, Settings

MAX_REDIRECTS = 4
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = {"User-Agent": "sightline-serve", "Accept": "image/*", "Accept-Encoding": "identity"}

Resolve = Callable[[str, int], Awaitable[list[str]]]

NAT64 = ipaddress.ip_network("64:ff9b::/96")
PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # older Pythons call parts of it global
SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


def is_public(address: str) -> bool:
    """Whether a v4 or v6 address lies in the public internet, seen through mapped, NAT64 and 6to4 forms."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is None and ip in SIX_TO_FOUR:
            inner = ipaddress.IPv4Address(int(ip) >> 80 & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in ipaddress.ip_network("2000::/3"):  # the only global unicast space given out
            return False
    elif ip in PROTOCOLS:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_unspecified)


class Fetcher:
    """Fetches pictures for all requests; `resolve(host, port)` gives the addresses of a name."""

    def __init__(self, settings: Settings, resolve: Resolve | None = None) -> None:
        self.budget = settings.budget
        self.allow_hosts = settings.allow_image_hosts
        self.allow_private = settings.allow_private_image_urls
        # Look-ups block a thread for as long as a name server likes; they get threads that nothing else
        # waits for.
        self.lookups = ThreadPoolExecutor(16, thread_name_prefix="dns")
        self.resolve = resolve or self._look_up
        # A kept connection would be reused for another name at the same address, past that name's
        # certificate check.
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=0)
        self.client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            limits=limits,
            headers=HEADERS,
            timeout=self.budget.seconds,
        )

    async def close(self) -> None:
        await self.client.aclose()
        self.lookups.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, url: str) -> bytes:
        """The bytes behind `url`, after at most MAX_REDIRECTS redirects. Raises PictureError."""
        try:
            async with asyncio.timeout(self.budget.seconds):
                return await self._follow(url)
        except TimeoutError:
            raise PictureError(f"did not arrive within {self.budget.seconds:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PictureError(f"could not be fetched: {_kind(error)}.") from None

    async def _follow(self, url: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            target = _checked_url(url)
            response = await self._open(target)
            try:
                if response.status_code in REDIRECTS and "location" in response.headers:
                    url = str(target.join(response.headers["location"]))
                    continue
                return await self._body(response)
            finally:
                await response.aclose()
        raise PictureError(f"is behind more than {MAX_REDIRECTS} redirects.")

    async def _open(self, url: httpx.URL) -> httpx.Response:
        """Connects to the first checked address that answers, under the name that the URL gave."""
        unreachable: httpx.TransportError | None = None
        for address in await self._addresses(url):
            request = self.client.build_request(
                "GET",
                url.copy_with(host=address),
                headers={"Host": url.netloc.decode("ascii")},
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            try:
                return await self.client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                unreachable = error
        raise unreachable or PictureError(f"is at {url.host!r}, a name without an address.")

    async def _addresses(self, url: httpx.URL) -> list[str]:
        host, port = url.host, url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError):
            raise PictureError(f"is at {host!r}, a name that cannot be looked up.") from None
        if self.allow_private or host.lower() in self.allow_hosts:
            return addresses
        if not all(is_public(address) for address in addresses):
            raise PictureError(
                f"is at {host!r}, which is not a public address, and this server fetches from public ones "
                "only. Send it as a data URL, or let the operator name the host in --allow-image-hosts."
            )
        return addresses

    async def _look_up(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self.lookups, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != 200:
            raise PictureError(f"could not be fetched: its host answered {response.status_code}.")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("text/"):
            raise PictureError(f"is no picture: its host sent {kind} (a page about the picture, perhaps).")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise PictureError("came compressed, which was not asked for.")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self.budget.bytes:
                raise PictureError(f"is larger than {self.budget.bytes / MIB:g} MiB.")
        return bytes(body)


def _checked_url(text: str) -> httpx.URL:
    url = httpx.URL(text)
    if url.scheme not in ("http", "https"):
        raise PictureError("has neither a data URL nor an http(s) URL.")
    if not url.host:
        raise PictureError("has a URL without a host.")
    if url.port is not None and not 0 < url.port < 65536:
        raise PictureError("has a URL with an impossible port.")
    if url.userinfo:
        raise PictureError("has a URL with a user name or password in it, which is not sent on.")
    return url


def _kind(error: Exception) -> str:
    """The sort of failure in words; the error's own text may hold addresses that are nobody's business."""
    match error:
        case httpx.ConnectError():
            return "no connection to its host"
        case httpx.InvalidURL():
            return "its URL is not valid"
        case _:
            return f"the connection to its host broke ({type(error).__name__})"
