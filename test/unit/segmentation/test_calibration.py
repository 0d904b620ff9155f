"""Calibrations of one's own: fits against scikit-learn, files that are refused, and the command once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import encoders_of, pipeline_of

from perception_contrast.cli.main import main as command
from perception_contrast.core.errors import ModelError, PerceptionError, SpaceError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query
from perception_contrast.pipeline import build as build_module
from perception_contrast.pipeline.build import build
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.calibration import FEATURES, Calibration
from perception_contrast.segmentation.calibration_files import (
    CONTRAST_SCORES,
    COSINE_SCORES,
    StoredCalibration,
    calibration_for,
    calibration_path,
    read_calibration,
    write_calibration,
)
from perception_contrast_training.calibration import calibrate_command as calibrate_words
from perception_contrast_training.calibration.fitting import LEAST_REGIONS, fitted, platt
from perception_contrast_training.calibration.judged_regions import (
    JudgedRegions,
    threshold_for_absent,
    threshold_for_precision,
)
from perception_contrast_training.calibration.reliability_diagram import draw_reliability
from perception_contrast_training.evaluation.metrics.reliability import reliability
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.household.labelled import LabelledFolder

SPACE = "colours@1"
K = len(FEATURES)
BASE = Calibration(tuple(1.0 if name == "mean" else 0.0 for name in FEATURES), seed=0.4, low=0.0)


def regions(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features, and whether each is right by a chance that no logistic curve has."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1.5, (count, K))
    score = features @ np.linspace(0.2, 1.0, K)
    return features, rng.random(count) < np.where(score > 0, 0.8, 0.1 + 0.1 * np.tanh(score))


def stored(words: Calibration = BASE, space: str = SPACE, method: str = "platt") -> StoredCalibration:
    return StoredCalibration(space, method, words, {"error_after": 0.01}, CONTRAST_SCORES)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Fits.


def test_platts_fit_is_scikit_learns() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, correct = regions(800)
    weights, offset = platt(features, correct)
    theirs = linear_model.LogisticRegression(C=100.0, tol=1e-8, max_iter=1000).fit(features, correct)
    assert weights == pytest.approx(theirs.coef_[0], abs=1e-3)
    assert offset == pytest.approx(theirs.intercept_[0], abs=1e-3)
    ours = fitted(BASE, features, correct, "platt").probability(features)
    assert np.allclose(ours, theirs.predict_proba(features)[:, 1], atol=1e-3)


def test_isotonic_probabilities_are_scikit_learns_and_never_fall() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    features, correct = regions(800)
    ours = fitted(BASE, features, correct, "isotonic")
    unseen = np.concatenate([regions(500, seed=1)[0], 100 * regions(20, seed=2)[0]])
    theirs = isotonic.IsotonicRegression(out_of_bounds="clip").fit(ours.score(features), correct)
    assert np.allclose(ours.probability(unseen), theirs.predict(ours.score(unseen)))
    ordered = ours.probability(unseen)[np.argsort(ours.score(unseen))]
    assert (np.diff(ordered) >= 0).all() and ordered.min() >= 0 and ordered.max() <= 1
    assert (ours.seed, ours.low, ours.mask) == (BASE.seed, BASE.low, BASE.mask)


def test_isotonic_is_more_reliable_where_the_curve_is_not_logistic() -> None:
    pytest.importorskip("sklearn")
    features, correct = regions(4000)
    unseen, truth = regions(4000, seed=1)
    errors = {
        method: reliability(fitted(BASE, features, correct, method).probability(unseen), truth).error
        for method in ("platt", "isotonic")
    }
    assert errors["isotonic"] < 0.6 * errors["platt"]
    assert errors["platt"] < reliability(BASE.probability(unseen), truth).error


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_too_little_to_fit_to_is_refused(share: float) -> None:
    correct = np.full(500, bool(share))
    correct[: LEAST_REGIONS - 1] = not share
    with pytest.raises(PerceptionError, match="of each"):
        fitted(BASE, regions(500)[0], correct, "platt")


def test_reliability_by_hand() -> None:
    probability = np.array([0.05, 0.15, 0.95, 0.85, 1.0])
    correct = np.array([False, True, True, False, True])
    seen = reliability(probability, correct, bins=10)
    assert seen.counts.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 2]
    assert seen.stated[[0, 1, 8, 9]] == pytest.approx([0.05, 0.15, 0.85, 0.975])
    assert seen.actual[[0, 1, 8, 9]].tolist() == [0, 1, 0, 1]
    assert seen.error == pytest.approx((0.05 + 0.85 + 0.85 + 2 * 0.025) / 5)


def test_the_diagram_is_an_image(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    features, correct = regions(300)
    path = tmp_path / "diagrams" / "plot.png"
    draw_reliability(path, "title", {"before": reliability(BASE.probability(features), correct)})
    assert cv2.imread(str(path)).std() > 10


# Files.


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    words = replace(BASE, knots=((-1.0, 0.5, 2.0), (0.1, 0.1, 0.9)), detection=0.42)
    write_calibration(tmp_path / "c.json", stored(words, method="isotonic"))
    again = read_calibration(tmp_path / "c.json")
    assert again == stored(words, method="isotonic")
    features = np.zeros((1, K))
    features[0, FEATURES.index("mean")] = 1.25
    assert again.words.probability(features) == pytest.approx([0.5])


def test_calibrations_from_before_there_were_knots_load() -> None:
    old = {"weights": [0.5] * K, "offset": 1.0, "seed": 0.1, "low": 0.0, "mask": 0.2, "detection": 0.6}
    assert Calibration.loaded(json.dumps(old)) == Calibration((0.5,) * K, 1.0, 0.1, 0.0, 0.2, 0.6)


def _broken() -> Iterator[str]:
    good = json.loads(json.dumps({"format": 2, "features": FEATURES, **vars(stored())}, default=vars))
    yield from ("", "[]", "null", "{}", json.dumps(good)[:-20], "\x00\x01")
    for key in good:
        yield json.dumps({k: v for k, v in good.items() if k != key})
    for changes in (
        {"format": 3}, {"space": 3}, {"method": "guess"}, {"words": []}, {"facts": 3}, {"scores": "guessed"},
        {"features": [*FEATURES[1:], FEATURES[0]]},
    ):  # fmt: skip
        yield json.dumps(good | changes)
    for words in (
        {"weights": [1.0]}, {"offset": float("nan")}, {"offset": "a"}, {"extra": 1},
        {"knots": [[0, 1], [0.9, 0.1]]}, {"knots": [[1, 0], [0.1, 0.9]]}, {"knots": [[0, 1], [0.1]]},
        {"knots": [[0, 1], [0.5, 1.5]]}, {"knots": [[0, 1]]}, {"knots": 3},
    ):  # fmt: skip
        yield json.dumps(good | {"words": good["words"] | words})


@pytest.mark.parametrize("text", list(_broken()))
def test_a_corrupt_file_is_refused_and_left_as_it_was(text: str) -> None:
    path = calibration_path(SPACE)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ModelError, match=r"colours@1\.json.*calibrate"):
        calibration_for(SPACE)
    assert path.read_text() == text and list(path.parent.iterdir()) == [path]


def test_another_space_is_refused(tmp_path: Path) -> None:
    write_calibration(tmp_path / "c.json", stored(space="other@2"))
    with pytest.raises(SpaceError, match="other@2"):
        calibration_for(SPACE, tmp_path / "c.json")
    for kind in ("colours", "none"):
        with pytest.raises(SpaceError, match="other@2"):
            Pipeline(encoders_of(kind), calibration=stored(space="other@2"))
    assert calibration_for(SPACE) is None


def test_files_of_other_scores_are_refused_and_those_of_old_hold_for_fitted_heads(tmp_path: Path) -> None:
    path = tmp_path / "c.json"

    def written(space: str, **changes: object) -> StoredCalibration:
        write_calibration(path, replace(stored(space=space), scores=COSINE_SCORES))
        members = {k: v for k, v in json.loads(path.read_text()).items() if changes.get(k, v) is not None}
        path.write_text(json.dumps(members | {k: v for k, v in changes.items() if v is not None}))
        return read_calibration(path)

    old = {"format": 1, "scores": None}
    for changes in ({}, old):
        with pytest.raises(ModelError, match=r"colours@1 was fitted to other scores.*calibrate"):
            Pipeline(encoders_of("colours"), calibration=written(SPACE, **changes))
    lit = encoders_of("lit")
    assert lit.language is not None
    for changes in ({}, old):
        assert Pipeline(lit, calibration=written(lit.language.space, **changes))
    with pytest.raises(ModelError, match="other scores"):
        Pipeline(lit, calibration=written(lit.language.space, scores=CONTRAST_SCORES))


@pytest.mark.parametrize("space", ["hf-hub:a/b@1", "../../etc/passwd@1", ""])
def test_no_space_leads_out_of_the_folder(space: str, cache: Path) -> None:
    assert calibration_path(space).resolve().parent == (cache / "calibrations").resolve()


# Pipelines.


def test_a_pipeline_takes_the_caches_calibration_by_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "load_encoders", lambda *args, **kwargs: encoders_of("colours"))

    def probability(calibration: Path | None = None) -> float:
        pipeline = build(settings=PipelineSettings(short_side=378), calibration=calibration)
        pipeline.set_queries([Query("red")], ["grey"])
        image = np.full((240, 320, 3), 128, np.uint8)
        image[60:160, 80:200] = (230, 20, 20)
        (one,) = pipeline.process(Frame(image), OutputRequest(detections=True)).detections
        return one.scores.probability

    def level(value: float) -> StoredCalibration:
        return stored(replace(BASE, knots=((0.0,), (value,)), detection=0.1), method="isotonic")

    own = probability()
    write_calibration(calibration_path(SPACE), level(0.25))
    write_calibration(tmp_path / "mine.json", level(0.75))
    assert own > 0.8 and probability() == 0.25 and probability(tmp_path / "mine.json") == 0.75
    write_calibration(calibration_path("another@1"), stored(space="another@1"))
    calibration_path("another@1").rename(calibration_path(SPACE))
    with pytest.raises(SpaceError):
        probability()


def test_the_heads_own_calibration_of_examples_stays() -> None:
    lit = encoders_of("lit")
    assert lit.language is not None
    words = replace(BASE, knots=((0.0,), (0.33,)), detection=0.33)
    settings = PipelineSettings(short_side=56, detection_threshold=1e-6)
    image = Frame(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))

    def found(calibration: StoredCalibration | None) -> tuple[Pipeline, list[float]]:
        pipeline = Pipeline(lit, settings, calibration=calibration)
        pipeline.add_exemplar("shown", image)
        detections = pipeline.process(image, OutputRequest(detections=True)).detections or ()
        return pipeline, [one.scores.probability for one in detections]

    _, own = found(None)
    pipeline, calibrated = found(
        replace(stored(words, space=lit.language.space, method="isotonic"), scores=COSINE_SCORES)
    )
    assert pipeline.frame_search.detection_threshold(PipelineSettings()) == 0.33
    assert own and calibrated == own


# The command.


def folder_of_colours(folder: Path, images: int) -> Path:
    """Twelve boxes of known colours on white, which is like none of the names, in each image; every other one
    of a colour is it.

    By turns and not by a coin, so that both halves of the images have the same share of each colour.
    """
    rng = np.random.default_rng(3)
    names = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    seen = [0] * len(names)
    for k in range(images):
        image = np.full((180, 240, 3), 255, np.uint8)
        labels = np.full((180, 240), 255, np.uint8)
        for row, column in np.ndindex(3, 4):
            # Three patches of the encoder high and wide, and one apart.
            y, x = 60 * row + 15, 60 * column + 15
            shown = int(rng.integers(len(names)))
            image[y : y + 45, x : x + 45] = list(names.values())[shown]
            seen[shown] += 1
            if seen[shown] % 2:
                labels[y : y + 45, x : x + 45] = shown
        cv2.imwrite(str(folder / "images" / f"{k:03}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"{k:03}.png"), labels)
    return folder


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_command_makes_a_folders_probabilities_right(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    pipeline = pipeline_of("colours", short_side=168, max_tokens=2048)
    monkeypatch.setattr(calibrate_words, "_pipeline", lambda arguments: pipeline)
    # Simulated: a monotone map of 72 regions that are right by chance misses the truth by 0.09 on average and
    # by 0.12 in one case of four; of 288 regions by 0.04, and by 0.12 in none of 60. Platt's has few numbers.
    images = 48 if method == "isotonic" else 24
    data, plot = folder_of_colours(tmp_path / "data", images), tmp_path / "plot.png"
    options = ["--method", method, "--plot", str(plot), "--absent", "8"]
    assert command(["calibrate", "--data", str(data), *options]) == 0
    found = calibration_for(SPACE)
    assert found is not None and (found.space, found.method) == (SPACE, method)
    # A box of a name's colour is that thing in half of the cases.
    assert found.facts["error_after"] < 0.12 < 0.3 < found.facts["error_before"]
    assert bool(found.words.knots[0]) == (method == "isotonic")
    # Many names were asked for at once, and few: the more, the less probable each is.
    assert found.words.weights[FEATURES.index("log_names")] != 0.0
    said = capsys.readouterr().out
    assert (
        "15 bins of equal width" in said and "images, few:" in said and str(calibration_path(SPACE)) in said
    )
    assert plot.is_file() and Pipeline(encoders_of("colours"), calibration=found)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: (d / "classes.txt").unlink(), "classes.txt"),
        (lambda d: (d / "classes.txt").write_text("\n\n"), "one name a line"),
        (lambda d: (d / "labels/000.png").unlink(), "000.png"),
        (lambda d: cv2.imwrite(str(d / "labels/000.png"), np.zeros((9, 9), np.uint8)), "size"),
        (lambda d: cv2.imwrite(str(d / "labels/000.png"), np.zeros((180, 240, 3), np.uint8)), "one channel"),
        (lambda d: [p.unlink() for p in (d / "images").iterdir()], "no image"),
    ],
)
def test_a_folder_that_is_not_right_is_refused_with_its_name(tmp_path: Path, spoil, said: str) -> None:
    data = folder_of_colours(tmp_path / "data", images=2)
    spoil(data)
    with pytest.raises(PerceptionError, match=said):
        folder = LabelledFolder(data, Skipped())
        list(folder.images(folder.pairs))


@pytest.mark.parametrize(
    "options",
    [["--scenes", "1"], ["--most-fired", "2"], ["--least-right", "-1"], ["--language-model", "none"]],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["calibrate", "--data", "household", *options]) == 2
    assert options[0].removeprefix("--").split("-")[0] in capsys.readouterr().err


def test_a_fit_that_is_no_better_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right for half of the boxes at first, for all of them later on."""
    first, second = (half(share) for share in (0.5, 0.99))
    gathered = iter(([first] * len(calibrate_words.MOVES), [second]))
    monkeypatch.setattr(calibrate_words, "_pipeline", lambda arguments: pipeline_of("colours"))
    monkeypatch.setattr(calibrate_words, "judged_at", lambda *_: next(gathered))
    data = folder_of_colours(tmp_path / "data", images=2)
    assert command(["calibrate", "--data", str(data)]) == 2
    said = capsys.readouterr()
    assert "not written" in said.err and "error" in said.out and calibration_for(SPACE) is None


