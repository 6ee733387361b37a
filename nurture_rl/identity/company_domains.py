"""Whose company an e-mail address is of, by its domain."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Providers with names under many top-level domains, such as yahoo.fr.
_FREE_EVERYWHERE = frozenset(
    {"aol", "fastmail", "gmx", "hotmail", "live", "msn", "outlook", "proton", "protonmail"}
    | {"tuta", "tutanota", "yahoo", "yandex", "ymail"}
)
_FREE = frozenset(
    {
        *("126.com", "163.com", "abv.bg", "alice.it", "aon.at", "appleid.com", "arcor.de"),
        *("att.net", "bell.net", "bellsouth.net", "bigpond.com", "blueyonder.co.uk"),
        *("bluewin.ch", "bol.com.br", "btinternet.com", "centrum.cz", "charter.net"),
        *("chello.at", "comcast.net", "cox.net", "daum.net", "duck.com", "earthlink.net"),
        *("free.fr", "freenet.de", "gmail.com", "googlemail.com", "hanmail.net", "hispeed.ch"),
        *("home.nl", "hushmail.com", "icloud.com", "ig.com.br", "inbox.com", "inbox.ru"),
        *("interia.pl", "kabelmail.de", "kpnmail.nl", "laposte.net", "libero.it", "list.ru"),
        *("mac.com", "mail.com", "mail.de", "mail.ru", "mailbox.org", "mailinator.com", "me.com"),
        *("mozmail.com", "naver.com", "ntlworld.com", "o2.pl", "onet.pl", "online.de"),
        *("optusnet.com.au", "orange.fr", "pm.me", "posteo.de", "planet.nl", "qq.com"),
        *("rediffmail.com", "rocketmail.com", "rogers.com", "sbcglobal.net", "seznam.cz"),
        *("sfr.fr", "shaw.ca", "sina.com", "sky.com", "skynet.be", "sunrise.ch", "t-online.de"),
        *("talktalk.net", "telenet.be", "telia.com", "terra.com.br", "tin.it", "tiscali.it"),
        *("ukr.net", "uol.com.br", "verizon.net", "virgilio.it", "virginmedia.com"),
        *("wanadoo.fr", "web.de", "wp.pl", "xs4all.nl", "ziggo.nl", "zohomail.com"),
    }
)
# Second labels under a country's domain that are no company's name, such as co.uk.
_REGISTRIES = frozenset(
    {"ac", "co", "com", "edu", "gob", "gouv", "gov", "govt", "gv", "ltd", "me", "mil", "ne"}
    | {"net", "nhs", "nom", "or", "org", "plc", "sch"}
)
_COUNTRY = 2  # letters of a country's top-level domain
_LABEL = re.compile(r"[^\W_]([\w-]*[^\W_])?")
_ADDRESS = re.compile(r"[^\s@<>()\[\]{},;:'\"]+@[^\s@<>()\[\]{},;:'\"]+")


def addresses_in(text: str) -> list[str]:
    """The e-mail addresses of a text such as `Ada <ada@firm.com>; ben@firm.com`, as written."""
    return _ADDRESS.findall(text)


def company_domain(address: str) -> str | None:
    """The domain that an address's company has registered; None where there is no such domain.

    Subdomains are left out: mail.eu.firm.co.uk is firm.co.uk.

    Args:
        address: an e-mail address in any case.
    """
    domain = mail_domain(address)
    if domain is None:
        return None
    labels = domain.split(".")
    under_registry = len(labels[-1]) == _COUNTRY and labels[-2] in _REGISTRIES
    keep = 3 if under_registry else 2
    return None if len(labels) < keep else ".".join(labels[-keep:])


def mail_domain(address: str) -> str | None:
    """What stands after the sign @, in lower case; None where it is no name of a domain."""
    domain = address.strip().lower().rpartition("@")[2].rstrip(".")
    labels = domain.split(".")
    proper = "@" in address and len(labels) > 1 and not labels[-1].isdigit()
    return domain if proper and all(map(_LABEL.fullmatch, labels)) else None


def is_free_mail(domain: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether a registered domain gives addresses to everybody.

    Args:
        domain: as `company_domain` gives it.
        also: more such domains.
    """
    return domain in _FREE or domain in also or domain.partition(".")[0] in _FREE_EVERYWHERE


def aliased(domain: str, aliases: Mapping[str, str]) -> str | None:
    """The account that a table names for a domain or for what it is a part of.

    Args:
        domain: such as mail.eu.firm.com.
        aliases: domain → account; of several that fit the longest holds.
    """
    labels = domain.split(".")
    for start in range(len(labels) - 1):
        found = aliases.get(".".join(labels[start:]))
        if found is not None:
            return found
    return None
