"""A conformance run: drive an endpoint through its documented behaviour, and judge what came back.

The plan is a list of steps with their prices, free ones first. Against the embedded mock time is
stepped and trouble can be staged; against any other server only HTTP is used.
"""

from wireproof.conform.guarding import Guard
from wireproof.conform.judging import look, verdict, with_money
from wireproof.conform.planning import Step, plan
from wireproof.conform.running import INTERRUPTED, conform
from wireproof.conform.staging import hasty, stage_for
from wireproof.conform.target import Target, embedded, is_loopback, near

__all__ = [
    "INTERRUPTED",
    "Guard",
    "Step",
    "Target",
    "conform",
    "embedded",
    "hasty",
    "is_loopback",
    "look",
    "near",
    "plan",
    "stage_for",
    "verdict",
    "with_money",
]
