"""The fetch guard: which addresses, which hops, how long, how much. Only name look-ups are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sightline_serve.fetch import Fetcher, Resolve, is_public
from sightline_serve.pictures import PictureError
from sightline_serve.settings import Budget, Settings

from tests.serve.conftest import PictureHost
from tests.serve.drawing import disc, encoded

PNG = encoded(disc())


def fetch(url: str, resolve: Resolve | None = None, **options: Any) -> bytes:
    settings = Settings(Path(), "model", **options)

    async def go() -> bytes:
        fetcher = Fetcher(settings, resolve)
        try:
            return await fetcher.fetch(url)
        finally:
            await fetcher.close()

    return asyncio.run(go())


def names(
    table: dict[str, list[str]], asked: list[str] | None = None
) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, _: int) -> list[str]:
        if asked is not None:
            asked.append(host)
        return table[host]

    return resolve


GOOD = {"allow_image_hosts": frozenset({"good.test"})}
GOOD_NAMES = names({"good.test": ["127.0.0.1"], "127.0.0.1": ["127.0.0.1"], "evil.test": ["127.0.0.1"]})

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.7",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::",
    "2002:a00:1::1", "2001::1", "fec0::1", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def test_a_picture_from_an_allowed_host(host: PictureHost) -> None:
    host.serve("/a.png", PNG)
    assert fetch(host.url("/a.png", "good.test"), GOOD_NAMES, **GOOD) == PNG


def test_the_connection_goes_to_the_checked_address_under_the_urls_name(host: PictureHost) -> None:
    """good.test is known to our table only: looked up again, it would not be found."""
    asked: list[str] = []
    host.serve("/a.png", PNG)
    fetch(host.url("/a.png", "good.test"), names({"good.test": ["127.0.0.1"]}, asked), **GOOD)
    assert asked == ["good.test"]
    assert host.seen[0][1]["host"] == f"good.test:{host.port}"


def test_no_credentials_or_cookies_are_sent(host: PictureHost) -> None:
    host.serve("/a.png", PNG)
    fetch(host.url("/a.png", "good.test"), GOOD_NAMES, **GOOD)
    assert set(host.seen[0][1]) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
def test_a_name_with_a_private_address_is_refused(host: PictureHost, address: str) -> None:
    host.serve("/a.png", PNG)
    with pytest.raises(PictureError, match=r"'evil\.test', which is not a public address"):
        fetch(host.url("/a.png", "evil.test"), names({"evil.test": [address]}))
    assert host.seen == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(host: PictureHost) -> None:
    with pytest.raises(PictureError, match="not a public address"):
        fetch(host.url("/a.png", "evil.test"), names({"evil.test": ["8.8.8.8", "127.0.0.1"]}))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1", "[::1]"])
def test_loopback_by_any_name_is_refused_by_the_real_look_up(host: PictureHost, name: str) -> None:
    host.serve("/a.png", PNG)
    with pytest.raises(PictureError, match="not a public address"):
        fetch(host.url("/a.png", name))
    assert host.seen == []


def test_a_redirect_to_a_private_address_is_refused(host: PictureHost) -> None:
    host.redirect("/start", host.url("/secret", "127.0.0.1"))
    host.serve("/secret", PNG)
    with pytest.raises(PictureError, match=r"'127\.0\.0\.1', which is not a public address"):
        fetch(host.url("/start", "good.test"), GOOD_NAMES, **GOOD)
    assert [path for path, _ in host.seen] == ["/start"]


def test_a_redirect_is_followed_and_looked_up_again(host: PictureHost) -> None:
    asked: list[str] = []
    host.redirect("/start", "/moved")
    host.serve("/moved", PNG)
    assert fetch(host.url("/start", "good.test"), names({"good.test": ["127.0.0.1"]}, asked), **GOOD) == PNG
    assert asked == ["good.test", "good.test"]


def test_a_redirect_to_another_scheme_is_refused(host: PictureHost) -> None:
    host.redirect("/start", "file:///etc/passwd")
    with pytest.raises(PictureError, match=r"neither a data URL nor an http\(s\) URL"):
        fetch(host.url("/start", "good.test"), GOOD_NAMES, **GOOD)


def test_redirects_end(host: PictureHost) -> None:
    host.redirect("/round", "/round")
    with pytest.raises(PictureError, match="more than 4 redirects"):
        fetch(host.url("/round", "good.test"), GOOD_NAMES, **GOOD)
    assert len(host.seen) == 5


def test_a_slow_host_is_given_up_in_time(host: PictureHost) -> None:
    host.trickle("/slow")
    began = time.monotonic()
    with pytest.raises(PictureError, match=r"did not arrive within 0\.5 s"):
        fetch(host.url("/slow", "good.test"), GOOD_NAMES, budget=Budget(seconds=0.5), **GOOD)
    assert time.monotonic() - began < 2


def test_a_slow_name_server_is_given_up_in_time() -> None:
    async def never(_: str, __: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(PictureError, match=r"within 0\.2 s"):
        fetch("http://slow.test/a.png", never, budget=Budget(seconds=0.2))


@pytest.mark.parametrize("says_length", [True, False])
def test_too_large_a_body_is_cut_off(host: PictureHost, says_length: bool) -> None:
    def page(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "image/png")
        if says_length:
            handler.send_header("Content-Length", str(50 * 2**20))
        handler.end_headers()
        try:
            for _ in range(50):
                handler.wfile.write(bytes(2**20))
        except OSError:
            host.pages["/cut"] = page

    host.pages["/big"] = page
    with pytest.raises(PictureError, match=r"larger than 0\.5 MiB"):
        fetch(host.url("/big", "good.test"), GOOD_NAMES, budget=Budget(bytes=2**19), **GOOD)
    deadline = time.monotonic() + 5
    while "/cut" not in host.pages and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "/cut" in host.pages  # the host saw us hang up


def test_a_page_is_no_picture(host: PictureHost) -> None:
    host.serve("/page", b"<html>a page about a picture</html>", kind="text/html; charset=utf-8")
    with pytest.raises(PictureError, match="text/html"):
        fetch(host.url("/page", "good.test"), GOOD_NAMES, **GOOD)


def test_a_missing_picture_says_the_hosts_answer(host: PictureHost) -> None:
    with pytest.raises(PictureError, match="answered 404"):
        fetch(host.url("/nope", "good.test"), GOOD_NAMES, **GOOD)


def test_compressed_bodies_are_refused(host: PictureHost) -> None:
    host.serve("/z", b"x", Content_Encoding="gzip")
    with pytest.raises(PictureError, match="compressed"):
        fetch(host.url("/z", "good.test"), GOOD_NAMES, **GOOD)


def test_no_one_listening_says_so() -> None:
    with pytest.raises(PictureError, match="no connection to its host"):
        fetch("http://good.test:9/a.png", GOOD_NAMES, **GOOD)


def test_the_next_address_is_tried(host: PictureHost) -> None:
    host.serve("/a.png", PNG)
    table = names({"good.test": ["127.0.0.99", "127.0.0.1"]})
    assert fetch(host.url("/a.png", "good.test"), table, **GOOD) == PNG


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///etc/passwd", "neither a data URL nor"),
        ("ftp://good.test/a.png", "neither a data URL nor"),
        ("/etc/passwd", "neither a data URL nor"),
        ("http:///a.png", "without a host"),
        ("http://user:secret@good.test/a.png", "user name or password"),
        ("http://good.test:99999/", "impossible port"),
        ("http://no-such-name.invalid/a.png", "cannot be looked up"),
    ],
)
def test_a_url_that_cannot_be_fetched_says_why(url: str, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        fetch(url)


def test_private_addresses_can_be_opened_to_all(host: PictureHost) -> None:
    host.serve("/a.png", PNG)
    assert fetch(host.url("/a.png"), allow_private_image_urls=True) == PNG
