"""One request on its way through the model, and the events it sends back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sightline_serve import errors
from sightline_serve.detokenize import Detokenizer, StopStrings
from sightline_serve.engine import Slot
from sightline_serve.errors import ApiError
from sightline_serve.grammars.guide import GrammarError
from sightline_serve.logprobs import Ledger, TokenLogprob, logprob
from sightline_serve.reading import Prompt
from sightline_serve.sampling import Sampler, SamplingParams


@dataclass(frozen=True)
class Piece:
    """Some text of the answer, never empty; `logprobs`, if asked for, of the tokens that it is made of."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Finish:
    """The answer is whole: `reason` is stop or length.

    `logprobs`: of tokens that wrote nothing any more; `cached_tokens`: of the prompt, not read anew.
    """

    reason: str
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    cached_tokens: int = 0


@dataclass(frozen=True)
class Failure:
    """There will be no (more) answer."""

    error: ApiError


Event = Piece | Finish | Failure


class Sequence:
    """`send` is called with each event, on the scheduler's thread; `client` is whom the queue is fair to."""

    def __init__(
        self,
        prompt: Prompt,
        params: SamplingParams,
        *,
        client: str,
        eos: frozenset[int],
        text: Callable[[list[int]], str],
        send: Callable[[Event], None],
    ) -> None:
        self.prompt = prompt
        self.params = params
        self.client = client
        self.eos = eos
        self.send = send
        self.sampler = Sampler(params, prompt.tokens if params.repetition_penalty != 1.0 else ())
        self.guide = params.grammar.guide() if params.grammar else None
        self.ledger = Ledger()
        self.detokenizer = Detokenizer(text)
        self.stops = StopStrings(params.stop)
        self.slot: Slot | None = None
        self.tokens: list[int] = []
        self.cached_tokens = 0  # set by whoever reuses a part of the prompt
        self.cancelled = False
        self.done = False
        self.whole = False
        self.submitted = time.monotonic()

    @property
    def owner(self) -> str:
        """The key's name, as far as there are several; clients are KEY@ADDRESS."""
        return self.client.partition("@")[0]

    @property
    def generated(self) -> int:
        return len(self.tokens)

    def take(self, logits: Tensor) -> None:
        """Chooses the next token from logits [vocab], sends the text it makes, finishes if it is the last."""
        try:
            token = self._next(logits)
        except GrammarError:
            self.fail(errors.schema_too_complex())
            return
        self.tokens.append(token)
        if token in self.eos:
            self._finish("stop")
            return
        text = self.detokenizer.push(token)
        if self.params.logprobs is not None:
            self.ledger.bring(len(text), logprob(logits, token, self.params.logprobs))
        self._say(self.stops.push(text))
        if self.stops.hit or (self.guide is not None and self.guide.done):
            self._finish("stop")
        elif self.generated >= self.params.max_tokens:
            self._finish("length")

    def _next(self, logits: Tensor) -> int:
        if self.guide is None:
            return self.sampler(logits)
        token = self.sampler(logits, self.guide.allowed(len(logits)))
        self.guide.advance(token)
        return token

    def fail(self, error: ApiError) -> None:
        self.done = True
        self.send(Failure(error))

    def _finish(self, reason: str) -> None:
        rest: tuple[TokenLogprob, ...] = ()  # tokens of a stop string are no part of the answer
        if not self.stops.hit:
            self._say(self.stops.push(self.detokenizer.flush()))
            self._say(self.stops.flush())
            rest = self.ledger.rest()
        self.done = self.whole = True
        reason = "stop" if self.stops.hit else reason
        self.send(Finish(reason, self.prompt.length, self.generated, rest, self.cached_tokens))

    def _say(self, text: str) -> None:
        if text:
            self.send(Piece(text, self.ledger.say(len(text))))
