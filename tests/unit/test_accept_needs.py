"""What a model needs of a box, from the catalogue."""

from __future__ import annotations

import pytest

from sightline.accept.needs import needs
from sightline.catalogue import CatalogueError, load_model, load_release, names


def test_the_90b_model_in_its_release() -> None:
    found = needs("llama-3.2-90b-vision-bnb-4bit")
    model, release = load_model("llama-3.2-90b-vision-bnb-4bit"), load_release("seed-cu124")
    assert (found.release, found.driver_floor) == ("seed-cu124", "550.54.14")
    assert found.gpu_bytes == 80_000_000_000
    files = sum(file["size"] or file.get("approx_size") or 0 for file in model["files"])
    disk = release["disk"]
    assert found.fetch_bytes == files + disk["download_bytes"]
    # The wheels lie there until all are installed, and half a GiB stays free.
    assert found.disk_bytes == files + disk["environment_bytes"] + disk["download_bytes"] + 512 * 2**20


def test_the_canary_needs_no_gpu() -> None:
    found = needs("canary")
    assert (found.release, found.gpu_bytes, found.driver_floor) == ("cpu", None, None)
    assert found.memory_bytes == 1_000_000_000


def test_without_a_stated_figure_the_weights_are_the_least() -> None:
    found = needs("llama-3.2-11b-vision-bnb-4bit")
    assert found.gpu_bytes == found.weights_bytes == 7_180_000_000
    assert "weights alone" in found.gpu_from


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
