"""Hosts for any test: import these names in a conftest.py. Without root, tests that use them are not run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.lab import requirements
from tests.lab.host import Host, Lab
from tests.lab.place import Place
from tests.lab.problems import NotHere


@pytest.fixture(scope="session")
def lab_possible() -> None:
    """Skips what needs a lab where there cannot be one; elsewhere its programs are there afterwards."""
    try:
        requirements.check()
        requirements.install_programs()
    except NotHere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def lab(lab_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The session's lab; its hosts start when they are first asked for and are gone at the end."""
    made = Lab(Place.at(tmp_path_factory.mktemp("lab")))
    yield made
    made.down()


@pytest.fixture(scope="session")
def debian12(lab: Lab) -> Host:
    return lab.up("debian12")


@pytest.fixture(scope="session")
def debian13(lab: Lab) -> Host:
    return lab.up("debian13")


@pytest.fixture(scope="session")
def rented(lab: Lab) -> Host:
    return lab.up("rented")


@pytest.fixture(scope="session")
def noroot(lab: Lab) -> Host:
    return lab.up("noroot")


@pytest.fixture(scope="session")
def nosudo(lab: Lab) -> Host:
    return lab.up("nosudo")


@pytest.fixture
def fresh_host(lab: Lab) -> Iterator[Callable[..., Host]]:
    """`fresh_host("debian12")`: a host that no other test has touched, gone after the test."""
    made: list[str] = []
    count = itertools.count(1)

    def start(kind: str, on_disk: bool = False) -> Host:
        name = f"{kind}-fresh{next(count)}"
        made.append(name)
        return lab.up(name, kind, on_disk)

    yield start
    started = [name for name in made if name in lab.place.records()]
    if started:
        lab.down(*started)
