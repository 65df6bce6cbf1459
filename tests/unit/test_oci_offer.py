"""What a region's listing means, and which pictures and questions the model takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sightline.oci import MODEL
from sightline.oci.errors import OciTrouble
from sightline.oci.offer import Listed, judge
from sightline.oci.pictures import data_url, is_latin

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OTHER = Listed("meta.llama-4-maverick-17b-128e-instruct-fp8", True, None)


def test_offered_without_a_date() -> None:
    offer = judge([OTHER, Listed(MODEL, True, None)], MODEL, "us-chicago-1", NOW)
    assert offer.to_dict() == {
        "model": MODEL,
        "region": "us-chicago-1",
        "offered": True,
        "retires": None,
        "problem": "",
        "remedy": "",
        "note": "",
    }


def test_not_offered_names_what_is() -> None:
    for listed in ([OTHER], [OTHER, Listed(MODEL, False, None)]):
        offer = judge(listed, MODEL, "eu-frankfurt-1", NOW)
        assert offer.problem == f"the region eu-frankfurt-1 does not offer {MODEL}"
        assert OTHER.name in offer.remedy
    assert "no model that chats" in judge([], MODEL, "eu-frankfurt-1", NOW).remedy


def test_retirement() -> None:
    def on(month: int, day: int) -> Listed:
        return Listed(MODEL, True, datetime(2026, month, day, tzinfo=UTC))

    gone = judge([on(10, 1), OTHER], MODEL, "us-chicago-1", NOW)
    assert gone.problem == f"{MODEL} was retired on demand on 2026-10-01 in us-chicago-1"
    soon = judge([on(12, 2)], MODEL, "us-chicago-1", NOW)
    assert (soon.problem, soon.note) == ("", "it will be retired on demand on 2026-12-02, in 10 days")
    assert judge([on(10, 1), on(12, 2)], MODEL, "us-chicago-1", NOW) == soon
    later = judge([Listed(MODEL, True, datetime(2027, 3, 1, tzinfo=UTC))], MODEL, "us-chicago-1", NOW)
    assert (later.problem, later.note) == ("", "")
    assert later.to_dict()["retires"] == "2027-03-01"


def test_pictures(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0abc")
    assert data_url(picture) == "data:image/jpeg;base64,/9j/4GFiYw=="
    picture.write_bytes(b"\x89PNG\r\n\x1a\n".ljust(5_000_000, b"0"))
    assert data_url(picture).startswith("data:image/png;base64,iVBORw0KGgo")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n".ljust(5_000_001, b"0"))
    with pytest.raises(OciTrouble, match=r"has 5,000,001 bytes, and 5,000,000 is the most; make it smaller"):
        data_url(picture)
    picture.write_bytes(b"GIF89a")
    with pytest.raises(OciTrouble, match="neither PNG nor JPEG"):
        data_url(picture)
    with pytest.raises(OciTrouble, match="cannot be read: No such file"):
        data_url(tmp_path / "none.png")


def test_latin() -> None:
    assert is_latin("Quelle est la couleur? 12 €")
    assert not is_latin("この画像は何ですか")
    assert not is_latin("Что здесь?")
