"""A selection becomes a part that readers of the dataset understand; nothing is lost without a word."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("nicegui")
pytest.importorskip("pyarrow")

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import save_image
from perception_contrast_studio.tasks.datasets.split_export import write_list, write_split


def tell(fraction: float, text: str) -> None:
    """Nobody listens."""


@pytest.fixture
def images(tmp_path):
    for name in "abcde":
        save_image(tmp_path / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    return tmp_path


def test_a_part_is_read_by_the_dataset(images):
    from perception_contrast_training.data.datasets.open_dataset import open_dataset

    write_split(tell, images, ["b.png", "d.png"], "test", "train", False)
    assert open_dataset(images, part="test").names == ("b.png", "d.png")
    assert len(open_dataset(images, part="train")) == 3


def test_a_split_is_changed_only_when_asked_and_kept(images):
    from perception_contrast_training.data.datasets.open_dataset import open_dataset

    write_split(tell, images, ["b.png"], "test", "train", False)
    before = (images / "split.parquet").read_bytes()
    with pytest.raises(PerceptionError, match="is there already"):
        write_split(tell, images, ["a.png"], "val", "train", False)
    assert (images / "split.parquet").read_bytes() == before
    write_split(tell, images, ["a.png"], "val", "train", True)
    assert [len(open_dataset(images, part=part)) for part in ("test", "val", "train")] == [1, 1, 3]
    kept = list(images.glob("split_before_*.parquet"))
    assert len(kept) == 1 and kept[0].read_bytes() == before


@pytest.mark.parametrize(("part", "others"), [("../up", "train"), ("test", ""), ("same", "same")])
def test_bad_names_are_refused(images, part, others):
    with pytest.raises(PerceptionError):
        write_split(tell, images, ["a.png"], part, others, False)
    assert not (images / "split.parquet").exists()


def test_a_list_replaces_no_file(tmp_path):
    write_list(tell, tmp_path / "one.txt", ["x", "y"])
    with pytest.raises(PerceptionError, match="already"):
        write_list(tell, tmp_path / "one.txt", ["z"])
    assert (tmp_path / "one.txt").read_text() == "x\ny\n"
    assert [path.name for path in tmp_path.iterdir()] == ["one.txt"]
