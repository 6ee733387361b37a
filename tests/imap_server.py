"""A real Dovecot in a folder of its own, with one user and one mailbox."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"
REFUSAL = None if Path(_DOVECOT).exists() else "no Dovecot here"
needs_dovecot = pytest.mark.skipif(REFUSAL is not None, reason=str(REFUSAL))
USER, PASSWORD = "hello@firm.example", "s3cret"
_UP = 20.0  # seconds it has to come up

_CONFIG = """base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = yes
mail_location = maildir:{folder}/mail
first_valid_uid = 1
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A server that runs."""

    folder: Path
    plain: int  # port with STARTTLS
    tls: int  # port of TLS

    @property
    def maildir(self) -> Path:
        """Where the mails lie."""
        return self.folder / "mail"

    @property
    def certificate(self) -> Path:
        """By which the server is trusted."""
        return self.folder / "cert.pem"


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    folder.chmod(0o755)
    found = Dovecot(folder, _port(), _port())
    for name in ("new", "cur", "tmp"):
        (found.maildir / name).mkdir(parents=True)
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    request += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    request += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(request, check=True, capture_output=True, timeout=60)
    told = {"folder": folder, "plain": found.plain, "tls": found.tls, "password": PASSWORD}
    (folder / "dovecot.conf").write_text(_CONFIG.format(**told), "utf-8")
    for one in found.maildir.rglob("*"):
        one.chmod(0o777)
    found.maildir.chmod(0o777)
    process = subprocess.Popen(
        [_DOVECOT, "-F", "-c", str(folder / "dovecot.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + _UP
        while not _answers(found.plain):
            if process.poll() is not None or time.monotonic() > end:
                log = folder / "log"
                raise RuntimeError(log.read_text("utf-8") if log.exists() else "no log")
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            return line.recv(4).startswith(b"* OK")
    except OSError:
        return False
