"""What every test can rely on: the same examples each time, and no key that could spend money."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples in every run: a red test is red again. `--hypothesis-profile search` looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("steady")

for name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[name]  # a live host must be out of reach of every test and of its children
