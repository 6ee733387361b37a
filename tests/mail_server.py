"""A real Postfix in a folder of its own, which delivers to maildirs and may be killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

_MASTER = Path("/usr/lib/postfix/sbin/master")
_UP = 30.0  # seconds a server has to come up, or mail to come in
DOMAIN = "people.example"  # every address is there but those of _NOBODY
NOBODY = "nobody"  # how addresses begin that are not there
REFUSAL = None if _MASTER.exists() and os.geteuid() == 0 else "no Postfix, or not root, here"
needs_postfix = pytest.mark.skipif(REFUSAL is not None, reason=str(REFUSAL))

_MAIN = """compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = mx.{domain}
mydestination =
alias_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = regexp:{folder}/etc/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
"""
_SERVICES = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One server on a free port of this machine."""

    def __init__(self) -> None:
        """Write its files; it does not run yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.folder.chmod(0o755)  # its parts run as users of their own
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        who = pwd.getpwnam("postfix")
        for name in ("etc", "spool", "data", "mail"):
            (self.folder / name).mkdir()
        os.chown(self.folder / "data", who.pw_uid, who.pw_gid)
        os.chown(self.folder / "mail", who.pw_uid, who.pw_gid)
        told = {"folder": self.folder, "domain": DOMAIN, "uid": who.pw_uid, "gid": who.pw_gid}
        etc = self.folder / "etc"
        (etc / "main.cf").write_text(_MAIN.format(**told), "utf-8")
        (etc / "master.cf").write_text(_SERVICES.format(port=self.port), "utf-8")
        boxes = f"if !/^{NOBODY}/\n/^(.*)@{DOMAIN}$/ all/\nendif\n"
        (etc / "boxes").write_text(boxes, "utf-8")
        checked = ["postfix", "-c", str(etc), "check"]
        subprocess.run(checked, check=True, capture_output=True, timeout=60)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it says of each mail."""
        return self.folder / "mail.log"

    @property
    def maildir(self) -> Path:
        """Where all mail comes in."""
        return self.folder / "mail" / "all"

    def start(self) -> None:
        """Run; returns when it answers."""
        command = [str(_MASTER), "-c", str(self.folder / "etc"), "-d"]
        self._process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _UP
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Postfix did not start: {self._said()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End all of its processes at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and throw its folder away."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def settle(self) -> None:
        """Wait until its queue is empty."""
        queue = [self.folder / "spool" / name for name in ("incoming", "active", "maildrop")]
        end = time.monotonic() + _UP
        while any(_is_whole(one) for part in queue for one in part.rglob("*")):
            if time.monotonic() > end:
                raise RuntimeError(f"mail stays in the queue: {self._said()}")
            time.sleep(0.05)

    def mails(self) -> list[EmailMessage]:
        """Everything that came in."""
        files = [one for part in ("new", "cur") for one in (self.maildir / part).glob("*")]
        found = []
        for path in files:
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            assert isinstance(mail, EmailMessage)
            found.append(mail)
        return found

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        self._process.wait(timeout=30)
        self._process = None
        time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                return line.recv(4).startswith(b"220")
        except OSError:
            return False

    def _said(self) -> str:
        return self.log.read_text("utf-8")[-2000:] if self.log.exists() else "no log"


def _is_whole(path: Path) -> bool:
    """Whether a file of the queue is a mail: one that a kill left half written is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IXUSR)


@contextmanager
def postfix() -> Iterator[Postfix]:
    """One that runs until the block ends."""
    server = Postfix()
    try:
        server.start()
        yield server
    finally:
        server.stop()
