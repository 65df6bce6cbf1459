"""What holding an answer to a schema costs a token: `python -m tests.serve.mask_cost --tokens 150000`.

A vocabulary of that size is made up: bytes, and random words of 2 to 8 letters with and without a space.
"""

from __future__ import annotations

import argparse
import random
import statistics
import string
import time

import torch
from sightline_serve.grammars import compiling, from_schema
from sightline_serve.vocabulary import Vocabulary

from tests.serve.test_serve_formats import CHART, LABEL


def vocabulary(size: int) -> Vocabulary:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    draw = random.Random(0)
    words = ["<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    known = set(words)
    while len(words) < size:
        letters = string.ascii_letters + string.digits + '":,{}[]'
        word = draw.choice(["", "Ġ"]) + "".join(draw.choices(letters, k=draw.randint(2, 8)))
        if word not in known:
            known.add(word)
            words.append(word)
    made = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<|end|>", special=True)])
    return Vocabulary(PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=150_000, help="of the vocabulary (150000)")
    size = parser.parse_args().tokens
    words = vocabulary(size)
    began = time.monotonic()
    table = words.table
    print(f"table of {size} tokens: {time.monotonic() - began:.2f} s, once")
    for name, schema in (("label", LABEL), ("chart", CHART)):
        began = time.monotonic()
        grammar = compiling._build(table, from_schema(schema))
        compiled = time.monotonic() - began
        costs = []
        for seed in range(20):
            guide, dice = grammar.guide(), torch.Generator().manual_seed(seed)
            while not guide.done and len(costs) < 2000:
                began = time.monotonic()
                mask = guide.allowed(size)
                costs.append(time.monotonic() - began)
                token = int(torch.rand(size, generator=dice).masked_fill(~mask, -1).argmax())
                guide.advance(token)
        told = f"{1000 * statistics.median(costs):.2f} ms, slowest of {len(costs)} {1000 * max(costs):.1f} ms"
        print(f"{name}: compiled in {1000 * compiled:.1f} ms; a token, median {told}")


if __name__ == "__main__":
    main()
