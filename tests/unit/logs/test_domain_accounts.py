"""Accounts by the domains of addresses: companies, never providers of free mail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nurture_rl.identity.company_domains import aliased, company_domain, is_free_mail
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.kept_private import pseudonym

Row = dict[str, Any]
VIEW = {"event_id": "e", "contact_id": "a", "occurred_at": "2024-05-01T10:00:00Z", "type": "open"}


def contact(name: str, *addresses: str, account: str | None = None, **more: str) -> Row:
    keys = [f"email:{address}" for address in addresses]
    return {"contact_id": name, "keys": keys, "account_id": account, "attributes": more}


def ingested(home: Path, rules: str, *contacts: Row, privacy: str = "") -> tuple[str, Path]:
    raw, out = home / "log" / "raw", home / "log" / "out"
    raw.mkdir(parents=True)
    for name, rows in (("events", [VIEW]), ("contacts", contacts)):
        (raw / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (raw / "identity.yaml").write_text(rules, "utf-8")
    if privacy:
        (raw / "privacy.yaml").write_text(privacy, "utf-8")
    notes = ingest_folder(raw, out, None, None, lambda line: None).notes
    return "".join(notes[-1:]), out


def read(out: Path, name: str) -> list[Row]:
    rows: list[Row] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


def accounts(out: Path) -> dict[str, str | None]:
    return {row["contact_id"]: row["account_id"] for row in read(out, "contacts")}


def test_addresses_are_found_in_what_people_write_and_what_is_none_makes_no_account(
    tmp_path: Path,
) -> None:
    _, out = ingested(
        tmp_path,
        "accounts: {columns: [work]}",
        contact("a", "Ada <ada@acme.com>"),
        contact("b", "mailto:ben@acme.com"),
        contact("c", work="Cleo@acme.com; cleo@firm.de"),
        contact("d", work="['dan@acme.com']"),
        contact("e", "eve@acme"),
        contact("f", "fay@-.com", work="see notes"),
        contact("g", "gus@co.uk"),
        contact("h", "hal@gmail.com"),
    )
    told = {row["contact_id"]: row["account_id"] or row["by"] for row in read(out, "accounts")}
    assert told == {
        **dict.fromkeys("abd", "acme.com"),
        "c": "several domains",
        **dict.fromkeys("efg", "no address"),
        "h": "free mail",
    }


def test_contacts_get_the_account_of_their_domain_and_the_table_says_why(tmp_path: Path) -> None:
    note, out = ingested(
        tmp_path,
        "accounts: {aliases: {acme-group.com: acme.com, lab.acme.com: ACME-LAB}, columns: [work]}",
        contact("a", "ada@mail.firm.co.uk"),
        contact("b", "ben@firm.co.uk"),
        contact("c", "cleo@gmail.com"),
        contact("d", "dan@eu.acme-group.com"),
        contact("e", "eve@x1.lab.acme.com"),
        contact("f", "fay@known.com", account="K-7"),
        contact("g", "gus@known.com", "gus@gmx.de"),
        contact("h", "hal@firm.co.uk", "hal@acme.com"),
        contact("i"),
        contact("j", work="Joe@Other.org"),
    )
    assert accounts(out) == {
        "a": "firm.co.uk",
        "b": "firm.co.uk",
        "c": None,
        "d": "acme.com",
        "e": "ACME-LAB",
        "f": "K-7",
        "g": "K-7",
        "h": None,
        "i": None,
        "j": "other.org",
    }
    by = {row["contact_id"]: row["by"] for row in read(out, "accounts")}
    assert by == {
        "a": "domain",
        "b": "domain",
        "c": "free mail",
        "d": "alias",
        "e": "alias",
        "g": "colleagues",
        "h": "several domains",
        "i": "no address",
        "j": "domain",
    }
    assert note == (
        "identity.yaml: accounts for 9 contacts without one: 3 by domain, 2 by alias, 1 by "
        "colleagues; none for 1 with free mail, 1 with no address, 1 with several domains; "
        "the largest has 2 contacts"
    )


def test_colleagues_with_two_accounts_give_none(tmp_path: Path) -> None:
    _, out = ingested(
        tmp_path,
        "accounts: {free_mail: [town.example]}",
        contact("a", "ada@firm.com", account="A"),
        contact("b", "ben@firm.com", account="B"),
        contact("c", "cleo@firm.com"),
        contact("d", "dan@mail.town.example"),
    )
    assert accounts(out) == {"a": "A", "b": "B", "c": None, "d": None}
    by = {row["contact_id"]: row["by"] for row in read(out, "accounts")}
    assert by == {"c": "several accounts of colleagues", "d": "free mail"}


def test_without_the_rule_nobody_gets_an_account(tmp_path: Path) -> None:
    _, out = ingested(tmp_path, "the_same: []", contact("a", "ada@firm.com"))
    assert accounts(out) == {"a": None}
    assert not (out / "accounts.parquet").exists()


def test_pseudonyms_hide_the_domain(tmp_path: Path) -> None:
    key = b"0123456789abcdef"
    path = tmp_path / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_bytes(key)
    rows = [contact("a", "ada@firm.com"), contact("b", "ben@firm.com")]
    _, out = ingested(tmp_path, "accounts: {}", *rows, privacy="pseudonyms: ../../pseudonym.key")
    hidden = pseudonym("firm.com", key)
    assert accounts(out) == {pseudonym(name, key): hidden for name in "ab"}
    assert {(row["domain"], row["account_id"]) for row in read(out, "accounts")} == {(None, hidden)}


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("Ada@Mail.EU.Firm.COM", "firm.com"),
        ("a@firm.co.uk", "firm.co.uk"),
        ("a@mail.firm.com.au.", "firm.com.au"),
        ("a@firm.de", "firm.de"),
        ("a@co.uk", None),
        ("a@localhost", None),
        ("a@[10.0.0.1]", None),
        ("a@10.0.0.1", None),
        ("no address", None),
        ("a@firm..com", None),
    ],
)
def test_the_domain_is_what_a_company_registers(address: str, domain: str | None) -> None:
    assert company_domain(address) == domain


@pytest.mark.parametrize("domain", ["gmail.com", "yahoo.co.jp", "gmx.net", "web.de", "live.fr"])
def test_free_mail_is_known(domain: str) -> None:
    assert is_free_mail(domain)
    assert not is_free_mail(f"my{domain}")


def test_of_aliases_the_longest_holds() -> None:
    table = {"acme.com": "A", "lab.acme.com": "L"}
    assert aliased("x.lab.acme.com", table) == "L"
    assert aliased("eu.acme.com", table) == "A"
    assert aliased("notacme.com", table) is None
