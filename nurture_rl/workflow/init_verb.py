"""The verb `init`: a folder to begin with, from the files that somebody has."""

from __future__ import annotations

import random
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.map_verb import ASKS, MapOptions, drafted, mapping_path, stages_of, tell

LOG, JOURNEY = "log", "journey.yaml"  # in the folder
# How to get files out of a platform; what is written there is what its users find in its menus.
PLATFORMS = {
    "csv": "Any table with a column for the person and a column for the moment will do.",
    "hubspot": "Contacts: export with the properties `Became a ... date` (one column a stage). "
    "E-mails: export each e-mail's recipients with opens and clicks.",
    "salesforce": "Lead or Opportunity history reports: record, field, new value, edit date.",
    "mailchimp": "Campaign reports: export opens and clicks, with the time of each.",
    "listmonk": "The tables `subscribers`, `campaign_views`, `link_clicks`, `bounces` and "
    "`subscriber_lists` of its database, each as CSV with its columns' names.",
    "mautic": "Reports on e-mails sent and page hits, exported as CSV.",
}
_SAMPLE, _SEED = 60, 1  # contacts of the sample


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What the folder is made of. What is left out is asked where somebody can answer."""

    out: str  # the folder to make; it must not be there
    files: tuple[str, ...] = ()  # what you have, such as [clicks.csv,stages.csv]; none: a sample
    platform: str | None = None  # where the files come from: csv, hubspot, salesforce, ...
    stages: tuple[str, ...] | None = None  # words of your CRM and stages, such as [Prospect=mql]
    journey: str | None = None  # the first journey, the name of a shipped one or a file
    zone: str | None = None  # by whose clock times without a zone were written, as Europe/Berlin


def init(options: InitOptions) -> VerbResult:
    """The verb `init`; its exit code is `ASKS` where a mapping asks something first.

    Raises:
        NurtureError: the folder is there, or a file, a platform or a journey cannot be used.
        OSError: the disk refuses.
    """
    out = Path(options.out)
    if out.exists():
        raise ConfigError(f"out: {out} is there already; give another name")
    platform = options.platform or _asked("Where do your files come from", list(PLATFORMS), "csv")
    if platform not in PLATFORMS:
        raise ConfigError(f"platform: expected one of {', '.join(PLATFORMS)}, got {platform!r}")
    name = options.journey or _asked("The first journey", list(shipped_journeys()), "inbound_lead")
    journey = load_journey(name)
    stages = options.stages
    if stages is None:
        known = ", ".join(stage for stage, _ in journey.stages)
        stages = tuple(_words(f"Words of your CRM for the stages {known}, such as Prospect=mql"))
    stages_of(stages)
    files = [Path(file) for file in options.files]
    _require_apart(files)
    asked = 0
    with atomic_folder(out) as partial:
        (partial / LOG).mkdir()
        (partial / JOURNEY).write_text(_journey_text(name, out.name), "utf-8")
        for file in files:
            shutil.copyfile(file, partial / LOG / file.name)
        if not files:
            _write_sample(partial / LOG)
        for file in sorted((partial / LOG).iterdir()):
            zone = options.zone or (None if files else "UTC")
            given = MapOptions(str(file), journey=name, zone=zone, stages=stages)
            made = drafted(file, journey, given)
            mapping_path(file).write_text(made.text, "utf-8")
            print(f"{file.name}:")
            tell(out / LOG / mapping_path(file).name, made)
            asked += len(made.questions)
        line = f"nurture pipeline data=folder data.path={out}/{LOG} data.journey={out}/{JOURNEY}"
        (partial / "README.txt").write_text(_readme(line, platform), "utf-8")
    print(f"\n{out} is made. {'Answer the questions in its mappings, then' if asked else 'Next'}:")
    print(f"  {line}")
    return VerbResult({"folder": out, "questions": asked, "next": line}, ASKS if asked else 0)


def _asked(question: str, known: list[str], default: str) -> str:
    if not sys.stdin.isatty():
        return default
    return input(f"{question}? One of {', '.join(known)} [{default}]: ").strip() or default


def _words(question: str) -> list[str]:
    if not sys.stdin.isatty():
        return []
    written = input(f"{question}; with commas between, or nothing: ")
    return [word.strip() for word in written.split(",") if word.strip()]


def _require_apart(files: list[Path]) -> None:
    gone = [str(file) for file in files if not file.is_file()]
    if gone:
        raise ConfigError(f"files: there is no {', '.join(gone)}")
    names = [mapping_path(file).name for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"files: two of them would have the mapping {twice[0]}; rename one")


def _journey_text(parent: str, name: str) -> str:
    if parent not in shipped_journeys():
        parent = str(Path(parent).resolve())
    plain = "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_") or "first"
    return (
        f"# Your first journey: all of {parent}, but for what stands here. docs/journey-file.md "
        "says what may.\n"
        f"extends: {parent}\njourney: {plain}\ntitle: {plain.replace('_', ' ')}\n"
        "provenance: made by `nurture init`\n"
    )


def _readme(line: str, platform: str) -> str:
    return (
        "What is here\n\n"
        f"  {LOG}/          your files, and a mapping (*.map.yaml) beside each: read every line\n"
        f"  {JOURNEY}  the journey: stages, messages, guardrails\n\n"
        f"From {platform}: {PLATFORMS[platform]}\n\n"
        "To add a file: put it beside the others and draft its mapping with\n\n"
        f"  nurture map file=log/NAME.csv journey={JOURNEY} zone=Europe/Berlin\n\n"
        "A report of what your files tell, what they do not, and the first experiment to run:\n\n"
        f"  {line}\n"
    )


def _write_sample(folder: Path) -> None:
    """Two small files of people who do not exist, as a mail program and a CRM write them."""
    rng, began = random.Random(_SEED), datetime(2026, 3, 2, 9, tzinfo=UTC)
    clicks, stages = ["email,clicked_on,link"], ["email,company,stage,changed_at"]
    for number in range(_SAMPLE):
        who = f"person{number:02d}@firm{number // 3:02d}.example"
        since = began + timedelta(hours=36 * number + rng.randrange(8))
        stages.append(f"{who},Firm {number // 3:02d},Lead,{since:%Y-%m-%dT%H:%MZ}")
        keen = rng.random() < 0.4
        for _ in range(rng.randrange(1, 4) if keen else rng.random() < 0.2):
            at = since + timedelta(hours=rng.randrange(10, 200))
            link = rng.choice(("pricing", "security", "integrations"))
            clicks.append(f"{who},{at:%Y-%m-%dT%H:%MZ},https://www.example/{link}")
        for stage, chance in (("MQL", 0.7), ("SQL", 0.5)):
            if not keen or rng.random() > chance:
                break
            since += timedelta(hours=rng.randrange(24, 120))
            stages.append(f"{who},Firm {number // 3:02d},{stage},{since:%Y-%m-%dT%H:%MZ}")
    (folder / "clicks.csv").write_text("\n".join(clicks) + "\n", "utf-8")
    (folder / "stages.csv").write_text("\n".join(stages) + "\n", "utf-8")
