"""Sightline on the controller: the catalogue, the plan, and the proof that an endpoint sees."""
