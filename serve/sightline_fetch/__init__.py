"""sightline-fetch: brings a model's files onto a host, whole and verified, from whichever source works.

It needs the standard library only (PyYAML for a catalogue entry in YAML), so that a transfer can begin
while the engines' environments are still being installed.
"""
