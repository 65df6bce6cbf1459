"""Every question has the answer that its scene gives, and the phrases of the contract are among those
trained on."""

import json
import re

import numpy as np
import pytest
from tokenizers import Tokenizer

from canary.conversation import Chooser, several, single, without
from canary.encoding import Encoder
from canary.grammar import INSTRUCTIONS, article, expand, style
from canary.pairs import in_one, same, which_of_two
from canary.questions import as_json, ask, colour, content, count, number, shape, which, word, yes_or_no
from canary.scene import Item, Scene
from canary.talk import talk
from canary.tokenizer import CHAT_TEMPLATE, END, IMAGE, START, train_tokenizer

RED_STAR = Scene("shape", (Item("red", "star"),))
BLUE_STAR = Scene("shape", (Item("blue", "star"),))
THREE = Scene("several", (Item("green", "circle"),) * 3)
MIXED = Scene("mixed", (Item("red", "star"), Item("blue", "circle")))
NUMBER = Scene("number", text="4711", text_colour="black")
WORD = Scene("word", text="HOUSE", text_colour="blue")
EMPTY = Scene("empty")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize(
    ("asker", "scene", "answer"),
    [
        (colour, RED_STAR, "red"),
        (shape, RED_STAR, "star"),
        (number, NUMBER, "4711"),
        (word, WORD, "HOUSE"),
        (colour, EMPTY, "nothing"),
        (shape, EMPTY, "nothing"),
        (number, EMPTY, "nothing"),
        (word, RED_STAR, "nothing"),
        (count, EMPTY, "0"),
    ],
)
def test_the_answer_is_the_scene_s(rng, asker, scene, answer) -> None:
    for _ in range(50):
        assert asker(rng, scene).answer == answer


def test_counting_answers_with_the_digits_of_what_is_asked(rng) -> None:
    for _ in range(300):
        asked = count(rng, THREE)
        named = re.search(r"(circle|square|triangle|rectangle|star|diamond)s", asked.question.lower())
        assert asked.answer == ("3" if named is None or named[1] == "circle" else "0")


def test_json_has_exactly_the_two_keys(rng) -> None:
    assert json.loads(as_json(rng, RED_STAR).answer) == {"color": "red", "shape": "star"}


def test_a_phrase_or_one_word_says_what_is_there(rng) -> None:
    phrases = {
        content(rng, scene).answer for scene in (RED_STAR, THREE, MIXED, NUMBER, EMPTY) for _ in range(60)
    }
    assert phrases == {
        "a red star",
        "star",
        "three green circles",
        "circles",
        "a red star and a blue circle",
        "the number 4711",
        "4711",
        "nothing",
    }


def test_yes_and_no_tell_the_truth(rng) -> None:
    for _ in range(300):
        asked = yes_or_no(rng, RED_STAR)
        question = asked.question.lower()
        if "text" in question:
            assert asked.answer == "no"
            continue
        names = set(
            re.findall(
                r"\b(red|blue|orange|yellow|green|purple|pink|brown|black|white|gray|circle|square|triangle|rectangle|diamond|star)\b",
                question,
            )
        )
        assert names
        assert asked.answer == ("yes" if names <= {"red", "star"} else "no"), asked


def test_of_several_that_differ_the_named_one_is_meant(rng) -> None:
    for _ in range(100):
        asked = which(rng, MIXED)
        question = asked.question.lower()
        expected = {"star": "red", "circle": "blue", "red": "star", "blue": "circle"}
        named = [name for name in expected if re.search(rf"\b{name}\b", question)]
        assert [asked.answer] == [expected[name] for name in named]


def test_two_pictures_are_the_same_or_not(rng) -> None:
    for _ in range(200):
        for other, quality, agree in ((BLUE_STAR, "shape", True), (BLUE_STAR, "colour", False)):
            asked = same(rng, RED_STAR, other, quality)
            opposite = re.search(r"\bdifferent \w+s\?", asked.question) or re.search(
                r"(show|have) different", asked.question.lower()
            )
            if asked.answer in ("same", "different"):
                assert asked.answer == ("same" if agree else "different")
            else:
                assert asked.answer == ("yes" if agree != bool(opposite) else "no"), asked


def test_a_place_means_that_picture(rng) -> None:
    for _ in range(100):
        asked = in_one(rng, [NUMBER, Scene("number", text="58", text_colour="red")], 1)
        assert asked.answer == "58"
        assert re.search(r"second|2nd|2|two", asked.question.lower())
        assert which_of_two(rng, RED_STAR, THREE).answer in ("first", "second")


def test_sums_and_echoes_are_right(rng) -> None:
    for _ in range(300):
        asked = talk(rng)
        digits = re.findall(r"\d+", asked.question)
        if asked.task == "sum":
            assert int(asked.answer) == sum(int(d) for d in digits)
        if asked.task == "echo":
            assert asked.answer in asked.question


