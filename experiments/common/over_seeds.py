"""Tables over some seeds, told on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable


def tell_over_seeds(
    lines: Callable[[int], Iterable[str]], about: str | None, arguments: list[str]
) -> None:
    """Print a table.

    Args:
        lines: of the table, by the number of seeds.
        about: what the program says of itself.
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seeds", type=int, default=10)
    for line in lines(parser.parse_args(arguments).seeds):
        print(line)
