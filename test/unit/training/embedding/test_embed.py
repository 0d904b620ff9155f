"""Embedding whole data sets: every format, every source, and the same bytes after interruptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from recordings import COLOR, OPTICAL, SECOND, START, color, image, jpeg, write
from small_models import WIDTH, small_dino

from perception_contrast.cli.main import main
from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders import load_encoders as loading
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.images.files import load_image, save_image
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast_training.cli import embed_command
from perception_contrast_training.data.bags.image_measures import thumbnail_descriptor, thumbnail_of
from perception_contrast_training.embedding import encoders, jobs
from perception_contrast_training.embedding.find_data import find_data
from perception_contrast_training.embedding.run import embed
from perception_contrast_training.embedding.settings import EmbedSettings
from perception_contrast_training.vectors.vector_set import read_vectors

QUICK = EmbedSettings("thumbnail", batch=4, part_frames=16)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """40 images in two folders, one of them damaged."""
    for number in range(40):
        kind = "mug" if number % 2 else "bowl"
        save_image(tmp_path / "photos" / kind / f"{number:03d}.png", image(number))
    (tmp_path / "photos" / "mug" / "021.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "photos"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tiny encoder in the place of the real one."""
    tower = small_dino()
    monkeypatch.setattr(loading, "load_encoders", lambda *_, **__: Encoders(tower, None, "cpu"))
    encoders.frame_encoder.cache_clear()
    yield tower
    encoders.frame_encoder.cache_clear()


def expected(photos: Path) -> dict[str, np.ndarray]:
    names = [path for path in sorted(photos.rglob("*.png")) if path.name != "021.png"]
    stacked = np.stack([thumbnail_of(load_image(path)) for path in names])
    keys = [path.relative_to(photos).as_posix() for path in names]
    return dict(zip(keys, thumbnail_descriptor(stacked), strict=True))


def test_parquet_read_by_pyarrow_alone(photos: Path, tmp_path: Path) -> None:
    found = embed(find_data([photos]), tmp_path / "v.parquet", QUICK)
    assert (found.rows, len(found.unreadable)) == (39, 1) and "021.png" in found.unreadable[0]
    table = pq.read_table(tmp_path / "v.parquet")
    wanted = expected(photos)
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: halffloat>[768]"
    for row in table.to_pylist():
        np.testing.assert_allclose(row["vector"], wanted[row["key"]], atol=5e-4)
        assert row["label"] == row["key"].split("/")[0] and row["source"] == "photos"
        assert (row["stamp"], row["space"], row["model"]) == (None, "thumbnail", "thumbnail")
        assert load_image(photos / row["key"]).shape[:2] == (row["height"], row["width"])
    assert sorted(wanted) == sorted(table["key"].to_pylist())
    about = json.loads(table.schema.metadata[b"perception_contrast.embedding"])
    assert about["sources"][0]["frames"] == 40


