"""A load run from the command line: with no target, the contracts' own mock is served beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wireproof.clock import RealClock
from wireproof.load import command
from wireproof.load.command import Outcome, Progress
from wireproof.mock.channels import Channels
from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.mock.socket import serving
from wireproof.model import Endpoint
from wireproof.secrets import Secret
from wireproof.spec.load import resolve

BRISK = 10.0
"""How many times faster than the contract's own timing the embedded mock works: it is there to be tried on."""


class Brisk(Manners):
    """A host that does everything as promised, and quickly."""

    def pace(self, queue: float, run: float) -> tuple[float, float]:
        return queue / BRISK, run / BRISK


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What `wireproof load` was asked for. Rates are jobs per second, times are seconds."""

    plan: str = "smoke"
    target: str | None = None
    live: bool = False
    rate: float | None = None
    users: int | None = None
    seconds: float | None = None
    seed: int | None = None
    budget: tuple[str, ...] = ()
    workers: int = 1
    dry_run: bool = False
    report_dir: Path = command.RUNS


def load(specs: Sequence[str], options: LoadOptions, progress: Callable[[Progress], None] = lambda _: None) -> Outcome:
    """Run a plan. Raises UsageError, ContractError, NoKey, CouldNotTell."""
    names = [name for spec in specs for name in _names(spec)]
    if options.target or options.live or options.dry_run:
        return _run(names, options, options.target, {}, progress)
    with _embedded(names, options.seed or 0) as (url, keys):
        return _run(names, options, url, keys, progress)


def _names(spec: str) -> list[str]:
    return sorted(endpoint.name for endpoint in resolve(spec))


@contextmanager
def _embedded(names: Sequence[str], seed: int) -> Iterator[tuple[str, Mapping[str, Secret]]]:
    """The contracts served on a socket of this machine, and a key for each provider."""
    endpoints: list[Endpoint] = [endpoint for name in names for endpoint in resolve(name)]
    mock, clock = Mock(endpoints, seed=seed, manners=Brisk()), RealClock()
    providers = sorted({endpoint.provider.name for endpoint in endpoints})
    with serving(mock, clock=clock, upgrade=Channels(mock, clock).upgrade) as url:
        yield url, {provider: Secret(mock.key(provider)) for provider in providers}


def _run(
    names: Sequence[str],
    options: LoadOptions,
    target: str | None,
    keys: Mapping[str, Secret],
    progress: Callable[[Progress], None],
) -> Outcome:
    return command.run(
        names,
        options.plan,
        target=target,
        live=options.live,
        rate=options.rate,
        users=options.users,
        seconds=options.seconds,
        seed=options.seed,
        budget=options.budget,
        workers=options.workers,
        report_dir=options.report_dir,
        keys=keys,
        progress=progress,
        dry_run=options.dry_run,
        embedded=bool(keys),
    )
