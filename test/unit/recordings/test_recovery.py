"""Damaged recordings: what is whole is read, what is not is said; counted by the reference libraries."""

from __future__ import annotations

import io
import sqlite3
import struct
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType
from recordings import COLOR, drive, mcap_bytes, write, write_split
from rosbags.rosbag2 import StoragePlugin
from zstandard import ZstdCompressor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.bags import BagSource


def records(data: bytes) -> list[tuple[int, int, int]]:
    """(opcode, begin, end) of the top-level records, walked by the specification."""
    found, position = [], 8
    while position + 9 <= len(data) - 8:
        code, length = struct.unpack_from("<BQ", data, position)
        found.append((code, position, position + 9 + length))
        position += 9 + length
    return found


def inner_ends(data: bytes, chunk: int) -> list[int]:
    """Where the records in the uncompressed chunk at a place end, in the file, by the specification."""
    (count,) = struct.unpack_from("<I", data, chunk + 9 + 28)
    position = chunk + 9 + 32 + count
    end = position + 8 + struct.unpack_from("<Q", data, position)[0]
    position, found = position + 8, []
    while position < end:
        code, length = struct.unpack_from("<BQ", data, position)
        position += 9 + length
        found += [position] if code == 5 else []
    return found


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4, CompressionType.NONE])
@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
@pytest.mark.parametrize("zeros", [0, 4096])
def test_mcap_cut_short_gives_all_that_is_whole(
    tmp_path: Path, compression: CompressionType, share: float, zeros: int
) -> None:
    messages = drive(30)
    data = mcap_bytes(messages, compression=compression)
    cut = int(len(data) * share)
    chunks = [(begin, end) for code, begin, end in records(data) if code == 6]
    whole = [end for _, end in chunks if end <= cut]
    # The reference reader on a file closed after the last whole chunk tells what can be had of those.
    index = make_reader(io.BytesIO(data)).get_summary().chunk_indexes  # type: ignore[union-attr]
    last = sorted(index, key=lambda one: one.chunk_start_offset)[len(whole) - 1].message_end_time
    path = tmp_path / "cut.mcap"
    # A file system that had no time to write leaves zeros.
    path.write_bytes(data[:cut] + bytes(min(zeros, len(data) - cut - 200)))
    with pytest.raises(PerceptionError, match="damaged"):
        BagSource(path, recover=False)
    bag = BagSource(path, recover=True)
    found = [(one.stamp, one.topic, one.data) for one in bag.messages()]
    assert found == [(one.stamp, one.topic, one.data) for one in messages][: len(found)]
    least = sum(one.stamp <= last for one in messages)
    assert 0 < least <= len(found) < len(messages)
    if compression is CompressionType.NONE:
        assert len(found) == sum(end <= cut for begin, _ in chunks for end in inner_ends(data, begin))
    assert any("cut" in note for note in bag.lost)


