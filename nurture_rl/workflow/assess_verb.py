"""The verb `assess`: which journey to begin with, by a log that is there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.journey_ranking import RankedJourney, ranked_journeys
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.logs.atomic import atomic_folder, require_apart
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.progress import PROGRESS, shown_progress
from nurture_rl.report.assess_page import answers, assess_markdown, assess_page
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.raw_folder import write_json

NONE_YET = 3  # exit code: something speaks against every candidate
_TABLES = ("events.parquet", "contacts.parquet")


@dataclass(frozen=True, slots=True)
class AssessOptions:
    """Which log is looked at, and which journeys are asked about."""

    # Folder of a log: files that `nurture ingest` reads (with their mappings), or tables it made.
    path: str
    # Candidates: names of shipped journeys or files.
    journeys: tuple[str, ...] = (
        *("inbound_lead", "stalled_opportunity", "trial_onboarding", "re_engagement", "renewal"),
    )
    # Signals by which contacts enter, such as [stalled_opportunity=opened_opportunity]; a contact
    # enters any other journey with its first event.
    entries: tuple[str, ...] = ()
    out: str = "assessed"  # folder to make: assess.html, assess.md and assess.json


def assess(options: AssessOptions) -> VerbResult:
    """Rank journeys; the exit code is `NONE_YET` where something speaks against each.

    Raises:
        NurtureError: a journey, an entry or the log cannot be used.
        OSError: the disk refuses.
    """
    journeys = [load_journey(name) for name in options.journeys]
    if not journeys:
        raise ConfigError("journeys: expected at least one, got none")
    names = [one.name for one in journeys]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"journeys: {twice[0]} is named twice")
    entries = _entries(options.entries, journeys)
    folder = Path(options.path)
    if not folder.is_dir():
        raise LogError(f"path: expected the folder of a log at {folder}, it is not there")
    require_apart(Path(options.out), folder)
    with shown_progress("assess"), tempfile.TemporaryDirectory(prefix="assess-") as work:
        left = Path(f"{options.out}.quarantine.parquet")
        candidates = [(one, *_read(folder, one, Path(work), left)) for one in journeys]
        rows = ranked_journeys(candidates, entries)
    subtitle = f"{folder.name}: {len(candidates[0][1]):,} events"
    with atomic_folder(Path(options.out)) as partial:
        (partial / "assess.html").write_text(assess_page(rows, subtitle), "utf-8")
        (partial / "assess.md").write_text(assess_markdown(rows, subtitle), "utf-8")
        write_json(partial / "assess.json", [asdict(one) for one in rows])
    _tell(rows, options.out)
    made = {"first": rows[0].name, "order": [one.name for one in rows], "folder": options.out}
    return VerbResult(made, NONE_YET if rows[0].why_not is not None else 0)


def _entries(said: Sequence[str], journeys: Sequence[Journey]) -> dict[str, str]:
    of = {one.name: {signal.name for signal in one.signals} for one in journeys}
    found = {}
    for one in said:
        name, sign, signal = (part.strip() for part in one.partition("="))
        if not sign or name not in of:
            raise ConfigError(
                f"entries: expected JOURNEY=SIGNAL with one of {', '.join(sorted(of))}, got {one!r}"
            )
        if signal not in of[name]:
            raise ConfigError(
                f"entries: {name} has no signal {signal!r}; known are {', '.join(sorted(of[name]))}"
            )
        found[name] = signal
    return found


def _read(folder: Path, journey: Journey, work: Path, left: Path) -> tuple[pa.Table, pa.Table]:
    """Events and contacts of a log, by the words of a journey; of an unusable one the quarantine.

    Raises:
        LogError: the log cannot be used; its refused rows are in `left`.
    """
    tables = folder
    if not (folder / "summary.json").is_file():
        tables = work / journey.name
        PROGRESS.info("reading the log by the words of %s", journey.name)
        try:
            ingest_folder(folder, tables, None, None, PROGRESS.info, journey=journey)
        except LogError as error:
            refused = tables.with_name(f"{tables.name}.quarantine.parquet")
            if not refused.is_file():
                raise
            left.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(refused, left)
            raise LogError(str(error).replace(str(refused), str(left))) from error
    events, contacts = (pq.read_table(tables / name) for name in _TABLES)
    return events, contacts


def _tell(rows: Sequence[RankedJourney], out: str) -> None:
    for question, answer in answers(rows):
        print(f"{question} {answer}")
    for place, row in enumerate(rows, 1):
        print(f"  {place}. {row.name}: {row.why_not or f'{row.weeks} weeks to an answer'}")
    print(f"the page: {out}/assess.html")
