"""Links by which contacts unsubscribe without a key; the store's secret proves whose they are."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from nurture_rl.errors import NurtureError
from nurture_rl.serving.names import contact_key

_PURPOSE = b"unsubscribe"
_SIGNED = 20  # bytes of the signature that a link carries
_LONGEST = 20_000  # characters of a token: variants of 200 signs may be long when written out


@dataclass(frozen=True, slots=True)
class UnsubscribeLinks:
    """Makes and reads the links of one store."""

    secret: bytes
    public_url: str | None  # where contacts reach this server; None: nobody said

    def token(self, contact_id: str) -> str:
        """What a contact's link ends in; it is good for ever, for mail preferences alone."""
        name = contact_key(contact_id).encode("utf-8", "surrogatepass")
        return self._signed(name)

    def contact_of(self, token: str) -> str | None:
        """Whose token it is; None: nobody gave it out. Compared in constant time."""
        if len(token) > _LONGEST:
            return None
        try:
            given, name = token.encode("ascii"), _bytes(token.partition(".")[0])
            contact = name.decode("utf-8", "surrogatepass")
        except ValueError:
            return None
        return contact if hmac.compare_digest(given, self._signed(name).encode()) else None

    def headers(self, contact_id: str) -> Mapping[str, str]:
        """The headers that a mail to a contact must carry, after RFC 8058; none without an URL."""
        if self.public_url is None:
            return {}
        return {
            "List-Unsubscribe": f"<{self.public_url}/u/{self.token(contact_id)}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }

    def why(self, contact_id: str, decision_id: str) -> str | None:
        """Where a contact reads why a decision was made; None without an URL."""
        if self.public_url is None:
            return None
        return f"{self.public_url}/u/{self.token(contact_id)}/why/{quote(decision_id, safe='')}"

    def _signed(self, name: bytes) -> str:
        return f"{_text(name)}.{_text(self._signature(name))}"

    def _signature(self, name: bytes) -> bytes:
        return hmac.digest(self.secret, _PURPOSE + b"\0" + name, hashlib.sha256)[:_SIGNED]


def contact_named(url: str) -> str | None:
    """The contact whose link an address says it is; None: it is no such link. It proves nothing."""
    token = urlsplit(url).path.rpartition("/")[2]
    name, dot, _ = token.partition(".")
    try:
        return _bytes(name).decode("utf-8", "surrogatepass") if dot else None
    except ValueError:
        return None


def checked_url(public_url: str | None) -> str | None:
    """The address that contacts reach a server by, without a slash at its end.

    Raises:
        NurtureError: it is none, or not https, which RFC 8058 asks for.
    """
    if public_url is None:
        return None
    parts = urlsplit(public_url)
    whole = parts.scheme == "https" and parts.netloc and not (parts.query or parts.fragment)
    if not whole or any(sign in public_url for sign in '<>\r\n" '):
        raise NurtureError(
            "expected public_url as https://HOST, perhaps with a path, under which contacts reach "
            f"this server, got {public_url!r}; leave it out for mails without unsubscribe headers"
        )
    return public_url.rstrip("/")


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
