"""Several endpoints side by side: the same questions to each, and one report that tells them apart."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline.prove import cli
from sightline.prove.beside import tokens_per_second
from sightline.prove.cases import KINDS, deal
from sightline.prove.client import Reply
from sightline.prove.judge import Judgement
from sightline.prove.process_memory import resident_memory, sum_of_tree
from sightline.prove.results import Shot, Sighting
from tests.prove.conftest import Serve
from tests.prove.test_cli import HOSTILE, Page
from tests.prove.test_deployment import changed, written
from tests.stand_ins import liars
from tests.stand_ins.liars import Forward
from tests.stand_ins.seeing_oracle import Body

QUICK = ["--quick", "--seed", "3"]


class Hostile(liars.Liar):
    """Answers with markup."""

    def __call__(self, body: Body, forward: Forward) -> str:
        return HOSTILE


def test_two_endpoints_get_the_same_questions_and_are_told_apart(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeing, blind = serve().base_url, serve(liars.AlwaysBlank()).base_url
    words = ["--url", seeing, "--key-file", str(key_file), "--beside", f"{blind},,{key_file}", *QUICK]
    out = tmp_path / "out"
    assert cli.main([*words, "--out", str(out), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "beside.json").read_text())
    first, second = told["endpoints"]
    assert (first["verdict"]["outcome"], second["verdict"]["outcome"]) == ("proven", "not proven")
    assert first["right"] == first["asked"] == 20
    assert len(told["questions"]) == 20
    for question in told["questions"]:
        assert question["answers"][0]["right"]
    assert not all(question["answers"][1]["right"] for question in told["questions"])
    asked = [
        [
            shot["turns"]
            for shot in json.loads((out / f"{number}/report.json").read_text())["sight"]["questions"]
        ]
        for number in (1, 2)
    ]
    assert asked[0][:20] == asked[1][:20], "the same pictures, by their sha256, and the same words"
    page = Page((out / "beside.html").read_text())
    assert "script" not in page.tags
    assert all(link.startswith("data:image/png;base64,") or link[1:] == "/report.html" for link in page.links)


def test_one_that_cannot_be_reached_stands_beside_one_that_sees(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--url", "http://127.0.0.1:9/v1", "--beside", f"{serve().base_url},,{key_file}", *QUICK]
    assert cli.main([*words, "--out", str(out), "--quiet"]) == 2
    shown = capsys.readouterr().out
    assert "could not tell" in shown
    assert "20 of 20" in shown
    assert "not asked" in (out / "beside.html").read_text()


def test_what_an_endpoint_says_is_escaped(serve: Serve, key_file: Path, tmp_path: Path) -> None:
    hostile = serve(Hostile()).base_url
    words = ["--url", hostile, "--key-file", str(key_file), "--beside", f"{serve().base_url},,{key_file}"]
    assert cli.main([*words, *QUICK, "--out", str(tmp_path / "out"), "--quiet"]) == 1
    assert "script" not in Page((tmp_path / "out/beside.html").read_text()).tags


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--beside", "http://127.0.0.1:9/v1,a,b,c"], "too many commas"),
        (["--beside", "http://127.0.0.1:9/v1", "--repeat", "2"], "leave --repeat out"),
        (["--beside", "/nowhere/gpu2.json"], "gpu2.json"),
    ],
)
def test_words_that_cannot_be_meant(
    words: list[str], why: str, serve: Serve, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--url", serve().base_url, "--key-file", str(key_file), *words]) == 2
    assert why in capsys.readouterr().err


def shot(*replies: Reply) -> Shot:
    case = next(iter(deal(random.Random(1), {kind: 1 for kind in KINDS})))
    return Shot(case, replies, Judgement(right=True, read="a"))


def test_tokens_a_second_are_those_of_answers_that_were_counted() -> None:
    # 4 + 8 tokens in 1 + 2 seconds; the answer that nobody counted leaves its 10 seconds out too.
    counted = shot(Reply("a", 1.0, tokens=4), Reply("b", 2.0, tokens=8))
    assert tokens_per_second(Sighting([counted, shot(Reply("c", 10.0))])) == 4.0
    assert tokens_per_second(Sighting([shot(Reply("c", 10.0))])) is None


def test_memory_is_that_of_the_process_and_all_below_it() -> None:
    table = " 1 0 100\n 10 1 200\n 11 10 30\n 12 11 4\n 20 1 5000\n"
    assert sum_of_tree(f"main 10\n{table}") == 234 * 1024
    assert sum_of_tree(f"main 0\n{table}") is None
    assert sum_of_tree(f"main 99\n{table}") is None
    assert sum_of_tree(f"main \n{table}") is None
    assert sum_of_tree("") is None


def test_memory_is_read_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service of 64 MiB and a child, which the stand-in of systemctl names."""
    start = "subprocess.run([sys.executable, '-c', 'input()'])"
    child = f"import subprocess, sys; held = bytearray(64 << 20); {start}"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as service:
        programs = tmp_path / "bin"
        programs.mkdir()
        systemctl = programs / "systemctl"
        asked = "[ \"$*\" = 'show --property MainPID --value sightline-vlm' ]"
        systemctl.write_text(f"#!/bin/sh\n{asked} && echo {service.pid}\n")
        systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        record = changed("connection", {"type": "local"}) | {"init": "systemd"}
        record["service"]["name"] = "sightline-vlm"
        deadline = time.monotonic() + 20
        held = None
        while time.monotonic() < deadline and not (held and held > 64 << 20):
            held = resident_memory(written(tmp_path, record))
        service.kill()
    assert held
    assert 64 << 20 < held < 200 << 20
