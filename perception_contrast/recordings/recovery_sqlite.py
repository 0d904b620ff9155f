"""What is still whole in a damaged .db3: rows are read one by one around pages that are missing, and those
of its journal as well (https://www.sqlite.org/fileformat.html).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import apsw

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.recovery import RecoveredFile

_LAST_ROW = 1 << 48
# Rows with values of another kind, as a damaged page may have, are none.
_ROWS = (
    "SELECT id, topic_id, timestamp, data FROM messages "
    "WHERE typeof(timestamp) = 'integer' AND typeof(data) = 'blob' AND"
)


class RecoveredSqlite(RecoveredFile):
    """A .db3 file of which pages are missing. Raises PerceptionError if its list of topics is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        database = self._open()
        try:
            topics = {number: (name, kind) for number, name, kind in self._topics(database)}
            self._rows: list[tuple[int, int, int]] = []
            gaps, row = 0, 0
            while True:
                try:
                    for read, number, stamp, _ in database.execute(f"{_ROWS} id > ? ORDER BY id", (row,)):
                        row = read
                        self._rows.append((stamp, row, number))
                    break
                except apsw.Error:
                    behind = self._behind(database, row)
                    gaps += 1
                    if behind is None:
                        break
                    self._rows.append(behind)
                    row = behind[1]
        finally:
            database.close()
        self._rows.sort()
        if gaps:
            last = f" (the last row read is {row})"
            self.lost.append(f"'{path.name}' lacks pages at {gaps} place(s); their messages are lost{last}")
        counts = Counter(number for _, _, number in self._rows)
        self.settle(topics, counts, [self._rows[0][0], self._rows[-1][0]] if self._rows else [])

    def _open(self) -> apsw.Connection:
        # A journal that was never merged is read too, but only if SQLite may look beside the file.
        journal = has_journal(self.path)
        options = "mode=ro" if journal else "mode=ro&immutable=1"
        try:
            database = apsw.Connection(
                f"{self.path.resolve().as_uri()}?{options}",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                vfs=None if journal else _whole_pages().vfs_name,
            )
            # Without this, SQLite refuses a file that is shorter than its header says.
            database.execute("PRAGMA writable_schema=ON")
        except apsw.Error as error:
            raise PerceptionError(f"'{self.path}' cannot be opened as a database: {error}") from error
        return database

    def _topics(self, database: apsw.Connection) -> list[tuple[int, str, str]]:
        try:
            return list(database.execute("SELECT id, name, type FROM topics"))
        except apsw.Error as error:
            raise PerceptionError(
                f"'{self.path}' has lost its list of topics ({error}); nothing can be recovered"
            ) from error

    @staticmethod
    def _behind(database: apsw.Connection, row: int) -> tuple[int, int, int] | None:
        """(stamp, row, topic) of the first row found that can be read behind one; None for none."""

        def readable(number: int) -> tuple[int, int, int] | None:
            try:
                found = database.execute(f"{_ROWS} id >= ? ORDER BY id LIMIT 1", (number,)).fetchone()
            except apsw.Error:
                return None
            return None if found is None else (int(found[2]), int(found[0]), int(found[1]))

        step = 1
        while (found := readable(row + step)) is None:
            step *= 2
            if row + step > _LAST_ROW:
                return None
        low, high = step // 2, step
        while high - low > 1:
            middle = (low + high) // 2
            nearer = readable(row + middle)
            if nearer is None:
                low = middle
            else:
                found, high = nearer, middle
        return found

    def ordered(self, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
        database = self._open()
        try:
            for stamp, row, number in self._rows:
                if number in wanted:
                    for (data,) in database.execute("SELECT data FROM messages WHERE id = ?", (row,)):
                        yield stamp, number, data
        finally:
            database.close()


def has_journal(path: Path) -> bool:
    """Whether messages of a .db3 lie in a journal beside it: its recorder was killed."""
    journal = path.with_name(f"{path.name}-wal")
    return journal.is_file() and journal.stat().st_size > 0


class _WholeFile(apsw.VFSFile):
    """A file without the page that was cut at its end, which SQLite would fill up with zeros."""

    _PAGE_SIZE = slice(16, 18)

    def xFileSize(self) -> int:
        size: int = super().xFileSize()
        head = super().xRead(100, 0) if size >= 100 else b""
        if not head.startswith(b"SQLite format 3"):
            return size
        page = int.from_bytes(head[self._PAGE_SIZE], "big")
        # 1 stands for 65536, which two bytes cannot hold.
        page = 65536 if page == 1 else page
        return size - size % page if page else size


class _WholePages(apsw.VFS):
    def __init__(self) -> None:
        self.vfs_name = "perception_contrast_whole_pages"
        super().__init__(self.vfs_name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _WholeFile("", name, flags)


@cache
def _whole_pages() -> _WholePages:
    """Registered with SQLite as long as it lives."""
    return _WholePages()
