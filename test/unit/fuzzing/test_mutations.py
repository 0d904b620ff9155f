"""Mutations that know a format keep it whole where they mean to: judged by the formats' own libraries."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from random import Random

import apsw
import onnx
import pytest
from fuzzing.fields import mutated_fields
from fuzzing.formats.image_files import mutated_png
from fuzzing.formats.mcap_records import mutated_mcap
from fuzzing.formats.onnx_fields import mutated_onnx
from fuzzing.formats.sqlite_rows import mutated_rows
from fuzzing.mutations import MOST_BYTES, mutated
from fuzzing.targets.bags import Mcap, Sqlite
from fuzzing.targets.images import ImageFiles, encoded_rvl
from fuzzing.targets.messages import Messages, split
from fuzzing.targets.weights import small_export
from mcap.stream_reader import StreamReader

from perception_contrast.images.run_length_depth import decode_rvl
from perception_contrast.recordings.message_types import message_types

TURNS = range(60)


def test_bytes_change_by_the_seed_alone_and_do_not_grow_without_end() -> None:
    data = bytes(range(256)) * 1024
    made = [mutated(Random(seed), data, b"other") for seed in TURNS]
    assert made == [mutated(Random(seed), data, b"other") for seed in TURNS]
    assert len(set(made)) > 50 and max(map(len, made)) <= MOST_BYTES


def test_fields_change_within_their_types(tmp_path: Path) -> None:
    store, changed = message_types(), 0
    for seed in Messages(tmp_path).seeds():
        kind, cdr = split(seed)
        for turn in range(8):
            made = mutated_fields(Random(turn), store, kind, cdr)
            store.deserialize_cdr(made, kind)
            changed += made != cdr
    assert changed > 100


def test_chunks_of_a_png_have_checksums_that_hold(tmp_path: Path) -> None:
    png = next(one for one in ImageFiles(tmp_path).seeds() if one[1:4] == b"PNG")
    for turn in TURNS:
        made = mutated_png(Random(turn), png)
        position = 8
        while position < len(made):
            length = int.from_bytes(made[position : position + 4], "big")
            body = made[position + 4 : position + 8 + length]
            position += 12 + length
            assert zlib.crc32(body) == int.from_bytes(made[position - 4 : position], "big")


def test_a_database_stays_one_that_sqlite_finds_sound(tmp_path: Path) -> None:
    (seed,) = Sqlite(tmp_path).seeds()
    made = [mutated_rows(Random(turn), seed) for turn in TURNS]
    assert len(set(made)) > 40
    for data in made:
        database = apsw.Connection(":memory:")
        database.deserialize("main", data)
        assert list(database.execute("PRAGMA integrity_check")) == [("ok",)]


def test_many_mcap_files_can_still_be_walked_record_by_record(tmp_path: Path) -> None:
    seeds, walked = Mcap(tmp_path).seeds(), 0
    for turn in TURNS:
        data = mutated_mcap(Random(turn), seeds[turn % len(seeds)])
        try:
            walked += bool(list(StreamReader(io.BytesIO(data)).records))
        except Exception:  # whatever the library raises for content that was changed
            continue
    assert walked > len(TURNS) // 3


def test_an_onnx_file_stays_a_protocol_buffer() -> None:
    seed = small_export()
    onnx.checker.check_model(seed)
    made = {mutated_onnx(Random(turn), seed) for turn in TURNS}
    assert len(made) > 40
    for data in made:
        onnx.load_model_from_string(data)


@pytest.mark.parametrize("turn", range(10))
def test_the_rvl_of_seeds_is_what_the_decoder_reads(turn: int) -> None:
    import numpy as np

    values = np.random.default_rng(turn).integers(0, 65536, 100).astype(np.uint16)
    values[np.random.default_rng(turn + 1).random(100) < 0.4] = 0
    np.testing.assert_array_equal(decode_rvl(memoryview(encoded_rvl(values)), 100), values)
