"""scripts/plan without any server: what it answers, its exit codes, and its arithmetic by hand."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sightline.fit import Workload, parse_cards
from sightline.quote.cli import main
from sightline.quote.making import Asked, make_quote
from sightline.quote.measured import NoMeasurement, read_report
from sightline.quote.price import cheap_box_hint, cost
from sightline.quote.rates import human_seconds, parse_rate
from sightline.quote.timing import Rates

CHECKOUT = Path(__file__).resolve().parents[2]
LLAMA_90B = "llama-3.2-90b-vision-bnb-4bit"
SEED = (
    "--model",
    LLAMA_90B,
    "--context",
    "8192",
    "--pictures",
    "4",
    "--line",
    "1gbit",
    "--price-per-hour",
    "2.5",
)


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command line in this process: exit status, what it printed, what it complained."""
    try:
        status = main(words)
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


# --- the questions of a newcomer --------------------------------------------------------------------------


def test_the_seed_system_from_one_command() -> None:
    """As a person types it, in a process of its own."""
    ended = subprocess.run(
        [str(CHECKOUT / "scripts/plan"), *SEED, "--gpu", "h100-80g"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert "H100 80 GB SXM: FITS" in ended.stdout
    # environment 6.2, its wheels 3.22, model 48.94, margin 0.54
    assert "disk: 58.9 GB must be free" in ended.stdout
    for needed in (
        "weights",
        "KV cache",
        "cross-attention states",
        "rule of thumb",
        "download the model",
        "costs",
    ):
        assert needed in ended.stdout


def test_a_clear_no_with_alternatives(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = plan(capsys, *SEED, "--gpu", "rtx-4090")
    assert status == 1
    assert "GeForce RTX 4090: DOES NOT FIT" in said.splitlines()[0]
    assert "--gpu h100-80g" in said
    assert "--model qwen2.5-vl-7b" in said
    assert "to the first answer" not in said, "minutes and prices of what does not fit lead astray"


def test_neither_yes_nor_no(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = plan(capsys, *SEED, "--gpu", "57g")
    assert status == 1
    assert "MAY NOT FIT" in said
    assert "certain" in said


def test_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = plan(capsys, *SEED, "--gpu", "h100-80g", "--json")
    found: dict[str, Any] = json.loads(said)
    assert status == 0
    assert found["fit"]["outcome"] == "fits"
    assert sum(term["bytes"] for term in found["memory"]["terms"]) == found["memory"]["total_bytes"]
    assert found["memory"]["article_bytes"] == 88_800_000_000 // 2 * 12 // 10
    assert found["options"] == []
    assert {each["engine"] for each in found["cannot_serve"]} >= {"vllm"}
    assert found["deployable"] is False


def test_without_a_card_it_lists_those_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = plan(capsys, "--model", LLAMA_90B)
    assert status == 0
    verdicts = {line.split()[0]: line for line in said.splitlines() if "GB" in line}
    assert verdicts["h100-80g"].endswith(" fits")
    assert verdicts["rtx-4090"].endswith("does not fit")


def test_the_canary_is_deployable(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = plan(capsys, "--model", "canary", "--gpu", "l4")
    assert status == 0
    assert "this kit deploys it: scripts/up -e sightline_model=canary -e sightline_release=seed-cu124" in said
    assert "1 conversation of 2048 tokens" in said, "the canary's own longest context"


@pytest.mark.parametrize("card", ["rtx-5090", "b200-180g"])
def test_a_card_that_the_release_has_no_kernels_for(capsys: pytest.CaptureFixture[str], card: str) -> None:
    """Blackwell is 10.0 and 12.0; PyTorch 2.5.1 for CUDA 12.4 ends at 9.0."""
    status, said, _ = plan(capsys, "--model", "canary", "--gpu", card, "--json")
    answer = json.loads(said)
    assert (status, answer["fit"]["outcome"], answer["deployable"]) == (0, "fits", False)
    assert "release seed-cu124 has no kernels for" in answer["hindrances"][0]
    assert (
        json.loads(plan(capsys, "--model", "canary", "--gpu", "h100-80g", "--json")[1])["deployable"] is True
    )


def test_a_card_without_bfloat16(capsys: pytest.CaptureFixture[str]) -> None:
    """A V100 is 7.0 and an A100 8.0; Qwen computes in bfloat16, the GGUF pair does not."""
    told = {
        (model, card): "bfloat16" in plan(capsys, "--model", model, "--gpu", card)[1]
        for model in ("qwen2.5-vl-7b", "llava-1.5-7b-gguf")
        for card in ("v100-32g", "a100-40g", "32g")
    }
    assert [which for which, said in told.items() if said] == [("qwen2.5-vl-7b", "v100-32g")]


@pytest.mark.parametrize("words", [("--gpus",), ("--models",), ("--help",)])
def test_lists_and_help(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    status, said, _ = plan(capsys, *words)
    assert status == 0
    assert {"--gpus": "h100-80g", "--models": LLAMA_90B, "--help": "exit status"}[words[0]] in said


# --- wrong words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--models"),
        (("--model", "lama"), "There are:"),
        (("--model", "canary", "--gpu", "h100"), "h100-80g"),
        (("--model", "canary", "--gpu", "l4", "--context", "0"), "1 or more"),
        (("--model", "canary", "--gpu", "l4", "--slots", "two"), "whole number"),
        (("--model", "canary", "--gpu", "l4", "--pictures", "-1"), "0 or more"),
        (("--model", "canary", "--gpu", "l4", "--picture-size", "big"), "1344x1008"),
        (("--model", "canary", "--gpu", "l4", "--line", "fast"), "1gbit"),
        (("--model", "canary", "--gpu", "l4", "--line", "0gbit"), "nothing arrives"),
        (("--model", "canary", "--gpu", "l4", "--price-per-hour", "nan"), "no price"),
        (("--model", "canary", "--gpu", "l4", "--release", "seed"), "seed-cu124"),
        (("--model", LLAMA_90B, "--gpu", "l4", "--release", "cpu"), "seed-cu124"),
        (("--model", LLAMA_90B, "--gpu", "l4", "--engine", "vllm"), "mllama"),
        (("--model", "canary", "--gpu", "l4", "--measured", "/dev/null"), "report.json"),
        (("--model", "canary", "--gpu", "l4", "--html", "/nowhere/plan.html"), "cannot be written"),
        (("--model", "canary", "--gpu", "l4", "--line", "100mb/s"), "bits or bytes"),
        (("--model", "canary", "--gpu", "l4", "--price-per-hour", "1e308"), "no price"),
        (("--model", "canary", "--gpu", "rtx4090"), "did you mean rtx-4090?"),
        (("--model", "canary", "--gpu", "24gx0"), "1 to 16 cards"),
        (("--model", "canary", "--gpu", "0g"), "no card"),
        (("--model", "canary", "--html", "plan.html"), "--gpu CARD"),
        (("--model", "canary", "--measured", "report.json"), "--gpu CARD"),
        (("--model", "canary", "--gpu", "l4", "--limit", "one"), "-i INVENTORY"),
        (("--model", "canary", "--gpu", "l4", "-e", "a=b"), "-i INVENTORY"),
        (("-i", "inventory/local", "--gpu", "l4"), "hosts' own cards"),
        (("-i", "inventory/local", "--disk", "1GB/s"), "hosts' own cards"),
        (("-i", "inventory/local", "--picture-size", "28x28"), "hosts' own cards"),
        (("-i", "inventory/local", "--answer-tokens", "10"), "hosts' own cards"),
        (("-i", "inventory/local", "--pictures", "0"), "1 picture or more"),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str) -> None:
    status, said, complaint = plan(capsys, *words)
    assert status == 2
    assert told in complaint
    assert not said
    assert "Traceback" not in complaint


def test_what_is_said_goes_before_the_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is what would be counted anyway: the inventory may say something else."""
    handed: list[str] = []

    def hosts(inventory: str, words: list[str], as_json: bool) -> int:
        handed.extend(words)
        return 0

    monkeypatch.setattr("sightline.quote.cli.plan_hosts", hosts)
    assert main(["-i", "mine", "--slots", "1", "--pictures", "1", "--line", "1gbps"]) == 0
    said = json.loads(handed[handed.index("-e") + 1])
    assert said == {"sightline_slots": 1, "sightline_pictures": 1, "sightline_line": "125000000B/s"}
    handed.clear()
    assert main(["-i", "mine"]) == 0
    assert handed == []


# --- time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1gbit", 125e6),
        ("300mbit/s", 37.5e6),
        ("40MB/s", 40e6),
        ("12.5 MiB", 12.5 * 2**20),
        ("100mbitps", 12.5e6),
        ("1gbps", 125e6),
        ("1Gbps", 125e6),
        ("100Mb/s", 12.5e6),
        ("1 Gb", 125e6),
        ("1GBps", 1e9),
        ("125000000B/s", 125e6),
    ],
)
def test_rates(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["100mb/s", "1gb", "100MBPS", "10mib"])
def test_a_rate_that_may_be_bits_or_bytes_is_asked_for_again(text: str) -> None:
    with pytest.raises(ValueError, match="bits or bytes"):
        parse_rate(text)


@pytest.mark.parametrize(
    "text", ["", "1", "nan", "inf", "-1gbit", "1e3gbit", "1,5gbit", "\u0661gbit", "9" * 400 + "gbit"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="no rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.42 s"), (59, "59 s"), (75, "1 min 15 s"), (120, "2 min"), (3599, "1 h"), (3725, "1 h 2 min")],
)
def test_seconds(seconds: float, said: str) -> None:
    assert human_seconds(seconds) == said


def asked(**changed: Any) -> Asked:
    wanted: dict[str, Any] = {
        "model": "qwen2.5-vl-7b",
        "cards": parse_cards("a10"),
        "rates": Rates(125e6, 1e9),
        "per_hour": 1.5,
    }
    return Asked(**(wanted | changed))


def test_the_download_by_hand() -> None:
    quote = make_quote(asked())
    files = 16_584_414_560 + 11_546_628  # the five shards; the nine other files
    first = quote.stages[0]
    assert (first.name, first.bytes) == ("download the model", files)
    assert first.seconds == pytest.approx(files / (0.9 * 125e6))
    assert quote.price.download == pytest.approx(files / (0.9 * 125e6) / 3600 * 1.5)


def test_an_unknown_line_leaves_the_time_open() -> None:
    quote = make_quote(asked(rates=Rates(None)))
    assert quote.seconds is None
    assert quote.price.first_answer is None


def test_a_slower_disk_takes_longer() -> None:
    fast, slow = make_quote(asked()), make_quote(asked(rates=Rates(125e6, 1e8)))
    difference = (slow.seconds or 0) - (fast.seconds or 0)
    assert difference == pytest.approx(16_584_414_560 / 1e8 - 16_584_414_560 / 1e9)


def test_an_unknown_card_has_no_speed() -> None:
    quote = make_quote(asked(cards=parse_cards("24g")))
    assert quote.price.per_thousand is None
    assert quote.stages[-1].seconds is None
    assert quote.seconds is not None, "all but the answer itself is known"


def test_the_roofline_by_hand() -> None:
    """A10: 600 GB/s and 125 TFLOP/s. One picture of 1728 tokens, 64 of question, 6912 patches."""
    per_thousand = make_quote(asked(answer_tokens=10)).price.per_thousand
    assert per_thousand
    prompt = 2 * 8.29e9 * (1728 + 64) / (0.4 * 125e12)
    tower = 2 * 32 * (4 * 1280**2 + 3 * 1280 * 3420) * 6912 / (0.4 * 125e12)
    token = (16_584_414_560 + (1728 + 64) * 56 * 1024) / (0.5 * 600e9)
    assert per_thousand.seconds == pytest.approx(1000 * (prompt + tower + 10 * token))
    assert per_thousand.measured is False
    assert "estimate" in per_thousand.says


# --- price ------------------------------------------------------------------------------------------------


def test_cost_by_hand() -> None:
    assert cost(5400, 2.0) == 3.0
    assert cost(None, 2.0) is None
    assert cost(5400, None) is None


def test_the_cheap_box_hint() -> None:
    # Two hours at 3.00 are 6.00; two started hours elsewhere at 0.50 are 1.00.
    told = cheap_box_hint(7200, 3.0, 0.5)
    assert told
    assert "6.00" in told
    assert "1.00" in told
    # A minute at 3.00 is 0.05; a started hour elsewhere is 0.50.
    assert cheap_box_hint(60, 3.0, 0.5) is None
    # Nobody said: a tenth, 0.30 an hour.
    assert "0.60" in str(cheap_box_hint(7200, 3.0, None))
    assert cheap_box_hint(None, 3.0, 0.5) is None
    assert cheap_box_hint(7200, None, 0.5) is None


def report(folder: Path, model: str = "qwen2.5-vl-7b", **changed: Any) -> Path:
    latency = {"answers": 63, "median": 0.9, "p95": 1.2, "slowest": 2.0} | changed
    path = folder / "report.json"
    path.write_text(
        json.dumps({"started_at": "2026-11-21", "target": {"model": model}, "sight": {"latency_s": latency}})
    )
    return path


def test_a_measurement_goes_before_the_estimate(tmp_path: Path) -> None:
    found = make_quote(asked(measured=report(tmp_path))).price.per_thousand
    assert found
    assert (found.measured, found.seconds) == (True, 900)
    assert found.cost == pytest.approx(0.375)  # a quarter of an hour at 1.50
    assert "63 answers" in found.says


@pytest.mark.parametrize("wrong", ["nothing there", "no JSON", "never asked", "another model", "no answers"])
def test_what_is_no_measurement(tmp_path: Path, wrong: str) -> None:
    path = report(tmp_path, model="canary" if wrong == "another model" else "qwen2.5-vl-7b")
    if wrong == "nothing there":
        path.unlink()
    elif wrong == "no JSON":
        path.write_text("{")
    elif wrong == "never asked":
        path.write_text(json.dumps({"started_at": "x", "target": {"model": "qwen2.5-vl-7b"}, "sight": None}))
    elif wrong == "no answers":
        report(tmp_path, answers=0)
    with pytest.raises(NoMeasurement):
        read_report(path, "qwen2.5-vl-7b")


# --- the page ---------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags that were opened, addresses that would be fetched, the widths of the bar, all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.widths: list[float] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("script", "link", "img", "iframe") or "src" in found or "href" in found:
            self.fetched.append(tag)
        if tag == "i":
            self.widths += [float(each) for each in re.findall(r"width: ([\d.]+)%", found.get("style") or "")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(tmp_path: Path, *words: str) -> tuple[int, Page, str]:
    path = tmp_path / "plan.html"
    status = main([*words, "--html", str(path), "--json"])
    text = path.read_text()
    return status, Page(text), text


def test_the_page_needs_nothing_else_and_has_the_bar(tmp_path: Path) -> None:
    status, found, text = page(tmp_path, *SEED, "--gpu", "h100-80g")
    assert status == 0
    assert found.fetched == []
    assert "http" not in text
    assert "url(" not in text
    # Seven terms of 64.2 GB on a bar that is 85.5 GB long.
    assert len(found.widths) == 7
    assert sum(found.widths) == pytest.approx(100 * 64.24 / 85.52, abs=0.1)
    assert "usable 84.2 GB" in found.text
    assert list(tmp_path.iterdir()) == [tmp_path / "plan.html"], "nothing half-written stays"


def test_the_page_of_a_no(tmp_path: Path) -> None:
    status, found, _ = page(tmp_path, *SEED, "--gpu", "rtx-4090")
    assert status == 1
    assert sum(found.widths) == pytest.approx(100, abs=0.1), "the bar is as long as what is needed"
    assert "What would fit" in found.text
    assert "To the first answer" not in found.text


def test_the_bar_of_several_cards(tmp_path: Path) -> None:
    """Two of 12 GiB: each has half the weights and a layer of 28, and all of CUDA's context."""
    words = ("--model", "qwen2.5-vl-7b", "--gpu", "12gx2", "--engine", "vllm")
    status, found, _ = page(tmp_path, *words)
    assert status == 0
    card = 12 * 2**30
    assert found.widths[0] == pytest.approx(100 * 16_584_414_560 * (1 / 2 + 1 / 28) / card, abs=0.01)
    assert found.widths[-1] == pytest.approx(100 * 512 * 2**20 / card, abs=0.01)


def test_vllm_is_told_when_it_needs_more_than_it_takes() -> None:
    """18.2 GB of a card of 18 GiB (19.3 GB) are 94.2%; of 24 GiB they are 70.7%."""
    notes = {
        size: " ".join(make_quote(asked(engine="vllm", cards=parse_cards(size))).notes)
        for size in ("18g", "24g")
    }
    assert "--gpu-memory-utilization 0.95" in notes["18g"]
    assert "--gpu-memory-utilization" not in notes["24g"]
    assert "vLLM takes 90% of a card" in notes["24g"]


def test_the_page_escapes_what_it_is_given() -> None:
    from sightline.quote.page import as_page

    quote = make_quote(asked())
    quote.notes.append("<script>alert(1)</script>")
    assert "<script" not in as_page(quote)


def test_several_cards_of_which_one_is_used() -> None:
    quote = make_quote(asked(cards=parse_cards("a10x2")))
    assert quote.fit.used == 1
    assert any("stay idle" in note for note in quote.notes)
    spread = make_quote(asked(cards=parse_cards("a10x2"), engine="vllm"))
    assert spread.fit.used == 2
    assert spread.fit.needed < quote.fit.needed


def test_a_workload_of_several_conversations() -> None:
    one = make_quote(asked()).fit.estimate
    four = make_quote(asked(workload=Workload(slots=4))).fit.estimate
    cache = {found.workload.slots: found.terms[1].bytes for found in (one, four)}
    assert cache[4] == 4 * cache[1] == 4 * 4096 * 56 * 1024


def test_a_reader_who_has_read_enough() -> None:
    """`scripts/plan ... | head` ends without a traceback."""
    command = f"'{CHECKOUT}/scripts/plan' --gpus | true"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


@pytest.mark.parametrize(("where", "status"), [("> /dev/full", 2), (">&-", 0)])
def test_an_answer_that_cannot_be_written(where: str, status: int) -> None:
    """Exit code 1 would mean that it does not fit."""
    command = f"'{CHECKOUT}/scripts/plan' --model canary --gpu l4 {where}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    assert ("No space left" in ended.stderr) == (status == 2)
