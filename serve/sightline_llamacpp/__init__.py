"""llama.cpp's own server with vision, started as this kit starts servers: flags, a key file, one clear error.

The answers, the batching and the HTTP are llama.cpp's (through the wheel xllamacpp); here is only its start.
"""

__version__ = "0.1.0"
