"""Where a store keeps its rows: the few things that every database must do for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nurture_rl.serving.storage.chain import Link
from nurture_rl.serving.storage.rows import Row
from nurture_rl.serving.store_errors import StoreLost

Location = Path | str
LOCK_KINDS = ("contact", "account", "limits", "roles")  # the first three in this order


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement for many rows; `?` stands for a cell."""

    sql: str
    rows: Sequence[tuple[Any, ...]]
    links: Sequence[Link] = ()  # of the rows, for the chain


class ReadableDatabase(Protocol):
    """A database that is read. SQL is that of SQLite, as far as others understand it too."""

    name: str  # as people know it, without a password
    any_of: str  # SQL: the column before it is one of the values of `listed`
    numbered: str  # SQL: a table `asked` of the keys and values of `numbers`
    is_shared: bool  # several processes may write it

    def listed(self, values: Sequence[str]) -> Any:
        """The parameter of `any_of`."""

    def numbers(self, values: Mapping[str, int]) -> tuple[Any, ...]:
        """The parameters of `numbered`."""

    def read(self, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that a query finds.

        Raises:
            StoreUnavailable: it cannot be asked now.
        """

    def blocks(
        self, sql: str, size: int, given: tuple[Any, ...] = ()
    ) -> AbstractContextManager[Iterator[list[Row]]]:
        """The rows that a query finds, all as of one moment, in blocks of a size."""

    def mail_changes(self, mark: str | None) -> tuple[str, set[str]]:
        """A mark of what is committed now, and contacts whose mail may count otherwise since one.

        Args:
            mark: an earlier one; None: nobody is asked for.
        """

    def await_disk(self) -> None:
        """Return when no crash can undo what was read before."""

    def close(self) -> None:
        """Let go of it, once nobody reads."""


class Database(ReadableDatabase, Protocol):
    """A database that is written too."""

    lost: StoreLost | None  # why nothing is acknowledged any more, for good

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call this, from any thread, when `lost` is set."""

    def write(self, statements: Sequence[Statement]) -> list[int]:
        """Write all statements or none; what returns outside of `held` is on disk.

        Returns:
            Rows changed by each statement.

        Raises:
            StoreConflict: a row is there already.
            StoreUnavailable: it cannot be written now.
        """

    def write_linked(self, statements: Sequence[Statement]) -> list[int]:
        """As `write`, and link in the same transaction; nobody else links until it ends."""

    def link(self) -> None:
        """Append to the chain what waits for it."""

    def held(self, kind: str, names: Iterable[str]) -> AbstractContextManager[None]:
        """Keep everybody else from work on these names of a kind until the block ends.

        What is written inside is on disk when the outermost block has ended. Kinds are some of
        `LOCK_KINDS`.
        """

    def tell(self, names: Iterable[str]) -> None:
        """Keep contacts of whom something arrived that may forbid mail, for other processes."""

    def served_beside(self, what: str) -> list[str]:
        """What other processes serve that run now, where it is anything else than this.

        They see it of this one in turn, until it closes the database or ends.
        """

    def heard(self) -> set[str]:
        """Contacts of whom other processes told since the last call. One thread at a time asks."""
