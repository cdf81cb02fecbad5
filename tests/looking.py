"""`conform`, `verdict` and `replay` with one pair of eyes: the mock paints the same pictures for many tests."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import partial

from wireproof import conform as _conform
from wireproof import replaying
from wireproof.check.media import Decoder, Eyes

_open = ExitStack()
EYES = _open.enter_context(Eyes(_open.enter_context(Decoder())))
atexit.register(_open.close)

conform = partial(_conform.conform, eyes=EYES)
replay = partial(replaying.replay, eyes=EYES)
verdict = partial(_conform.verdict, eyes=EYES)
