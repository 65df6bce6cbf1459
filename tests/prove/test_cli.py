"""The command: exit codes, output, reports, clear errors; and no key anywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sightline.prove import cli, run, store
from sightline.prove.errors import CouldNotTell
from sightline.prove.host import HostCheck
from sightline.prove.verdict import Verdict
from tests.prove.conftest import Serve
from tests.stand_ins import liars
from tests.stand_ins.endpoint import KEY
from tests.stand_ins.host import StandInHost
from tests.stand_ins.liars import Forward
from tests.stand_ins.seeing_oracle import Body

CHECKOUT = Path(__file__).resolve().parents[2]
QUICK = ["--quick", "--seed", "3"]
HOSTILE = "</style><script>alert(1)</script><img src=https://evil.test/x.png onerror=alert(1)>\x1b[31m{{7*7}}"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_proven(serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    url = serve().base_url
    assert cli.main(["--url", url, "--key-file", str(key_file), "--out", str(out), "--seed", "3"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Proven: it sees. 40 of 40 answers were right, and all 6 controls passed.")
    assert f"seed {3}" in shown.err
    assert "asked 10 of 65, 0 wrong" in shown.err
    report = json.loads((out / "report.json").read_text())
    assert report["verdict"]["outcome"] == "proven"
    assert report["sight"]["seed"] == 3
    assert report["sight"]["score"] == {"right": 40, "asked": 40, "needed": 36}
    assert len(report["sight"]["questions"]) == 40
    assert len(report["sight"]["controls"]) == 6
    page = Page((out / "report.html").read_text())
    assert "This endpoint sees" in page.text
    assert page.tags.count("img") > 60
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "script" not in page.tags
    assert "link" not in page.tags


def test_not_proven(serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = serve(liars.ConstantAnswer()).base_url
    out = tmp_path / "out"
    assert cli.main(["--url", url, "--key-file", str(key_file), "--out", str(out), "--quiet", *QUICK]) == 1
    shown = capsys.readouterr()
    assert shown.out == "Not proven: it gives the same answer whatever is asked: 'circle'.\n"
    assert shown.err == ""
    assert "This endpoint is not proven to see" in (out / "report.html").read_text()


def test_could_not_tell(key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cli.main(["--url", "http://127.0.0.1:9/v1", "--key-file", str(key_file), "--out", str(out)]) == 2
    assert "can't be reached" in capsys.readouterr().out
    assert json.loads((out / "report.json").read_text())["sight"] is None
    assert "Could not tell whether this endpoint sees" in Page((out / "report.html").read_text()).text


def test_a_wrong_key_is_no_verdict(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("sk-wrong-key-77")
    out = tmp_path / "out"
    assert cli.main(["--url", serve().base_url, "--key-file", str(wrong), "--out", str(out), *QUICK]) == 2
    everything = (
        capsys.readouterr().out + (out / "report.json").read_text() + (out / "report.html").read_text()
    )
    assert "refuses the key given (401)" in everything
    assert "sk-wrong-key-77" not in everything


def test_the_key_is_nowhere(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even from an endpoint that echoes it."""

    class Echo(liars.Liar):
        def __call__(self, body: Body, forward: Forward) -> str:
            return f"{forward(body)} {KEY}"

    out = tmp_path / "out"
    cli.main(
        ["--url", serve(Echo()).base_url, "--key-file", str(key_file), "--out", str(out), "--json", *QUICK]
    )
    shown = capsys.readouterr()
    for text in (shown.out, shown.err, (out / "report.json").read_text(), (out / "report.html").read_text()):
        assert KEY not in text
    assert "[the key]" in shown.out


