"""The certificates by which Amazon SNS signs: given in a file, or fetched from its own host."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from nurture_rl.serving.senders.sender_adapter import CannotCheck, NotSigned

# The only place: Amazon's host of the topic's own region, and the form of its names.
_PLACE = re.compile(
    r"https://sns\.([a-z]{2}(-[a-z]+)+-[0-9])\.amazonaws\.com(\.cn)?"
    r"/SimpleNotificationService-[0-9a-f]{16,64}\.pem"
)
_SECONDS = 5.0  # that a certificate may take to come
_LONGEST = 65_536  # bytes of one
_MOST = 64  # remembered
_REST_US = 10_000_000  # after a fetch that failed, before the next: strangers name addresses too

Fetch = Callable[[str], bytes]


class _NoRedirect(HTTPRedirectHandler):
    """Another address than the one that was looked at is never asked."""

    def redirect_request(self, *_: object, **__: object) -> Request | None:
        """No other request is made."""
        return None


def fetch_certificate(address: str) -> bytes:
    """Ask Amazon for a certificate.

    Args:
        address: that was looked at before; redirects are not followed.

    Raises:
        OSError: it did not come; `URLError` is one too.
    """
    with build_opener(_NoRedirect).open(address, timeout=_SECONDS) as answer:
        content: bytes = answer.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise URLError(f"more than {_LONGEST} bytes")
    return content


@dataclass(slots=True)
class SnsCertificates:
    """Public keys of Amazon SNS by the address of their certificate."""

    given: tuple[RSAPublicKey, ...] = ()  # where there are any, nothing is fetched
    fetch: Fetch = fetch_certificate
    _known: dict[str, RSAPublicKey] = field(default_factory=dict)
    _rest_until_us: int = 0
    _lock: Lock = field(default_factory=Lock)

    def keys(self, address: str, region: str, now_us: int) -> tuple[RSAPublicKey, ...]:
        """The keys that may have signed.

        Args:
            address: `SigningCertURL`, which whoever posts may have written.
            region: of the topic, whose host alone is asked.
            now_us: the moment, microseconds since 1970 UTC.

        Raises:
            NotSigned: the address is not Amazon's, or has no certificate.
            CannotCheck: it cannot be asked now.
        """
        place = _PLACE.fullmatch(address)
        if place is None or place[1] != region:
            raise NotSigned(
                f"expected SigningCertURL at https://sns.{region}.amazonaws.com, got "
                f"{address[:100]!r}"
            )
        if self.given:
            return self.given
        with self._lock:
            if address not in self._known:
                self._learn(address, now_us)
            return (self._known[address],)

    def _learn(self, address: str, now_us: int) -> None:
        if now_us < self._rest_until_us:
            raise CannotCheck("the certificate of Amazon SNS cannot be fetched just now")
        self._rest_until_us = now_us + _REST_US
        try:
            content = self.fetch(address)
        except OSError as error:
            raise CannotCheck(f"the certificate at {address} cannot be fetched: {error}") from error
        key = key_of_certificate(content)
        if key is None:
            raise NotSigned(f"expected a certificate with an RSA key at {address}")
        self._rest_until_us = 0
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[address] = key


def key_of_certificate(pem: bytes) -> RSAPublicKey | None:
    """The RSA key of a certificate; None: it is none."""
    try:
        key = load_pem_x509_certificate(pem).public_key()
    except ValueError:
        return None
    return key if isinstance(key, RSAPublicKey) else None
