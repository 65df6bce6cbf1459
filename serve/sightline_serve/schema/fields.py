"""Fields that are not built, and fields that change no answer, by the API references of the day.

OpenAI's (as the official client 3.52 lists them), and extensions of vLLM, llama.cpp and SGLang.
"""

from __future__ import annotations

from typing import Any

Refusals = dict[str, tuple[list[Any], str]]

# Of whom it is, how it is kept, billed, routed or hurried: not what is said.
HARMLESS = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prediction", "request_id", "priority"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "cache_prompt", "cache_salt"}
)
# No model that is served here thinks aloud before it answers: there is no effort to turn up or down.
REASONING = frozenset({"reasoning_effort", "reasoning"})

_OTHER_SAMPLING = "this server samples by temperature, top_p, top_k, min_p and penalties only"
_OTHER_GRAMMAR = "constrain the answer by response_format"
# Extensions of other servers that would change the answer.
EXTENSIONS: Refusals = {
    "best_of": ([1], "answers are not ranked; ask for n"),
    "use_beam_search": ([False], _OTHER_SAMPLING),
    "length_penalty": ([1], _OTHER_SAMPLING),
    "typical_p": ([1], _OTHER_SAMPLING),
    "mirostat": ([0], _OTHER_SAMPLING),
    "xtc_probability": ([0], _OTHER_SAMPLING),
    "dry_multiplier": ([0], _OTHER_SAMPLING),
    "top_a": ([0], _OTHER_SAMPLING),
    "logits_processors": ([[]], _OTHER_SAMPLING),
    "bad_words": ([[]], "ban tokens by logit_bias"),
    "min_tokens": ([0], "an answer ends where the model ends it"),
    "ignore_eos": ([False], "an answer ends where the model ends it"),
    "stop_token_ids": ([[]], "stop by text: stop"),
    "include_stop_str_in_output": ([False], "the stop string is no part of the answer"),
    "skip_special_tokens": ([True], "special tokens are no part of the answer"),
    "prompt_logprobs": ([0], "log probabilities are told of the answer only"),
    "truncate_prompt_tokens": ([], "a prompt that is too long is refused, not cut"),
    "guided_json": ([], _OTHER_GRAMMAR),
    "guided_regex": ([], _OTHER_GRAMMAR),
    "guided_choice": ([], _OTHER_GRAMMAR),
    "guided_grammar": ([], _OTHER_GRAMMAR),
    "structured_outputs": ([], _OTHER_GRAMMAR),
    "grammar": ([""], _OTHER_GRAMMAR),
    "json_schema": ([], _OTHER_GRAMMAR),
    "regex": ([], _OTHER_GRAMMAR),
    "ebnf": ([], _OTHER_GRAMMAR),
}
CHAT_EXTENSIONS: Refusals = {
    "chat_template": ([], "the model's own chat template is used"),
    "chat_template_kwargs": ([{}], "the model's own chat template is used, without further words"),
    "add_generation_prompt": ([True], "the model always answers as the assistant"),
    "continue_final_message": ([False], "the model begins a new message"),
    "documents": ([[]], "put them into the messages"),
    "mm_processor_kwargs": ([{}], "choose a picture's detail by image_url.detail"),
    "enable_thinking": ([False], "no model that is served here thinks aloud"),
}
