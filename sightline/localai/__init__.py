"""LocalAI as the controller sees it: what is wished of it, the pins, and the model file with its template."""

from sightline.localai.model_file import ModelFileProblem, model_files
from sightline.localai.pins import PinProblem, published_sha256
from sightline.localai.wishes import Wishes, read_wishes

__all__ = ["ModelFileProblem", "PinProblem", "Wishes", "model_files", "published_sha256", "read_wishes"]
