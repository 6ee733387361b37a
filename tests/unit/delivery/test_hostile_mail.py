"""Names, addresses and answers that mean harm: nobody gets a header, a mail or an answer of theirs.

The answers come from a real socket, byte by byte as a test tells them.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.client import PolicyClient
from nurture_rl.delivery import mail_run
from nurture_rl.delivery.deliver_options import secret_of
from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.mail_bytes import mail_bytes, mail_from
from nurture_rl.delivery.message_templates import MergeField, Text
from nurture_rl.delivery.planned_sends import PlannedSend
from nurture_rl.delivery.providers.braze import Braze
from nurture_rl.delivery.providers.dittofeed import Dittofeed
from nurture_rl.delivery.providers.http_line import HttpLine, HttpReply, http_server
from nurture_rl.delivery.providers.http_sender import HttpSender
from nurture_rl.delivery.providers.listmonk import Listmonk
from nurture_rl.delivery.providers.provider_protocol import Provider
from nurture_rl.delivery.recipients import Recipient
from nurture_rl.delivery.recommendation_file import HandOver
from nurture_rl.delivery.rendering import MailTexts, RenderedMail
from nurture_rl.errors import ConfigError, DeliveryError
from tests.pipeline.running_server import RunningServer
from tests.unit.delivery.now_sends import (
    decide,
    deliver_options,
    now_journey,
    write_ids,
    write_table,
    write_templates,
)
from tests.unit.delivery.provider_stand_ins import StandIn
from tests.unit.delivery.scripted_smtp import scripted
from tests.unit.delivery.test_deliver_by_http import by, ready
from tests.unit.delivery.test_deliver_by_smtp import planned, rows, status

AUTHOR = mail_from("News <news@sender.example>", None, "answers@sender.example")
PLAN = PlannedSend(
    "d1", "ada", "inbound_lead", "welcome", 0, None, None, "<https://policy.example/u/YWRh.x>"
)


def mail_to(folder: Path, address: str = "ada@example.com", name: str = "Ada") -> RenderedMail:
    fields = {"first_name": name, "city": "Köln"}
    recipient = Recipient(address, "example.com", fields)
    return MailTexts(write_templates(folder), [now_journey()]).rendered(PLAN, recipient)


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?q?Ada=0D=0ABcc:=20all@example.com?=",
        "=?utf-8?b?DQpCY2M6IGFsbEBleGFtcGxlLmNvbQ==?=",
        "=?us-ascii?q?Ada=0AX?=",
        "Ada =?utf-8?q?",
        "Ada " * 60,
        "a" * 900,
        "\U0001f600\u202eÄ" * 40,
    ],
)
def test_a_subject_says_a_name_and_nothing_that_is_coded_in_it(tmp_path: Path, name: str) -> None:
    content = mail_bytes(mail_to(tmp_path, name=name), AUTHOR, 0.0)
    got = message_from_bytes(content, policy=policy.default)
    assert sorted(key.lower() for key in got) == sorted(
        [
            "message-id",
            "list-unsubscribe",
            "list-unsubscribe-post",
            "to",
            "subject",
            "reply-to",
            "from",
            "date",
            "mime-version",
            "content-type",
        ]
    )
    assert got["Subject"] == f"A tour, {name.strip()}" or got["Subject"] == f"A tour, {name}"
    assert max(map(len, content.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 998


def test_an_address_that_looks_coded_is_the_recipient_as_it_stands(tmp_path: Path) -> None:
    address = "=?utf-8?q?x=0D=0ABcc=3Aall=40example.com?=@example.com"
    content = mail_bytes(mail_to(tmp_path, address), AUTHOR, 0.0)
    assert f"\r\nTo: {address}\r\n".encode() in content
    assert b"\nBcc" not in content


def test_fields_of_a_page_are_no_markup() -> None:
    page = Text(("<p>", MergeField("x", None, "x.html:1"), "</p>"), is_html=True)
    assert page.filled({"x": "<img src=1 onerror='a()'>&\""}, "ada") == (
        "<p>&lt;img src=1 onerror=&#x27;a()&#x27;&gt;&amp;&quot;</p>"
    )


def test_nobody_gets_the_way_out_of_another(folder: Path, server: RunningServer) -> None:
    """A column was sorted by itself: who leaves would take another contact off the list."""
    ids = planned(folder, server, "ada", "bob")
    path = write_table(folder / "decided.parquet", server, *ids)
    table = pq.read_table(path)
    place = table.schema.get_field_index("list_unsubscribe")
    cells = pa.array(table["list_unsubscribe"].to_pylist()[::-1])
    pq.write_table(table.set_column(place, table.schema.field(place), cells), path)
    with scripted() as mail:
        options = deliver_options(folder, server, decided=str(path), smtp_port=mail.port)
        with pytest.raises(DeliveryError, match="by which they leave themselves"):
            deliver(options)
        assert mail.taken == []


def test_a_person_under_two_contact_ids_gets_one_mail(folder: Path, server: RunningServer) -> None:
    planned(folder, server, "ada", "eda", "bob")
    table = folder / "recipients.csv"
    ada, eda = f"ada.{folder.name}@", f"eda.{folder.name}@"
    table.write_text(table.read_text("utf-8").replace(eda, ada.upper()), "utf-8")
    with scripted() as mail:
        result = deliver(deliver_options(folder, server, smtp_port=mail.port))
    assert result.made["states"] == {"accepted": 2, "withdrawn": 1}
    assert len(mail.taken) == 2
    assert len({to.lower() for to, _ in mail.taken}) == 2


def test_an_id_that_no_path_takes_is_said_to_be_so_and_not_taken_for_an_erased_one(
    folder: Path, server: RunningServer
) -> None:
    planned(folder, server, "ada")
    write_ids(folder / "ids.csv", decide(server, [f"bob.{folder.name}"], prefix="2027/03"))
    with scripted() as mail:
        with pytest.raises(DeliveryError, match="expected an id without a slash"):
            deliver(deliver_options(folder, server, smtp_port=mail.port))
        assert mail.taken == []


def test_a_text_of_another_journey_is_not_what_was_confirmed(
    folder: Path, server: RunningServer
) -> None:
    (name,) = planned(folder, server, "ada")
    plan = replace(PLAN, decision_id=name, contact_id=f"ada.{folder.name}")
    client = PolicyClient(server.url)
    assert mail_run.confirmed(client, [plan])[0].may_leave
    with pytest.raises(DeliveryError, match="of journey inbound_lead, as the policy server has it"):
        mail_run.confirmed(client, [replace(plan, journey="renewal")])


# ---------------------------------------------------------------- answers

YES = b'{"data": true}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n" + YES
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ZIPPED = gzip.compress(YES)


@contextmanager
def answering(*lines: Sequence[Sequence[bytes]]) -> Iterator[int]:
    """The port of a server that answers byte by byte.

    Args:
        lines: of each line that somebody opens, the answers to its requests, in pieces; then it
            hangs up.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answers in lines:
                line, _ = listening.accept()
                with line, suppress(OSError):  # whoever asked may have heard enough
                    for answer in answers:
                        for piece in answer if whole_request(line) else ():
                            line.sendall(piece)
                            time.sleep(0.05)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join()