def test_every_format_holds_the_same(photos: Path, tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="pylance has no wheel here")
    sources = find_data([photos])
    settings = EmbedSettings("thumbnail", dtype="float32", batch=4, part_frames=16)
    for suffix in ("parquet", "npz", "lance"):
        embed(sources, tmp_path / f"v.{suffix}", settings)
    plain = pq.read_table(tmp_path / "v.parquet")
    with np.load(tmp_path / "v.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["vectors"], np.array(plain["vector"].to_pylist(), np.float32))
        assert archive["key"].tolist() == plain["key"].to_pylist()
        assert archive["stamp"].tolist() == [-1] * 39 and archive["vectors"].dtype == np.float32
    assert lance.dataset(str(tmp_path / "v.lance")).to_table().equals(plain.replace_schema_metadata(None))
    ours = [read_vectors(tmp_path / f"v.{suffix}") for suffix in ("parquet", "npz", "lance")]
    for one in ours:
        np.testing.assert_array_equal(one.vectors, ours[0].vectors)
        assert one.names() == ours[0].names() and one.space == "thumbnail"
        assert one.about == ours[0].about


def test_lancedb_opens_and_searches_the_table(photos: Path, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb has no wheel here")
    embed(find_data([photos]), tmp_path / "v.lance", EmbedSettings("thumbnail", dtype="float32"))
    table = lancedb.connect(str(tmp_path)).open_table("v")
    first = table.to_arrow().slice(5, 1).to_pylist()[0]
    near = table.search(first["vector"]).limit(1).to_list()
    assert near[0]["key"] == first["key"]


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_resumed_file_has_the_same_bytes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, broken: int
) -> None:
    recording = write(tmp_path / "bag", [color(START + n * SECOND, jpeg(image(n))) for n in range(20)])
    sources = find_data([photos, recording])
    embed(sources, tmp_path / f"whole.{suffix}", QUICK)
    calls = iter(range(100))
    write_part: Callable[..., None] = jobs.write_part

    def failing(*given: Any) -> None:
        if next(calls) == broken:
            raise KeyboardInterrupt
        write_part(*given)

    out = tmp_path / f"cut.{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "write_part", failing)
        with pytest.raises(KeyboardInterrupt):
            embed(sources, out, QUICK)
    assert not out.exists()
    parts = sorted((tmp_path / f"cut.{suffix}.parts").glob("*.parquet"))
    assert len(parts) == broken
    for part in parts[1:]:  # a part that was damaged meanwhile is made again
        part.write_bytes(part.read_bytes()[:-20])
    if parts:
        with pytest.raises(PerceptionError, match="other settings"):
            embed(sources, out, EmbedSettings("thumbnail", dtype="float32", batch=4, part_frames=16))
    embed(sources, out, QUICK)
    assert out.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    assert not (tmp_path / f"cut.{suffix}.parts").exists()
    with pytest.raises(PerceptionError, match="exists already"):
        embed(sources, out, QUICK)
    embed(sources, out, QUICK, restart=True)


def test_recordings_keep_stamps_and_frame_ids(tmp_path: Path) -> None:
    messages = [color(START + n * SECOND, jpeg(image(n))) for n in range(3)]
    messages.insert(1, color(START + SECOND // 2, b"\xff\xd8\xff cut"))
    found = embed(find_data([write(tmp_path / "bag", messages)]), tmp_path / "v.parquet", QUICK)
    rows = pq.read_table(tmp_path / "v.parquet").to_pylist()
    assert [row["stamp"] for row in rows] == [START + n * SECOND for n in range(3)]
    assert [row["index"] for row in rows] == [0, 2, 3] and len(found.unreadable) == 1
    assert {(row["frame_id"], row["topic"]) for row in rows} == {(OPTICAL, COLOR)}


def video(path: Path, count: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (64, 48))
    for number in range(count):
        writer.write(image(number))
    writer.release()
    return path


def test_a_video_is_gone_on_with_at_the_same_frame(tmp_path: Path) -> None:
    source = find_data([video(tmp_path / "drive.mp4", 20)])[0]
    whole, rest = list(source.frames(0, None)), list(source.frames(13, None))
    assert [item.index for item in rest] == list(range(13, 20))
    for one, other in zip(whole[13:], rest, strict=True):
        assert one.frame is not None and other.frame is not None
        np.testing.assert_array_equal(one.frame.image, other.frame.image)
        assert one.stamp == other.stamp


def test_an_encoders_vectors_and_patches(photos: Path, tmp_path: Path, small: Any) -> None:
    zarr = pytest.importorskip("zarr", minversion="3.0", reason="zarr 3 needs Python 3.11")
    save_image(photos / "mug" / "wide.png", image(99, (48, 96)))
    settings = EmbedSettings(
        "dinov2-s14", short_side=42, dtype="float32", batch=4, part_frames=16, patches="spatial"
    )
    out = tmp_path / "v.parquet"
    embed(find_data([photos]), out, settings, patches=tmp_path / "p.zarr")
    group, rows = zarr.open_group(str(tmp_path / "p.zarr"), mode="r"), pq.read_table(out).to_pylist()
    for row in rows[::7] + rows[-1:]:
        pixels = load_image(photos / row["key"])
        size = (42, 84) if row["key"] == "mug/wide.png" else (42, 56)
        with torch.inference_mode():
            seen = small(image_tensor(pixels, size, small.mean, small.std))
        vector = torch.nn.functional.normalize(seen.cls[0], dim=-1).numpy()
        # Pillow, which makes the expected input, rounds to whole numbers between resizing and the network.
        assert np.dot(row["vector"], vector) > 0.9995
        array = group[row["patches"]]
        tokens, stored = seen.tokens[0].numpy(), np.asarray(array[row["index"]], np.float32)
        lengths = np.linalg.norm(tokens, axis=-1) * np.linalg.norm(stored, axis=-1)
        assert ((tokens * stored).sum(axis=-1) / lengths).min() > 0.995
        place = array.attrs["grid_to_image"]
        assert place["sx"] == pytest.approx(row["width"] / array.shape[2])
        assert place["oy"] == pytest.approx(place["sy"] / 2 - 0.5)
        assert (array.chunks, array.dtype) == ((16, *array.shape[1:]), np.float16)
        assert array.shape == (41, 3, size[1] // 14, WIDTH)
    assert 30 not in {row["index"] for row in rows} and np.isnan(group[rows[0]["patches"]][30]).all()


def test_pca_has_one_basis(photos: Path, tmp_path: Path, small: Any) -> None:
    pytest.importorskip("zarr", minversion="3.0", reason="zarr 3 needs Python 3.11")
    words = ["embed", str(photos), "--out", str(tmp_path / "v.npz"), "--model", "dinov2-s14"]
    words += ["--short-side", "42", "--pca"]
    assert embed_command.main([*words[1:], str(tmp_path / "pca")]) == 0
    drawn = [load_image(path) for path in sorted((tmp_path / "pca").glob("*.png"))]
    assert len(drawn) == 39 and drawn[0].shape == (48, 64, 3) and not (tmp_path / "pca.patches").exists()
    # The same image gets the same colours, whatever stands beside it.
    assert embed_command.main([*words[1:], str(tmp_path / "v.mp4"), "--restart"]) == 0
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 39


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone", "--out", "v.npz"], "does not exist"),
        (["photos", "--out", "v.txt"], "must end with one of .parquet, .npz, .lance"),
        (["photos", "--out", "v.npz", "--part-frames", "10"], "multiple of 16"),
        (["photos", "--out", "v.npz", "--model", "dinov2-x"], "unknown model"),
        (["photos", "--out", "v.npz", "--model", "thumbnail", "--patches", "p.zarr"], "no patch features"),
        (["nowhere://x", "--out", "v.npz", "--model", "thumbnail"], "use s3://, gs:// or a path"),
        (["photos", "--out", "v.npz", "--model", "thumbnail", "--part", "train"], "is not split"),
    ],
)
def test_bad_input_is_told_in_a_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    words: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(photos.parent)
    with pytest.raises(PerceptionError) as told:
        embed_command.main(words)
    assert said in str(told.value) and "\n" not in str(told.value)


def test_the_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "embed" in capsys.readouterr().out


def test_a_wrong_model_does_not_stand_in_the_way_of_the_right_one(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "v.npz")
    with pytest.raises(PerceptionError, match="unknown model"):
        embed_command.main([str(photos), "--out", out, "--model", "dinov2-x"])
    assert embed_command.main([str(photos), "--out", out, "--model", "thumbnail"]) == 0


@pytest.mark.parametrize("words", [["photos"], ["report", "v.npz"], ["select", "v.npz", "--count", "2"]])
def test_an_output_that_takes_no_files_is_told_before_the_work(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(photos.parent)
    embed(find_data([photos]), "v.npz", QUICK)
    Path("file").write_text("mine")
    out = "file/w.npz" if words == ["photos"] else "file"
    with pytest.raises(PerceptionError, match=r"nothing can be written to 'file'.*name another folder"):
        embed_command.main([*words, "--out", out, *(["--model", "thumbnail"] if words == ["photos"] else [])])
    assert Path("file").read_text() == "mine"


def test_restart_removes_no_folder_but_that_of_patches(photos: Path, tmp_path: Path, small: Any) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("years of work")
    words = [str(photos), "--out", str(tmp_path / "v.npz"), "--patches", str(tmp_path / "mine"), "--restart"]
    with pytest.raises(PerceptionError, match="is no Zarr group, so --restart does not remove it"):
        embed_command.main([*words, "--model", "dinov2-s14"])
    assert (tmp_path / "mine" / "notes.txt").read_text() == "years of work"
