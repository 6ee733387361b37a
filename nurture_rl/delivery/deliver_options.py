"""The settings of the verbs `deliver` and `reconcile`, and what of them can be checked at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nurture_rl.client import PolicyClient
from nurture_rl.delivery.mail_bytes import MailFrom, mail_from
from nurture_rl.delivery.pacing import Rates
from nurture_rl.delivery.smtp_sender import SmtpServer
from nurture_rl.errors import ConfigError

FORMATS = (".csv", ".jsonl", ".parquet")
FILES = ("file", "cloudevents")  # senders that write a file; all others send
MAIL_ALONE = ("smtp", "listmonk", "mautic")  # carry messages of the channel email and no other


@dataclass(frozen=True, slots=True)
class DeliverOptions:
    """What is sent, in which words, to whom, and by whom."""

    # What was decided: the table of `nurture decide`, or a Parquet or CSV file with a column
    # decision_id, whose decisions the server is asked for.
    decided: str
    bundle: str  # folder of the bundle that decided: its journey has the messages
    # Who carries the mail: a mail server, a file for another program, or a provider by HTTP.
    sender: Literal[
        "smtp",
        "file",
        "cloudevents",
        "listmonk",
        "mautic",
        "dittofeed",
        "braze",
        "cloudevents_http",
    ]
    # Folder of approved texts: MESSAGE.txt and perhaps MESSAGE.html; those in a folder inside it
    # with a journey's name are for that journey alone.
    templates: str = "templates"
    # Parquet or CSV file with columns contact_id and email; every other column is a merge field.
    recipients: str = "recipients.csv"
    # Ledger of deliveries, made if absent: a decision that it knows is never sent again.
    ledger: str = "runs/deliveries.db"
    server: str = "http://127.0.0.1:8321"  # policy server that confirms each send
    # File of its API key, the key alone, of scopes decisions and events; null: it asks for none.
    key_file: str | None = None
    # Folders of bundles of further journeys, as the server has them.
    journeys: tuple[str, ...] = ()
    # File to make, for `sender=file` (.csv, .jsonl or .parquet) and `cloudevents` (.jsonl); for a
    # dry run of smtp a folder, of a provider a file of its requests (.jsonl). It must not be there.
    out: str | None = None
    # Write to `out` what would be sent; send, confirm and note nothing.
    dry_run: bool = False
    # Minutes that the run waits for hours to come and refusals to pass, >= 0; 0: it sends what is
    # due now, and the same command takes up the rest later.
    wait_minutes: float = 0.0
    # Minutes after its hour in which a mail may still leave, > 0; then it is none.
    window_minutes: float = 60.0
    # Seconds until a first retry after a temporary refusal, > 0; doubled each time, at most 30
    # minutes.
    retry_seconds: float = 60.0
    # Leave out contacts that `recipients` does not have, and note it, in place of refusing the run.
    skip_without_address: bool = False
    report_sent: bool = True  # report `sent` events; false: the sender's webhook does
    per_minute: float = 600.0  # mails a minute to everybody together, > 0
    # Mails a minute to one mailbox provider, or to one domain that has none, > 0.
    family_per_minute: float = 60.0
    # Providers and domains with a rate of their own, as in [google=20,example.com=5].
    family_rates: tuple[str, ...] = ()
    # Mails in a row that may be refused, or have no answer, > 0; then the run stops, and refused
    # ones are planned again: who refuses everybody says nothing of each.
    brake_after: int = 10
    # Address of a provider, such as https://lists.example; http:// for this machine alone.
    sender_url: str | None = None
    # File of the provider's key, mode 0600: NAME:PASSWORD for listmonk and Mautic, the write key
    # for Dittofeed, the key for Braze and cloudevents_http; null: none (cloudevents_http alone).
    sender_key_file: str | None = None
    # File of certificates (PEM) to trust beside the system's; null: none.
    sender_ca_file: str | None = None
    sender_timeout: float = 60.0  # seconds to wait for a provider's answer, > 0
    # What carries each message at the provider, as in [welcome=3,=4] (4 for every other message):
    # listmonk's template, Mautic's email, Dittofeed's event, Braze's campaign.
    template_ids: tuple[str, ...] = ()
    # Whom listmonk mails: subscribers, addresses where there is no subscriber, or any address.
    listmonk_subscribers: Literal["default", "fallback", "external"] = "default"
    # How cloudevents_http sends an event: its attributes as headers, or all as one JSON object.
    cloudevents_mode: Literal["binary", "structured"] = "structured"
    smtp_host: str | None = None  # server that mail is handed to
    smtp_port: int = 587  # from 1 to 65535
    # starttls: encrypted before anything is said; tls: from the first byte (port 465); none: a
    # server on this machine.
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None  # null: no login
    smtp_password_file: str | None = None  # the password alone
    # File of certificates (PEM) to trust beside the system's; null: none.
    smtp_ca_file: str | None = None
    smtp_timeout: float = 300.0  # seconds to wait for an answer, > 0
    from_address: str | None = None  # header From, as in 'Ada <ada@example.com>'
    envelope_from: str | None = None  # where bounces go; null: the address in from_address
    reply_to: str | None = None  # header Reply-To; null: none


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """Where mails without an answer are looked for."""

    # Logs of Postfix, maildir folders or mbox files that mail of this sender came to; what a
    # provider tells of the mails that it sent (.json); files that `sender=file` or `cloudevents`
    # made and somebody took away.
    found_in: tuple[str, ...]
    ledger: str = "runs/deliveries.db"  # as of `nurture deliver`
    server: str = "http://127.0.0.1:8321"  # policy server that is told of sent mails
    # File of its API key, the key alone, of scope events; null: it asks for none.
    key_file: str | None = None
    # `found_in` holds everything that the receiver took: what is not there never reached it, and
    # may be sent again within its hour.
    complete: bool = False
    # Minutes after an attempt before `complete` says anything of it, >= 0: a server may take in
    # a mail long after its sender is gone.
    settled_minutes: float = 15.0
    report_sent: bool = True  # as of `nurture deliver`


def require_ranges(options: DeliverOptions) -> None:
    """Guard numbers and what belongs together.

    Raises:
        ConfigError: a setting is out of its range or missing.
    """
    above = ("window_minutes", "retry_seconds", "per_minute", "family_per_minute")
    for name in (*above, "smtp_timeout", "sender_timeout", "brake_after"):
        if not 0.0 < (value := getattr(options, name)) < float("inf"):
            raise ConfigError(f"{name}: expected a number above 0, got {value}")
    if not options.wait_minutes >= 0.0:
        raise ConfigError(f"wait_minutes: expected 0 or more, got {options.wait_minutes}")
    if options.sender not in FILES and not options.dry_run:
        if options.out is not None:
            raise ConfigError(
                f"out: expected none with sender={options.sender}, except for a dry_run"
            )
    elif options.out is None:
        raise ConfigError("out: expected a path of what is to be made, got none")
    elif Path(options.out).exists():
        raise ConfigError(f"out: expected nothing at {options.out}; give another path")
    if options.out is not None and options.sender != "smtp":
        suffixes = FORMATS if options.sender == "file" else (".jsonl",)
        if Path(options.out).suffix not in suffixes:
            raise ConfigError(f"out: expected a name that ends in {' or '.join(suffixes)}")


def rates_of(options: DeliverOptions) -> Rates:
    """The rates of a run.

    Raises:
        ConfigError: one cannot be read.
    """
    own = {}
    for text in options.family_rates:
        name, _, number = text.partition("=")
        try:
            own[name.strip().lower()] = float(number)
        except ValueError:
            own[name] = 0.0
        if not 0.0 < own[name.strip().lower()] < float("inf"):
            raise ConfigError(f"family_rates: expected [NAME=MAILS], each above 0, got {text!r}")
    return Rates(options.per_minute, options.family_per_minute, own)


def client_of(server: str, key_file: str | None) -> PolicyClient:
    """The policy server.

    Raises:
        ConfigError: its address or its key cannot be one.
    """
    try:
        key = None if key_file is None else secret_of(key_file, "key_file")
        return PolicyClient(server, key)
    except ValueError as error:
        raise ConfigError(f"server or key_file: {error}") from error


def secret_of(path: str, setting: str) -> str:
    """The one line of a file that holds a secret.

    Raises:
        ConfigError: it cannot be read, or others can read it.
    """
    try:
        mode = Path(path).stat().st_mode
        lines = Path(path).read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: expected a file with one line, got: {error}") from error
    if mode & 0o077:
        raise ConfigError(f"{setting}: expected {path} to be its owner's alone; chmod 600 {path}")
    if not lines[0] or any(lines[1:]):
        raise ConfigError(f"{setting}: expected one line in {path}, got {len(lines)}")
    return lines[0]


def smtp_of(options: DeliverOptions) -> tuple[SmtpServer, MailFrom]:
    """The SMTP server, and who mail comes from.

    Raises:
        ConfigError: host or author is missing, or an address or a secret cannot be one.
    """
    if options.smtp_host is None or options.from_address is None:
        raise ConfigError("expected smtp_host and from_address with sender=smtp")
    password = None
    if options.smtp_password_file is not None:
        password = secret_of(options.smtp_password_file, "smtp_password_file")
    if (options.smtp_user is None) != (password is None):
        raise ConfigError("expected smtp_user and smtp_password_file together, got one of them")
    server = SmtpServer(
        options.smtp_host,
        options.smtp_port,
        options.smtp_security,
        options.smtp_user,
        password,
        options.smtp_ca_file,
        options.smtp_timeout,
    )
    return server, mail_from(options.from_address, options.envelope_from, options.reply_to)
