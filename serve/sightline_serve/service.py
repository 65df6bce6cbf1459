"""The server's life (loading, warming up, ready, draining) and a request's way through its rooms."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

import torch

from sightline_serve import chat, cores, errors, grammars, loaders, memory, schema, tools, warmup
from sightline_serve.answers import Answers
from sightline_serve.engine import Defaults, Engine, Model
from sightline_serve.errors import StartError
from sightline_serve.fetch import Fetcher
from sightline_serve.grammars import Grammars
from sightline_serve.intake import Intake
from sightline_serve.metrics import Metrics
from sightline_serve.reading import Prompt
from sightline_serve.sampling import Grammar, SamplingParams
from sightline_serve.scheduler import Generation, Scheduler
from sightline_serve.schema import ChatRequest, Sampling
from sightline_serve.schema.base import unsupported
from sightline_serve.schema.formats import AsObject, AsSchema, ResponseFormat
from sightline_serve.schema.tools import NamedChoice
from sightline_serve.settings import Settings
from sightline_serve.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class Service:
    """`state` says in words why /ready is not 200 yet, or "ready"."""

    def __init__(self, settings: Settings, fetcher: Fetcher | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.intake = Intake(settings, self.metrics, fetcher)
        self.engine: Engine | None = None
        self.scheduler: Scheduler | None = None
        self.grammars: Grammars | None = None
        self.state = "starting"
        self.draining = False
        self.created = int(time.time())

    @property
    def ready(self) -> bool:
        alive = self.scheduler is not None and self.scheduler.thread.is_alive()
        return self.state == "ready" and alive and not self.draining

    async def start(self) -> None:
        """Loads the model and asks it about a drawn picture. Raises StartError."""
        began = time.monotonic()
        self._enter("loading the model")
        # A thread of its own: a load that hangs must not hold the process back when it is told to end.
        model = await asyncio.to_thread(loaders.load, self.settings)
        # Before any thread of ours runs the model: each takes this number over when it starts.
        torch.set_num_threads(self.settings.threads or cores.threads_for(model.parameters))
        self.engine = await asyncio.to_thread(self._engine, model)
        self.grammars = Grammars(model.vocabulary)
        self.scheduler = Scheduler(
            self.engine,
            self.metrics,
            max_running=self.settings.max_num_seqs,
            max_waiting=self.settings.max_queue,
            max_prefill_tokens=self.settings.max_prefill_tokens or cores.prefill_tokens(self.settings.device),
        )
        threads = torch.get_num_threads()
        log.info("loaded in %.1f s: %s, threads: %d", time.monotonic() - began, model.description, threads)
        self._enter("warming up")
        await self._warm_up()
        self.state = "ready"
        self.metrics.ready.set(1)
        log.info("ready in %.1f s; serving %r", time.monotonic() - began, self.settings.served_model_name)

    def running(self, model: str) -> Engine:
        """The engine, for a request that names its model. Raises ApiError unless it can be answered now."""
        if self.draining:
            raise errors.draining()
        if not self.ready or self.engine is None:
            raise errors.not_ready(self.state)
        if model != self.settings.served_model_name:
            raise errors.model_not_found(model, self.settings.served_model_name)
        return self.engine

    async def chat(self, request: ChatRequest, client: str) -> Answers:
        """Everything before the first token. Raises ApiError; returns the answers to be awaited."""
        self.running(request.model)
        return await self._chat(request, client)

    def drain(self) -> None:
        """From now on new requests get 503; the running ones go on."""
        self.draining = True
        self.metrics.ready.set(0)

    def cut(self) -> None:
        """Fails what is still running with a 503, so that its clients are told."""
        if self.scheduler:
            self.scheduler.end()

    async def close(self) -> None:
        if self.scheduler:
            self.scheduler.close()
        await self.intake.close()
        if self.grammars:
            await self.grammars.close()

    async def _chat(self, request: ChatRequest, client: str) -> Answers:
        engine = self.engine
        if engine is None:
            raise errors.not_ready(self.state)
        conversation = chat.read(request.messages, request.offered)
        grammar = await self.grammar(request.response_format)
        if request.offered:
            grammar = await self._tools(engine, request)
        prompt = await self.intake.take(conversation, engine.prepare)
        return self._submit(prompt, request, client, grammar)

    async def grammar(self, wanted: ResponseFormat | None, where: str = "response_format") -> Grammar | None:
        """What holds an answer to the form that is wanted. Raises a 400 ApiError that names what is wrong."""
        match wanted:
            case AsObject():
                return await self.compiled(grammars.any_object(), where)
            case AsSchema():
                return await self.compiled(grammars.from_schema(wanted.json_schema.schema_), where)
        return None

    async def _tools(self, engine: Engine, request: ChatRequest) -> Grammar:
        style = engine.model.template.tool_style
        if style is None:
            raise unsupported(
                "tools", "this model's chat template has no tools, or writes their calls in an unknown form"
            )
        offered = [
            (tool.function.name, tool.function.parameters or {"type": "object"}) for tool in request.offered
        ]
        several = request.parallel_tool_calls is not False and not isinstance(
            request.tool_choice, NamedChoice
        )
        wanted = tools.grammar(style, offered, must=request.must_call, several=several)
        return await self.compiled(wanted, "tools")

    async def compiled(self, grammar: str, where: str) -> Grammar:
        if self.grammars is None:
            raise errors.not_ready(self.state)
        try:
            return await self.grammars.compiled(grammar)
        except grammars.Refused as refused:
            raise errors.bad_schema(where, str(refused)) from None

    def _submit(
        self, prompt: Prompt, request: Sampling, client: str, grammar: Grammar | None = None
    ) -> Answers:
        """Queues each of the request's choices, all or none. Raises ApiError."""
        engine, scheduler = self.engine, self.scheduler
        if engine is None or scheduler is None:
            raise errors.not_ready(self.state)
        if request.choices > self.settings.max_queue:
            raise errors.bad_request(
                f"'n' is {request.choices}; this server's queue holds {self.settings.max_queue} answers.",
                "n",
                "invalid_value",
            )
        check_bias(request, engine.model.vocabulary)
        params = sampling_params(request, engine.model.defaults, room=engine.room(prompt))
        params = replace(params, grammar=grammar)
        queued: list[Generation] = []
        answers = Answers(queued)
        try:
            for number in range(request.choices):
                queued.append(scheduler.submit(prompt, params.for_choice(number), client))
        except errors.ApiError:
            answers.cancel()
            raise
        return answers

    async def _warm_up(self) -> None:
        request = schema.parse_chat(warmup.request_body(self.settings.served_model_name))
        try:
            async for _ in await self._chat(request, "warm-up"):
                pass
        except errors.ApiError as error:
            raise StartError(f"the model did not answer the warm-up picture: {error.message}") from error

    def _engine(self, model: Model) -> Engine:
        settings = self.settings
        engine = Engine(model, settings.max_model_len, memory.kv_bytes(settings), settings.max_num_seqs)
        log.info(
            "key/value cache: %s tokens, context %d, %s",
            engine.budget.tokens if engine.budget else "uncounted",
            engine.context,
            "requests share a forward" if engine.batching else "requests take turns, a token each",
        )
        return engine

    def _enter(self, state: str) -> None:
        self.state = state
        log.info("%s", state)


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
