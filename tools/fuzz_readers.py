"""Hunt for a log that crashes the readers, or of which a row is lost.

    python tools/fuzz_readers.py --seconds 60 --seed 0

Each log is made from its number alone, most are damaged. A log must be ingested, each of its rows
kept or in quarantine, or be refused with the library's own error and leave nothing that looks
whole. Ends with 1 where that is not so; `--keep FOLDER` keeps the log.
"""

from __future__ import annotations

import csv
import random
import shutil
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nurture_rl.errors import NurtureError
from nurture_rl.logs.csv_records import lines_of
from nurture_rl.logs.ingest import ingest_folder
from tools.fuzzing import raw_files

_MAPPED = "clicks"
_MAPPING = """file: clicks.{form}
tables:
  events:
    contact_id: contact_id
    occurred_at: occurred_at
    type: {{column: type, values: {{open: open, click: click}}, others: leave_out}}
    value: value
    keep: [event_id, reply_class]
  contacts: {{contact_id: contact_id, consent: {{is: yes}}}}
"""


_RULES = """events: [sent, open, click, reply]
properties: [a]
purposes: {reply: web}
keep_days: 2
pseudonyms: ../key
"""


def make_log(folder: Path, seed: str) -> None:
    """Write a log's raw files; damage some of them."""
    luck = random.Random(seed)
    folder.mkdir(parents=True)
    makers = {
        "events": raw_files.events,
        "contacts": raw_files.contacts,
        "decisions": raw_files.decisions,
    }
    for name, make in makers.items():
        form, rows = luck.choice(raw_files.FORMS), make(luck, luck.choice([0, 3, 40, 200]))
        if name != "events" and luck.random() < 0.2:
            continue
        raw_files.write(folder / f"{name}.{form}", form, rows, luck)
    if luck.random() < 0.3:
        form, rows = luck.choice(("csv", "jsonl", "parquet")), raw_files.events(luck, 40)
        raw_files.write(folder / f"{_MAPPED}.{form}", form, rows, luck)
        (folder / f"{_MAPPED}.map.yaml").write_text(_MAPPING.format(form=form), "utf-8")
    if luck.random() < 0.2:
        (folder / "privacy.yaml").write_text(_RULES, "utf-8")
        (folder.parent / "key").write_text("0123456789abcdef", "utf-8")
        (folder.parent / "key").chmod(0o600)
    for path in sorted(folder.iterdir()):
        hurts = (0, 0, 0, 0, 0, 1) if path.suffix in (".parquet", ".gz") else (0, 0, 1, 2, 20)
        for _ in range(luck.choice(hurts)):
            path.write_bytes(raw_files.damaged(path.read_bytes(), luck))


def judge(folder: Path, out: Path) -> str:
    """Ingest a log: `ingested` or `refused`, as it may be.

    Raises:
        AssertionError: a row is lost, or a refused log left tables.
        Exception: the readers crashed.
    """
    try:
        summary = ingest_folder(folder, out, raw_files.ACTIONS, None, lambda line: None)
    except NurtureError:
        assert not out.exists(), "the log was refused, its tables are there"
        return "refused"
    quarantine = pq.read_table(out / "quarantine.parquet")
    refused = Counter(quarantine["table"].to_pylist())
    for count in summary.tables:
        assert count.quarantined == refused[count.table], f"{count}: {refused}"
        assert count.read == count.kept + count.quarantined, str(count)
        if not any(name.startswith(_MAPPED) for name in count.files):
            given = sum(rows_of(folder / name) for name in count.files)
            assert count.read == given, f"{count}: {given} rows in the files"
    events = pq.ParquetFile(out / "events.parquet").metadata.num_rows
    assert summary.tables[0].kept == events, f"{events} events, {summary.tables[0]}"
    return "ingested"


def rows_of(path: Path) -> int:
    """How many rows a file has, counted in the plainest way."""
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    if ".jsonl" in path.name:
        return sum(not line.isspace() for line in lines_of(path))
    texts = (line.decode("utf-8", "backslashreplace") for line in lines_of(path))
    delimiter = "\t" if ".tsv" in path.name else ","
    reader, count = csv.reader(texts, strict=True, delimiter=delimiter), 0
    width = len(next(reader, []))
    while True:
        try:
            record = next(reader, None)
        except csv.Error:
            count += 1
            continue
        if record is None:
            return count
        count += bool(record) or width == 0


def hunt(
    seconds: float, seed: int, home: Path, most: int = sys.maxsize
) -> tuple[Counter[str], str | None]:
    """Judge logs until the time is over or there were enough; outcomes, and the log that broke."""
    found: Counter[str] = Counter()
    began = time.monotonic()
    while time.monotonic() - began < seconds and found.total() < most:
        name = f"{seed}-{found.total()}"
        folder, out = home / name / "raw", home / name / "tables"
        make_log(folder, name)
        try:
            found[judge(folder, out)] += 1
        except Exception:
            return found, f"{name}\n{traceback.format_exc()}"
        shutil.rmtree(home / name)
    return found, None


def main() -> int:
    """Entry point of the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the log that breaks")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        found, broken = hunt(given.seconds, given.seed, Path(name))
        print(dict(found))
        if broken is None:
            print("nothing found")
            return 0
        print(f"BROKEN: log {broken}")
        if given.keep is not None:
            shutil.copytree(name, given.keep, dirs_exist_ok=True)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
