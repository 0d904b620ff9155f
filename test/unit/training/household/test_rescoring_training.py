"""From rendered things to a zoom head: views, truths, losses, steps, files, figures, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from colour_tower import ColourTower
from numpy.typing import NDArray
from small_shards import SmallJob, make_small
from tiny_runs import same

from perception_contrast.cli.main import main as command
from perception_contrast.core.cache import sha256_of
from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.core.errors import ModelError, PerceptionError, RecipeError
from perception_contrast.encoders.alignment_head import AlignmentHead, load_alignment, word_space
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast.encoders.rescoring_head import LAYOUT, RescoringHead, load_rescoring_head
from perception_contrast.segmentation.rescoring.rescoring_calibration import RescoringCalibration
from perception_contrast.text.base import TextEncoder
from perception_contrast_sim.objects.materials import COLOURS, MATERIALS
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.rooms.scenes import LabelledScene
from perception_contrast_training.config.rescoring_recipe import (
    HeadShape,
    RescoringBatchSettings,
    RescoringOptimisation,
    RescoringRecipe,
    load_rescoring_recipe,
)
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.engine.resume import checkpoints_of
from perception_contrast_training.household.rescoring import enlarged_regions as zoomed
from perception_contrast_training.household.rescoring.concepts import TruthTable, draw_concepts, shown_names
from perception_contrast_training.household.rescoring.enlarged_regions import (
    EnlargedJob,
    EnlargedRegions,
    RenderedRegions,
    load_regions,
    make_regions,
    regions_of,
)
from perception_contrast_training.household.rescoring.rescoring_figures import crop_scores, naming
from perception_contrast_training.household.rescoring.rescoring_losses import name_loss, phrase_loss
from perception_contrast_training.household.rescoring.rescoring_training import (
    RescoringFit,
    shard_jobs,
)
from perception_contrast_training.household.rescoring.word_space import WordSpace
from perception_contrast_training.household.scene_shards import make_shards, write_shard
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.words import SURFACES, Concept, Words

SEEN = ("mug", "book", "office chair", "banana", "laptop")
CHANNELS = 12  # of three layers


class Sentences(TextEncoder):
    """Sums of a vector per word, so that phrases with common words are near."""

    model, space, dim, wording = "sentences", "sentences@1", 384, ""

    def canonical(self, text: str) -> str:
        return text.lower()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        def word(text: str) -> NDArray[np.float64]:
            return np.random.default_rng(list(text.encode())).standard_normal(self.dim)

        rows = [np.sum([word(w) for w in text.split()], axis=0) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def arrays(objects: Sequence[SceneObject | None], seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Noise, with a direction for each category under the mask."""
    rng, count = np.random.default_rng(seed), len(objects)
    meaning = {
        name: np.random.default_rng(i).normal(0, 2, CHANNELS) for i, name in enumerate(("", *SEEN, "floor"))
    }
    inside = np.stack([meaning[o.category if o else ""] for o in objects])
    made = {
        "inside": inside + rng.normal(0, 0.3, inside.shape),
        "outside": rng.normal(0, 1, (count, CHANNELS)),
        "layout": rng.normal(0, 1, (count, LAYOUT, LAYOUT, CHANNELS)),
        "place": rng.uniform(0, 1, (count, LAYOUT, LAYOUT)),
        "colours": rng.normal(0, 0.3, (count, 6)),
        "form": np.stack([rng.uniform(-3, -0.5, count), rng.normal(0, 0.3, count)], axis=1),
    }
    halves: dict[str, NDArray[np.generic]] = {k: v.astype(np.float16) for k, v in made.items()}
    return {**halves, "scene": np.arange(count) // 5}


def objects_of(count: int, seed: int = 0) -> list[SceneObject | None]:
    rng = np.random.default_rng(seed)
    drawn = [SEEN[int(i)] for i in rng.integers(0, len(SEEN), count)]
    things: list[SceneObject | None] = [
        SceneObject(i, name, str(rng.choice(["red", "blue", ""])), "wood") for i, name in enumerate(drawn)
    ]
    return [None if i % 7 == 6 else thing for i, thing in enumerate(things)]


def things(count: int = 60, seed: int = 0) -> RenderedRegions:
    objects = objects_of(count, seed)
    return EnlargedRegions([arrays(objects, seed)], objects)


def recipe(**changes: object) -> RescoringRecipe:
    made = RescoringRecipe(
        head=HeadShape(width=32, cell=4, blocks=1, dropout=0.1, block_dropout=0.1),
        batch=RescoringBatchSettings(things=32, phrases=24, pool=120, wordings=2),
        optimisation=RescoringOptimisation(
            steps=150, learning_rate=5e-3, warm_up=5, average=0.9, precision="float32"
        ),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def words() -> WordSpace:
    torch.manual_seed(11)
    head = AlignmentHead().eval().requires_grad_(False)
    return WordSpace(
        head, SentenceBank(Sentences()), word_space(head), "household-lit@0123456789ab", "dinov2-s14@1"
    )


def fit(**changes: object) -> RescoringFit:
    return RescoringFit(recipe(**changes), things(), words())


# Shards.


def _red_on_grey() -> LabelledScene:
    """A red mug of 60 x 40 pixels; a book of a few pixels; a floor."""
    rgb = np.full((378, 504, 3), 128, np.uint8)
    instances = np.zeros((378, 504), np.int32)
    rgb[100:160, 200:240], instances[100:160, 200:240] = (255, 0, 0), 4
    instances[300:303, 300:303] = 5
    known = {0: SceneObject(0, "floor"), 4: SceneObject(4, "mug", "red"), 5: SceneObject(5, "book")}
    return LabelledScene(rgb, instances, known)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes that are drawn by hand, and a tower that sees colours."""

    def scenes(seed: int, settings: object) -> Iterator[LabelledScene]:
        while True:
            yield _red_on_grey()

    monkeypatch.setattr(zoomed, "SceneSampler", scenes)
    monkeypatch.setattr("perception_contrast.encoders.dinov2.load_dino", lambda *_, **__: ColourTower())


@pytest.mark.usefixtures("painted")
def test_a_shard_holds_what_is_seen_of_each_thing(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    job = EnlargedJob(tmp_path / "00000", 5, 2, "any", (0, 1, 2), True)
    try:
        assert make_regions(job) == job.folder
    finally:
        torch.set_num_threads(threads)
    found = load_regions([job.folder])
    surfaces = (None, SceneObject(0, "floor"))
    named = [i for i, thing in enumerate(found.objects) if thing not in surfaces]
    assert [found.objects[i] for i in named] == [SceneObject(4, "mug", "red")] * 2, "nothing small"
    assert set(found.scene[named].tolist()) == {0, 1} and found.channels == 9
    views = found.views(torch.tensor(named))
    assert views.inside.dtype == torch.float32
    for i, row in enumerate(named):
        red, around = views.inside[i, :3], views.outside[i, :3]
        # Half of the view or less is the mug, the rest is grey: 0.502.
        assert red[0] > 0.75 and red[1] < 0.3 and around[0] < red[0] - 0.2 and around[1] > red[1] + 0.15
        assert 0.4 < views.colours[i, 0] + 0.5 <= 1.001
        # A rough mask is a bit larger or smaller than 2400 pixels of 190512, and higher than it is wide.
        assert 0.2 * 2400 / 190512 < found.shares[row] < 2.5 * 2400 / 190512
        assert views.form[i, 1] > 0
        # The mug is in the middle of its view and does not reach its corners.
        place = views.place[i]
        assert place[1:3, 1:3].min() > 0.2 and place[:, 0].max() < 0.6
        assert place.mean() < 0.75
    assert all(0 <= one <= 1 for one in views.place.flatten().tolist())


@pytest.mark.usefixtures("painted")
def test_the_same_job_finds_the_same_regions(tmp_path: Path) -> None:
    job = EnlargedJob(tmp_path / "a", 5, 3, "any", (0,), True)
    one, two = ([r for _, _, found in regions_of(job) for r in found] for _ in range(2))
    assert [r.view for r in one] == [r.view for r in two]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(one, two, strict=True))
    other = [r for _, _, found in regions_of(replace(job, seed=6)) for r in found]
    assert [r.view for r in other] != [r.view for r in one]
    for region in one:
        rows, columns = np.nonzero(region.mask)
        view = region.view
        middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
        assert abs(middle[0] - view.y - view.side / 2) <= 0.081 * view.side
        assert abs(middle[1] - view.x - view.side / 2) <= 0.081 * view.side
        assert max(np.ptp(rows), np.ptp(columns)) < view.side


def _written(folder: Path, count: int, seed: int = 0) -> list[SceneObject | None]:
    objects = objects_of(count, seed)
    write_shard(folder, arrays(objects, seed), [o and asdict(o) for o in objects])
    return objects


def test_shards_are_read_as_one_and_drawn_from_in_any_order(tmp_path: Path) -> None:
    objects = [*_written(tmp_path / "a", 13, 1), *_written(tmp_path / "b", 9, 2)]
    found = load_regions([tmp_path / "a", tmp_path / "b"])
    assert found.objects == objects and len(found) == 22
    assert len(set(found.scene.tolist())) == 3 + 2, "images of two shards are not the same"
    layout = np.concatenate([np.load(tmp_path / one / "layout.npy") for one in "ab"]).astype(np.float32)
    rows = torch.tensor([21, 0, 12, 13, 0, 14])
    assert np.array_equal(found.views(rows).layout.numpy(), layout[rows])
    forms = np.concatenate([np.load(tmp_path / one / "form.npy") for one in "ab"]).astype(np.float64)
    assert np.allclose(found.shares, 10 ** forms[:, 0], rtol=1e-3)


def _cut(folder: Path) -> None:
    (folder / "layout.npy").write_bytes((folder / "layout.npy").read_bytes()[:300])


def _shorter(folder: Path) -> None:
    np.save(folder / "form.npy", np.load(folder / "form.npy")[:-1])


def _narrower(folder: Path) -> None:
    np.save(folder / "inside.npy", np.load(folder / "inside.npy")[:, :-3])


def _untold(folder: Path) -> None:
    (folder / "objects.json").write_text("[null,")


@pytest.mark.parametrize("damage", [_cut, _shorter, _narrower, _untold])
def test_damaged_shards_are_refused_by_name(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for name in ("first", "second"):
        _written(tmp_path / name, 8)
    damage(tmp_path / "second")
    with pytest.raises(PerceptionError, match=r"second.*delete it"):
        load_regions([tmp_path / "first", tmp_path / "second"])


def test_shards_that_were_interrupted_go_on(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    stop.touch()
    jobs = [SmallJob(tmp_path / f"{k:05d}", stop if k == 2 else None) for k in range(3)]
    with pytest.raises(OSError, match="interrupted"):
        make_shards(jobs, 1, make_small)
    stamps = {job.folder: (job.folder / "made").stat().st_mtime_ns for job in jobs[:2]}
    stop.unlink()
    assert make_shards(jobs, 1, make_small) == [job.folder for job in jobs]
    assert all((folder / "made").stat().st_mtime_ns == stamp for folder, stamp in stamps.items())
    assert (jobs[2].folder / "made").read_text() == "00002"


# Truths.


def random_things(count: int, seed: int) -> list[SceneObject | None]:
    rng, names = np.random.default_rng(seed), shown_names(Words())
    colours, materials, sizes = ["", *COLOURS], ["", *MATERIALS], ["", "small", "large"]
    return [
        None
        if rng.random() < 0.1
        else SceneObject(
            i, str(rng.choice(names)), str(rng.choice(colours)), str(rng.choice(materials)),
            str(rng.choice(sizes)),
        )
        for i in range(count)
    ]  # fmt: skip


def test_the_table_of_truths_is_what_words_say() -> None:
    rng, known = np.random.default_rng(4), Words()
    shown = random_things(150, 5)
    concepts = [
        replace(c, size=str(rng.choice(["", "", "small"]))) for c in draw_concepts(shown, known, 300, rng)
    ]
    table = TruthTable(shown, concepts, known)
    rows, columns = torch.from_numpy(rng.integers(0, 150, 90)), torch.from_numpy(rng.integers(0, 300, 200))
    expected = [
        [known.true_of(concepts[c], thing, {}) if (thing := shown[r]) is not None else 0 for c in columns]
        for r in rows
    ]
    found = table.of(rows, columns)
    assert found.tolist() == expected and set(found.unique().tolist()) == {-1, 0, 1}
    names = [*known.names, *SURFACES, None]
    assert [names[i] for i in table.category] == [thing and thing.category for thing in shown]


def test_what_a_single_thing_cannot_tell_is_not_asked() -> None:
    with pytest.raises(PerceptionError, match="stands on"):
        TruthTable(objects_of(5), [Concept("mug", on="table")], Words())
    with pytest.raises(PerceptionError, match="'unicorn'"):
        TruthTable([SceneObject(0, "unicorn")], [Concept("mug")], Words())
    with pytest.raises(PerceptionError, match="nothing that has a name"):
        draw_concepts([None, None], Words(), 10, np.random.default_rng(0))


def test_half_of_the_concepts_are_true_of_something_shown() -> None:
    shown, known = random_things(40, 6), Words()
    concepts = draw_concepts(shown, known, 400, np.random.default_rng(1))
    truth = TruthTable(shown, concepts, known).of(torch.arange(40), torch.arange(400))
    assert len(concepts) == 400 and (truth[:, :200] == 1).any(0).all()
    rest = [c.name for c in concepts[320:]]
    assert 0.2 < np.mean([name in known.elsewhere for name in rest]) < 0.6
    assert (truth[:, [320 + i for i, name in enumerate(rest) if name in known.elsewhere]] == 0).all()


# Losses.


def test_phrases_count_by_their_truth_and_not_where_it_is_unknown() -> None:
    logits = torch.tensor([[2.0, -1.0, 5.0], [0.5, 0.0, -3.0]], requires_grad=True)
    truth = torch.tensor([[1, 0, -1], [0, 0, 1]])
    loss = phrase_loss(logits, truth, 8.0)
    right = np.log1p(np.exp([-2.0, 3.0])).mean()
    wrong = np.log1p(np.exp([-1.0, 0.5, 0.0])).mean()
    assert loss.item() == pytest.approx(right + 8 * wrong, rel=1e-5)
    loss.backward()
    assert logits.grad is not None and logits.grad[0, 2] == 0 and (logits.grad != 0).sum() == 5
    unknown = phrase_loss(logits, torch.full((2, 3), -1), 8.0)
    assert unknown.item() == 0.0


def test_names_are_told_apart_by_the_scale() -> None:
    cosine = torch.tensor([[1.0, 0.0, 0.0]])
    # exp(s) / (exp(s) + 2)
    for scale in (1.0, 10.0):
        found = name_loss(cosine, torch.tensor(scale), torch.tensor([0])).item()
        assert found == pytest.approx(-np.log(np.exp(scale) / (np.exp(scale) + 2)), rel=1e-3)


# Steps.


def test_a_tiny_run_names_its_own_things(tmp_path: Path) -> None:
    settings, space = recipe(output=str(tmp_path)), words()
    made = RescoringFit(settings, things(), space)
    made.run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 151))
    assert log[-1]["loss"] < 0.4 * log[0]["loss"]
    weights = settings.loss
    for line in log:
        total = weights.name * line["loss/name"] + weights.phrase * line["loss/phrase"]
        assert line["loss"] == pytest.approx(total, rel=1e-4)
    head, facts, _ = load_rescoring_head(tmp_path / "head.safetensors")
    assert (facts["image_space"], facts["word_space"]) == (space.image, space.space)
    assert json.loads(facts["layers"]) == [3, 7, 11] and facts["steps"] == "150"
    assert json.loads(facts["names"]) == [*Words().names, *SURFACES]
    assert json.loads(facts["recipe"]) == json.loads(json.dumps(asdict(settings)))
    # The kept head is the average, in half precision, and hides nothing from itself.
    kept = made.kept_head().state_dict()
    assert all(torch.allclose(value, kept[name], atol=2e-3) for name, value in head.state_dict().items())
    own = things()
    names = space.head.text_embedding(space.bank.vectors(shown_names(Words())))
    scores = crop_scores(head, own, names)
    assert torch.equal(scores, crop_scores(head, own, names))
    found = naming(scores, own, 0.9)
    assert found["rightly named"]["all"] > 0.9 and found["absent names reported"]["all"] < 0.1
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoints", "events.jsonl", "head.safetensors", "log.jsonl", "recipe.yaml",
    }  # fmt: skip


def test_the_same_seed_makes_the_same_head() -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        made = fit(seed=seed)
        for _ in range(3):
            made.trainer.step(vars(made.maker.draw()))
        return made.kept_head().state_dict()

    one, two, other = run(3), run(3), run(4)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["inside.weight"], other["inside.weight"])


def test_a_fit_that_stops_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    """Another process resumes it, with the shards and words that are there."""
    optimisation = replace(recipe().optimisation, steps=11, text_noise=0.05, average=0.9)
    changes = {"optimisation": optimisation, "checkpoints": CheckpointSettings(every=4)}
    whole = fit(output=str(tmp_path / "whole"), **changes)
    whole.run()
    cut = fit(output=str(tmp_path / "cut"), **changes)
    for _ in range(6):
        cut.trainer.step(vars(cut.maker.draw()))
    checkpoints_of(tmp_path / "cut").write(cut.trainer.snapshot(inputs={"image_space": "", "word_space": ""}))
    with pytest.raises(PerceptionError, match="fitted to other inputs"):
        fit(output=str(tmp_path / "cut"), **changes).run(resume=True)
    about = {"image_space": words().image, "word_space": words().space}
    checkpoints_of(tmp_path / "cut").write(cut.trainer.snapshot(inputs=about))
    later = fit(output=str(tmp_path / "cut"), **changes)
    later.run(resume=True)
    one, two = (made.trainer.snapshot() for made in (whole, later))
    assert same(one, two) and all(
        torch.equal(value, two.average[name]) for name, value in one.average.items()
    )


def test_dropout_hides_in_training_alone() -> None:
    made = fit(head=HeadShape(width=32, cell=4, blocks=2, dropout=0.5, block_dropout=0.25))
    rates = sorted(m.p for m in made.head.modules() if isinstance(m, torch.nn.Dropout))
    assert rates == [0.25, 0.25, 0.5]
    views = made.maker.draw().views
    assert not torch.equal(made.head(views), made.head(views))
    kept = made.kept_head()
    assert torch.equal(kept(views), kept(views)) and isinstance(kept, RescoringHead)


def test_a_run_that_is_not_finite_leaves_the_head_alone_and_ends() -> None:
    made = fit()
    batch = made.maker.draw()
    broken = replace(
        batch, views=replace(batch.views, inside=torch.full_like(batch.views.inside, float("nan")))
    )
    before = {k: v.clone() for k, v in made.head.state_dict().items()}
    with pytest.raises(PerceptionError, match="learning_rate"):
        for _ in range(100):
            made.trainer.step(vars(broken))
    assert all(torch.equal(v, before[k]) for k, v in made.head.state_dict().items())


# Figures.


def test_naming_counts_what_is_right_by_size() -> None:
    known = Words()
    shown: list[SceneObject | None] = [SceneObject(i, name) for i, name in enumerate(SEEN)]
    shown += [None, SceneObject(0, "floor")]
    parts = arrays(shown)
    parts["form"] = np.stack([np.log10([0.002, 0.002, 0.02, 0.1, 0.1, 0.1, 0.1]), np.zeros(7)], 1)
    data = EnlargedRegions([parts], shown)
    names = shown_names(known)
    number = {name: i for i, name in enumerate(names)}
    scores = torch.full((7, len(names)), 0.1, dtype=torch.float64)
    scores[6, number["floor"]] = 0.9
    for row, name in enumerate(SEEN):
        scores[row, number[name]] = 0.9
    # A book that looks more like six other things; an office chair is a chair, which nothing denies.
    others = [i for name, i in number.items() if name not in (*SEEN, "chair")][:6]
    scores[1, others] = 0.95
    scores[2, number["chair"]] = 0.95
    scores[5, others[:3]] = 0.9
    found = naming(scores, data, 0.9)
    assert found["views"] == {"all": 5, "small": 2, "medium": 1, "large": 2, "surfaces": 1}
    right = found["rightly named"]
    assert (right["small"], right["medium"], right["large"]) == (0.5, 0.0, 1.0)
    assert found["within five"] == {"all": 0.8, "small": 0.5, "medium": 1, "large": 1, "surfaces": 1}
    absent = sum(len(names) - sum(n in known.meant_by(m) for m in names) for n in SEEN)
    assert found["absent names reported"]["all"] == pytest.approx(6 / absent)
    assert found["absent names reported"]["large"] == 0
    assert found["nothing"] == {"views": 1, "names reported": pytest.approx(3 / len(names))}


# Recipes and the command.


@pytest.fixture
def shipped(repository: Path) -> Path:
    return repository / "training" / "recipes" / "household_rescoring_rendered.yaml"


@pytest.mark.parametrize("name", ["household_rescoring", "household_rescoring_rendered"])
def test_the_shipped_recipes_say_what_they_say(repository: Path, name: str) -> None:
    shipped = repository / "training" / "recipes" / f"{name}.yaml"
    read, stored = asdict(load_rescoring_recipe(shipped)), yaml.safe_load(shipped.read_text())
    for key, value in stored.items():
        own = json.loads(json.dumps(read[key]))
        assert (own | value if isinstance(value, dict) else value) == own


def test_shards_have_seeds_of_their_own_and_names_by_them(shipped: Path) -> None:
    settings = load_rescoring_recipe(shipped, ["output=here", "scenes.images=9960"])
    jobs, apart = (shard_jobs(settings, True, kept_back=one) for one in (False, True))
    assert [job.seed for job in jobs] == list(range(7_300_000, 7_300_200))
    assert [str(job.folder) for job in jobs[:2]] == ["here/shards/00000", "here/shards/00001"]
    assert [job.seed for job in apart] == [7_300_900, 7_300_901, 7_300_902, 7_300_903]
    assert str(apart[0].folder) == "here/test/00900"
    assert all(job.unseen for job in apart) and not any(job.unseen for job in jobs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("head.widths=3", "'head.widths'; did you mean 'width'"),
        ("batch.pool=0", "'batch.pool' must be at least 1"),
        ("optimisation.steps=0", "'optimisation.steps' must be at least 1"),
        ("optimisation.dropout=0.1", "unknown key 'optimisation.dropout'"),
        ("head.dropout=1.0", "head.dropout 1.0 is not in [0, 1)"),
        ("head.block_dropout=-0.1", "head.block_dropout -0.1 is not in [0, 1)"),
        ("head.blocks=-1", "'head.blocks' must not be negative"),
        ("evaluation.seed=7300140", "use 7300141 or more"),
        ("scenes.images=49960", "use 7301000 or more"),
        ("evaluation.recall=0", "evaluation.recall 0.0 is not in (0, 1]"),
        ("image_tower=dinov2-b14", "this version takes 'dinov2-s14'"),
        ("optimisation.precision=float16", "neither bfloat16 nor float32"),
        ("method=alignment", "method 'alignment' is not 'rescoring'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(shipped: Path, change: str, said: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_rescoring_recipe(shipped, [change])
    assert said in str(refusal.value)


def test_errors_of_the_command_are_one_line(
    capsys: pytest.CaptureFixture[str], shipped: Path, tmp_path: Path
) -> None:
    def said(*arguments: str) -> str:
        assert command(["train", "--recipe", str(shipped), "--set", f"output={tmp_path}", *arguments]) == 2
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("error: ")
        return last

    assert "run the train step first" in said("--only", "evaluate")
    assert "--only evaluate" in said("--head", str(tmp_path / "head"))
    (tmp_path / "head.safetensors").write_bytes(b"no head at all")
    assert "not readable" in said("--only", "evaluate")
    assert "is missing" in said("--set", f"words={tmp_path / 'none'}", "--offline")
    assert "evaluation.seed" in said("--set", "evaluation.seed=3")


@pytest.mark.slow
def test_one_command_ends_with_a_head_and_its_figures(shipped: Path, tmp_path: Path) -> None:
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.text.sentence_encoder import load_minilm
    from perception_contrast_sim.objects import assets

    try:
        tower = load_dino("dinov2-s14", pinned=True)
        load_minilm()
        assets.prepare()
    except ModelError as error:
        pytest.skip(str(error))
    changes = (
        f"output={tmp_path}", "scenes.images=2", "scenes.per_shard=2", "scenes.workers=2",
        "batch.things=16", "batch.pool=40", "batch.wordings=1", "optimisation.steps=3",
        "optimisation.threads=1", "evaluation.images=2", "calibration.scenes=2", "calibration.absent=12",
    )  # fmt: skip
    arguments = ["train", "--recipe", str(shipped)]
    for change in changes:
        arguments += ["--set", change]
    assert command(arguments) == 0
    head, facts, sha256 = load_rescoring_head(tmp_path / "head.safetensors")
    assert facts["image_space"] == tower.space and head.config.channels == 1152
    words, _, words_sha256 = load_alignment(PACKAGED["household-lit-rendered"].alignment)
    assert facts["word_space"] == word_space(words)
    fitted = RescoringCalibration.loaded(facts["calibration"])
    assert 0.02 <= fitted.detection <= 0.9 and any(fitted.weights)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["head"] == sha256 == sha256_of(tmp_path / "head.safetensors")
    whole = figures[f"{space_name('household-lit-rendered', words_sha256)}, whole images"]
    ours = figures["household-rescoring-rendered"]
    assert ours["views"] == whole["views"] and ours["views"]["all"] >= 5
    # Three steps teach nothing; the packaged head of whole images names some of what it is shown.
    assert whole["within five"]["all"] > 0.3
    shard = tmp_path / "shards" / "00000"
    stamp = shard.stat().st_mtime_ns
    assert command([*arguments, "--only", "train"]) == 0
    assert shard.stat().st_mtime_ns == stamp
    assert command([*arguments, "--set", "scenes.per_shard=1", "--only", "train"]) == 2
