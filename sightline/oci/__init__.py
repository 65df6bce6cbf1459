"""Llama 3.2 90B Vision as Oracle Cloud Infrastructure's managed service: asking it, and knowing beforehand
whether it can be asked.

What the service takes: https://docs.oracle.com/en-us/iaas/Content/generative-ai/meta-llama-3-2-90b.htm
"""

from __future__ import annotations

MODEL = "meta.llama-3.2-90b-vision-instruct"

MOST_ANSWER_TOKENS = 4000
"""Tokens of an answer on demand."""

MOST_PICTURE_BYTES = 5_000_000
"""5 MB, of a PNG or a JPEG; pictures are sent as data URLs only."""

PICTURE_LANGUAGE = "English"
"""The only language that the model supports where a picture is in the request."""
