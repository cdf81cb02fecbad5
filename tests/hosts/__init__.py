"""Hosts that strangers might have written, right and wrong, to measure the checks against."""
