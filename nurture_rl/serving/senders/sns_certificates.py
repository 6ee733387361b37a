"""The certificates by which Amazon SNS signs: given in a file, or fetched from its own host."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from threading import Lock
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cryptography.exceptions import UnsupportedAlgorithm
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The key of a certificate, and when it counts: microseconds since 1970 UTC."""

    key: RSAPublicKey
    from_us: int
    until_us: int

    def counts_at(self, now_us: int) -> bool:
        """Whether it has begun and not expired."""
        return self.from_us <= now_us <= self.until_us


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
    try:
        with build_opener(_NoRedirect).open(address, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_LONGEST + 1)
    except HTTPException as error:  # an answer that is no HTTP, or breaks off
        raise URLError(f"{type(error).__name__}: {error}") from error
    if len(content) > _LONGEST:
        raise URLError(f"more than {_LONGEST} bytes")
    return content


@dataclass(slots=True)
class SnsCertificates:
    """Public keys of Amazon SNS by the address of their certificate."""

    given: tuple[Certificate, ...] = ()  # where there are any, nothing is fetched
    fetch: Fetch = fetch_certificate
    _known: dict[str, Certificate] = field(default_factory=dict)
    # By address: who names one that does not exist must not hold up the genuine one.
    _rest_until_us: dict[str, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def keys(self, address: str, region: str, now_us: int) -> tuple[RSAPublicKey, ...]:
        """The keys that may have signed.

        Args:
            address: `SigningCertURL`, which whoever posts may have written.
            region: of the topic, whose host alone is asked.
            now_us: the moment, microseconds since 1970 UTC.

        Raises:
            NotSigned: the address is not Amazon's, or has no certificate that counts now.
            CannotCheck: it cannot be asked now, or all that were given have expired.
        """
        place = _PLACE.fullmatch(address)
        if place is None or place[1] != region:
            raise NotSigned(
                f"expected SigningCertURL at https://sns.{region}.amazonaws.com, got "
                f"{address[:100]!r}"
            )
        if self.given:
            return self._given_keys(now_us)
        with self._lock:
            if address not in self._known:
                self._learn(address, now_us)
            found = self._known[address]
        if not found.counts_at(now_us):
            raise NotSigned(f"the certificate at {address} has expired, or has not begun")
        return (found.key,)

    def _given_keys(self, now_us: int) -> tuple[RSAPublicKey, ...]:
        found = tuple(one.key for one in self.given if one.counts_at(now_us))
        if not found:  # Amazon signs by another one now: what it reports must not get lost
            raise CannotCheck(
                "the certificates of ses.key have expired, or have not begun; put Amazon's present "
                "one there, or none where the server may fetch it"
            )
        return found

    def _learn(self, address: str, now_us: int) -> None:
        if now_us < self._rest_until_us.get(address, 0):
            raise CannotCheck("the certificate of Amazon SNS cannot be fetched just now")
        if len(self._rest_until_us) >= _MOST:
            self._rest_until_us.clear()
        self._rest_until_us[address] = now_us + _REST_US
        try:
            content = self.fetch(address)
        except OSError as error:
            raise CannotCheck(f"the certificate at {address} cannot be fetched: {error}") from error
        found = certificate_of(content)
        if found is None:
            raise NotSigned(f"expected a certificate with an RSA key at {address}")
        del self._rest_until_us[address]
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[address] = found


def certificate_of(pem: bytes) -> Certificate | None:
    """A certificate of an RSA key; None: it is none."""
    try:
        found = load_pem_x509_certificate(pem)
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, RSAPublicKey):
        return None
    begins, ends = (
        (moment - _EPOCH) // _MICROSECOND
        for moment in (found.not_valid_before_utc, found.not_valid_after_utc)
    )
    return Certificate(key, begins, ends)
