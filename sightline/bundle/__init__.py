"""A bundle: everything that a deployment fetches, in one folder, for hosts with no network at all.

BUNDLE/bundle.json          what is in it, each file with its sha256; written last
BUNDLE/wheels/*.whl         of the lock files, for the Pythons that it was made for
BUNDLE/models/NAME/...      the files of models that come from a hub
BUNDLE/packages/*.deb       the distribution's Python with its venv, and `Packages`, their list
"""

from sightline.bundle.manifest import Bundle, BundleProblem, Note, read_bundle

__all__ = ["Bundle", "BundleProblem", "Note", "read_bundle"]
