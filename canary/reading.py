"""Questions about what is written in a picture and their true answers."""

from __future__ import annotations

import numpy as np

from canary.grammar import IN, PICTURE, Asked, pick, style
from canary.scene import Scene
from canary.vocabulary import NOTHING


def number(rng: np.random.Generator, scene: Scene) -> Asked:
    """The number that is written."""
    question = pick(
        rng,
        (
            f"What number is written {IN}?",
            f"What number is written {IN}?",
            f"[What|Which] number is [written|shown|drawn|displayed|printed|{IN}|this]?",
            f"[What|Which] number is [shown|displayed|printed] {IN}?",
            f"What is the number[| {IN}]?",
            f"[Read|Give|Tell me|Type|Write] the number[| {IN}].",
            f"[What|Which] [number|digits] [do you|can you] see[| {IN}]?",
            f"What [digits are|does the number say] {IN}?",
            f"[What|Which] number does [the|this] {PICTURE} show?",
            "What number?",
            f"Which digits are [shown|written][| {IN}]?",
            "What's the number?",
            f"What number appears {IN}?",
            "Read the digits.",
        ),
    )
    return Asked("number", style(rng, question, "number"), scene.text if scene.kind == "number" else NOTHING)


def word(rng: np.random.Generator, scene: Scene) -> Asked:
    """The word that is written."""
    question = pick(
        rng,
        (
            f"What word is written {IN}?",
            f"What word is written {IN}?",
            f"[What|Which] word is [written|shown|drawn|displayed|printed|{IN}|this]?",
            f"[What|Which] word is [shown|displayed|printed] {IN}?",
            f"What is the word[| {IN}]?",
            f"[Read|Give|Tell me|Type|Write] the word[| {IN}].",
            f"[What|Which] [word|letters] [do you|can you] see[| {IN}]?",
            f"[What|Which] word does [the|this] {PICTURE} [show|say|contain]?",
            "What word?",
            f"Which letters are [shown|written][| {IN}]?",
            "What's the word?",
            f"What word appears {IN}?",
        ),
    )
    return Asked("word", style(rng, question, "text"), scene.text if scene.kind == "word" else NOTHING)


def text(rng: np.random.Generator, scene: Scene) -> Asked:
    """Whatever is written, digits or a word."""
    question = pick(
        rng,
        (
            f"What [text |]is written {IN}?",
            f"What does [the|this] {PICTURE} say?",
            f"What does it say[| {IN}]?",
            f"[Read|Transcribe|Give|Type] the text[| {IN}].",
            f"What [text|writing] [is shown|is there|do you see][| {IN}]?",
            f"What is the text {IN}?",
            "What text is this?",
            "Read it.",
        ),
    )
    return Asked(
        "text",
        style(rng, question, "text", "number" if scene.kind == "number" else "text"),
        scene.text or NOTHING,
    )
