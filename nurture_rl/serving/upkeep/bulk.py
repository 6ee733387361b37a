"""The verb `decide`: a batch of decisions for every contact that is due, as the server makes them.

The store is what counts: a decision is in it before it is in the table. So a batch that was
interrupted goes on without a second decision for anybody.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from nurture_envs.clock import HOUR_US, require_zone
from nurture_rl.errors import ConfigError
from nurture_rl.progress import PROGRESS, shown_progress
from nurture_rl.release.bundle import Bundle, load_served
from nurture_rl.serving.contacts.recheck import acts
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.preload import load_once
from nurture_rl.serving.deciding.server_settings import EVERYWHERE, ServerSettings, machine_clock
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.deciding.whose_clock import keep_to_clock
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.http.regular_looks import RegularLooks
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.policies.bundle_folder import BundleFolder, require_signers
from nurture_rl.serving.records import Answer, Decision, Refusal
from nurture_rl.serving.storage.locating import require_there, shown_location
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable
from nurture_rl.serving.unsubscribing import checked_url
from nurture_rl.serving.upkeep.bulk_table import SENT, table_of, taken_back
from nurture_rl.serving.upkeep.bulk_work import BulkWork, Once
from nurture_rl.serving.upkeep.collecting import rare_collections
from nurture_rl.serving.upkeep.export import export_decisions
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)  # of `at`, as at servers
LOST = "not_in_store"  # why a decision of an interrupted batch is not in its table


@dataclass(frozen=True, slots=True)
class DecideOptions:
    """Who decides for whom, and where it is written."""

    bundle: str  # folder of a bundle
    # Parquet file to make, for the sender; it must not be there. The same command takes up a batch
    # that was interrupted.
    out: str
    # The server's store: a SQLite file, whose server must be stopped, or the URL of a PostgreSQL
    # database, whose servers may run; null: none, and `logs` is needed.
    store: str | None = None
    # Folder of checked tables whose contacts and events are known, as of `nurture serve logs=...`.
    logs: str | None = None
    # Parquet or CSV file with a column contact_id: decide for these alone; null: for everybody.
    contacts: str | None = None
    # Moment of all decisions, as in 2026-04-08T07:00:00Z, in place of the clock: for rehearsals,
    # as `simulated_clock` of a server; null: the clock.
    at: str | None = None
    default_zone: str = "Europe/Berlin"  # IANA zone of contacts who have none
    # Hours by which such a contact's zone may be off, lowest and highest; anywhere on earth.
    unknown_zone_slack: tuple[int, int] = EVERYWHERE
    block: int = (
        2_000  # contacts decided at a time, from 1 to 10000; servers of the store wait for one
    )
    # Folder of further bundles of the same journey, where the store's roles name some; null: there
    # are no others.
    bundles: str | None = None
    # Folders of bundles of further journeys, one each, as the servers of the store have them.
    journeys: tuple[str, ...] = ()
    # File of public Ed25519 keys (PEM, one or more): every bundle must be signed by the owner of
    # one; null: none has to be.
    trust: str | None = None
    # How many different owners of these keys must have signed each bundle, >= 1; a journey's own
    # `signers` may ask for more.
    signers: int = 1
    # https address under which contacts reach a server of the store: the column list_unsubscribe
    # then holds the header of one-click unsubscribe; null: it holds none.
    public_url: str | None = None


def decide_batch(options: DecideOptions) -> VerbResult:
    """Decide for everybody who is due, and write the table for the sender.

    Raises:
        NurtureError: bundle, store, log, list or moment cannot be used, or the table is there.
        OSError: the disk refuses.
    """
    at_us = _require(options)
    trust = None if options.trust is None else Path(options.trust)
    signers = require_signers(options.signers)
    bundle = load_served(Path(options.bundle), trust, signers)
    further = [load_served(Path(folder), trust, signers) for folder in options.journeys]
    journeys = [one.journey for one in (bundle, *further)]
    others = BundleFolder.of(options.bundles, trust, signers)
    with closing(BulkWork(Path(options.out), _settings(options, [bundle, *further]))) as work:
        location = options.store or str(work.folder / "store.db")
        try:
            with shown_progress("decide"), closing(Store(location)) as store, rare_collections():
                if options.logs is not None:
                    PROGRESS.info("reading %s", options.logs)
                    load_once(store, Path(options.logs), Forbidding.of_all(journeys))
                settings = ServerSettings(
                    options.default_zone,
                    at_us is not None,
                    machine_clock if at_us is None else lambda: at_us,
                    unknown_zone_slack=options.unknown_zone_slack,
                    public_url=checked_url(options.public_url),
                )
                keep_to_clock(store, settings.simulated_clock)
                _require_all(store, {one.name for one in journeys}, at_us)
                service = Service(bundle, store, settings, others, further)
                return _Batch(service, work, options, at_us).made()
        except StoreUnavailable as error:
            raise StoreError(f"{shown_location(location)}: {error}") from error


class _Batch:
    """One batch: what it asks, what it answers, and how far it is."""

    def __init__(
        self, service: Service, work: BulkWork, options: DecideOptions, at_us: int | None
    ) -> None:
        self._service, self._work, self._options, self._at_us = service, work, options, at_us
        began = options.at or f"{work.began_us}"
        self._name = f"{service.store.salt}:{service.bundle.journey.name}:{began}"
        self._counts: Counter[str] = Counter()  # refusals by code
        self._sends = self._rows = 0

    def made(self) -> VerbResult:
        """Decide, write, and say what came of it."""
        repeated = self._note_whom()
        with RegularLooks(self._service) if self._at_us is None else nullcontext():
            self._decide()
            self._work.write(self._whole(), SENT)
        self._service.shadowing.finish()
        beside = self._beside()
        self._work.finish()
        refused = dict(sorted(self._counts.items()))
        why = ", ".join(f"{count} {code}" for code, count in refused.items())
        print(
            f"{counted(self._rows, 'decision')} written to {self._options.out}, of which "
            f"{counted(self._sends, 'send')}; no decision for {sum(refused.values())}"
            + (f": {why}" if why else "")
            + (f"; {counted(repeated, 'id')} listed twice" if repeated else "")
        )
        made = {"out": self._options.out, "decisions": self._rows, "sends": self._sends}
        return VerbResult({**made, "refused": refused, "repeated": repeated, "log": beside})

    def _note_whom(self) -> int:
        PROGRESS.info("reading whom to decide for")
        if self._options.contacts is None:
            self._work.ask_for(self._everybody())
            return 0
        listed = Once(Path(self._options.contacts))
        self._work.ask_for(listed)
        return listed.repeated

    def _everybody(self) -> Iterator[str]:
        for block in self._service.store.names():
            yield from block

    def _decide(self) -> None:
        total, done, began = self._work.count, 0, time.monotonic()
        todo = sum(len(names) for _, names in self._work.parts())
        for number, names in self._work.parts():
            tables, refused = [], Counter[str]()
            for start in range(0, len(names), self._options.block):
                some = names[start : start + self._options.block]
                tables.append(self._decided(some, refused))
                done += len(some)
                left = (time.monotonic() - began) / done * (todo - done)
                text = "%d of %d contacts, about %.0f s left"
                PROGRESS.info(text, total - todo + done, total, left)
            self._work.keep(number, pa.concat_tables(tables), refused)

    def _decided(self, names: Sequence[str], refused: Counter[str]) -> pa.Table:
        """The rows of some contacts; whoever gets no decision is counted."""
        asks = [Ask(name, self._id_of(name)) for name in names]
        answers = self._service.decide(asks, self._at_us)
        # What was decided before an interruption, and taken back since.
        late = [a.request_id or "" for a, said in _refused(asks, answers)]
        before = self._service.store.decisions(late)
        kept = []
        for ask, answer in zip(asks, answers, strict=True):
            if isinstance(answer, Decision):
                kept.append(answer)
            elif (found := before.get(ask.request_id or "")) is not None:
                kept.append(found)
            else:
                refused[answer.code] += 1
        table = self._table(kept)
        said = {a.request_id: s.message for a, s in _refused(asks, answers) if a.request_id}
        return taken_back(table, {name: said[name] for name in before})

    def _table(self, decisions: Sequence[Decision]) -> pa.Table:
        known = self._service.store.zones_of([one.contact_id for one in decisions])
        zones = [
            known[contact_key(one.contact_id)] or self._options.default_zone for one in decisions
        ]
        catalogs = {one.name: one.bundle.catalog for one in self._service.journeys}
        return table_of(decisions, zones, catalogs, self._service.links)

    def _whole(self) -> Iterator[pa.Table]:
        """The table in parts, without what was taken back while others were decided for."""
        for done, (table, refused) in enumerate(self._work.kept()):
            self._counts.update(refused)
            PROGRESS.info("looking again at part %d", done + 1)
            table = self._in_store(table)
            whole = taken_back(table, self._taken_back(table["decision_id"].to_pylist()))
            self._rows += whole.num_rows
            self._sends += whole.num_rows - whole["message"].null_count
            yield whole

    def _in_store(self, table: pa.Table) -> pa.Table:
        """Without decisions that the store has no more: of the erased, or undone by a restore."""
        ids = table["decision_id"].to_pylist()
        there = self._service.store.decided(ids)
        if len(there) == len(ids):
            return table
        self._counts[LOST] += len(ids) - len(there)
        return table.filter(pa.array([name in there for name in ids], pa.bool_()))

    def _taken_back(self, ids: Sequence[str]) -> dict[str, str]:
        """Why decisions must not be carried out any more, by id."""
        store = self._service.store
        for start in range(0, len(ids) if self._at_us is None else 0, self._options.block):
            some = store.decisions(ids[start : start + self._options.block]).values()
            now_us = machine_clock()
            due = [d for d in some if acts(d) and (d.scheduled_us or 0) <= now_us]
            self._service.decide([Ask(d.contact_id, d.decision_id) for d in due])
        fates = store.fates(ids)
        return {name: fate.reason for name, fate in fates.items() if fate.reason is not None}

    def _beside(self) -> str | None:
        """The decisions table, where no store of the user's keeps it."""
        if self._options.store is not None:
            return None
        out = Path(self._options.out)
        path = out.with_name(f"{out.stem}.decisions.parquet")
        export_decisions(self._service.store, path)
        return str(path)

    def _id_of(self, contact_id: str) -> str:
        """The decision id of a contact in this batch: the same in every attempt."""
        text = f"{self._name}:{contact_key(contact_id)}".encode("utf-8", "surrogatepass")
        sign = blake2b(text, digest_size=16).hexdigest()
        return f"{sign[:8]}-{sign[8:12]}-{sign[12:16]}-{sign[16:20]}-{sign[20:]}"


