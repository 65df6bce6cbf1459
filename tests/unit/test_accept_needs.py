"""What a model needs of a box, from the catalogue."""

from __future__ import annotations

import pytest

import sightline.accept.needs as needs_module
from sightline.accept.needs import needs
from sightline.catalogue import CatalogueError, load_model, load_release, names


def test_the_90b_model_in_its_release() -> None:
    found = needs("llama-3.2-90b-vision-bnb-4bit")
    model, release = load_model("llama-3.2-90b-vision-bnb-4bit"), load_release("seed-cu124")
    assert (found.release, found.driver_floor) == ("seed-cu124", "550.54.14")
    # The published figures: 320 KiB of cache a token, 500 MiB of cross-attention states a picture.
    certain = found.weights_bytes + 4096 * 320 * 1024 + 500 * 2**20
    assert found.estimate is not None
    assert found.estimate.certain == pytest.approx(certain, rel=0.01)
    assert found.gpu_bytes == found.estimate.total > certain
    files = sum(file["size"] or file.get("approx_size") or 0 for file in model["files"])
    disk = release["disk"]
    assert found.fetch_bytes == files + disk["download_bytes"]
    # The wheels lie there until all are installed, and half a GiB stays free.
    assert found.disk_bytes == files + disk["environment_bytes"] + disk["download_bytes"] + 512 * 2**20


def test_the_canary_needs_no_gpu() -> None:
    found = needs("canary")
    assert (found.release, found.gpu_bytes, found.driver_floor) == ("cpu", None, None)
    assert found.memory_bytes == 1_000_000_000


def test_more_conversations_need_more() -> None:
    one, four = (needs("llama-3.2-11b-vision-bnb-4bit", work={"slots": slots}) for slots in (1, 4))
    assert one.gpu_bytes is not None
    assert four.gpu_bytes is not None
    # 128 KiB of cache a token, and 200 MiB of states of one picture, for each.
    assert four.gpu_bytes - one.gpu_bytes >= 3 * (4096 * 128 * 1024 + 200 * 2**20)


@pytest.mark.parametrize(("stated", "least"), [(None, 7_180_000_000), (9_000_000_000, 9_000_000_000)])
def test_what_nobody_can_estimate_is_bounded(
    monkeypatch: pytest.MonkeyPatch, stated: int | None, least: int
) -> None:
    model = load_model("llama-3.2-11b-vision-bnb-4bit")
    model["architecture"]["family"] = "another"
    model["memory"]["minimum_vram_bytes"] = stated
    monkeypatch.setattr(needs_module, "load_model", lambda name: model)
    found = needs("llama-3.2-11b-vision-bnb-4bit")
    assert (found.estimate, found.gpu_bytes) == (None, least)
    assert found.gpu_from == (
        "as the catalogue states" if stated else "the weights alone: what else it takes is not known"
    )


def test_every_model_has_needs() -> None:
    for name in names("model"):
        assert needs(name).disk_bytes > needs(name).weights_bytes


def test_a_release_that_is_not_there() -> None:
    with pytest.raises(CatalogueError, match="there is no release called 'nothing'"):
        needs("canary", "nothing")


def test_a_release_that_does_not_serve_the_model() -> None:
    with pytest.raises(ValueError, match="releases that serve it: seed-cu124"):
        needs("llama-3.2-90b-vision-bnb-4bit", "cpu")


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(CatalogueError, match="did you mean"):
        needs("canari")
