"""From what a request says to answers on their way: its form, its pictures, its prompt, its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from sightline_serve import chat, errors, grammars, tools
from sightline_serve.answers import Answers
from sightline_serve.engine import Engine
from sightline_serve.grammars import Grammars
from sightline_serve.intake import Intake
from sightline_serve.model import Defaults
from sightline_serve.reading import Prompt
from sightline_serve.sampling import Grammar, SamplingParams
from sightline_serve.scheduler import Generation, Scheduler
from sightline_serve.schema import ChatRequest, Sampling
from sightline_serve.schema.base import unsupported
from sightline_serve.schema.completions import CompletionRequest
from sightline_serve.schema.formats import AsObject, AsSchema, ResponseFormat
from sightline_serve.schema.parts import Message, TextPart
from sightline_serve.schema.responses import ResponsesRequest
from sightline_serve.schema.tokens import TokenizeRequest
from sightline_serve.schema.tools import NamedChoice
from sightline_serve.vocabulary import Vocabulary


class Asking:
    """`lane` of a request is whom the queue is fair to."""

    def __init__(self, engine: Engine, scheduler: Scheduler, intake: Intake, most: int) -> None:
        """`most`: answers that one request may ask for."""
        self.engine = engine
        self.scheduler = scheduler
        self.intake = intake
        self.most = most
        self.grammars = Grammars(engine.model.vocabulary)

    async def chat(self, request: ChatRequest, lane: str) -> Answers:
        """Everything before the first token. Raises ApiError; returns the answers to be awaited."""
        conversation = chat.read(request.messages, request.offered)
        grammar = await self._form(request.response_format, "response_format")
        if request.offered:
            grammar = await self._calls(request)
        prompt = await self.intake.take(conversation, self.engine.prepare)
        return self._submit([prompt], request, lane, grammar)

    async def respond(self, request: ResponsesRequest, lane: str) -> Answers:
        """As `chat`, of a /v1/responses request."""
        conversation = chat.read([item.message() for item in request.input], root="input")
        if request.instructions:
            system = Message.of("system", [TextPart(type="text", text=request.instructions)])
            conversation.turns[:0] = chat.read([system]).turns
        grammar = await self._form(request.form, "text.format")
        prompt = await self.intake.take(conversation, self.engine.prepare)
        return self._submit([prompt], request, lane, grammar)

    async def complete(self, request: CompletionRequest, lane: str) -> Answers:
        """As `chat`, of texts to go on with. Answers are numbered prompt by prompt."""
        prompts = [await asyncio.to_thread(self.engine.prepare_text, text) for text in request.prompt]
        return self._submit(prompts, request, lane)

    async def tokens(self, request: TokenizeRequest) -> list[int]:
        """Raises ApiError, also for what the model could not take."""
        if request.messages is not None:
            prompt = await self.intake.take(chat.read(request.messages), self.engine.prepare)
            return prompt.tokens
        text = request.prompt or ""
        self.engine.check_length(len(text))
        special = request.add_special_tokens is not False
        return await asyncio.to_thread(self.engine.model.vocabulary.encode, text, special)

    async def close(self) -> None:
        await self.grammars.close()

    async def _form(self, wanted: ResponseFormat | None, where: str) -> Grammar | None:
        """What holds an answer to the form that is wanted. Raises a 400 ApiError that names what is wrong."""
        match wanted:
            case AsObject():
                return await self._compiled(grammars.any_object, where)
            case AsSchema():
                schema = wanted.json_schema.schema_
                return await self._compiled(lambda: grammars.from_schema(schema), where)
        return None

    async def _calls(self, request: ChatRequest) -> Grammar:
        style = self.engine.model.template.tool_style
        if style is None:
            why = "this model's chat template has no tools, or writes their calls in an unknown form"
            raise unsupported("tools", why)
        offered = [
            (tool.function.name, tool.function.parameters or {"type": "object"}) for tool in request.offered
        ]
        named = isinstance(request.tool_choice, NamedChoice)
        several = request.parallel_tool_calls is not False and not named
        must = request.must_call
        return await self._compiled(
            lambda: tools.grammar(style, offered, must=must, several=several), "tools"
        )

    async def _compiled(self, grammar: Callable[[], str], where: str) -> Grammar:
        try:
            return await self.grammars.compiled(grammar())
        except grammars.Refused as refused:
            raise errors.bad_schema(where, str(refused)) from None

    def _submit(
        self, prompts: list[Prompt], request: Sampling, lane: str, grammar: Grammar | None = None
    ) -> Answers:
        """Queues each choice of each prompt, all or none. Raises ApiError."""
        model, wanted = self.engine.model, len(prompts) * request.choices
        if wanted > self.most:
            raise errors.bad_request(
                f"This request asks for {wanted} answers; this server's queue holds {self.most} answers.",
                "n",
                "invalid_value",
            )
        check_bias(request, model.vocabulary)
        queued: list[Generation] = []
        answers = Answers(queued)
        try:
            for prompt in prompts:
                params = sampling_params(request, model.defaults, room=self.engine.room(prompt))
                params = replace(params, grammar=grammar)
                for number in range(request.choices):
                    queued.append(self.scheduler.submit(prompt, params.for_choice(number), lane))
        except errors.ApiError:
            answers.cancel()
            raise
        return answers


def check_bias(request: Sampling, vocabulary: Vocabulary) -> None:
    """Raises a 400 ApiError for a token that the model does not have."""
    for token in request.logit_bias or {}:
        if token >= len(vocabulary):
            raise errors.bad_request(
                f"Invalid 'logit_bias': token {token} is not in the vocabulary of {len(vocabulary)} tokens.",
                "logit_bias",
                "invalid_value",
            )


def sampling_params(request: Sampling, defaults: Defaults, room: int) -> SamplingParams:
    """The request's wishes over the model's defaults; never more tokens than the context has `room` for."""

    def asked(value: float | None, default: float) -> float:
        return default if value is None else value

    return SamplingParams(
        max_tokens=min(request.token_limit or room, room),
        temperature=asked(request.temperature, defaults.temperature),
        top_p=asked(request.top_p, defaults.top_p),
        top_k=max(0, defaults.top_k if request.top_k is None else request.top_k),
        min_p=asked(request.min_p, defaults.min_p),
        seed=request.seed,
        stop=tuple(request.stop or ()),
        frequency_penalty=asked(request.frequency_penalty, 0.0),
        presence_penalty=asked(request.presence_penalty, 0.0),
        repetition_penalty=asked(request.repetition_penalty, 1.0),
        logit_bias=request.logit_bias or {},
        logprobs=request.likeliest,
    )
