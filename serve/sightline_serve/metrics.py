"""What Prometheus may know: counts and times, never a prompt, a picture or a key."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sightline_serve.sequence import Sequence

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sightline_requests",
            "Requests answered, by route and status",
            ["path", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "sightline_request_seconds",
            "From request to last byte",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.first_token_seconds = Histogram(
            "sightline_first_token_seconds", "From queue to first token", buckets=SECONDS, registry=registry
        )
        self.prompt_tokens = Counter("sightline_prompt_tokens", "Prompt tokens read", registry=registry)
        self.generated_tokens = Counter("sightline_generated_tokens", "Tokens generated", registry=registry)
        self.pictures = Counter(
            "sightline_pictures", "Pictures taken in, by outcome", ["outcome"], registry=registry
        )
        self.running = Gauge("sightline_running_requests", "Requests in the model", registry=registry)
        self.waiting = Gauge("sightline_waiting_requests", "Requests in the queue", registry=registry)
        self.preempted = Counter(
            "sightline_preempted", "Requests sent back to the queue for want of memory", registry=registry
        )
        self.reused = Counter(
            "sightline_reused_prompt_tokens",
            "Prompt tokens that were in the cache from an earlier request",
            registry=registry,
        )
        self.inside = Gauge(
            "sightline_requests_inside", "Requests from the door to their last byte", registry=registry
        )
        self.ready = Gauge("sightline_ready", "1 once the model has answered a warm-up", registry=registry)

    def first_token(self, sequence: Sequence) -> None:
        self.first_token_seconds.observe(time.monotonic() - sequence.submitted)

    def request(self, path: str, status: int, seconds: float) -> None:
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def answered(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.prompt_tokens.inc(prompt_tokens)
        self.generated_tokens.inc(completion_tokens)

    def page(self) -> bytes:
        return generate_latest(self.registry)