def test_the_seed_moves_to_where_most_is_found_and_stays_where_nothing_is_gained() -> None:
    levels = calibrate_words.moved_levels(BASE)
    assert levels[0] == BASE and {round(one.seed - one.low, 6) for one in levels} == {0.4}

    def found(count: int) -> JudgedRegions:
        """The first regions show what is asked for, a hundred others do not."""
        features, correct = np.zeros((count + 100, K)), np.arange(count + 100) < count
        features[:count, FEATURES.index("mean")] = 3.0
        present = np.arange(300) < 200
        name = np.concatenate([np.arange(count), 200 + np.arange(100)])
        group = np.full(len(name), "images", np.str_)
        return JudgedRegions(features, correct, group, name, present, ~present, 30)

    fewer, more = found(60), found(150)
    halves = [fewer, fewer, more, fewer, fewer]
    for threshold in (
        partial(threshold_for_absent, most_fired=0.05),
        partial(threshold_for_precision, least_right=0.6),
    ):
        assert calibrate_words.best_of_levels(levels, halves, "platt", threshold) == 2
        assert calibrate_words.best_of_levels(levels, [fewer] * 5, "platt", threshold) == 0
        nothing = found(0)
        assert calibrate_words.best_of_levels(levels, [nothing, *[fewer] * 4], "platt", threshold) == 1


