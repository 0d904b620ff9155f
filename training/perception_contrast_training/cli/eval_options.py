"""What the command was asked for, and the pipeline and data that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.encoders.dense.method_names import AUTO
from perception_contrast.encoders.load_encoders import Encoders, load_encoders
from perception_contrast.pipeline.build import take_place_level
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import AUTO_TILE, PipelineSettings
from perception_contrast.segmentation.calibration_files import calibration_for
from perception_contrast_training.evaluation.readers.household_options import HouseholdOptions, scenes_of
from perception_contrast_training.evaluation.readers.names import vocabulary_beside, vocabulary_of
from perception_contrast_training.evaluation.readers.types import VOID, Skipped
from perception_contrast_training.fleet.map_items import Where
from perception_contrast_training.photographs.naming import Naming, load_naming


@dataclass(frozen=True)
class Options:
    """The command line, checked for what can be checked without looking at the data."""

    task: str
    data: str
    model: str = "dinov2-s14"
    language_model: str = "household-lit"
    engine: str = "torch"
    precision: str = AUTO
    device: str = "auto"
    short_side: int | None = None
    zoom: int | None = None
    max_tokens: int | None = None
    tile: int = AUTO_TILE
    dense: str = AUTO
    calibration: Path | None = None
    place: str = ""
    vocabulary: str | None = None
    names: tuple[str, ...] = ()
    images: Path | None = None
    ignore: tuple[int, ...] = ()
    seed: int = 0
    limit: int = 0
    offline: bool = False
    held_out: bool = False
    seen: bool = False
    absent: int = 20
    rooms: int = 6
    probe: bool = False
    train: int | None = None
    test: int | None = None
    topic: str | None = None
    start_mask: Path | None = None
    start_boxes: tuple[tuple[int, int, int, int], ...] = ()
    homographies: int = 20
    rate: float = 5.0
    boxes: Path | None = None
    against: tuple[str, ...] = ()
    draw: bool = False


@dataclass(frozen=True)
class Job:
    """What a task gets: the options, where to note images that cannot be read, what to tell, and where to
    measure the images of a task that takes each by itself."""

    options: Options
    skipped: Skipped
    notes: list[str] = field(default_factory=list)
    where: Where = field(default_factory=Where)


def household_of(options: Options) -> HouseholdOptions | None:
    """The simulated household if the options name it, else None.

    Raises:
        MissingSimulationError: They name it, and it is not installed.
    """
    scenes = scenes_of(options.data)
    if scenes is None:
        return None
    import_module("perception_contrast_training.household")
    scenes = min(scenes, options.limit) if options.limit else scenes
    return HouseholdOptions(scenes, options.seed, options.held_out, options.seen, options.offline)


def vocabulary_for(options: Options) -> Vocabulary | None:
    """Of --vocabulary, else of a class list in the data's folder, else None. Raises PerceptionError."""
    if options.vocabulary is not None:
        return vocabulary_of(options.vocabulary)
    folder = Path(options.data)
    return vocabulary_beside(folder) if folder.is_dir() else None


def naming_of(options: Options) -> Naming:
    """The package's names of labels with those of --names. Raises PerceptionError."""
    return load_naming(Path(name) for name in options.names)


def ignored_of(options: Options) -> frozenset[int]:
    """Numbers in label images that do not count."""
    return frozenset((*options.ignore, *VOID))


def labels_of(vocabulary: Vocabulary) -> tuple[str, ...]:
    """In their order."""
    return tuple(query.label for query in vocabulary.queries)


def matched(given: Vocabulary | None, names: tuple[str, ...]) -> Vocabulary:
    """A query for each name of a data set, with the phrases and the distractors that are given.

    Raises PerceptionError for queries that the data have no truth for.
    """
    given = given or Vocabulary()
    queries = {query.label: query for query in given.queries}
    unknown = [label for label in queries if label not in names]
    if unknown:
        raise PerceptionError(
            f"the vocabulary names '{unknown[0]}', of which the data know nothing; they have: "
            f"{', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
        )
    asked = [queries.get(name, Query(name)) for name in names]
    return Vocabulary().with_queries(asked, given.distractors)


def encoders_of(options: Options, *, words: bool = True) -> Encoders:
    """The towers; without a language model where the task asks for none by words."""
    language, dense = (options.language_model, options.dense) if words else ("none", AUTO)
    return load_encoders(options.model, language, device=options.device, offline=options.offline, dense=dense)


def pipeline_of(job: Job, *, words: bool = True) -> Pipeline:
    """The pipeline that the nodes run, with the calibration that they would find; it is noted then.

    Raises PerceptionError, among others for a calibration of another space.
    """
    options, encoders = job.options, encoders_of(job.options, words=words)
    usual = PipelineSettings()
    settings = replace(
        usual,
        short_side=options.short_side or usual.short_side,
        max_rescored=usual.max_rescored if options.zoom is None else options.zoom,
        max_tokens=options.max_tokens or usual.max_tokens,
        tile=options.tile,
    )
    space = encoders.language.space if encoders.language is not None else ""
    stored = calibration_for(space, options.calibration) if words else None
    pipeline = Pipeline(
        encoders,
        settings,
        engine=options.engine,
        precision=options.precision,
        background=False,
        calibration=stored,
    )
    if words and not pipeline.query_encoder.text_model:
        raise PerceptionError(f"task {options.task} asks in words; name a --language-model")
    if stored is not None:
        job.notes.append(f"words are calibrated by the {stored.method} fit that is stored for {stored.space}")
    level = take_place_level(pipeline, encoders.language, options.place, needed=True) if words else None
    if level is not None:
        job.notes.append(f"texts are reported from {level.detection:.3f} on, as measured in '{level.place}'")
    return pipeline
