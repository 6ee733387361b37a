"""Mails are read where they lie, whole and untouched."""

from __future__ import annotations

import mailbox
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nurture_rl.errors import ConfigError, DeliveryError
from nurture_rl.replies.mailboxes import mails_in
from tests.imap_server import PASSWORD, USER, Dovecot, dovecot, needs_dovecot

ONE = b"Message-ID: <1@a.example>\nFrom: a@a.example\n\nYes.\n"
OTHER = b"Message-ID: <2@a.example>\nFrom: b@a.example\n\nNo.\n\nFrom here on nothing.\n"


def read(place: str) -> list[bytes]:
    return list(mails_in(place, 14.0, None, None))


def test_a_maildir_with_new_and_read_mail(tmp_path: Path) -> None:
    for part in ("new", "cur", "tmp"):
        (tmp_path / part).mkdir()
    (tmp_path / "new" / "1").write_bytes(ONE)
    (tmp_path / "cur" / "2:2,S").write_bytes(OTHER)
    (tmp_path / "tmp" / "3").write_bytes(b"half written")
    assert read(str(tmp_path)) == [OTHER, ONE]


def test_an_mbox(tmp_path: Path) -> None:
    with closing(mailbox.mbox(tmp_path / "box")) as box:
        for one in (ONE, OTHER):
            box.add(one)
    assert [one.splitlines()[0] for one in read(str(tmp_path / "box"))] == [
        b"Message-ID: <1@a.example>",
        b"Message-ID: <2@a.example>",
    ]


def test_an_mbox_to_which_nothing_came_has_no_mail(tmp_path: Path) -> None:
    (tmp_path / "box").touch()
    assert read(str(tmp_path / "box")) == []


class Terse(socketserver.StreamRequestHandler):
    """An IMAP server that says OK and no more."""

    def handle(self) -> None:
        """Answer until the client goes."""
        self.wfile.write(b"* OK\r\n")
        for line in self.rfile:
            tag, word = line.split()[:2]
            told = b"* CAPABILITY IMAP4rev1\r\n" if word == b"CAPABILITY" else b""
            self.wfile.write(told + tag + b" OK done\r\n")


def test_an_imap_server_that_names_no_mails_has_none_and_odd_signs_are_told() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Terse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"imap://a@127.0.0.1:{server.server_address[1]}"
        assert list(mails_in(place, 14.0, "p", None)) == []
        with pytest.raises(DeliveryError, match="ASCII"):
            list(mails_in(place, 14.0, "pä", None))
        with pytest.raises(DeliveryError, match="ASCII"):
            list(mails_in(f"{place}/Entw%C3%BCrfe", 14.0, "p", None))
        server.shutdown()


def test_files_of_one_mail_each(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.eml").write_bytes(ONE)
    (tmp_path / "deep" / "b.eml").write_bytes(OTHER)
    assert read(str(tmp_path)) == [ONE, OTHER]
    assert read(str(tmp_path / "a.eml")) == [ONE]


@pytest.mark.parametrize("place", ["nowhere", "folder"])
def test_what_is_no_mailbox_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="mail: expected a "):
        read(str(tmp_path / place))


@pytest.mark.parametrize(
    "place", ["imaps://mail.example/INBOX", "imaps://a:b@mail.example", 'imaps://a@m.example/x"y']
)
def test_an_address_of_imap_that_is_none_is_refused_without_its_password(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list(mails_in(place, 14.0, "p", None))
    assert "a:b" not in str(caught.value)


def test_an_imap_server_needs_a_password() -> None:
    with pytest.raises(ConfigError, match="password_file"):
        read("imaps://a@mail.example/INBOX")


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as found:
        (found.maildir / "new" / "1").write_bytes(ONE)
        (found.maildir / "new" / "2").write_bytes(OTHER)
        for one in (found.maildir / "new").iterdir():
            one.chmod(0o666)
        yield found


@needs_dovecot
@pytest.mark.parametrize("scheme", ["imaps", "imap"])
def test_an_imap_server_gives_its_mails_and_they_stay_unread(server: Dovecot, scheme: str) -> None:
    port = server.tls if scheme == "imaps" else server.plain
    place = f"{scheme}://{USER.replace('@', '%40')}@localhost:{port}/INBOX"
    for _ in range(2):
        found = list(mails_in(place, 14.0, PASSWORD, str(server.certificate)))
        assert [one.replace(b"\r\n", b"\n") for one in found] == [ONE, OTHER]
    seen = [one.name for one in server.maildir.rglob("*") if "S" in one.name.partition(":2,")[2]]
    assert seen == []


@needs_dovecot
def test_an_imap_server_that_is_not_trusted_or_refuses_is_told(server: Dovecot) -> None:
    place = f"imaps://hello@localhost:{server.tls}/INBOX"
    with pytest.raises(DeliveryError, match="certificate"):
        list(mails_in(place, 14.0, PASSWORD, None))
    with pytest.raises(DeliveryError, match="cannot be read"):
        list(mails_in(place, 14.0, "wrong", str(server.certificate)))
    missing = place.replace("INBOX", "Nothing")
    with pytest.raises(DeliveryError, match="folder Nothing"):
        list(mails_in(missing, 14.0, PASSWORD, str(server.certificate)))
