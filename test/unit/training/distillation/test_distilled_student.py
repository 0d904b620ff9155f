"""A student learns of tiny teachers, resumes bit for bit, and serves what it learned, with words."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distilled_runs import SIDE, STUDENT, distillation, noise_images, random_images, word_teacher
from tiny_pairs import CAPTIONS, know_tiny_models
from torch.nn import functional

import perception_contrast as pc
from perception_contrast.core.errors import ModelError, PerceptionError, SpaceError
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.folder_models import folder_model
from perception_contrast.text.clip_text_encoder import ClipTextEncoder
from perception_contrast_training.distillation.teachers import load_teachers
from perception_contrast_training.engine.load_run import load_run
from perception_contrast_training.engine.pretraining import resume, start
from perception_contrast_training.export.export_run import Exported, export_run
from perception_contrast_training.methods.distill import Distill


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distilled")


@pytest.fixture(scope="module")
def images(place: Path) -> Path:
    return noise_images(place / "images")


@pytest.fixture(scope="module")
def teacher(place: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        know_tiny_models(patch)
        return str(word_teacher(place / "pair"))


@pytest.fixture(scope="module")
def run(place: Path, images: Path, teacher: str) -> Path:
    assert start(distillation(images, place / "run", [teacher])) == "finished"
    return place / "run"


@pytest.fixture(scope="module")
def student(place: Path, run: Path) -> Exported:
    return export_run(run, place / "student")


def test_it_comes_nearer_to_its_teacher(images: Path, teacher: str, place: Path) -> None:
    recipe = distillation(
        images, place / "longer", [teacher], steps=24, learning_rate=5e-3, views={"crops": 1}
    )
    assert start(recipe) == "finished"
    lines = (place / "longer" / "log.jsonl").read_text().splitlines()
    losses = [float(line.partition('"loss": ')[2].partition(",")[0]) for line in lines]
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])  # of whole passes


def test_a_run_that_was_stopped_ends_with_the_same_bits(
    images: Path, teacher: str, run: Path, place: Path
) -> None:
    stopped = place / "stopped"
    assert start(distillation(images, stopped, [teacher])) == "finished"
    for path in (stopped / "checkpoints").glob("step_000000004*"):
        path.unlink()
    shutil.rmtree(place / "features")  # the teacher is asked anew, of each view alone
    assert resume(stopped) == "finished"
    name = "checkpoints/step_000000004.safetensors"
    assert (stopped / name).read_bytes() == (run / name).read_bytes()


def test_teachers_say_the_same_of_a_view_from_the_cache_and_in_any_company(teacher: str) -> None:
    views = torch.randint(
        0, 255, (3, 3, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    for one in load_teachers([teacher]):
        together, alone = one.features(views), one.features(views[1:2])
        assert all(torch.equal(together[1][name], alone[0][name]) for name in alone[0])


def test_the_export_serves_what_the_run_learned(run: Path, student: Exported) -> None:
    method = load_run(run).method
    assert isinstance(method, Distill)
    served = load_dino(str(student.folder))
    with torch.inference_mode():
        seen = method.backbone(random_images())
        given = dict(zip((one.name for one in served.outputs), served.encode(random_images()), strict=True))
        learned = {one.target.output.name: one for one in method.learned}
        for name, of in (("tokens", "tokens"), ("cls", "cls"), ("dense", "dense"), ("image", "image")):
            adaptor = learned[of]
            inside = (
                seen.tokens.reshape(2, SIDE // 16, SIDE // 16, -1) if adaptor.target.dense else seen.pooled
            )
            wanted = adaptor.standard.restored(adaptor.head(inside))
            wanted = functional.normalize(wanted, dim=-1) if adaptor.target.output.unit else wanted
            torch.testing.assert_close(given[name], wanted, rtol=1e-4, atol=1e-4)
    assert served.patch == 16 and min(student.cosines.values()) > 0.9999


def test_words_go_on_working_in_the_students_own_space(teacher: str, student: Exported, place: Path) -> None:
    folder = str(student.folder)
    both = load_encoders(folder, folder)
    language = both.language
    assert language is not None and both.same_encoder
    assert language.space == language.text.space == student.shared == f"{student.space}/words"
    np.testing.assert_array_equal(
        language.text.encode(CAPTIONS), ClipTextEncoder(load_clip(teacher)).encode(CAPTIONS)
    )
    with pc.load(folder, folder) as detector:
        scores = detector(np.full((48, 64, 3), 90, np.uint8), ["red wall", "green floor"]).scores
    assert np.isfinite(scores).all()
    moved = shutil.copytree(student.folder, place / "moved")  # it holds its teacher's words
    assert load_encoders(str(moved), str(moved)).language is not None


def test_words_of_other_weights_are_refused(student: Exported, place: Path) -> None:
    other = shutil.copytree(student.folder, place / "other")
    spec = folder_model(other)
    assert spec.words is not None
    card = (other / "model.json").read_text()
    (other / "model.json").write_text(card.replace(spec.words.teacher_space, "mine@000000000000"))
    with pytest.raises(SpaceError, match="texts of its teacher"):
        load_encoders(str(other), str(other))
    (other / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes()[:-4])
    with pytest.raises(ModelError):
        load_dino(str(other))


def test_two_teachers_make_one_student_with_the_features_of_one_and_the_words_of_the_other(
    images: Path, teacher: str, place: Path
) -> None:
    recipe = distillation(images, place / "two", ["timm-of-mine", teacher], steps=1, hidden=16)
    spatial = place / "spatial"
    shutil.copytree(teacher, spatial, ignore=shutil.ignore_patterns("*.onnx"))
    card = (spatial / "model.json").read_text().replace('"mine"', '"eyes"')
    start_of_words = card.index(',\n  "beside"')
    (spatial / "model.json").write_text(card[:start_of_words] + "\n}\n")
    recipe = replace(recipe, options=replace(recipe.options, teachers=(str(spatial), teacher)))
    assert start(recipe) == "finished"
    done = export_run(place / "two", place / "two student")
    served = load_dino(str(done.folder))
    assert [one.name for one in served.outputs] == ["tokens", "cls", "dense", "image"]
    assert load_encoders(str(done.folder), str(done.folder)).language is not None


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mobilenetv4_conv_small", "convnext_atto"])
def test_networks_of_every_kind_learn_and_are_served(
    name: str, images: Path, teacher: str, tmp_path: Path
) -> None:
    is_vit = name.startswith("vit")
    backbone = {"name": name, "size": 64} | (
        {"depth": 1, "width": 24, "heads": 2} if is_vit else STUDENT | {"name": name, "size": 64}
    )
    assert start(distillation(images, tmp_path / "run", [teacher], steps=1, backbone=backbone)) == "finished"
    done = export_run(tmp_path / "run", tmp_path / "student")
    assert load_dino(str(done.folder)).encode(random_images(side=96))[0].shape[1:3] == (6, 6)


@pytest.mark.parametrize(
    ("teachers", "options", "said"),
    [
        ([], {}, "needs a teacher: set options.teachers"),
        (["dinov9"], {}, "unknown model 'dinov9'"),
        (["minilm"], {"dense_weight": 0, "global_weight": 0}, "unknown model"),
        (["{teacher}", "{teacher}"], {}, "names one twice"),
        (["{teacher}"], {"dense_weight": 0, "global_weight": 0}, "both 0"),
        (["{teacher}"], {"normalisation": "phis"}, "did you mean 'phi-s'"),
        (["{teacher}"], {"statistics": 0}, "options.statistics"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    teachers: list[str], options: dict[str, object], said: str, images: Path, teacher: str, tmp_path: Path
) -> None:
    named = [one.format(teacher=teacher) for one in teachers]
    with pytest.raises(PerceptionError, match=said) as error:
        start(distillation(images, tmp_path / "run", named, **options))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
