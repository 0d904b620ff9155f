"""A journal gives back what was appended, up to where it was cut, and never anything else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import StorageError
from perception_contrast.mapping.storage.journal import JournalHead, JournalWriter, read_journal
from perception_contrast.mapping.storage.map_state import MapError

HEAD = JournalHead(3, b"0123456789abcdef")
RECORDS = st.lists(st.binary(max_size=40), max_size=6)


def written(folder: Path, records: Sequence[bytes]) -> Path:
    path = folder / "journal.3.bin"
    with JournalWriter(path, HEAD) as journal:
        for record in records:
            journal.append(record)
    return path


@settings(deadline=None, max_examples=50)
@given(RECORDS)
def test_records_come_back_in_order(records: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert list(read_journal(written(Path(folder), records), HEAD)) == records


@settings(deadline=None, max_examples=50)
@given(RECORDS, st.data())
def test_a_cut_at_any_byte_leaves_the_whole_records_before_it(
    records: list[bytes], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), records)
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        read = list(read_journal(path, HEAD))
        assert read == records[: len(read)]
        # Of each whole record the last byte is still there.
        lengths = [36 + sum(12 + len(one) for one in records[: count + 1]) for count in range(len(records))]
        assert len(read) == sum(length <= cut for length in lengths)
        assert path.read_bytes() == content[:cut]


@settings(deadline=None, max_examples=50)
@given(RECORDS, st.data())
def test_a_spoilt_byte_never_gives_other_records(records: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), records)
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            read = list(read_journal(path, HEAD))
        except MapError:
            assert path.read_bytes() == content
        else:
            # Only the last record can have been the spoilt one.
            assert read == records[:-1]


def test_damage_before_the_last_record_is_refused_and_can_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, [b"first", b"second", b"third"])
    content = bytearray(path.read_bytes())
    content[content.index(b"second")] ^= 1
    path.write_bytes(content)
    with pytest.raises(MapError, match=r"journal\.3\.bin' is damaged at byte .*--recover"):
        list(read_journal(path, HEAD))
    assert list(read_journal(path, HEAD, recover=True)) == [b"first", b"third"]


@pytest.mark.parametrize("other", [JournalHead(4, HEAD.identity), JournalHead(3, b"f" * 16)])
def test_a_journal_of_another_map_is_refused(tmp_path: Path, other: JournalHead) -> None:
    path = written(tmp_path, [b"first"])
    with pytest.raises(MapError, match="belongs to another map or snapshot"):
        list(read_journal(path, other))


def test_a_journal_is_never_continued_by_another_writer(tmp_path: Path) -> None:
    path = written(tmp_path, [b"first"])
    with pytest.raises(StorageError, match="cannot be written"):
        JournalWriter(path, HEAD)
    assert list(read_journal(path, HEAD)) == [b"first"]


def test_a_record_that_the_disk_refuses_leaves_those_before_and_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    path = tmp_path / "journal.3.bin"
    real_write = os.write
    with JournalWriter(path, HEAD) as journal:
        journal.append(b"first")

        def half(file: int, data: memoryview) -> int:
            real_write(file, bytes(data)[:7])
            monkeypatch.setattr(os, "write", full)
            return 7

        def full(file: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(StorageError, match=r"journal\.3\.bin.*make room"):
            journal.append(b"refused")
        monkeypatch.setattr(os, "write", real_write)
        journal.append(b"third")
    assert list(read_journal(path, HEAD)) == [b"first", b"third"]
