"""Runs, told: every report is a pure function of a `Run`. `formats.FORMATS` lists them."""
