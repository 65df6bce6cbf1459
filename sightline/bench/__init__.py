"""Measurements of what has a budget. Each subcommand of `scripts/bench` is a module or package in here."""