def whole_request(line: socket.socket) -> bool:
    """Read a request to its end: who hangs up on the rest of it takes back the answer, too."""
    got = b""
    while b"\r\n\r\n" not in got and (more := line.recv(65536)):
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    size = next((n for n in head.lower().split(b"\r\n") if n.startswith(b"content-length:")), b":0")
    left = int(size.partition(b":")[2]) - len(body)
    while left > 0 and (more := line.recv(left)):
        left -= len(more)
    return bool(got)


@contextmanager
def sender(port: int, provider: Provider | None = None) -> Iterator[HttpSender]:
    server = http_server(f"http://127.0.0.1:{port}", None, 2.0)
    line = HttpLine(server)
    yield HttpSender(provider or Listmonk({"": "3"}, "default", None), line, {})
    line.close()


ANSWERS: dict[str, tuple[tuple[bytes, ...], str]] = {
    "whole": ((WHOLE,), "accepted"),
    "HTTP/1.0, ended by the end of the line": ((b"HTTP/1.0 200 OK\r\n\r\n", YES), "accepted"),
    "HTTP/1.0, cut": ((b"HTTP/1.0 200 OK\r\n\r\n", YES[:9]), "unknown"),
    "cut in the middle": ((WHOLE[:-3],), "unknown"),
    "in chunks": ((CHUNKED, b"e\r\n" + YES + b"\r\n", b"0\r\n\r\n"), "accepted"),
    "in chunks, cut": ((CHUNKED, b"e\r\n" + YES + b"\r\n"), "unknown"),
    "compressed": (
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n"
            + f"content-length: {len(ZIPPED)}\r\n\r\n".encode(),
            ZIPPED,
        ),
        "unknown",
    ),
    "brackets without end": ((b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000,), "unknown"),
    "more than an answer is": ((b"HTTP/1.0 200 OK\r\n\r\n", YES + b" " * (1 << 21)), "unknown"),
    "a page of a proxy": ((b"HTTP/1.0 200 OK\r\n\r\n<html>log in</html>",), "unknown"),
    "no HTTP": ((b"220 mail.example ESMTP\r\n",), "unknown"),
    "a status that is none": ((b"HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n",), "unknown"),
    "nothing": ((b"",), "unknown"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_what_it_says_and_half_of_one_is_none(tmp_path: Path, name: str) -> None:
    answer, state = ANSWERS[name]
    went: list[int] = []
    with answering([answer]) as port, sender(port) as one:
        assert one.send(mail_to(tmp_path), lambda: went.append(1)).state == state
    assert went == [1]


def test_an_answer_that_comes_after_a_hint_is_not_taken_for_that_of_the_next_mail(
    tmp_path: Path,
) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    of_the_first = b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n"
    mail = mail_to(tmp_path)
    with answering([[hint], [of_the_first]], [[WHOLE]]) as port, sender(port) as one:
        assert one.send(mail, lambda: None).state == "unknown"
        assert one.send(mail, lambda: None).state == "accepted"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "accepted"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>log in</html>", "unknown"),
    ],
)
def test_dittofeed_says_yes_without_words_and_a_page_is_none(
    tmp_path: Path, answer: bytes, state: str
) -> None:
    with answering([[answer]]) as port, sender(port, Dittofeed({"": "e"})) as one:
        assert one.send(mail_to(tmp_path), lambda: None).state == state


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"message": "success"}, "accepted"),
        ({"message": "success", "errors": ["a part was left out"]}, "unknown"),
        ({"message": "Invalid campaign"}, "refused"),
        ({"dispatch_id": "d1"}, "unknown"),
        (["success"], "unknown"),
    ],
)
def test_brazes_yes_with_errors_is_neither_yes_nor_no(said: object, state: str) -> None:
    reply = HttpReply(201, {}, json.dumps(said).encode())
    assert Braze({"": "c-1"}).answer(reply).state == state


