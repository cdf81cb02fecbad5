"""Spec-driven conformance and load testing for APIs that work in jobs."""

__version__ = "0.1.0"
