"""Contacts without an account → the account that the domains of their addresses speak for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.identity.company_domains import (
    addresses_in,
    aliased,
    company_domain,
    is_free_mail,
    mail_domain,
)
from nurture_rl.identity.resolve import Identities
from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.identity_rules import IDENTITY_FILE, AccountRules
from nurture_rl.wording import counted

_EMAIL = "email:"
ACCOUNTS = pa.schema(
    [
        pa.field("contact_id", pa.string(), nullable=False),  # that had no account
        pa.field("domain", pa.string()),  # of the company; null: none, several, or a pseudonym
        pa.field("account_id", pa.string()),  # null: none was given
        # domain, alias or colleagues; else why none: no address, free mail, several domains, or
        # several accounts of colleagues
        pa.field("by", pa.string(), nullable=False),
    ]
)
BY_DOMAIN, BY_ALIAS, BY_COLLEAGUES = "domain", "alias", "colleagues"
_GIVEN = (BY_DOMAIN, BY_ALIAS, BY_COLLEAGUES)


@dataclass(frozen=True, slots=True)
class DomainAccounts:
    """Contact rows with accounts, and what was given to whom."""

    contacts: pa.Table
    accounts: pa.Table  # of `ACCOUNTS`
    notes: tuple[str, ...]


def with_domain_accounts(
    contacts: pa.Table, identities: Identities, rules: AccountRules
) -> DomainAccounts:
    """Give contacts without an account that of their colleagues, else one by their domain.

    Colleagues are contacts of one domain that have an account. A domain whose contacts have
    several accounts gives none, nor does a contact with addresses of several companies get one.

    Args:
        contacts: rows with their resolved ids, [n].
        identities: whose keys are these contacts' addresses.
        rules: what domains mean.
    """
    domains = _domains(contacts, identities, rules)
    names = contacts["contact_id"].to_pylist()
    given: dict[str, set[str]] = {name: set() for name in names}
    for name, account in zip(names, contacts["account_id"].to_pylist(), strict=True):
        if account is not None:
            given[name].add(account)
    of_domain: dict[str, set[str]] = {}
    for name, accounts in given.items():
        for domain in domains.get(name, {}):
            of_domain.setdefault(domain, set()).update(accounts)
    rows = [
        {"contact_id": name, **_account(domains.get(name), of_domain)}
        for name in sorted(given)
        if not given[name]
    ]
    found = {row["contact_id"]: row["account_id"] for row in rows}
    cells = [
        account if account is not None else found.get(name)
        for name, account in zip(names, contacts["account_id"].to_pylist(), strict=True)
    ]
    made = with_column(contacts, "account_id", pa.array(cells, pa.string()))
    return DomainAccounts(made, pa.Table.from_pylist(rows, schema=ACCOUNTS), (_note(rows),))


def _domains(
    contacts: pa.Table, identities: Identities, rules: AccountRules
) -> dict[str, dict[str, str | None]]:
    """By contact: its companies' domains, each with the account that an alias names.

    A contact with addresses of free mail alone has none of them.
    """
    found: dict[str, dict[str, str | None]] = {}
    for name, address in _addresses(contacts, identities, rules):
        whole, domain = mail_domain(address), company_domain(address)
        if whole is None or domain is None:
            continue
        own = found.setdefault(name, {})
        alias = aliased(whole, rules.aliases)
        if alias is not None:
            own[alias] = alias
        elif not is_free_mail(domain, rules.free_mail):
            own[domain] = None
    return found


def _addresses(
    contacts: pa.Table, identities: Identities, rules: AccountRules
) -> Iterator[tuple[str, str]]:
    mails = np.asarray(pc.starts_with(identities.key, _EMAIL)).astype(bool)
    mine = pc.and_(
        pa.array(mails), pc.is_in(identities.contact_id, contacts["contact_id"].unique())
    )
    keys = identities.key.filter(mine).to_pylist()
    for key, name in zip(keys, identities.contact_id.filter(mine).to_pylist(), strict=True):
        yield from ((name, one) for one in addresses_in(key.removeprefix(_EMAIL)))
    if not rules.columns:
        return
    texts = contacts["attributes"].to_pylist()
    for name, text in zip(contacts["contact_id"].to_pylist(), texts, strict=True):
        attributes = json.loads(text)
        for column in rules.columns:
            if attributes.get(column):
                yield from ((name, one) for one in addresses_in(str(attributes[column])))


def _account(
    domains: Mapping[str, str | None] | None, of_domain: Mapping[str, set[str]]
) -> dict[str, str | None]:
    if not domains:
        why = "no address" if domains is None else "free mail"
        return {"domain": None, "account_id": None, "by": why}
    if len(domains) > 1:
        return {"domain": None, "account_id": None, "by": "several domains"}
    ((domain, alias),) = domains.items()
    if alias is not None:
        return {"domain": domain, "account_id": alias, "by": BY_ALIAS}
    known = of_domain[domain]
    if len(known) > 1:
        return {"domain": domain, "account_id": None, "by": "several accounts of colleagues"}
    if known:
        return {"domain": domain, "account_id": min(known), "by": BY_COLLEAGUES}
    return {"domain": domain, "account_id": domain, "by": BY_DOMAIN}


def _note(rows: list[dict[str, str | None]]) -> str:
    by = Counter(str(row["by"]) for row in rows)
    got = ", ".join(f"{by[how]} by {how}" for how in _GIVEN if by[how])
    none = ", ".join(f"{by[how]} with {how}" for how in sorted(by) if how not in _GIVEN)
    sizes = Counter(row["account_id"] for row in rows if row["account_id"] is not None)
    told = f"{IDENTITY_FILE}: accounts for {counted(len(rows), 'contact')} without one: "
    told += "; ".join(part for part in (got, f"none for {none}" if none else "") if part)
    if sizes:
        told += f"; the largest has {counted(max(sizes.values()), 'contact')}"
    return told
