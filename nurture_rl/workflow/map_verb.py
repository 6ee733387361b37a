"""The verb `map`: looks at a file, and names its format or drafts how its columns are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.logs.mapped.drafting import Draft, GivenAnswers, draft
from nurture_rl.logs.mapped.format_draft import draft_of_format
from nurture_rl.logs.mapped.looking import look_at
from nurture_rl.logs.mapped.mapping_file import DATA_SUFFIXES, SUFFIX
from nurture_rl.logs.mapped.table_copy import copy_table
from nurture_rl.logs.vocabulary import words_of
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

ASKS = 3  # exit code: the mapping asks something


@dataclass(frozen=True, slots=True)
class MapOptions:
    """Which file is looked at, and what is known of it."""

    # CSV, JSON lines or Parquet, text also gzipped; with `database` the CSV file that is made
    file: str
    out: str | None = None  # the mapping; null: beside the file, under its name
    journey: str = "inbound_lead"  # whose event types and stages are known: a name or a file
    zone: str | None = None  # by whose clock times without a zone were written, as Europe/Berlin
    times: str | None = None  # how times are written: iso, seconds, milliseconds or %d.%m.%Y %H:%M
    decimal: str | None = None  # the sign before decimals, . or ,
    encoding: str | None = None  # of text, such as cp1252; null: told from the file
    separator: str | None = None  # of cells; null: told from the file
    stages: tuple[str, ...] = ()  # words of the file and their stages, such as [Prospect=mql]
    # Whose rows they are, such as sendgrid; none: columns of your own; null: told from the file.
    format: str | None = None
    database: str | None = None  # postgresql://...: a table is copied to the file first
    table: str | None = None  # of the database, such as crm.leads; views too


def map_file(options: MapOptions) -> VerbResult:
    """The verb `map`; its exit code is `ASKS` where somebody has to say something first.

    Raises:
        NurtureError: there is no such file, it cannot be read, or there is a mapping already.
        OSError: the disk refuses.
    """
    file = Path(options.file)
    out = mapping_path(file) if options.out is None else Path(options.out)
    if not out.name.endswith(SUFFIX):
        raise ConfigError(f"out: expected a name that ends in {SUFFIX}, got {out.name}")
    if out.exists():
        raise ConfigError(f"out: {out} is there already; take it away, or give another name")
    if options.database is not None or options.table is not None:
        _copied(options, file)
    made = drafted(file, load_journey(options.journey), options)
    atomic_write_bytes(out, made.text.encode("utf-8"))
    tell(out, made)
    return VerbResult(
        {"mapping": out, "questions": list(made.questions)}, ASKS if made.questions else 0
    )


def _copied(options: MapOptions, file: Path) -> None:
    """The table as the file."""
    if options.database is None or options.table is None:
        raise ConfigError("expected both database=postgresql://... and table=NAME, got one of them")
    if not options.database.startswith(("postgresql://", "postgres://")):
        raise ConfigError(f"database: expected postgresql://..., got {options.database!r}")
    if not file.name.endswith(".csv"):
        raise ConfigError(f"file: a table is copied to a name that ends in .csv, got {file.name}")
    if file.exists():
        raise ConfigError(f"file: {file} is there already; take it away, or give another name")
    rows = copy_table(options.database, options.table, file)
    print(f"{options.table}: {counted(rows, 'row')} copied to {file}")


def drafted(file: Path, journey: Journey, options: MapOptions) -> Draft:
    """A mapping of a file by what is known of it.

    Raises:
        NurtureError: the file cannot be read, a stage is not written as word=stage, or there is
            no such format.
    """
    look = look_at(file, options.encoding, options.separator)
    answers = GivenAnswers(options.zone, options.times, options.decimal, stages_of(options.stages))
    stages = [name for name, _ in journey.stages]
    of_format = draft_of_format(look, stages, answers, options.format)
    return of_format or draft(look, sorted(words_of(journey).event_types), stages, answers)


def stages_of(pairs: Sequence[str]) -> dict[str, str]:
    """Stages by the words of a file.

    Raises:
        ConfigError: one is not written as word=stage.
    """
    parted = [pair.partition("=") for pair in pairs]
    wrong = [word for word, equals, stage in parted if not (equals and word and stage)]
    if wrong:
        raise ConfigError(f"stages: expected words such as Prospect=mql, got {wrong[0]!r}")
    return {word.strip(): stage.strip() for word, _, stage in parted}


def mapping_path(file: Path) -> Path:
    """Where the mapping of a file lies."""
    end = next((end for end in DATA_SUFFIXES if file.name.endswith(end)), file.suffix)
    return file.with_name(file.name.removesuffix(end) + SUFFIX)


def tell(out: Path, made: Draft) -> None:
    """Say what a row was taken for, and what is still to be said."""
    for sentence in made.says:
        print(sentence)
    if made.left:
        print(f"not taken: {', '.join(made.left)}")
    print(f"mapping: {out}")
    if made.questions:
        print(f"{counted(len(made.questions), 'question')} to be answered in it first:")
        for question in made.questions:
            print(f"  {question}")