def test_an_address_of_ipv6_has_the_port_of_its_scheme(tmp_path: Path) -> None:
    assert http_server("https://[2001:db8::25]/x", None, 1.0).port == 443
    assert http_server("https://[2001:db8::25]/x", None, 1.0).origin == "https://[2001:db8::25]"
    shown = HttpSender(
        Listmonk({"": "3"}, "default", None),
        HttpLine(http_server("http://[::1]:9000/lists", None, 1.0)),
        {},
    ).shown(mail_to(tmp_path))
    assert json.loads(shown)["url"] == "http://[::1]:9000/lists/api/tx"


@by("mautic")
def test_mautic_mails_nobody_else_where_it_tells_of_whom_it_was_not_asked_for(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    """Its searches find parts of an address, and some versions overlook what they do not know."""
    _, options = ready(folder, server, provider, "ada")
    provider.contacts = {f"jo-ada.{folder.name}@example.com".lower(): [5]}
    provider.overlooks_where = True
    assert deliver(options).made["states"] == {"refused": 1}
    assert provider.asked == 0
    assert "got 0" in rows(folder)[0]["reason"]


@by("listmonk")
@pytest.mark.parametrize("after", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_limit_that_is_over_at_once_again_and_again_ends_the_run(
    folder: Path,
    server: RunningServer,
    provider: StandIn,
    after: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_run, "_LEAST_REST", 0.001)
    monkeypatch.setattr(mail_run, "_PACE", 0.1)
    _, options = ready(folder, server, provider, "ada")
    provider.retry_after, provider.faults = after, [(429, {"message": "slow down"})] * 500
    assert (result := deliver(options)).code == 3
    assert result.made["states"] == {"planned": 1}
    assert provider.asked == 8  # 0.001 s, and twice as long each time, up to 0.064 s


@by("listmonk")
def test_who_got_mail_before_the_provider_refused_us_is_told(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    ids, options = ready(folder, server, provider, "ada", "bob")
    provider.refuses = lambda body: (
        (401, {"message": "who are you?"}) if len(provider.taken) else None
    )
    with pytest.raises(DeliveryError, match="mend the settings"):
        deliver(options)
    assert [status(server, name) for name in ids] == ["sent", "confirmed"]


@by("listmonk")
def test_a_number_that_no_id_has_is_no_crash(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada")
    head, row, *_ = (folder / "recipients.csv").read_text("utf-8").splitlines()
    (folder / "recipients.csv").write_text(f"{head},sender_id\n{row},{'9' * 5_000}\n", "utf-8")
    assert deliver(options).made["states"] == {"refused": 1}
    assert "number of a subscriber" in rows(folder)[0]["reason"]


def test_a_file_that_somebody_put_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out, told = tmp_path / "out.csv", list[str]()
    out.write_text("somebody's")
    with pytest.raises(DeliveryError, match="expected nothing at"):
        HandOver(out).write(b"ours", lambda: told.append("appears"))
    assert (out.read_text(), told) == ("somebody's", [])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_secret_that_anybody_else_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    key.chmod(mode)
    with pytest.raises(ConfigError, match="its owner's alone"):
        secret_of(str(key), "key_file")
    key.chmod(0o600)
    assert secret_of(str(key), "key_file") == "secret"
