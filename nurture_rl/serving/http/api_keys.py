"""API keys: who may ask for decisions, report events and put contacts."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.errors import NurtureError

# Each opens the paths under /v1/ of its name; `metrics` opens /metrics, `reasons` what a contact
# may be told of a decision.
SCOPES = (
    "console",
    "contacts",
    "decisions",
    "events",
    "handoffs",
    "journeys",
    "metrics",
    "policies",
    "reasons",
)
_OPENED_BY = {
    "switch": "policies",
    "experiment": "policies",
    "timelines": "decisions",
}  # paths under /v1/ that go by another scope
_SIGNED = "webhooks"  # paths under /v1/ that ask for their sender's signature in place of a key
_SHORTEST = 32  # characters of a key
_SCHEME = "bearer "


class KeyFileError(NurtureError):
    """The file of API keys cannot be used, or a server that others can reach has none."""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys of a server; only their digests are in memory."""

    scopes: Mapping[bytes, frozenset[str]]  # SHA-256 of a key -> what it opens

    def opened(self, authorization: str | None) -> frozenset[str] | None:
        """What the key of a request opens; None: it has none, or one that nobody gave out.

        Every known key is compared, each in constant time.

        Args:
            authorization: the header `Authorization`, as it came.
        """
        shown = _shown(authorization)
        if shown is None:
            return None
        found = [
            scopes for known, scopes in self.scopes.items() if hmac.compare_digest(known, shown)
        ]
        return found[0] if found else None

    def opens(self, authorization: str | None, scope: str) -> bool:
        """Whether the key of a request, as of `opened`, has a scope."""
        return scope in (self.opened(authorization) or ())

    def name(self, authorization: str | None) -> str:
        """How logs call the key of a request: by the start of its digest, which opens nothing."""
        shown = _shown(authorization)
        return "no key" if shown is None else f"key {shown.hex()[:12]}"


def scope_of(path: str) -> str | None:
    """The scope that opens a path; None: it is open to everybody.

    Args:
        path: of a request, with its leading slash.
    """
    first, _, rest = path[1:].partition("/")
    if first == "v1":
        second, *below = rest.split("/")
        if second == "decisions" and len(below) == 2 and below[1] == "why":
            return "reasons"
        return None if second == _SIGNED else _OPENED_BY.get(second, second)
    return first if first == "metrics" else None


def load_keys(path: Path) -> ApiKeys:
    """Read the keys of a server.

    A line holds scopes with commas between them, a space, and the key: `decisions,events 3q2-7...`.
    Empty lines and lines that begin with # are left out.

    Raises:
        KeyFileError: others than the owner may read the file, or a line is none of these.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise KeyFileError(f"expected a file of API keys, got {path}; give keys=FILE")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(
            f"{path} may be read by others than its owner, and holds keys; type chmod 600 {path}"
        )
    scopes: dict[bytes, frozenset[str]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        names, _, key = line.strip().partition(" ")
        opened, key = frozenset(names.split(",")), key.strip()
        if not opened <= set(SCOPES):  # not shown: it may be a key
            raise _wrong(path, number, f"expected scopes of {', '.join(SCOPES)}, got another word")
        if len(key) < _SHORTEST or not key.isascii() or " " in key:
            raise _wrong(
                path,
                number,
                f"expected a key of at least {_SHORTEST} ASCII characters without a space, got "
                f"{len(key)} characters",
            )
        if _digest(key) in scopes:
            raise _wrong(path, number, "this key stands on an earlier line")
        scopes[_digest(key)] = opened
    if not scopes:
        raise KeyFileError(f"{path} holds no key; write a line such as `decisions KEY`")
    return ApiKeys(scopes)


def require_keys_beyond_loopback(host: str, keys: ApiKeys | None) -> None:
    """Refuse to let anybody on a network ask without a key.

    Args:
        host: the address that is bound.
        keys: of the server.

    Raises:
        KeyFileError: there are none, and the address is not this machine's alone.
    """
    if keys is None and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise KeyFileError(
            f"a server on {host} can be reached from other machines and needs API keys; give "
            "keys=FILE, or host=127.0.0.1"
        )


def _wrong(path: Path, number: int, text: str) -> KeyFileError:
    made = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    return KeyFileError(f"{path}, line {number}: {text}; {made} prints a fresh key")


def _shown(authorization: str | None) -> bytes | None:
    """The digest of the key in a header; None: there is none."""
    if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    return _digest(authorization[len(_SCHEME) :].strip())


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
