"""Answers held to a schema: they fit it; what is refused; hostile ones cost seconds, not the server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sightline_serve.engine import Prompt
from sightline_serve.grammars import Grammars, Refused, compiling, from_lark, from_schema
from sightline_serve.sampling import SamplingParams
from sightline_serve.sequence import Event, Failure, Finish, Piece, Sequence
from sightline_serve.vocabulary import Vocabulary

from tests.serve.tiny_llava import byte_tokenizer


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    from transformers import PreTrainedTokenizerFast

    return Vocabulary(
        PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer(), eos_token="<|im_end|>"), frozenset({2})
    )


def run(vocabulary: Vocabulary, test: Callable[[Grammars], Coroutine[Any, Any, Any]]) -> Any:
    async def go() -> Any:
        grammars = Grammars(vocabulary)
        try:
            return await test(grammars)
        finally:
            await grammars.close()

    return asyncio.run(go())


def compiled(vocabulary: Vocabulary, grammar: str) -> Any:
    return run(vocabulary, lambda grammars: grammars.compiled(grammar))


def sentence(vocabulary: Vocabulary, grammar: Any, limit: int, seed: int) -> list[Event]:
    """What a model that draws blindly says under a grammar."""
    sent: list[Event] = []
    sequence = Sequence(
        Prompt({}, 1, 0), SamplingParams(limit, temperature=1.0, seed=seed, grammar=grammar), client="",
        eos=frozenset({2}), text=lambda ids: str(vocabulary.tokenizer.decode(ids, skip_special_tokens=True)),
        send=sent.append,
    )  # fmt: skip
    random = torch.Generator().manual_seed(seed)
    while not sequence.done:
        # More logits than tokens, as padded vocabularies have.
        sequence.take(torch.randn(264, generator=random))
    return sent


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.integers(0, 5).map(lambda most: {"type": "string", "maxLength": most}),
        st.tuples(st.integers(-50, 50), st.integers(0, 99)).map(
            lambda ends: {"type": "integer", "minimum": ends[0], "maximum": ends[0] + ends[1]}
        ),
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"type": "string", "pattern": "^[a-f]{2,4}$"}),
        st.lists(st.text(max_size=6) | st.integers(-(2**53), 2**53) | st.none(), min_size=1, max_size=4).map(
            lambda values: {"enum": values}
        ),
    )


def branches(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def record(properties: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object", "properties": properties, "required": sorted(properties),
            "additionalProperties": False,
        }  # fmt: skip

    names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=5)
    return st.one_of(
        st.dictionaries(names, inner, max_size=3).map(record),
        inner.map(lambda items: {"type": "array", "items": items, "maxItems": 3}),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    )


@settings(max_examples=60)
@given(schema=st.recursive(leaves(), branches, max_leaves=6), seed=st.integers(0, 2**32))
def test_whatever_a_blind_model_says_fits_the_schema(
    vocabulary: Vocabulary, schema: dict[str, Any], seed: int
) -> None:
    grammar = compiling._build(vocabulary.table, from_schema(schema))
    events = sentence(vocabulary, grammar, 4000, seed)
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"
    jsonschema.validate(json.loads(said(events)), schema)


def test_an_answer_that_is_cut_says_so(vocabulary: Vocabulary) -> None:
    grammar = compiled(vocabulary, from_schema({"type": "string", "minLength": 50}))
    events = sentence(vocabulary, grammar, 10, seed=1)
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "length"
    assert finish.completion_tokens == 10


def test_each_answer_has_a_guide_of_its_own(vocabulary: Vocabulary) -> None:
    grammar = compiled(vocabulary, from_schema({"enum": ["one", "two"]}))
    assert {said(sentence(vocabulary, grammar, 20, seed)) for seed in range(12)} == {'"one"', '"two"'}


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "strin"}, "strin"),
        ({"$ref": "http://169.254.169.254/schema"}, "169.254.169.254"),
        ({"$ref": "file:///etc/passwd"}, "passwd"),
        ({"type": "string", "pattern": "^(?=a)b$"}, "look-around"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "unsatisfiable"),
        ({"enum": ["x" * 70_000]}, "64 KiB"),
        ({"type": "string", "pattern": "("}, "regex"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "not"),
        ({"enum": [2**53 + 1]}, "9007199254740993"),
        ({"anyOf": [{"type": "null"}, {"const": {"a": [-(2**53) - 1]}}]}, "-9007199254740993"),
    ],
)
def test_what_the_library_does_not_take_is_named(
    vocabulary: Vocabulary, schema: dict[str, Any], named: str
) -> None:
    with pytest.raises(Refused, match=re.escape(named)):
        compiled(vocabulary, from_schema(schema))


def test_a_schema_that_never_compiles_is_ended_and_remembered(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the process of its own this test would not end."""
    monkeypatch.setattr(compiling, "SECONDS", 2.0)
    # Patterns that must all hold: the library looks for a text that fits them for minutes.
    hostile = from_schema({"allOf": [{"type": "string", "pattern": f".*{i}.*"} for i in range(20)]})

    async def test(grammars: Grammars) -> None:
        for _ in range(2):
            with pytest.raises(Refused, match="make it simpler"):
                await grammars.compiled(hostile)
        first = grammars.process
        assert first is None  # ended, and the second time not asked
        await grammars.compiled(from_schema({"type": "boolean"}))

    run(vocabulary, test)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "string", "pattern": "^(a|b)*a(a|b){40}$"},
        {"type": "string", "pattern": "^([a-z]{1,500}){1,500}$"},
        {"type": "array", "items": {"type": "string"}, "minItems": 10**6},
        {"enum": [f"v{i}" for i in range(6000)]},
        {"$defs": {"n": {"$ref": "#/$defs/n"}}, "$ref": "#/$defs/n"},
        {"anyOf": [{"type": "object", "properties": {f"k{i}": {"type": "string"}}} for i in range(500)]},
    ],
)
def test_hostile_schemas_are_refused_or_served(vocabulary: Vocabulary, schema: dict[str, Any]) -> None:
    try:
        grammar = compiled(vocabulary, from_schema(schema))
    except Refused:
        return
    last = sentence(vocabulary, grammar, 300, seed=3)[-1]
    assert isinstance(last, Finish | Failure)
    if isinstance(last, Failure):
        assert last.error.code == "schema_too_complex"