def test_much_of_a_large_chunk_that_was_cut_is_read(tmp_path: Path) -> None:
    messages = drive(60)
    for compression in (CompressionType.ZSTD, CompressionType.LZ4):
        data = mcap_bytes(messages, compression=compression, chunk=1 << 30)
        path = tmp_path / f"{compression.name}.mcap"
        path.write_bytes(data[: len(data) * 8 // 10])
        found = list(BagSource(path, recover=True).messages())
        assert [one.data for one in found] == [one.data for one in messages[: len(found)]]
        assert len(found) >= len(messages) // 2


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.NONE])
@pytest.mark.parametrize("length", [1, 1 << 50])
def test_a_bad_record_length_costs_only_that_chunk(
    tmp_path: Path, compression: CompressionType, length: int
) -> None:
    messages = drive(30)
    data = bytearray(mcap_bytes(messages, compression=compression))
    chunks = [begin for code, begin, _ in records(bytes(data)) if code == 6]
    bad = chunks[len(chunks) // 2]
    first, last = struct.unpack_from("<QQ", data, bad + 9)
    struct.pack_into("<Q", data, bad + 1, length)
    path = tmp_path / "length.mcap"
    path.write_bytes(data[:-60])
    bag = BagSource(path, recover=True)
    found = [one.data for one in bag.messages()]
    kept = [one.data for one in messages if not first <= one.stamp <= last]
    # Messages of a chunk that is not compressed are found one by one.
    everything = [one.data for one in messages]
    assert found == (kept if compression is CompressionType.ZSTD else everything)
    assert any("unreadable" in note for note in bag.lost)


def test_topics_are_known_although_the_chunk_that_told_them_is_damaged(tmp_path: Path) -> None:
    messages = drive(30)
    data = bytearray(mcap_bytes(messages, compression=CompressionType.NONE))
    begin, end = next((begin, end) for code, begin, end in records(bytes(data)) if code == 6)
    last = struct.unpack_from("<Q", data, begin + 17)[0]
    data[end - 40] ^= 0xFF
    path = tmp_path / "first.mcap"
    path.write_bytes(data)
    found = list(BagSource(path, recover=True).messages())
    kept = [(one.topic, one.data) for one in messages if one.stamp > last]
    assert [(one.topic, one.data) for one in found] == kept and len({topic for topic, _ in kept}) > 1


def test_mcap_without_chunks_out_of_order_and_without_an_end(tmp_path: Path) -> None:
    messages = drive(8)
    messages[3], messages[9] = messages[9], messages[3]
    data = mcap_bytes(messages, chunked=False)
    end = next(begin for code, begin, _ in records(data) if code == 0x0F)
    path = tmp_path / "open.mcap"
    path.write_bytes(data[:end])
    bag = BagSource(path, recover=True)
    assert [one.data for one in bag.messages()] == [
        one.data for one in sorted(messages, key=lambda one: one.stamp)
    ]
    assert "was not closed" in bag.lost[0]


def test_bad_chunk_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    messages = drive(30)
    data = bytearray(mcap_bytes(messages, compression=CompressionType.NONE))
    chunks = [(begin, end) for code, begin, end in records(bytes(data)) if code == 6]
    begin, end = chunks[len(chunks) // 2]
    first, last = struct.unpack_from("<QQ", data, begin + 9)
    data[end - 40] ^= 0xFF
    path = tmp_path / "flipped.mcap"
    path.write_bytes(data)
    with pytest.raises(PerceptionError):
        list(BagSource(path, recover=False).messages())
    bag = BagSource(path, recover=True)
    assert bag.lost == ()
    found = list(bag.messages())
    assert [one.data for one in found] == [m.data for m in messages if not first <= m.stamp <= last]
    assert len(bag.lost) == 1 and "chunk" in bag.lost[0]
    assert [one.stamp for one in bag.messages([COLOR])] == [m.stamp for m in found if m.topic == COLOR]


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_sqlite_cut_short_gives_every_row_that_is_there(tmp_path: Path, share: float) -> None:
    messages = drive(150)
    folder = write(tmp_path / "bag", messages, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(PerceptionError):
        list(BagSource(folder, recover=False).messages())
    bag = BagSource(folder, recover=True)
    known = {(one.stamp, one.topic): one.data for one in messages}
    found = list(bag.messages())
    assert all(known[one.stamp, one.topic] == one.data for one in found)
    # Rows are appended in order, so about that share of them is before the cut.
    assert len(found) > 0.8 * share * len(messages)
    assert [one.stamp for one in found] == sorted(one.stamp for one in found)
    assert any("lacks pages" in note for note in bag.lost)


def test_sqlite_with_a_zeroed_page_in_the_middle(tmp_path: Path) -> None:
    messages = drive(60)
    folder = write(tmp_path / "bag", messages, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    data = bytearray(file.read_bytes())
    page = struct.unpack_from(">H", data, 16)[0]
    whole = {number: data[number * page] for number in range(len(data) // page)}
    leaves = [number for number, kind in whole.items() if kind == 0x0D]
    middle = leaves[len(leaves) // 2]
    data[middle * page : (middle + 1) * page] = bytes(page)
    file.write_bytes(data)
    found = list(BagSource(folder, recover=True).messages())
    known = {(one.stamp, one.topic): one.data for one in messages}
    assert len(messages) - 40 < len(found) < len(messages)
    assert all(known[one.stamp, one.topic] == one.data for one in found)


def test_rows_whose_time_is_no_number_cost_only_themselves(tmp_path: Path) -> None:
    messages = drive(6)
    folder = write(tmp_path / "bag", messages, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE messages SET timestamp = x'00ff' WHERE id IN (2, 5)")
        database.execute("UPDATE topics SET name = x'ff' WHERE name = '/tf'")
    database.close()
    bag = BagSource(folder, recover=True)
    found = list(bag.messages())
    kept = [one for row, one in enumerate(messages, 1) if row not in (2, 5) and one.topic != "/tf"]
    assert [(one.stamp, one.topic, one.data) for one in found] == [
        (one.stamp, one.topic, one.data) for one in kept
    ]
    assert any("2 message(s) without a time or a topic" in note for note in bag.lost)


def test_pages_that_lead_back_are_not_followed_round_and_round(tmp_path: Path) -> None:
    messages = drive(60)
    folder = write(tmp_path / "bag", messages, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    data = bytearray(file.read_bytes())
    page = struct.unpack_from(">H", data, 16)[0]
    leaves = [number for number in range(len(data) // page) if data[number * page] == 0x0D]
    early, late = leaves[len(leaves) // 4], leaves[len(leaves) // 2]
    data[late * page : (late + 1) * page] = data[early * page : (early + 1) * page]
    file.write_bytes(data)
    found = list(BagSource(folder, recover=True).messages())
    known = {(one.stamp, one.topic): one.data for one in messages}
    assert len(messages) / 2 < len(found) <= len(messages)
    assert all(known[one.stamp, one.topic] == one.data for one in found)


def test_rows_of_a_journal_that_was_never_merged(tmp_path: Path) -> None:
    messages = drive(6)
    folder = write(tmp_path / "bag", messages, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    late = messages[-1].stamp + 1
    database.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?, ?)", (late, b"\0\1\0\0"))
    database.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for one in folder.iterdir():
        (copy / one.name).write_bytes(one.read_bytes())
    database.close()
    for recover in (False, True):
        bag = BagSource(copy, recover=recover)
        assert [one.stamp for one in bag.messages()] == [*(one.stamp for one in messages), late]
        assert bag.lost == ()


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_split_recording_with_a_missing_and_a_cut_file(tmp_path: Path, storage: StoragePlugin) -> None:
    messages = drive(30)
    folder = write_split(tmp_path / "split", messages, storage)
    assert [one.data for one in BagSource(folder).messages()] == [one.data for one in messages]
    first, second = sorted(file for file in folder.iterdir() if file.suffix != ".yaml")
    second.unlink()
    with pytest.raises(PerceptionError, match="missing"):
        BagSource(folder, recover=False)
    bag = BagSource(folder, recover=True)
    assert [one.data for one in bag.messages()] == [one.data for one in messages[: len(messages) // 2]]
    assert second.name in bag.lost[0]
    first.write_bytes(b"")
    with pytest.raises(PerceptionError, match="no messages"):
        BagSource(folder, recover=True)


@pytest.mark.parametrize("suffix", [".db3", ".mcap"])
def test_compressed_file_cut_short(tmp_path: Path, suffix: str) -> None:
    messages = drive(120)
    folder = write(tmp_path / "bag", messages, StoragePlugin.SQLITE3)
    database = next(folder.glob("*.db3")).read_bytes()
    data = mcap_bytes(messages, compression=CompressionType.NONE) if suffix == ".mcap" else database
    file = tmp_path / f"packed{suffix}.zstd"
    whole = ZstdCompressor().compress(data)
    file.write_bytes(whole)
    assert [one.data for one in BagSource(file).messages()] == [one.data for one in messages]
    # The program zstd has a suffix of its own.
    file = file.rename(tmp_path / f"packed{suffix}.zst")
    assert [one.data for one in BagSource(file).messages()] == [one.data for one in messages]
    file.write_bytes(whole[: int(len(whole) * 0.8)])
    with pytest.raises(PerceptionError):
        BagSource(file, recover=False)
    bag = BagSource(file, recover=True)
    known = {(one.stamp, one.topic): one.data for one in messages}
    found = list(bag.messages())
    assert len(messages) / 2 < len(found) < len(messages) and bag.lost
    assert all(known[one.stamp, one.topic] == one.data for one in found)


def test_nothing_to_recover_is_one_clear_error(tmp_path: Path) -> None:
    for name, data in (
        ("a.mcap", b""),
        ("b.mcap", b"\x89MCAP0\r\n"),
        ("c.db3", b""),
        ("d.db3", b"SQLite" * 99),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PerceptionError, match="holds no messages"):
            BagSource(tmp_path / name, recover=True)