def half(share: float) -> JudgedRegions:
    correct, none = np.arange(200) < 200 * share, np.zeros(1, bool)
    group = np.full(200, "images", np.str_)
    return JudgedRegions(np.full((200, K), 4.0), correct, group, np.zeros(200, np.int64), none, none, 3)


@pytest.mark.slow
def test_words_are_calibrated_on_the_household(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From probabilities that are far too high."""
    pytest.importorskip("sklearn")
    monkeypatch.delenv("PERCEPTION_CONTRAST_CACHE")
    pipeline = build()
    own, too_high = pipeline.frame_search.searcher.calibration, tmp_path / "too_high.json"
    space = pipeline.query_encoder.text_space
    of_own = replace(stored(replace(own, offset=own.offset + 5.0), space=space), scores=COSINE_SCORES)
    write_calibration(too_high, of_own)
    pipeline = build(calibration=too_high)
    monkeypatch.setattr(calibrate_words, "_pipeline", lambda arguments: pipeline)
    out = tmp_path / "own.json"
    assert command(["calibrate", "--data", "household", "--scenes", "8", "--out", str(out)]) == 0
    found = read_calibration(out)
    assert found.space.startswith("household-lit@") and found.facts["held_out_pictures"] == 4
    assert found.facts["error_after"] < 0.5 * found.facts["error_before"]
    served = build(calibration=out)
    assert served.frame_search.detection_threshold(served.settings) == found.words.detection
    with pytest.raises(SpaceError):
        build(language_model="none", calibration=out)
