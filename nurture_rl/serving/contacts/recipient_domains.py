"""Families of recipient domains: mailbox providers judge a sender each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nurture_rl.serving.names import contact_key

ATTRIBUTE = "email_domain"  # of a contact; addresses are not kept
BUSINESS = "business"  # any domain that no table names
UNKNOWN = "unknown"  # a contact without a domain

# Consumer mailboxes, by who runs them.
_PROVIDERS = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": (
        *("outlook.com", "outlook.de", "outlook.fr", "hotmail.com", "hotmail.de", "hotmail.fr"),
        *("hotmail.co.uk", "hotmail.it", "live.com", "live.de", "live.co.uk", "msn.com"),
    ),
    "yahoo": (
        *(
            "yahoo.com",
            "yahoo.de",
            "yahoo.fr",
            "yahoo.it",
            "yahoo.es",
            "yahoo.co.uk",
            "yahoo.co.in",
        ),
        *("ymail.com", "rocketmail.com", "aol.com", "aol.de"),
    ),
    "apple": ("icloud.com", "me.com", "mac.com"),
    "united_internet": ("gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "web.de", "mail.com"),
    "telekom": ("t-online.de", "magenta.de"),
    "orange": ("orange.fr", "wanadoo.fr"),
    "laposte": ("laposte.net",),
    "free": ("free.fr",),
    "libero": ("libero.it", "virgilio.it"),
    "proton": ("proton.me", "protonmail.com", "pm.me"),
    "mail_ru": ("mail.ru", "inbox.ru", "list.ru", "bk.ru"),
    "yandex": ("yandex.ru", "yandex.com", "ya.ru"),
    "tencent": ("qq.com", "foxmail.com"),
    "netease": ("163.com", "126.com", "yeah.net"),
    "comcast": ("comcast.net",),
    "att": ("att.net", "sbcglobal.net", "bellsouth.net"),
}
SHIPPED = {domain: family for family, domains in _PROVIDERS.items() for domain in domains}


def family_of(attributes: Mapping[str, Any], own: Mapping[str, str]) -> str:
    """The family of a contact's domain.

    Args:
        attributes: of the contact; `email_domain` is the part of the address behind the @.
        own: families by `plain_domain` that come before the shipped table; a subdomain belongs to
            its parent's.
    """
    domain = plain_domain(str(attributes.get(ATTRIBUTE) or ""))
    if not domain:
        return UNKNOWN
    parts = domain.split(".")
    parents = [".".join(parts[i:]) for i in range(len(parts))]
    found = [table[name] for table in (own, SHIPPED) for name in parents if name in table]
    return found[0] if found else BUSINESS


@lru_cache(maxsize=16_384)
def plain_domain(given: str) -> str:
    """A domain in small ASCII letters, however it is spelled; of an address, its domain."""
    domain = contact_key(given).rpartition("@")[2].strip(" .")
    try:
        return domain.encode("idna").decode()
    except UnicodeError:  # it is none
        return domain
