"""Contracts drafted from what exists already. A draft is a start: what was guessed or is missing is marked."""
