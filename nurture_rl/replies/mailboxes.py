"""Mails as they lie: in a maildir, an mbox, a folder or file of .eml, or on an IMAP server."""

from __future__ import annotations

import imaplib
import mailbox
import re
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nurture_rl.errors import ConfigError, DeliveryError

_MOST_BYTES = 2_000_000  # of a mail; what is beyond is cut off, as attachments are
_TIMEOUT = 60.0  # seconds of an IMAP server
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def mails_in(place: str, days: float, password: str | None, ca_file: str | None) -> Iterator[bytes]:
    """The mails of a place, as they came; nothing is changed there, no mail becomes read.

    Args:
        place: path of a maildir, an mbox, a folder of .eml files or one such file; or
            `imaps://USER@HOST/FOLDER` (`imap://` with STARTTLS; without TLS on this machine alone).
        days: of an IMAP server, mails of the last so many days alone, > 0.
        password: of the IMAP user.
        ca_file: certificates (PEM) to trust beside the system's; None: none.

    Raises:
        ConfigError: the place is none of these, or an IMAP server without a password.
        DeliveryError: it cannot be read, or the server does not answer.
    """
    if place.startswith(("imap://", "imaps://")):
        if password is None:
            raise ConfigError(f"mail: {place} needs a password; give password_file")
        yield from _on_imap(place, days, password, ca_file)
        return
    path = Path(place)
    try:
        yield from _in_files(path)
    except OSError as error:
        raise DeliveryError(f"{path}: cannot be read: {error}") from error


def _in_files(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        if (path / "cur").is_dir() or (path / "new").is_dir():
            folders = [path / "new", path / "cur"]
            files = [one for part in folders if part.is_dir() for one in part.iterdir()]
        else:
            files = list(path.rglob("*.eml"))
            if not files:
                raise ConfigError(f"mail: expected a maildir or .eml files in {path}, got neither")
        for one in sorted(files):
            with suppress(FileNotFoundError):  # a reader moved it: the next run has it
                yield _bytes(one)
        return
    if not path.is_file():
        raise ConfigError(f"mail: expected a mailbox at {path}, nothing is there")
    with path.open("rb") as file:
        first = file.read(5)
    if not first:  # an mbox to which nothing has come yet
        return
    if first != b"From ":
        yield _bytes(path)
        return
    with closing(mailbox.mbox(path, create=False)) as box:
        for key in box.iterkeys():
            yield box.get_bytes(key)[:_MOST_BYTES]


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _on_imap(place: str, days: float, password: str, ca_file: str | None) -> Iterator[bytes]:
    try:
        url = urlsplit(place)
        user, host, port = unquote(url.username or ""), url.hostname or "", url.port
    except ValueError as error:
        raise ConfigError(f"mail: {place}: {error}") from error
    folder = unquote(url.path.strip("/")) or "INBOX"
    if not user or not host or url.password is not None or re.search(r'[\r\n"\\]', folder + user):
        raise ConfigError(
            f"mail: expected imaps://USER@HOST/FOLDER without a password, got {url.scheme}://..."
        )
    try:
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        with _line(url.scheme, host, port, context) as line:
            line.login(user, password)
            _asked(line.select(f'"{folder}"', readonly=True), f"folder {folder}")
            since = datetime.now(UTC) - timedelta(days=days)
            day = f"{since.day:02d}-{_MONTHS[since.month - 1]}-{since.year}"
            found = _asked(line.uid("search", "SINCE", day), "search")
            for number in b" ".join(one for one in found if one).decode("ascii").split():
                told = _asked(line.uid("fetch", number, f"(BODY.PEEK[]<0.{_MOST_BYTES}>)"), "fetch")
                yield from (one[1] for one in told if isinstance(one, tuple))
    except UnicodeError as error:
        raise DeliveryError(
            f"{host}: expected user, password and folder of ASCII signs, as IMAP takes them (a "
            f"folder's other signs in IMAP's own UTF-7), and numbers of mails, got: {error.reason}"
            if isinstance(error, UnicodeEncodeError | UnicodeDecodeError)
            else f"{host}: {error}"
        ) from None
    except (OSError, imaplib.IMAP4.error) as error:
        raise DeliveryError(
            f"{host}: mail cannot be read: {error}; mend `mail`, or try again"
        ) from error


def _line(scheme: str, host: str, port: int | None, context: ssl.SSLContext) -> imaplib.IMAP4:
    if scheme == "imaps":
        return imaplib.IMAP4_SSL(host, port or 993, ssl_context=context, timeout=_TIMEOUT)
    line = imaplib.IMAP4(host, port or 143, timeout=_TIMEOUT)
    if "STARTTLS" in line.capabilities:
        line.starttls(context)
    elif host not in _LOCAL:
        line.logout()
        raise DeliveryError(f"{host} offers no TLS; a password is not sent in the open")
    return line


def _asked(answer: tuple[str, list[Any]], what: str) -> list[Any]:
    kind, told = answer
    if kind != "OK":
        raise DeliveryError(f"the mail server refused {what}: {told}")
    return told