def test_the_contract_s_phrases_are_asked_word_for_word(rng) -> None:
    wanted = {
        "What colour is the shape? Answer with one word.": (colour, RED_STAR),
        "What shape is in the picture? Answer with one word.": (shape, RED_STAR),
        "How many shapes are in the picture? Answer with a number.": (count, THREE),
        "What number is written in the picture? Answer with the digits only.": (number, NUMBER),
        "What word is written in the picture? Answer with the word only.": (word, WORD),
        "What is in the picture? Answer with one word.": (content, EMPTY),
        "Describe the shape as JSON with the keys color and shape.": (as_json, RED_STAR),
    }
    for phrase, (asker, scene) in wanted.items():
        # The instruction is drawn apart from the question: it is enough that both halves come up.
        question, _, instruction = phrase.partition("? ")
        asked = [asker(rng, scene).question for _ in range(4000)]
        assert any(text.startswith(question) for text in asked), phrase
        assert any(text.endswith(instruction or phrase) for text in asked), phrase


def test_alternatives_nest_and_an_agrees(rng) -> None:
    seen = {expand(rng, "a [b|c [d|e]] f") for _ in range(100)}
    assert seen == {"a b f", "a c d f", "a c e f"}
    assert article("orange star") == "an orange star"
    assert article("red star") == "a red star"


def test_every_instruction_expands_and_styles_keep_the_question(rng) -> None:
    for kind in INSTRUCTIONS:
        for _ in range(100):
            text = style(rng, "What is it?", kind)
            assert "what is it" in text.lower()
            assert "[" not in text
            assert "|" not in text


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    rng = np.random.default_rng(0)
    lines = [
        f"{a.question} {a.answer}"
        for s in (RED_STAR, THREE, MIXED, NUMBER, WORD, EMPTY)
        for _ in range(400)
        for a in (ask(rng, s),)
    ]
    lines += [a.question for _ in range(400) for a in (same(rng, RED_STAR, BLUE_STAR, "colour"), talk(rng))]
    return train_tokenizer(lines)


def test_text_survives_the_tokenizer_and_digits_and_capitals_stay_single(tokenizer: Tokenizer) -> None:
    for text in (
        "What colour is the shape?",
        '{"color": "red", "shape": "star"}',
        "Größe 漢字 \n\t🙂",
        "HOUSE",
        "  two  spaces ",
    ):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.encode("4711").tokens == ["4", "7", "1", "1"]
    assert tokenizer.encode("HOUSE").tokens == list("HOUSE")
    assert tokenizer.get_vocab_size() == 512
    assert tokenizer.encode(f"{START}user\n{IMAGE}\nhi{END}").tokens[:1] == [START]


def test_too_little_text_for_a_tokenizer_is_an_error() -> None:
    with pytest.raises(ValueError, match="give more varied text"):
        train_tokenizer(["abc"])


def test_a_conversation_for_training_is_what_the_template_writes(tokenizer: Tokenizer, rng) -> None:
    import jinja2

    scenes = [RED_STAR, BLUE_STAR, THREE, MIXED, NUMBER, WORD, EMPTY]
    every = [
        Scene("shape", (Item(c, s),))
        for c in (
            "red",
            "orange",
            "yellow",
            "green",
            "blue",
            "purple",
            "pink",
            "brown",
            "black",
            "white",
            "gray",
        )
        for s in ("circle", "square", "triangle", "rectangle", "star", "diamond")
    ]
    chooser = Chooser([*scenes, *every], range(len(scenes) + len(every)))
    template = jinja2.Environment().from_string(CHAT_TEMPLATE)
    for _ in range(100):
        for make in (single, several, without):
            turns = make(rng, chooser)
            made = Encoder(tokenizer).conversation(rng, turns)
            ids, weights = made.ids, made.weights
            assert len(ids) == len(weights)
            wanted = [weight > 0 for weight in weights]
            image = tokenizer.token_to_id(IMAGE)
            assert ids.count(image) == 64 * sum(len(turn.pictures) for turn in turns)
            asked = [i for i, want in zip(ids, wanted, strict=True) if want]
            end = tokenizer.token_to_id(END)
            answers = tokenizer.decode([i if i != end else tokenizer.token_to_id("|") for i in asked]).split(
                "|"
            )[:-1]
            assert answers == [turn.asked.answer for turn in turns]
            if len(turns) == 1 and not turns[0].pictures and START not in turns[0].asked.question:
                messages = [{"role": "user", "content": turns[0].asked.question}]
                prompt = tokenizer.encode(template.render(messages=messages, add_generation_prompt=True)).ids
                first = wanted.index(True)
                assert ids[max(0, first - len(prompt)) : first] == prompt
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    shown = template.render(messages=[{"role": "user", "content": parts}], add_generation_prompt=True)
    assert shown == "<|im_start|>user\na<image>\nb<|im_end|>\n<|im_start|>assistant\n"
