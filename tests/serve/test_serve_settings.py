"""Flags and cores: what is refused before anything starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sightline_serve import auth, cores
from sightline_serve.cli import settings_from

from tests.serve.server_process import command, environment


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as caught:
        settings_from(flags)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_the_defaults_are_safe(model: Path) -> None:
    settings = settings_from(["--model", str(model)])
    assert (settings.host, settings.served_model_name, settings.keys) == ("127.0.0.1", "model", ())
    assert not settings.allow_private_image_urls
    assert not settings.allow_image_hosts
    assert settings.threads is None


def test_memory_is_given_in_mib(model: Path) -> None:
    flags = ["--kv-cache-mib", "1.5", "--vision-cache-mib", "0", "--gpu-memory-utilization", "0.5"]
    settings = settings_from(["--model", str(model), *flags])
    assert settings.kv_cache_bytes == 1_572_864
    assert (settings.vision_cache_bytes, settings.gpu_memory_utilization) == (0, 0.5)
    assert settings_from(["--model", str(model)]).kv_cache_bytes is None


def test_a_small_model_gets_one_thread_and_a_large_one_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 6)
    assert [cores.threads_for(size) for size in (2_000_000, 99_999_999, 7_000_000_000)] == [1, 1, 6]


def test_prompts_are_read_in_pieces_by_the_size_of_the_model() -> None:
    assert [cores.prefill_tokens(size, False) for size in (200_000, 10_000_000)] == [512, 256]
    assert cores.prefill_tokens(11_000_000_000, True) == 2048


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"),
        (["--host", "::"], "--api-key-file"),
        (["--host", "192.168.1.5"], "--api-key-file"),
        (["--host", "everywhere"], "not an IP address"),
        (["--port", "70000"], "not a port"),
        (["--port", "http"], "not a port"),
        (["--max-num-seqs", "0"], "less than 1"),
        (["--max-queue", "many"], "not a number"),
        (["--kv-cache-mib", "0"], "less than 0.001"),
        (["--vision-cache-mib", "-1"], "less than 0"),
        (["--gpu-memory-utilization", "0"], "not a share"),
        (["--gpu-memory-utilization", "85"], "not a share"),
        (["--drain-timeout", "-1"], "less than 0"),
        (["--image-timeout", "nan"], "not finite"),
        (["--max-body-mib", "inf"], "not finite"),
        (["--body-timeout", "0"], "less than 0.01"),
        (["--max-requests-per-key", "0"], "less than 1"),
        (["--api-key-file", "/nowhere/key"], "No such file"),
        (["--loader", "magic"], "invalid choice"),
        (["--model", "/nowhere"], "no config.json"),
    ],
)
def test_a_bad_flag_is_refused(
    model: Path, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert says in refused(capsys, "--model", str(model), *flags)


def test_beyond_loopback_with_a_key_is_fine(model: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    settings = settings_from(
        ["--model", str(model), "--host", "0.0.0.0", "--api-key-file", str(tmp_path / "key")]
    )
    assert settings.keys == auth.read_keys(tmp_path / "key")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64)]
)
def test_cores_by_cgroup_v2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "cpu.max").write_text(content)
    assert cores.available(tmp_path) == expected


def test_cores_by_cgroup_v1_and_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert cores.available(tmp_path) == 8
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    for quota, expected in (("300000\n", 3), ("-1\n", 8), ("9900000\n", 8)):
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
        assert cores.available(tmp_path) == expected


def test_help_teaches_and_needs_no_torch() -> None:
    done = subprocess.run(
        command(Path("x"), "--help"), capture_output=True, text=True, env=environment(), check=True
    )
    for word in ("examples:", "exit codes:", "--api-key-file", "/ready"):
        assert word in done.stdout
    loaded = subprocess.run(
        [command(Path())[0], "-c", "import sys, sightline_serve.cli; print('torch' in sys.modules)"],
        capture_output=True, text=True, env=environment(), check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "False"
