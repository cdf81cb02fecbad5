"""How long the command takes to answer, as ratios against `python -c pass`, measured in turn.

python bench/start.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import wireproof": ["-c", "import wireproof"],
    "wireproof --help": ["-m", "wireproof", "--help"],
    "wireproof list": ["-m", "wireproof", "list"],
}


def seconds(words: list[str]) -> float:
    """Wall time of one start."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env={**os.environ, "NO_COLOR": "1"})
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Measure in interleaved rounds and print a table."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            taken[name].append(seconds(words))
    base = statistics.median(taken["python -c pass"])
    print(f"{'command':20} {'median s':>9} {'ratio':>7}")
    for name, times in taken.items():
        print(f"{name:20} {statistics.median(times):9.3f} {statistics.median(times) / base:7.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
