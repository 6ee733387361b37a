"""One verb of the command: what it reads and makes, and how it may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DONE, FAILED, REFUSED = 0, 1, 2
EXIT_CODES: Mapping[int, str] = {
    DONE: "done",
    FAILED: "an unexpected failure, with a traceback: please report it",
    REFUSED: "refused: bad settings or data, one line on stderr says what to do",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the command."""

    name: str
    summary: str  # one line
    reads: str
    makes: str
    examples: tuple[str, str]  # each a whole command line
    settings: str  # `module:class` of its settings; a comment beside each field says what it is
    work: str  # `module:function` that does it: settings in, a mapping of what was made out
    # `module:function` that names all that the result depends on: such a run of a sweep is not done
    # again.
    keyed: str = ""
    composed: bool = True  # by Hydra from configs/; else its settings are a plain record
    codes: Mapping[int, str] = field(default_factory=dict)  # beside and before EXIT_CODES

    @property
    def exit_codes(self) -> dict[int, str]:
        """Every code that the verb may end with, and what it means."""
        return dict(sorted({**EXIT_CODES, **self.codes}.items()))
