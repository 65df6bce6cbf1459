"""llama.cpp's wheel is linked with a library that a bare Debian lacks; other engines are not asked for it."""

from __future__ import annotations

import pytest

from sightline.catalogue import load_release
from tests.unit.test_plan import Inputs


@pytest.mark.parametrize("there", [True, False, None])
def test_llamacpp_needs_libgomp(there: bool | None) -> None:
    for engine, release in (("llamacpp", "llamacpp-cpu"), ("sightline-serve", "cpu")):
        inputs = Inputs()
        inputs.settings["engine"] = engine
        inputs.release = load_release(release)
        if there is not None:
            inputs.facts["system_parts"] = {"libgomp.so.1": there}
        found = [refusal for refusal in inputs.plan().refusals if refusal.check == "parts_are_there"]
        needed = engine == "llamacpp" and there is False
        assert [refusal.what for refusal in found] == (
            ["libgomp.so.1 is missing on the host"] if needed else []
        )
        assert all(refusal.remedy.endswith("apt-get install libgomp1") for refusal in found)
