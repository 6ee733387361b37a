"""What pages and links are about: rules over addresses, in the file `pages.yaml` beside a log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.fields import Fields
from nurture_rl.logs.changed_columns import with_cells
from nurture_rl.logs.rule_files import rule_fields

PAGES_FILE = "pages.yaml"
_VIEW, _CLICK = "page_view", "click"
_URL = r'"url"\s*:\s*"(?P<url>(?:[^"\\]|\\.)*)"'
_SHOWN = 10  # addresses without a rule that are told


@dataclass(frozen=True, slots=True)
class PageRule:
    """What an address that fits all patterns is about; * stands for any characters."""

    host: str
    path: str
    query: str
    category: str | None
    topic: str | None
    block: str | None
    call_to_action: str | None


@dataclass(frozen=True, slots=True)
class PageRules:
    """The rules of a log; of those that fit an address the first holds."""

    version: str
    pages: tuple[PageRule, ...]  # of page views
    links: tuple[PageRule, ...]  # of clicks in mails


def load_page_rules(folder: Path) -> PageRules | None:
    """The rules of a log's folder; None: it has none.

    Raises:
        LogError: the file cannot be used; all is named at once.
    """
    path = folder / PAGES_FILE
    if not path.is_file():
        return None
    # Versions such as 1.10 are text.
    with rule_fields(path, "pages", words=True) as f:
        version = f.name_text("version")
        pages = tuple(_rule(one, True) for one in f.mappings("pages", []))
        links = tuple(_rule(one, False) for one in f.mappings("links", []))
        if not f.problems and not (pages or links):
            f.problem("pages", "expected at least one rule of pages or links, got none")
    return PageRules(version, pages, links)


def _rule(f: Fields, is_page: bool) -> PageRule:
    rule = PageRule(
        host=f.text("host", "*").lower(),
        path=f.text("path", "*"),
        query=f.text("query", "*"),
        category=f.name_text("category") if is_page else None,
        topic=f.optional_text("topic"),
        block=None if is_page else f.optional_text("block"),
        call_to_action=None if is_page else f.optional_text("call_to_action"),
    )
    f.finish()
    if not is_page and not (rule.topic or rule.block or rule.call_to_action):
        f.problem("topic", "expected a topic, block or call_to_action, got none of them")
    return rule


class PageReading:
    """Says what the pages and links of events are about, and counts what no rule fits."""

    def __init__(self, rules: PageRules) -> None:
        self._rules = rules
        self._fits: Counter[bool] = Counter()  # page views with an address, by whether a rule fits
        self._unmatched: Counter[str] = Counter()

    def read(self, events: pa.Table) -> pa.Table:
        """Events with page category, topic, block and call to action where rules say them.

        What the log says itself stays. The address is the property `url`.

        Args:
            events: rows of the events table.
        """
        kinds = events["type"].combine_chunks()
        for kind, rules in ((_VIEW, self._rules.pages), (_CLICK, self._rules.links)):
            rows = np.flatnonzero(np.asarray(pc.equal(kinds, kind)))
            if rules and len(rows):
                events = self._with_rules(events, rows, rules, kind == _VIEW)
        return events

    def notes(self, shows_addresses: bool) -> list[str]:
        """How many page views a rule fits, and the most frequent addresses that none does.

        Args:
            shows_addresses: whether addresses may be told.
        """
        views = sum(self._fits.values())
        if not views:
            return []
        note = (
            f"rules of pages, version {self._rules.version}: {self._fits[True]} of {views} page "
            "views with an address fit one"
        )
        if self._unmatched and shows_addresses:
            most = sorted(self._unmatched.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]
            note += "; none fits " + ", ".join(f"{page} ({count})" for page, count in most)
        return [note]

    def _with_rules(
        self, events: pa.Table, rows: np.ndarray, rules: Sequence[PageRule], is_page: bool
    ) -> pa.Table:
        some = events.take(pa.array(rows))
        properties = some["properties"].combine_chunks()
        urls = pc.struct_field(pc.extract_regex(properties, _URL), "url").dictionary_encode()
        found = [_of(text, rules) for text in urls.dictionary.to_pylist()]
        rule_of = [None if i is None else found[i][1] for i in urls.indices.to_pylist()]
        if is_page:
            self._count(urls, found, some["page_category"].combine_chunks())
            said = pa.array([one and one.category for one in rule_of], pa.string())
            events = _filled(events, "page_category", rows, said)
        topics = pa.array([one and one.topic for one in rule_of], pa.string())
        events = _filled(events, "topic", rows, topics)
        if is_page:
            return events
        texts = [
            text if one is None else _with_parts(text, one)
            for text, one in zip(properties.to_pylist(), rule_of, strict=True)
        ]
        return with_cells(events, "properties", rows, pa.array(texts, pa.string()))

    def _count(
        self, urls: pa.DictionaryArray, found: Sequence[tuple[str, PageRule | None]], own: pa.Array
    ) -> None:
        """Count page views without a category of their own."""
        asked = urls.indices.filter(pc.and_(pc.is_valid(urls.indices), pc.is_null(own)))
        for index, count in zip(*np.unique(np.asarray(asked), return_counts=True), strict=True):
            page, rule = found[int(index)]
            self._fits[rule is not None] += int(count)
            if rule is None:
                self._unmatched[page] += int(count)


def _of(text: str, rules: Sequence[PageRule]) -> tuple[str, PageRule | None]:
    """Host and path of an address, and the first rule that it fits."""
    try:
        url = urlsplit(json.loads(f'"{text}"'))
        host = (url.hostname or "").removeprefix("www.")
    except ValueError:
        return text[:100], None
    path = unquote(url.path).rstrip("/") or "/"
    fits = (
        one
        for one in rules
        if fnmatchcase(host, one.host.removeprefix("www."))
        and fnmatchcase(path, one.path.rstrip("/") or "/")
        and fnmatchcase(url.query, one.query)
    )
    return f"{host}{path}"[:100], next(fits, None)


def _with_parts(text: str, rule: PageRule) -> str:
    told = json.loads(text)
    for name in ("block", "call_to_action"):
        said = getattr(rule, name)
        if said is not None and name not in told:
            told[name] = said
    return json.dumps(told, ensure_ascii=False)


def _filled(events: pa.Table, name: str, rows: np.ndarray, said: pa.Array) -> pa.Table:
    own = events[name].combine_chunks().take(pa.array(rows))
    return with_cells(events, name, rows, pc.coalesce(own, said))
