"""Labels of a model and figures of an evaluation on a Ray cluster: those of one process, to the last bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coloured_things
import cv2
import numpy as np
import pytest
from coloured_things import write_coloured_coco
from distilled_runs import word_teacher

from perception_contrast.cli.find.find_sources import FoundSources, ReadFrame
from perception_contrast.cli.main import main
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.images.files import save_image
from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import Job, Options
from perception_contrast_training.data.autolabel import autolabel as autolabelling
from perception_contrast_training.data.autolabel.autolabel import Autolabelled, AutolabelOptions, autolabel
from perception_contrast_training.data.autolabel.labeller import LabelItem, Labelled, Labeller, LabelModels
from perception_contrast_training.evaluation.per_image import PerImage
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.fleet.map_items import Where
from perception_contrast_training.photographs.splits import part_of

RAY = Where(ray="local")
SUPPORT = str(Path(coloured_things.__file__).parent)
WORDS = Vocabulary.of(["red", "blue"], ["grey"])
FACE = {"wall": (220, 30, 30), "floor": (30, 60, 220), "door": (30, 200, 60)}


def die_once(mark: str) -> None:
    """Kills this process the way the kernel does, unless that was done before."""
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Colours(LabelModels):
    """Models that know colours. mark: the first process to look for the fifth time is killed."""

    mark: str = ""

    def detector(self) -> PipelineDetector:
        sys.path.insert(0, SUPPORT)
        from coloured_things import colour_pipeline

        made, looks = PipelineDetector(colour_pipeline(), "cpu"), []
        submit = made.submit

        def counted(*arguments: Any) -> Any:
            looks.append(1)
            if len(looks) == 5:
                die_once(self.mark)
            return submit(*arguments)

        made.submit = counted  # type: ignore[method-assign]
        return made


@dataclass(frozen=True)
class BrokenVideo:
    """Three frames, and then nothing that can be read."""

    name: str = "broken"
    path: Path = Path("broken.avi")
    single: bool = False
    recorded: bool = False

    def count(self) -> int:
        return 0

    def frames(self, start: int) -> Iterator[ReadFrame]:
        for index in range(start, 3):
            image = np.full((96, 128, 3), 128, np.uint8)
            image[20:70, 20:60] = (255, 0, 0)
            yield ReadFrame(self.name, index, Frame(image))
        raise PerceptionError("'broken.avi' ends after 3 frames")


@pytest.fixture(autouse=True, scope="module")
def sent_with_their_code() -> None:
    """Workers cannot import what pytest imports."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def labelled(path: Path, out: Path, mark: str = "", where: Where | None = None, **given: Any) -> Autolabelled:
    options = replace(AutolabelOptions((path,), out, WORDS, ("flip",), review=10), **given)
    return autolabel(options, Colours(mark=mark), where)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files; of the labels without the folder of the images, which is another for another run."""
    found = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*") if one.is_file()}
    return {name: one.read_bytes().replace(str(folder).encode(), b"") for name, one in found.items()}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight images and one that cannot be read."""
    write_coloured_coco(tmp_path / "shown", 8)
    (tmp_path / "shown" / "images" / "0003.png").write_bytes(b"\x89PNG\r\n\x1a\n, and nothing more")
    return tmp_path / "shown" / "images"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two things, one of which moves."""
    written = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 96))
    for shift in range(8):
        image = np.full((96, 128, 3), 128, np.uint8)
        image[20:70, 10 + 4 * shift : 50 + 4 * shift] = (0, 0, 255)  # BGR
        image[70:94, 90:124] = (255, 0, 0)
        written.write(image)
    written.release()
    return tmp_path / "v.avi"


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_cluster")
class TestLabels:
    def test_a_killed_worker_changes_no_byte(self, images: Path, tmp_path: Path) -> None:
        one = labelled(images, tmp_path / "one")
        ray = labelled(images, tmp_path / "ray", str(tmp_path / "died"), RAY)
        assert (tmp_path / "died").exists()
        assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")
        assert ray.labels == one.labels > 0 and ray.frames == 7 and "0003.png" in ray.unreadable[0]

    def test_things_of_a_video_keep_their_tracks(self, video: Path, tmp_path: Path) -> None:
        given = {"agree": ("flip", "track")}
        one = labelled(video, tmp_path / "one", **given)
        labelled(video, tmp_path / "ray", where=RAY, **given)
        assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")
        lines = (tmp_path / "one" / "seen.jsonl").read_text().splitlines()[1:]
        tracks = [{thing["track"] for thing in json.loads(line)["things"]} for line in lines]
        assert one.labels > 8 and set.intersection(*tracks)

    def test_a_stopped_run_goes_on_there(self, images: Path, tmp_path: Path) -> None:
        labelled(images, tmp_path / "one")
        shutil.copytree(tmp_path / "one", tmp_path / "ray")
        lines = (tmp_path / "one" / "seen.jsonl").read_bytes().splitlines(keepends=True)
        (tmp_path / "ray" / "seen.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:30])
        (tmp_path / "ray" / "labels.json").unlink()
        labelled(images, tmp_path / "ray", where=RAY)
        assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")

    def test_what_was_read_before_a_video_broke_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(autolabelling, "find_sources", lambda *_: FoundSources((BrokenVideo(),)))
        for name, where in (("one", None), ("ray", RAY)):
            with pytest.raises(PerceptionError, match="ends after 3 frames"):
                labelled(tmp_path, tmp_path / name, where=where)
        assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")
        assert len((tmp_path / "ray" / "seen.jsonl").read_text().splitlines()) == 4


def test_labels_of_other_weights_are_refused(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = Labeller.__call__

    def elsewhere(self: Labeller, item: LabelItem) -> Labelled:
        found = label(self, item)
        if not item.source.name.endswith("0002.png"):
            return found
        others = {role: [name, "colours@2"] for role, (name, _) in found.models[0].items()}
        return replace(found, models=(others, {}))

    monkeypatch.setattr(Labeller, "__call__", elsewhere)
    with pytest.raises(PerceptionError, match=r"weights of 'colours' \(colours@2 and colours@1\)"):
        labelled(images, tmp_path / "made")
    monkeypatch.undo()
    assert labelled(images, tmp_path / "made").frames == 7


# Evaluation.


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model for images and words."""
    return word_teacher(tmp_path_factory.mktemp("pair") / "made")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Task to what it is measured on: coloured areas with their labels, one of which cannot be decoded."""
    top, count = tmp_path_factory.mktemp("data"), 6
    keys = [str(index) for index in range(count)]
    name = next(n for n in map("rooms{}".format, range(99)) if part_of(n, keys, "test"))
    folder, chance = top / name, np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        numbers = np.zeros((64, 64), np.uint8)
        numbers[40:], numbers[10:50, 8 + 4 * index : 34 + 4 * index] = 1, 2 * (index % 2)
        image = np.array(list(FACE.values()), np.uint8)[numbers] + chance.integers(0, 20, (64, 64, 1))
        save_image(folder / "images" / f"{index}.png", image.astype(np.uint8))
        save_image(folder / "labels" / f"{index}.png", numbers)
        (top / "classes" / list(FACE)[index % 3]).mkdir(parents=True, exist_ok=True)
        save_image(top / "classes" / list(FACE)[index % 3] / f"{index}.png", image.astype(np.uint8))
    (folder / "classes.txt").write_text("\n".join(FACE))
    (folder / "images" / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n, and nothing more")
    coco = write_coloured_coco(top / "things", 5)
    return {
        "photos": str(folder), "seg": str(folder), "classify": str(top / "classes"), "det": str(coco),
    }  # fmt: skip


def measured(argv: list[str], out: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the JSON holds but for times, and the images."""
    assert main(["eval", *argv, "--json", f"{out}.json", "--out", str(out)]) == 0
    stored = json.loads(Path(f"{out}.json").read_text())
    del stored["seconds"]
    stored["figures"].pop("fps", None)
    return stored, files_of(out)


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_cluster")
class TestFigures:
    @pytest.mark.parametrize(
        ("task", "figure"),
        [("photos", "presence_auc"), ("seg", "boundary_f"), ("det", "presence"), ("classify", "top1")],
    )
    def test_figures_are_those_of_one_process(
        self, task: str, figure: str, data: dict[str, str], pair: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.chdir(pair.parent)  # a relative path is the same one for the workers
        argv = ["--task", task, "--data", data[task], "--model", f"./{pair.name}", "--offline"]
        argv += ["--language-model", f"./{pair.name}", "--short-side", "64"]
        one, ray = measured(argv, tmp_path / "one"), measured([*argv, "--ray", "local"], tmp_path / "ray")
        assert ray == one and one[0]["figures"][figure] is not None and one[1]
        assert len(one[0]["skipped"]) == (task in ("photos", "seg"))

    def test_a_killed_worker_changes_no_figure(self, pair: Path, tmp_path: Path) -> None:
        options = Options("seg", "", str(pair), str(pair), short_side=64, offline=True)
        found = []
        for mark, where in (("", Where()), (str(tmp_path / "died"), RAY)):
            job = Job(options, Skipped(), where=where)
            measure = PerImage(job, lambda pipeline, mark=mark: Brightness(pipeline, mark))
            found.append(list(measure(range(9), "measuring", 9)))
        assert (tmp_path / "died").exists() and found[0] == found[1]
        assert len({one.tobytes() for one in map(np.float32, found[0])}) == 9

    def test_an_error_of_a_worker_is_one_line(
        self, data: dict[str, str], pair: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        argv = ["--task", "familiarity", "--data", data["classify"], "--model", str(pair), "--offline"]
        assert main(["eval", *argv, "--language-model", str(pair), "--ray", "local"]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and "nothing is known here of the training images" in line


class Brightness:
    """The vector of a grey image as bright as its number says; ends the process of number 4."""

    facts = None

    def __init__(self, pipeline: Pipeline, mark: str) -> None:
        self._pipeline, self._mark = pipeline, mark

    def __call__(self, item: int) -> list[float]:
        if item == 4:
            die_once(self._mark)
        frame = Frame(np.full((64, 64, 3), 20 * item, np.uint8))
        grid = self._pipeline.extract_features(frame).features
        assert grid is not None
        return [float(one) for one in grid.values.mean(axis=(0, 1))]


@pytest.mark.parametrize("task", ["track", "propagate", "exemplars", "map", "seg --probe"])
def test_tasks_that_cannot_be_shared_say_so(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--task", *task.split(), "--data", "household", "--ray", "local"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and f"--task {task}" in line and "leave --ray out" in line
