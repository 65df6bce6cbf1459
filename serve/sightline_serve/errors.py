"""Every error a client can see, in OpenAI's envelope: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from typing import Any


class StartError(Exception):
    """The server cannot start; the message is one clear line for the person who started it."""


class ApiError(Exception):
    """An error with an HTTP status and OpenAI's four fields.

    `param` names the place in the request (`messages[0].content[1]`), `code` is for machines, `message` for
    people.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        if status == 408:  # the rest of the body is not waited for
            self.headers["Connection"] = "close"
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def envelope(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, param=param, code=code)


def unauthorised(message: str) -> ApiError:
    return ApiError(401, message, type="authentication_error", code="invalid_api_key")


def model_not_found(asked: str, served: str) -> ApiError:
    message = (
        f"The model {asked[:200]!r} is not served here; this server has {served!r} (see GET /v1/models)."
    )
    return ApiError(404, message, param="model", code="model_not_found")


def body_too_large(limit: int) -> ApiError:
    message = (
        f"The request body is larger than {limit / 2**20:g} MiB. Send smaller pictures, or send them by URL; "
        "the operator can raise --max-body-mib."
    )
    return ApiError(413, message, code="request_too_large")


def context_length_exceeded(prompt: str, context: int) -> ApiError:
    message = (
        f"The prompt takes {prompt} tokens, pictures included, and this model's context is {context} tokens "
        "with at least one left for the answer. Shorten the messages or send fewer pictures."
    )
    return ApiError(400, message, param="messages", code="context_length_exceeded")


def picture_error(number: int, where: str, why: str, code: str = "invalid_image") -> ApiError:
    return ApiError(400, f"Picture {number} ({where}) {why}", param=where, code=code)


def body_too_slow(seconds: float) -> ApiError:
    message = f"The request body did not arrive within {seconds:g} s; the operator can raise --body-timeout."
    return ApiError(408, message, code="request_timeout")


def bad_schema(where: str, why: str) -> ApiError:
    return ApiError(400, f"Invalid schema in '{where}': {why}.", param=where, code="invalid_schema")


def schema_too_complex() -> ApiError:
    message = (
        "The schema of this request is too complex to go on with; the answer was ended. Make it simpler."
    )
    return ApiError(400, message, code="schema_too_complex")


def queue_full(waiting: int) -> ApiError:
    message = f"The server is busy: {waiting} requests are already here. Try again in a moment."
    return ApiError(429, message, type="rate_limit_error", code="queue_full", retry_after=2)


def key_busy(limit: int) -> ApiError:
    message = f"This key has {limit} requests at work, which is its limit. Try again when one has ended."
    return ApiError(429, message, type="rate_limit_error", code="key_busy", retry_after=2)


def not_ready(why: str) -> ApiError:
    return ApiError(
        503, f"The model is not ready: {why}.", type="service_unavailable", code="not_ready", retry_after=2
    )


def draining() -> ApiError:
    message = "The server is shutting down and takes no new requests."
    return ApiError(503, message, type="service_unavailable", code="draining", retry_after=5)


def engine_failed() -> ApiError:
    message = "The model failed on this request; the server's log has the reason. No answer was made up."
    return ApiError(500, message, type="server_error", code="engine_failed")


def out_of_memory() -> ApiError:
    message = (
        "The server ran out of memory on this request; it has freed what it could. Try again in a moment."
    )
    return ApiError(503, message, type="overloaded_error", code="out_of_memory", retry_after=5)


def internal() -> ApiError:
    return ApiError(
        500, "The server failed; its log has the reason.", type="server_error", code="internal_error"
    )
