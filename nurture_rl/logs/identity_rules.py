"""Who is whom beyond shared keys: the file `identity.yaml` beside a log's files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nurture_envs.fields import Fields
from nurture_rl.identity.compared_blocks import BlockingPart, BlockingRule, default_blocking
from nurture_rl.identity.compared_values import KINDS
from nurture_rl.identity.likely_links import LinkSettings
from nurture_rl.identity.resolve import FROM_THE_START
from nurture_rl.logs.rule_files import rule_fields

IDENTITY_FILE = "identity.yaml"
ALWAYS = "always"
_THRESHOLD = 0.99  # a merge of two people does more harm than a person in two
_PART = r"(?P<column>.+?)(:(?P<signs>[1-9]\d?))?"  # such as name or name:4


@dataclass(frozen=True, slots=True)
class SamePerson:
    """Two that a person says are one."""

    left: str  # contact id, or key such as email:ada@example.com
    right: str
    known_at: int  # UTC microseconds, or FROM_THE_START


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What domains of addresses say of companies."""

    aliases: Mapping[str, str]  # domain, also of a part of a company → account
    free_mail: frozenset[str]  # domains that make no account, beside the known ones
    columns: tuple[str, ...]  # attributes of contacts that hold addresses, beside keys email:...


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """How a log's contacts are told apart and brought together."""

    linking: LinkSettings | None  # None: only shared keys link
    since: str | None  # column that says when a contact row was known; None: always
    not_the_same: tuple[tuple[str, str], ...]  # contact ids or keys
    the_same: tuple[SamePerson, ...]
    accounts: AccountRules | None  # None: domains make no accounts


def load_identity(folder: Path) -> IdentityRules | None:
    """The rules of a log's folder; None: it has none.

    Raises:
        LogError: the file cannot be used; all is named at once.
    """
    path = folder / IDENTITY_FILE
    if not path.is_file():
        return None
    with rule_fields(path, "identity") as f:
        since = f.optional_text("since")
        linking = _linking(f, since)
        rules = IdentityRules(
            linking,
            None if since == ALWAYS else since,
            tuple((one[0], one[1]) for one in _pairs(f, "not_the_same", (2,))),
            tuple(_same(f, one) for one in _pairs(f, "the_same", (2, 3))),
            _accounts(f.mapping("accounts", {})) if f.has("accounts") else None,
        )
        forbidden = {frozenset(pair) for pair in rules.not_the_same}
        for same in rules.the_same:
            if {same.left, same.right} in forbidden:
                f.problem("the_same", f"{same.left} and {same.right} stand in not_the_same, too")
    return rules


def _accounts(f: Fields) -> AccountRules:
    aliases = f.mapping("aliases", {})
    rules = AccountRules(
        {str(name).lower(): aliases.name_text(name) for name in aliases.data},
        frozenset(str(one).lower() for one in f.items("free_mail", [])),
        tuple(str(one) for one in f.items("columns", [])),
    )
    f.finish()
    return rules


def _linking(f: Fields, since: str | None) -> LinkSettings | None:
    columns = f.mapping("comparisons", {})
    comparisons = {str(name): columns.text(name, among=sorted(KINDS)) for name in columns.data}
    blocking = tuple(_rule(f, one, comparisons) for one in f.items("blocking", []))
    never = [str(one) for one in f.items("must_not_differ", [])]
    threshold = f.number("threshold", _THRESHOLD, low=0.5, high=0.999999)
    if not comparisons:
        for name in ("blocking", "threshold", "must_not_differ", "since"):
            if f.has(name):
                f.problem(name, "says nothing without `comparisons`; add them or take it out")
        return None
    if since is None:
        f.problem(
            "since",
            "expected the column of contacts that says when each was known (ISO-8601), or "
            f"`{ALWAYS}`; decisions before that time know nothing of a link",
        )
    if any(kind not in KINDS for kind in comparisons.values()):
        return None
    if len(comparisons) < 2:
        f.problem("comparisons", "expected at least two columns, got one: make it a key instead")
    strange = [name for name in never if name not in comparisons]
    if strange:
        f.problem("must_not_differ", f"expected columns of comparisons, got {', '.join(strange)}")
    blocking = blocking or default_blocking(comparisons)
    return LinkSettings(comparisons, blocking, threshold, frozenset(never))


def _rule(f: Fields, given: Any, comparisons: Mapping[str, str]) -> BlockingRule:
    parts = []
    for text in given if isinstance(given, list) else [given]:
        if str(text) in comparisons:
            parts.append(BlockingPart(str(text), None))
            continue
        found = re.fullmatch(_PART, str(text))
        if found is None or found["column"] not in comparisons:
            known = ", ".join(comparisons)
            f.problem("blocking", f"expected columns of comparisons ({known}), got {text!r}")
            continue
        parts.append(BlockingPart(found["column"], int(found["signs"])))
    return tuple(parts)


def _pairs(f: Fields, name: str, lengths: tuple[int, ...]) -> list[list[Any]]:
    found = []
    for one in f.items(name, []):
        if isinstance(one, list) and len(one) in lengths and one[0] != one[1]:
            found.append([str(one[0]), str(one[1]), *one[2:]])
        else:
            f.problem(name, f"expected pairs such as [crm-1, email:ada@example.com], got {one!r}")
    return found


def _same(f: Fields, given: list[Any]) -> SamePerson:
    if len(given) == 2:
        return SamePerson(given[0], given[1], FROM_THE_START)
    try:
        moment = datetime.fromisoformat(str(given[2]))
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        f.problem("the_same", f"expected a time with Z or an offset, got {given[2]!r}; quote it")
        return SamePerson(given[0], given[1], FROM_THE_START)
    return SamePerson(given[0], given[1], round(moment.timestamp() * 1e6))
