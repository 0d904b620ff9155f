"""Figures of the map against rooms of blocks whose truth is known, and the command on a small room."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from block_room import LANGUAGE, Block, BlockRoom, looking, vector
from small_models import encoders_of

from perception_contrast.cli.main import main
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.render.mujoco_scene import mujoco_module
from perception_contrast_training.cli import eval_options
from perception_contrast_training.evaluation.mapping.change_figures import ChangeWatch
from perception_contrast_training.evaluation.mapping.map_figures import RoomQuestions, room_figures
from perception_contrast_training.evaluation.mapping.room_truth import RoomTruth, present_names
from perception_contrast_training.evaluation.mapping.top_view import top_view

STRUCTURE = 3
MUG = Block("mug", (0.4, 0.0, 0.1), (0.15, 0.15, 0.2))
BOX = Block("box", (-0.4, 0.2, 0.15), (0.3, 0.25, 0.3))
CHAIR = Block("chair", (0.0, -0.7, 0.4), (0.4, 0.4, 0.8))


def same(noun: str, category: str) -> bool:
    return noun == category


class Watched:
    """Blocks with the numbers that they keep when others leave, and their truth."""

    def __init__(self, blocks: list[Block]) -> None:
        self.numbers = {STRUCTURE + index: block for index, block in enumerate(blocks)}
        self.store = ObjectStore()

    def loop(
        self, first: int, watch: ChangeWatch | None = None, lies: dict[str, str] | None = None
    ) -> RoomTruth:
        """Eight frames around the middle; ``lies`` are names that the detector gives in place of others."""
        objects = {0: SceneObject(0, "floor")}
        objects |= {number: SceneObject(number, block.label) for number, block in self.numbers.items()}
        truth = RoomTruth(objects, 1e-3)
        said = [
            Block((lies or {}).get(block.label, block.label), block.centre, block.size)
            for block in self.numbers.values()
        ]
        room, order = BlockRoom(said), list(self.numbers)
        for step in range(8):
            angle = step * np.pi / 4
            pose = looking((2 * np.cos(angle), 2 * np.sin(angle), 1.2), (0, 0, 0.2))
            frame, lifted = room.frame(pose, first + step)
            _, seen = room.cast(pose)
            truth.add(frame, np.where(seen >= 0, np.array([*order, 0])[seen], 0).astype(np.int32))
            report = self.store.update(frame, lifted)
            if watch is not None:
                watch.after(frame, report)
        return truth


def questions(truth: RoomTruth, absent: tuple[str, ...] = ("vase", "lamp")) -> RoomQuestions:
    present = present_names(truth, same)
    texts = {name: vector(name, LANGUAGE)[None] for name in (*present, *absent)}
    return RoomQuestions(present, absent, texts)


def test_a_right_map_has_all_its_figures_full() -> None:
    room = Watched([MUG, BOX, CHAIR])
    truth = room.loop(0)
    figures = room_figures(room.store, truth, questions(truth)).summary()
    assert (figures["present"], figures["located"], figures["named"], figures["objects"]) == (3, 3, 3, 3)
    assert figures["auc"] == figures["auc_vectors"] == 1.0
    assert figures["duplicates"] == figures["on_structure"] == figures["absent_found"] == 0


def test_wrong_names_and_things_on_the_floor_count_against_it() -> None:
    """The detector calls the mug a vase, and a patch of the floor a lamp."""
    room = Watched([MUG, BOX, CHAIR])
    truth = room.loop(0, lies={"mug": "vase"})
    patch = BlockRoom([*room.numbers.values(), Block("lamp", (0.9, 0.9, 0.0), (0.4, 0.4, 0.02))])
    for number in range(3):
        pose = looking((1.5, 2.0, 1.2), (0.9, 0.9, 0))
        frame, lifted = patch.frame(pose, 20 + number, hidden=["mug", "box", "chair"])
        room.store.update(frame, lifted)
    figures = room_figures(room.store, truth, questions(truth)).summary()
    assert (figures["present"], figures["located"], figures["named"]) == (3, 2, 2)
    assert figures["on_structure"] == 1 and figures["absent_found"] == 2
    assert figures["auc"] < 0.7


def test_changes_are_counted_against_what_was_done() -> None:
    room = Watched([MUG, BOX, CHAIR])
    before = room.loop(0)
    watch = ChangeWatch(room.store, before, [STRUCTURE + 1], [STRUCTURE])
    del room.numbers[STRUCTURE + 1]
    room.numbers[STRUCTURE] = MUG.at(-0.6, 0.5, 0.1)
    figures = watch.figures(room.loop(8, watch)).summary()
    assert (figures["removed"], figures["gone_in_time"]) == (2, 2)
    assert (figures["kept"], figures["kept_lost"]) == (1, 0)
    assert (figures["moved"], figures["same_id"]) == (1, 1)


def test_a_map_that_forgets_what_stands_there_is_told() -> None:
    room = Watched([MUG, BOX])
    before = room.loop(0)
    watch = ChangeWatch(room.store, before, [], [])
    kept = dict(room.numbers)
    room.numbers.clear()
    room.loop(8, watch)
    room.numbers.update(kept)
    figures = watch.figures(room.loop(16, watch)).summary()
    assert (figures["kept"], figures["kept_lost"]) == (2, 2)


def test_the_picture_from_above_shows_true_things_and_boxes() -> None:
    room = Watched([MUG, BOX])
    truth = room.loop(0, lies={"mug": "vase"})
    means = {name: set(numbers) for name, numbers in present_names(truth, same).items()}
    picture = top_view(room.store, truth, means)
    assert picture.dtype == np.uint8 and min(picture.shape[:2]) > 200
    green, red = ((picture == colour).all(axis=2).sum() for colour in ((20, 130, 40), (200, 30, 30)))
    assert green > 50 and red > 50


@pytest.mark.slow
def test_the_command_measures_a_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        mujoco_module()
    except PerceptionError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(eval_options, "load_encoders", lambda *_, **__: encoders_of("colours"))
    wanted = [
        "--task", "map", "--data", "household:3", "--seed", "6001", "--rooms", "1", "--absent", "2",
        "--short-side", "112", "--offline", "--json", str(tmp_path / "map.json"), "--out", str(tmp_path),
    ]  # fmt: skip
    assert main(["eval", *wanted]) == 0
    figures = json.loads((tmp_path / "map.json").read_text())["figures"]
    assert figures["true_masks"]["present"] == figures["detections"]["present"] > 5
    assert figures["true_masks"]["located"] > figures["true_masks"]["present"] / 2
    assert (tmp_path / "room_6001_true_masks.png").exists()


def test_data_without_truth_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["eval", "--task", "map", "--data", str(tmp_path)]) == 2
    assert "household" in capsys.readouterr().err
