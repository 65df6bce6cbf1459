"""LocalAI started as this kit starts servers: its folders laid out, its files looked at, one clear error.

LocalAI skips a model file that it cannot read, takes a template's name for the prompt where the template is
missing, and says that it is ready all the same. What it would pass over is refused here, before it starts.
"""

__version__ = "0.1.0"
