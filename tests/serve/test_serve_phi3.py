"""Models that bring code of their own, on a stand-in for Phi-3-vision; and Unsloth, on none at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from sightline_serve import loaders
from sightline_serve.cli import settings_from
from sightline_serve.engine import Engine
from sightline_serve.errors import StartError
from sightline_serve.loaders import remote_code
from sightline_serve.loaders.taking_turns import Cost
from sightline_serve.settings import Settings

from tests.serve import tiny_families
from tests.serve.crowd import Crowd, Visit, prompt
from tests.serve.drawing import disc

STAND_IN = Path(__file__).parent / "phi3_stand_in"
SERVE = Path(__file__).resolve().parents[2] / "serve"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Config, code, random weights and a tokenizer, as a download of the model would lie there."""
    made = tmp_path_factory.mktemp("phi3") / "model"
    shutil.copytree(STAND_IN, made, ignore=shutil.ignore_patterns("__pycache__"))
    tokens = tiny_families.tokenizer(["<|end|>"], "")
    tokens.chat_template = TEMPLATE
    tokens.save_pretrained(made)
    config = {
        "model_type": "phi3_v", "architectures": ["Phi3VForCausalLM"], "eos_token_id": None,
        "auto_map": {
            "AutoConfig": "configuration_phi3_v.Phi3VConfig",
            "AutoModelForCausalLM": "modeling_phi3_v.Phi3VForCausalLM",
            "AutoProcessor": "processing_phi3_v.Phi3VProcessor",
        },
    }  # fmt: skip
    (made / "config.json").write_text(json.dumps(config))
    (made / "generation_config.json").write_text(json.dumps({"eos_token_id": [], "do_sample": False}))
    write_weights(made)
    return made


def write_weights(folder: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    width, shapes = 32, {"tokens.weight": (270, 32), "places.weight": (600, 32), "pixels.weight": (32, 48)}
    shapes |= {"pixels.bias": (width,), "qkv.weight": (96, width), "qkv.bias": (96,)}
    shapes |= {"out.weight": (270, width), "out.bias": (270,)}
    weights = {name: torch.randn(shape) * 0.5 for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def trusting(folder: Path, code: str | None = None) -> Settings:
    return Settings(folder, "phi3", loader="phi3", trust_code=code or remote_code.fingerprint(folder))


def without_cache(model: Any, one: Any, tokens: int) -> list[int]:
    """What the model says when the whole text is read again for every token."""
    ids = one.inputs["input_ids"]
    pictures = {name: one.inputs[name] for name in ("pixel_values", "image_sizes") if name in one.inputs}
    for _ in range(tokens):
        places = torch.arange(ids.shape[1])[None]
        out = model.model(
            input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=places,
            past_key_values=None, use_cache=True, **pictures,
        )  # fmt: skip
        ids = torch.cat([ids, out.logits[:, -1:].argmax(-1)], dim=1)
    said: list[int] = ids[0, one.length :].tolist()
    return said


def test_its_requests_take_turns_and_say_what_it_says_without_a_cache(folder: Path) -> None:
    engine = Engine(loaders.load(trusting(folder)))
    assert not engine.batching
    model: Any = engine.model
    assert model.cost == Cost(3 * 32 * 4, 0)  # queries, keys and values share a tensor; pictures are tokens
    plan = [
        Visit(0, 9, prompt(engine, "two", [disc("red"), disc("blue")]), gives_way=4),
        Visit(0, 5, prompt(engine, "none", [])),
        Visit(2, 9, prompt(engine, "one", [disc("green")])),
    ]
    text = engine.model.tokenizer.decode([i for i in plan[0].prompt.tokens if i >= 0])  # type: ignore[attr-defined]
    assert "two" in text
    assert [plan[0].prompt.tokens.count(-number) for number in (1, 2, 3)] == [3, 3, 0]
    with torch.no_grad():
        expected = [without_cache(engine.model, visit.prompt, visit.tokens) for visit in plan]
    assert Crowd(engine).run(plan) == expected
    other = prompt(engine, "one", [disc("black")])
    assert Crowd(engine).run([Visit(0, 9, other)]) != [expected[2]]


def test_the_fingerprint_is_what_the_shell_says(folder: Path) -> None:
    said = subprocess.run(
        "LC_ALL=C sha256sum *.py | sha256sum",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert remote_code.fingerprint(folder) == said.split()[0]


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Path:
    """A copy that leaves a mark when any of its code runs."""
    to = tmp_path / "model"
    shutil.copytree(folder, to)
    with (to / "configuration_phi3_v.py").open("a") as file:
        file.write(f"\nopen({str(tmp_path / 'mark')!r}, 'w').close()\n")
    return to


def test_code_that_nobody_trusts_is_not_run(folder: Path, changed: Path) -> None:
    found = remote_code.fingerprint(changed)
    with pytest.raises(StartError, match=f"Read it.*--trust-code {found}"):
        loaders.load(Settings(changed, "phi3", loader="phi3"))
    with pytest.raises(StartError, match=r"is not the code that --trust-code names.*Nothing of it was run"):
        loaders.load(trusting(changed, remote_code.fingerprint(folder)))
    assert not (changed.parent / "mark").exists()
    loaders.load(trusting(changed))  # the mark does work
    assert (changed.parent / "mark").exists()


def test_one_file_more_is_other_code(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "more.py").touch()
    assert remote_code.fingerprint(tmp_path / "model") != remote_code.fingerprint(folder)
    (tmp_path / "model" / "below").mkdir()
    (tmp_path / "model" / "below" / "more.py").touch()
    with pytest.raises(StartError, match=r"not trusted: below/more\.py"):
        remote_code.fingerprint(tmp_path / "model")


def test_code_of_another_repository_is_refused(changed: Path) -> None:
    config = json.loads((changed / "config.json").read_text())
    config["auto_map"]["AutoProcessor"] = "someone/else--processing.Processor"
    (changed / "config.json").write_text(json.dumps(config))
    with pytest.raises(StartError, match="outside this folder: someone/else--processing"):
        loaders.load(trusting(changed))
    assert not (changed.parent / "mark").exists()


def test_the_other_loaders_run_no_code_of_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StartError, match="this is 'phi3_v'"):
        loaders.load(Settings(folder, "m"))
    for flags in (["--trust-code", "a" * 64], ["--loader", "phi3", "--trust-code", "abc"]):
        with pytest.raises(SystemExit):
            settings_from(["--model", str(folder), *flags])
    assert "the other loaders run no code" in capsys.readouterr().err


MENDED = """\
import sys
from sightline_serve.loaders.torchvision_parts import import_torchvision
print(import_torchvision())
import torchvision
from torchvision import transforms
print(torchvision.WHOLE, transforms.PAD)
"""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("RuntimeError('operator nms does not exist')", "True\nTrue 1\n"),
        ("ImportError('no such thing')", "ImportError: no such thing"),
    ],
)
def test_torchvision_serves_without_its_compiled_operators(tmp_path: Path, raised: str, said: str) -> None:
    """As the wheel is beside torch's CPU build; any other trouble is not hidden."""
    made = tmp_path / "torchvision"
    made.mkdir()
    (made / "__init__.py").write_text(
        "from torchvision import _meta_registrations, transforms\nWHOLE = True\n"
    )
    (made / "_meta_registrations.py").write_text(f"raise {raised}\n")
    (made / "transforms.py").write_text("PAD = 1\n")
    around = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(SERVE)])}
    plain = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, env=around
    )
    assert plain.returncode == 1
    ended = subprocess.run([sys.executable, "-c", MENDED], capture_output=True, text=True, env=around)
    assert said in ended.stdout + ended.stderr


