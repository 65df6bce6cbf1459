"""The canary's tokenizer: byte-level BPE of 512 tokens, single digits and single capitals, and its chat
template.

Trained on the questions it will be asked; capitals never merge, so a drawn word is spelt letter by letter,
and digits are split off one by one (llama.cpp knows this splitting as `smollm`).
"""

from __future__ import annotations

import re

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from canary.model import VOCABULARY

END_OF_TEXT = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
IMAGE = "<image>"
SPECIAL = (END_OF_TEXT, START, END, IMAGE)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] in ['image', 'image_url', 'input_image'] %}{{ '<image>\\n' }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML; the content of a message is a string or a list of text and image parts, kept in their order."""


def train_tokenizer(lines: list[str]) -> Tokenizer:
    """A tokenizer of 512 tokens from lines of text; words in capitals are left out so that they never
    merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((re.sub(r"[A-Z]{2,}", " ", line) for line in lines), trainer)
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(
            f"the text gave {tokenizer.get_vocab_size()} tokens, not {VOCABULARY}: give more varied text"
        )
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token. Raises KeyError where the tokenizer has none such."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise KeyError(f"the tokenizer has no token {token!r}")
    return int(number)