def test_json_for_programs(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--url",
        serve().base_url,
        "--key-file",
        str(key_file),
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert cli.main([*arguments, *QUICK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"]["exit_code"] == 0
    assert Path(report["report_html"]).is_file()
    assert report["target"]["model"] == "stand-in"


def test_hostile_answers_stay_text(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Hostile(liars.Liar):
        def __call__(self, body: Body, forward: Forward) -> str:
            return HOSTILE

    out = tmp_path / "out"
    arguments = ["--url", serve(Hostile()).base_url, "--key-file", str(key_file), "--out", str(out)]
    assert cli.main([*arguments, *QUICK]) == 1
    assert "\x1b" not in capsys.readouterr().out
    text = (out / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert not [link for link in page.links if "evil" in link]
    assert "{{7*7}}" in page.text
    assert "49</" not in text


def test_reports_lie_in_the_checkout_with_a_link_to_the_latest(
    serve: Serve, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "CHECKOUT", tmp_path)
    arguments = ["--url", serve().base_url, "--key-file", str(key_file), "--quiet", *QUICK]
    assert cli.main(arguments) == 0
    assert cli.main(arguments) == 0
    parent = next((tmp_path / store.REPORTS).iterdir())
    runs = sorted(path.name for path in parent.iterdir() if not path.is_symlink())
    assert len(runs) == 2
    assert (parent / "latest").resolve().name == runs[-1]
    assert sorted(path.name for path in (parent / "latest").iterdir()) == ["report.html", "report.json"]


def test_a_report_that_can_not_be_written(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = [
        "--url",
        serve().base_url,
        "--key-file",
        str(key_file),
        "--out",
        str(tmp_path / "file" / "out"),
    ]
    assert cli.main([*arguments, *QUICK]) == 2
    assert "choose a folder with --out DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--questions", "5"], "5 is not between 18 and 1000"),
        (["--questions", "many"], "'many' is no whole number"),
        (["--max-latency", "0"], "not between 0 and 86400"),
        (["--max-latency", "nan"], "not between 0 and 86400"),
        (["--url", "x", "--host", "y"], "not allowed with"),
        (["--colour"], "unrecognized arguments"),
    ],
)
def test_bad_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_nothing_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "CHECKOUT", tmp_path)
    assert cli.main([]) == 2
    assert "run scripts/up first" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert "exit status: 0 proven, 1 not proven, 2 could not tell" in text
    assert "scripts/prove --url" in text


def test_many_runs_are_counted(serve: Serve, key_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--url", serve().base_url, "--key-file", str(key_file), "--repeat", "2", "--json", "--quiet"]
    assert cli.main([*arguments, *QUICK]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["proven"], told["right"], told["asked"]) == (2, 2, 40, 40)
    assert told["first_seed"] == 3


def test_a_deployed_host(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record leads to host and endpoint; the host's failure outweighs the endpoint's sight."""
    stand_in = serve()
    with StandInHost(tmp_path, key=KEY).running() as host:
        host.write_record(base_url=stand_in.base_url)
        arguments = ["--deployment", str(host.record_path), "--out", str(tmp_path / "out"), *QUICK]
        assert cli.main(arguments) == 0
        assert "13 of 13 checks passed" in capsys.readouterr().out
        host.key_path.chmod(0o644)
        assert cli.main(arguments) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("Not proven: it sees, but 2 of 13 checks of the host failed")
    assert "others can get at it" in Page((tmp_path / "out" / "report.html").read_text()).text


PASSED = HostCheck("a", "A", "passed")
FAILED = HostCheck("b", "B", "failed", "broken")
AWAY = HostCheck("c", "C", "unreachable", "no route")
NO_PYTEST = CouldNotTell("host_checks", "could not be run", "run scripts/up")


@pytest.mark.parametrize(
    ("sight", "checks", "trouble", "outcome"),
    [
        ("proven", (), None, "proven"),
        ("proven", (PASSED,), None, "proven"),
        ("proven", (PASSED, FAILED), None, "not proven"),
        ("proven", (PASSED, AWAY), None, "could not tell"),
        ("proven", (AWAY, FAILED), None, "not proven"),
        ("proven", (), NO_PYTEST, "could not tell"),
        ("not proven", (PASSED,), None, "not proven"),
        ("not proven", (), NO_PYTEST, "not proven"),
        ("could not tell", (PASSED,), None, "could not tell"),
        ("could not tell", (FAILED,), None, "not proven"),
    ],
)
def test_one_verdict_over_sight_and_host(
    sight: str, checks: tuple[HostCheck, ...], trouble: CouldNotTell | None, outcome: str
) -> None:
    verdict = run.with_host(Verdict(sight, "."), checks, trouble)  # type: ignore[arg-type]
    assert verdict.outcome == outcome
    assert verdict.exit_code == {"proven": 0, "not proven": 1, "could not tell": 2}[outcome]
    if FAILED in checks:
        assert "broken" in verdict.causes[-1].text


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHECKOUT / "scripts" / "prove"), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_script_with_a_wrong_python_says_what_to_do() -> None:
    done = script("--help", SIGHTLINE_CONTROLLER_PYTHON="/nowhere/python")
    assert done.returncode == 2
    assert "unset it to have the environment made" in done.stderr


def test_the_script_asks(tmp_path: Path) -> None:
    done = script(
        "--url", "http://127.0.0.1:9", "--out", str(tmp_path), SIGHTLINE_CONTROLLER_PYTHON=sys.executable
    )
    assert done.returncode == 2
    assert done.stdout.startswith("Could not tell: http://127.0.0.1:9/v1 can't be reached")
    assert "Traceback" not in done.stderr


def test_the_sight_check_needs_no_pytest() -> None:
    code = (
        "import sys; import sightline.prove.cli; print('pytest' in sys.modules, 'testinfra' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_nothing_is_written_in_colour_to_a_pipe(
    serve: Serve, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["--url", serve().base_url, "--key-file", str(key_file), "--out", str(tmp_path / "o"), *QUICK])
    shown = capsys.readouterr()
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", shown.out + shown.err)
