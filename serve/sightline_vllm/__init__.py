"""`vllm serve` started as this kit starts servers: flags, a key file in front of everything, one clear error.

The answers, the batching and the HTTP are vLLM's; here are its start, its gate and repairs of its CPU build.
"""

__version__ = "0.1.0"
