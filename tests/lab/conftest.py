"""The lab's own tests use its fixtures as anybody's do."""

from tests.lab.fixtures import (
    debian12,
    debian13,
    fresh_host,
    lab,
    lab_possible,
    noroot,
    nosudo,
    rented,
)

__all__ = ["debian12", "debian13", "fresh_host", "lab", "lab_possible", "noroot", "nosudo", "rented"]