def test_deep_nesting_is_served(vocabulary: Vocabulary) -> None:
    schema: dict[str, Any] = {"enum": ["deep"]}
    for _ in range(60):
        schema = {
            "type": "object",
            "properties": {"a": schema},
            "required": ["a"],
            "additionalProperties": False,
        }
    text = said(sentence(vocabulary, compiled(vocabulary, from_schema(schema)), 4000, seed=5))
    assert re.sub(r"\s", "", text) == '{"a":' * 60 + '"deep"' + "}" * 60


def test_a_client_that_leaves_leaves_no_answer_for_the_next(vocabulary: Vocabulary) -> None:
    async def test(grammars: Grammars) -> None:
        await grammars.compiled(from_schema({"type": "boolean"}))
        leaving = asyncio.create_task(grammars.compiled(from_schema({"type": "strin"})))
        while not grammars.turn.locked():
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await grammars.compiled(from_schema({"type": "null"}))
        with pytest.raises(Refused, match="strin"):
            await grammars.compiled(from_schema({"type": "strin"}))

    run(vocabulary, test)


def test_the_cache_is_bounded_and_spares_the_trial(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "KEPT", 3)
    tried: list[str] = []

    async def test(grammars: Grammars) -> None:
        async def trial(grammar: str) -> None:
            tried.append(grammar)

        monkeypatch.setattr(grammars, "_trial", trial)
        texts = [from_schema({"enum": [number]}) for number in range(5)]
        for text in [*texts, *texts[2:]]:
            await grammars.compiled(text)
        assert tried == texts
        assert list(grammars.kept) == texts[2:]

    run(vocabulary, test)


def test_a_grammar_that_breaks_ends_its_answer_alone(vocabulary: Vocabulary) -> None:
    class Broken:
        def guide(self) -> Any:
            made = compiling._build(vocabulary.table, from_lark('start: "ab"')).guide()
            made.advance(4)  # "!": the grammar has no such text
            return made

    with pytest.raises(compiling.guide.GrammarError):
        Broken().guide()
    made = compiling._build(vocabulary.table, from_lark('start: "ab"'))
    made.matcher.consume_token(4)
    (failure,) = sentence(vocabulary, made, 5, seed=0)
    assert isinstance(failure, Failure)
    assert failure.error.code == "schema_too_complex"
    assert failure.error.status == 400


def test_a_tokenizer_without_a_description_is_refused_clearly(tmp_path: Path) -> None:
    class Python:
        eos_token_id = None

    with pytest.raises(Refused, match="tokenizer is of a kind"):
        compiled(Vocabulary(Python()), from_schema({"type": "null"}))