def test_unsloth_without_a_gpu_is_one_line(tiny: Path) -> None:
    with pytest.raises(StartError, match="needs a CUDA GPU"):
        loaders.load(Settings(tiny, "m", loader="unsloth", device="cpu"))
    assert "unsloth" not in sys.modules


class UnslothStandIn(ModuleType):
    """Checks what it is asked for, and gives the model as transformers loads it."""

    def __init__(self, tiny: Path) -> None:
        super().__init__("unsloth")
        self.ready: list[Any] = []
        self.wrote: list[Path] = []
        stand_in = self

        class FastVisionModel:
            @staticmethod
            def from_pretrained(folder: str, **options: Any) -> tuple[Any, Any]:
                assert folder == str(tiny)
                assert options == {
                    "load_in_4bit": True, "use_gradient_checkpointing": "unsloth", "local_files_only": True
                }  # fmt: skip
                # As 2024.12.8 does: a name below the working folder, imported by that name.
                place = Path("unsloth_compiled_cache")
                place.mkdir()
                (place / "made_by_unsloth.py").write_text("HERE = True\n")
                assert import_module("unsloth_compiled_cache.made_by_unsloth").HERE
                stand_in.wrote.append(place.resolve())
                assert os.environ["UNSLOTH_COMPILE_LOCATION"] == str(place.resolve())
                assert os.environ["UNSLOTH_DISABLE_STATISTICS"]
                made: Any = loaders.load(Settings(tiny, "m", device="cpu"))
                return made.model, made.processor

            @staticmethod
            def for_inference(model: Any) -> None:
                stand_in.ready.append(model)

        self.FastVisionModel = FastVisionModel


def test_unsloth_is_called_as_its_manual_says_and_writes_to_the_cache(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = UnslothStandIn(tiny)
    working = Path.cwd()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("UNSLOTH_COMPILE_LOCATION", "UNSLOTH_DISABLE_STATISTICS"):
        # Set first, so that whatever the loader leaves is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "unsloth", stand_in)
    monkeypatch.setattr("sightline_serve.loaders.unsloth_loader.find_spec", lambda _: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    model: Any = loaders.load(Settings(tiny, "m", loader="unsloth"))
    assert stand_in.ready == [model.model]
    assert stand_in.wrote == [tmp_path / "cache/sightline-unsloth/unsloth_compiled_cache"]
    assert (tmp_path / "cache/sightline-unsloth").stat().st_mode & 0o077 == 0
    assert Path.cwd() == working
    assert Engine(model).batching
