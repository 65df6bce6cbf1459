"""sightline-serve: a small OpenAI-compatible server for vision-language models.

One request walks through the rooms in this order: gate (key, place, body) -> api (route) -> schema (what was
asked) -> chat and pictures (what it means, what it shows) -> engine.prepare (tokens and pixels) ->
scheduler (its turn) -> engine.prefill/decode -> sampling -> detokenize -> reply.
"""

__version__ = "0.1.0"