def _refused(asks: Sequence[Ask], answers: Sequence[Answer]) -> list[tuple[Ask, Refusal]]:
    return [(a, s) for a, s in zip(asks, answers, strict=True) if isinstance(s, Refusal)]


def _require(options: DecideOptions) -> int | None:
    """Guard the settings; the moment that is asked for, microseconds since 1970 UTC."""
    require_zone(options.default_zone)
    if options.store is None and options.logs is None:
        raise ConfigError("expected store or logs, got neither: where are the contacts? Give one")
    if options.store is not None and options.logs is None:
        require_there(options.store)
    if not 1 <= options.block <= 10_000:
        raise ConfigError(f"block: expected a number from 1 to 10000, got {options.block}")
    if options.at is None:
        return None
    try:
        moment = datetime.fromisoformat(options.at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not _EPOCH <= moment < _LATEST:
        raise ConfigError(
            f"at: expected a moment from 1970 to 2199 with its zone, as in "
            f"2026-04-08T07:00:00Z, got {options.at!r}"
        )
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _require_all(store: Store, served: set[str], at_us: int | None) -> None:
    """Guard episodes of other journeys: a service that does not know their journey ends them.

    Raises:
        ConfigError: some go on.
    """
    earliest_us = (machine_clock() if at_us is None else at_us) - 12 * HOUR_US
    if missing := sorted(store.journeys_going_on(earliest_us) - served):
        raise ConfigError(
            f"expected bundles of all journeys that contacts of the store are in, got none of "
            f"{', '.join(missing)}; give journeys=[FOLDER] too, as the server has it"
        )


def _settings(options: DecideOptions, bundles: Sequence[Bundle]) -> Mapping[str, Any]:
    """What an attempt to go on must have in common with what was begun."""
    return {
        "bundle": [bundle.policy_id for bundle in bundles],
        "store": None if options.store is None else shown_location(options.store),
        "logs": options.logs,
        "contacts": options.contacts,
        "at": options.at,
        "default_zone": options.default_zone,
        "unknown_zone_slack": list(options.unknown_zone_slack),
    }
