"""Everything that can go wrong, as one tree.

    WireproofError
    ├── UsageError              the command or its configuration is wrong            exit 2
    │   └── ContractError       a contract file cannot be read: every mistake listed  exit 2
    ├── CouldNotTell            no verdict is possible                                exit 3
    │   ├── Unreachable         the target does not answer
    │   └── NoKey               no key for a target that wants one
    ├── OverBudget              the next step would spend more than was allowed       exit 4
    └── Interrupted             a person ended it before there was anything to tell   exit 130

Errors carry values, not only text; `str()` of one is fit to be shown to a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


class WireproofError(Exception):
    """The root. `exit_code` is what the command line ends with."""

    exit_code = 2


class UsageError(WireproofError):
    """The command, an option, a path or the configuration is wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in one file: where it stands, what is wrong, what to do."""

    file: str
    line: int
    pointer: str
    says: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.pointer or '/'}: {self.says}"


class ContractError(UsageError):
    """A contract file cannot be used. `mistakes` holds all of them, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class CouldNotTell(WireproofError):
    """Nothing was proved either way: no answer, no key, nothing tested."""

    exit_code = 3


class Unreachable(CouldNotTell):
    """The target does not answer. `target` is its origin, `why` what the network said."""

    def __init__(self, target: str, why: str) -> None:
        self.target = target
        self.why = why
        super().__init__(f"{target} cannot be reached: {why}")


class NoKey(CouldNotTell):
    """A key is needed and the environment variable that should hold it is empty."""

    def __init__(self, provider: str, variable: str) -> None:
        self.provider = provider
        self.variable = variable
        super().__init__(f"{provider} needs a key: set the environment variable {variable}")


class OverBudget(WireproofError):
    """The next step would spend more than was allowed. `ceiling`, `spent`, `asked` in `unit`."""

    exit_code = 4

    def __init__(self, *, ceiling: Decimal, spent: Decimal, asked: Decimal, unit: str) -> None:
        self.ceiling = ceiling
        self.spent = spent
        self.asked = asked
        self.unit = unit
        super().__init__(
            f"the budget of {ceiling} {unit} does not cover the next step: "
            f"{spent} spent or reserved, {asked} more needed"
        )


class Interrupted(WireproofError):
    """SIGINT or SIGTERM came before there was anything to tell."""

    exit_code = 130
