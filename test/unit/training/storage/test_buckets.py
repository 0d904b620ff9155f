"""Data sets in a bucket: a local double of S3, memory://, a cut shard, and a bucket that never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from recordings import drive, image, jpeg, write

from perception_contrast.core.errors import PerceptionError, StorageError
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.curation.splits import SplitOptions, split
from perception_contrast_training.data.datasets.lance_frames import write_lance_frames
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.embedding.find_data import find_data
from perception_contrast_training.embedding.run import embed
from perception_contrast_training.embedding.settings import EmbedSettings
from perception_contrast_training.storage import place
from perception_contrast_training.storage.place import Bucket
from perception_contrast_training.vectors.vector_set import read_vectors

ALL = ExtractOptions(every=0, min_change=0, novelty="none", min_sharpness=0, shard_frames=4)
QUICK = EmbedSettings("thumbnail", batch=4, part_frames=16)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(place, "_WAIT", 0.01)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address in a bucket of a double of S3 on this machine."""
    server = pytest.importorskip("moto.server", reason="moto is for tests alone").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0
    )
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("robots")
    yield "s3://robots"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def same_frames(one: Any, other: Any) -> None:
    assert len(one) == len(other) > 0
    for index in range(len(one)):
        first, second = one[index], other[index]
        np.testing.assert_array_equal(first["image"], second["image"])
        assert (first["key"], first["stamp"], first["text"]) == (
            second["key"],
            second["stamp"],
            second["text"],
        )
        np.testing.assert_array_equal(first["pose"], second["pose"])


def test_s3_holds_what_a_folder_holds(tmp_path: Path, s3: str) -> None:
    bag = write(tmp_path / "bag", drive(10))
    extract([bag], tmp_path / "set", ALL, workers=1)
    found = extract([bag], f"{s3}/set", ALL, workers=1)
    assert found.frames == 10 and found.dataset == f"{s3}/set"
    bucket = Bucket(f"{s3}/set")
    for file in (tmp_path / "set").rglob("*"):
        if file.is_file() and not file.name.startswith(".") and file.name != "dataset.json":
            assert bucket.read(file.relative_to(tmp_path / "set").as_posix()) == file.read_bytes(), file
    same_frames(open_dataset(f"{s3}/set"), ShardDataset(tmp_path / "set"))
    # Nothing of it is made again, and on a machine without the cache too.
    assert extract([bag], f"{s3}/set", ALL, workers=1).frames == 10
    vectors = f"{s3}/vectors.parquet"
    embed(find_data([f"{s3}/set"]), vectors, QUICK)
    embed(find_data([tmp_path / "set"]), tmp_path / "vectors.parquet", QUICK)
    np.testing.assert_array_equal(
        read_vectors(vectors).vectors, read_vectors(tmp_path / "vectors.parquet").vectors
    )
    assert Bucket(s3).names("vectors") == ["vectors.parquet"], "no parts are left"


def test_an_extraction_into_a_bucket_goes_on_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag, address = write(tmp_path / "bag", drive(10)), "memory://fleet/set"
    extract([bag], tmp_path / "set", ALL, workers=1)
    puts = iter(range(100))
    put = Bucket.put

    def failing(self: Bucket, file: Path, name: str) -> None:
        if name.endswith(".tar") and next(puts) == 1:
            raise KeyboardInterrupt
        put(self, file, name)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put", failing)
        with pytest.raises(KeyboardInterrupt):
            extract([bag], address, ALL, workers=1)
    with pytest.raises(PerceptionError, match="did not finish"):
        open_dataset(address)
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "other machine"))
    extract([bag], address, ALL, workers=1)
    same_frames(open_dataset(address), ShardDataset(tmp_path / "set"))


def test_a_cut_shard_is_told_and_its_frames_left_out(tmp_path: Path) -> None:
    bag, address = write(tmp_path / "bag", drive(10)), "memory://fleet/cut"
    extract([bag], address, ALL, workers=1)
    bucket = Bucket(address)
    bucket.write("shards/0000-000001.tar", bucket.read("shards/0000-000001.tar", 0, 1200))
    found = embed(find_data([address]), tmp_path / "v.parquet", QUICK)
    assert found.rows < 10 and found.rows + len(found.unreadable) == 10
    assert all("memory://fleet/cut/shards/0000-000001.tar' was cut short" in one for one in found.unreadable)
    bucket.delete("shards/0000-000002.tar")
    with pytest.raises(PerceptionError, match=r"0000-000002\.tar' does not exist"):
        open_dataset(address)[9]


def test_a_bucket_that_does_not_answer_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3fs = pytest.importorskip("s3fs", reason="s3fs is for buckets alone")
    listening = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv(place.TIMEOUT, "0.2")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    threading.Thread(target=lambda: [listening.accept() for _ in range(20)], daemon=True).start()
    with pytest.raises(StorageError) as told:
        open_dataset("s3://robots/set")
    s3fs.S3FileSystem.clear_instance_cache()
    said = str(told.value)
    assert "\n" not in said and "does not answer" in said and "what is finished stays" in said


def test_a_lance_table_holds_what_the_shards_hold(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="pylance has no wheel here")
    extract([write(tmp_path / "bag", drive(10))], tmp_path / "set", ALL, workers=1)
    split(tmp_path / "set", SplitOptions("time", (("train", 0.5), ("val", 0.5)), guard_time=0.0))
    shards = ShardDataset(tmp_path / "set")
    assert write_lance_frames(shards, tmp_path / "set.lance") == 10
    same_frames(open_dataset(tmp_path / "set.lance"), shards)
    same_frames(open_dataset(tmp_path / "set.lance", part="val"), ShardDataset(tmp_path / "set", "val"))
    table = lance.dataset(str(tmp_path / "set.lance")).to_table()
    assert table["image"][3].as_py() == shards.stored(3)[0]
    with pytest.raises(PerceptionError, match="no part 'test'; it has: train, val"):
        open_dataset(tmp_path / "set.lance", part="test")
    embed(find_data([tmp_path / "set.lance"]), tmp_path / "v.parquet", QUICK)
    assert pq.read_table(tmp_path / "v.parquet")["key"].to_pylist() == shards.rows["key"].to_pylist()


def test_a_lance_table_of_images_and_captions_alone(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="pylance has no wheel here")
    import pyarrow as pa

    table = pa.table({"jpg": [jpeg(image(n)) for n in range(3)], "caption": ["a", "b", None]})
    lance.write_dataset(table, str(tmp_path / "captions.lance"))
    found = open_dataset(tmp_path / "captions.lance")
    assert [found[n]["text"] for n in range(3)] == ["a", "b", ""] and found[2]["stamp"] == -1
    lance.write_dataset(table.drop_columns(["jpg"]), str(tmp_path / "none.lance"))
    with pytest.raises(PerceptionError, match="no column of image bytes"):
        open_dataset(tmp_path / "none.lance")
