"""Who sees the token: the hub that it is for, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetching import fetch, holds, model, write_entry
from hub import Hub

TOKEN = "hf_not_a_real_one"


def test_it_reaches_the_hub_it_is_for(hub: Hub, tmp_path: Path) -> None:
    hub.token = TOKEN
    words = ("--entry", write_entry(tmp_path, model()), "--source", hub.url, "--target", tmp_path / "model")
    refused = fetch(*words, HF_TOKEN=TOKEN)
    assert refused.code == 1  # nobody said that this hub may see it
    assert "401: Access to this model is restricted" in refused.errors
    assert "HF_TOKEN" in refused.errors
    given = fetch(*words, "--token-for", hub.url, HF_TOKEN=TOKEN)
    assert given.code == 0, given.errors
    assert holds(tmp_path / "model", model())
    assert TOKEN not in refused.errors + given.errors + str(given.events)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_stays_behind_on_a_redirect_to_another_host(
    hub: Hub, mirror: Hub, tmp_path: Path, status: int
) -> None:
    hub.faults.redirect_to, hub.faults.redirect_status = mirror.url, status
    words = ("--entry", write_entry(tmp_path, model()), "--source", hub.url, "--target", tmp_path / "model")
    ended = fetch(*words, "--token-for", hub.url, HF_TOKEN=TOKEN)
    assert ended.code == 0, ended.errors
    assert holds(tmp_path / "model", model())
    assert all(request.token == f"Bearer {TOKEN}" for request in hub.requests)
    assert mirror.requests


def test_a_redirect_back_does_not_get_it_again(hub: Hub, mirror: Hub, tmp_path: Path) -> None:
    hub.token = TOKEN
    mirror.faults.redirect_to = hub.url
    words = (
        "--entry",
        write_entry(tmp_path, model()),
        "--source",
        mirror.url,
        "--target",
        tmp_path / "model",
    )
    ended = fetch(*words, "--token-for", hub.url, HF_TOKEN=TOKEN)
    assert ended.code == 1
    assert all(request.token == "" for request in hub.requests)


def test_a_mirror_beside_the_hub_gets_none(hub: Hub, mirror: Hub, tmp_path: Path) -> None:
    hub.token = TOKEN
    hub.faults.resets = 3
    entry = write_entry(tmp_path, model())
    words = ("--entry", entry, "--source", mirror.url, "--source", hub.url, "--target", tmp_path / "model")
    ended = fetch(*words, "--token-for", hub.url, HF_TOKEN=TOKEN)
    assert ended.code == 0, ended.errors


def test_the_stand_in_notices_a_token(tmp_path: Path) -> None:
    with Hub(model(), trusted=False) as mirror:
        words = (
            "--entry",
            write_entry(tmp_path, model()),
            "--source",
            mirror.url,
            "--target",
            tmp_path / "m",
        )
        fetch(*words, "--token-for", mirror.url, HF_TOKEN=TOKEN)
        assert mirror.leaks


def test_a_circle_of_redirects_ends(hub: Hub, tmp_path: Path) -> None:
    hub.faults.redirect_to = hub.url
    words = ("--entry", write_entry(tmp_path, model()), "--source", hub.url, "--target", tmp_path / "model")
    ended = fetch(*words)
    assert ended.code == 1
    assert "redirects" in ended.errors


def test_a_proxy_of_the_environment_is_asked(hub: Hub, tmp_path: Path) -> None:
    """An http proxy is sent the whole address: the hub, spoken to as one, is asked for http://nowhere..."""
    words = ("--entry", write_entry(tmp_path, model()), "--source", "http://nowhere.invalid")
    ended = fetch(*words, "--target", tmp_path / "model", http_proxy=hub.url)
    assert ended.code == 0, ended.errors
    assert hub.requests[0].path.startswith("http://nowhere.invalid/owner/model/resolve/")
    direct = fetch(*words, "--target", tmp_path / "other", "--tries", "1", http_proxy=hub.url, no_proxy="*")
    assert direct.code == 1
