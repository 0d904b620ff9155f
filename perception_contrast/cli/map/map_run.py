"""MapRun: posed frames through the models into a map, and the answers of the map."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.mapping.answers.map_answer import AnswerKind, Hit, MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.memory.map_files import MapFiles
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.segmentation.scoring.name_bank import generic_names

if TYPE_CHECKING:
    from perception_contrast.core.frame import PosedFrame
    from perception_contrast.pipeline.pipeline import Pipeline

_SUBMAP_FRAMES = 20
_REQUEST = OutputRequest(detections=True, semantic_features=True, region_features=True)


class MapRun:
    """A pipeline and the map that it fills; a context manager.

    Args:
        pipeline: With the queries set.
        settings: Of the map.

    Attributes:
        own: The map.
        frames: Number of frames in it.
    """

    def __init__(self, pipeline: Pipeline, settings: MapSettings) -> None:
        self._pipeline, self.own, self.frames = pipeline, SemanticMap(settings), 0
        self._times: dict[str, list[float]] = defaultdict(list)
        self._files: MapFiles | None = None

    @classmethod
    def of_options(cls, options: argparse.Namespace, vocabulary: Vocabulary) -> MapRun:
        """Loads the models that a command line names. Raises PerceptionError."""
        from perception_contrast.pipeline.build import build
        from perception_contrast.pipeline.pipeline_settings import PipelineSettings

        pipeline = build(
            model=options.model,
            language_model=options.language_model,
            device=options.device,
            engine=options.engine,
            offline=options.offline,
            background=False,
            settings=PipelineSettings(short_side=options.short_side),
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
        pipeline.set_queries(vocabulary.queries, vocabulary.distractors)
        surface = 0.0 if options.no_surface else MapSettings().surface_voxel
        return cls(
            pipeline, MapSettings(voxel=options.voxel, surface_voxel=surface, max_range=options.max_range)
        )

    def __enter__(self) -> MapRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipeline.close()
        self.close_files()

    def close_files(self) -> None:
        """Writes all of the map, where it is kept; what fails is logged."""
        if self._files is not None:
            self._files.close(self.own)
            self._files = None

    def add(self, posed: PosedFrame, number: int) -> None:
        """Searches a frame and adds it to the map. Raises PerceptionError."""
        frame = posed.frame
        assert frame.depth is not None and frame.camera is not None
        result = self._pipeline.process(frame, _REQUEST)
        found = result.region_features
        assert found is not None
        self._times["search"].append(sum(result.timings.values()))
        mapped = MapFrame(
            stamp=frame.stamp,
            camera_name=frame.stream or frame.frame_id,
            camera=frame.camera,
            depth=frame.depth,
            pose=posed.pose,
            image=frame.image,
            semantic=result.semantic_features,
            detections=found.detections,
            vectors=found.vectors,
            labels=frozenset(query.label for query in result.vocabulary.queries),
            semantic_space=found.semantic_space,
            spatial_space=found.spatial_space,
        )
        self.take(mapped, number // _SUBMAP_FRAMES)

    def take(self, frame: MapFrame, submap: int) -> None:
        """Adds a searched frame to the map, and to the files where it is kept. Raises PerceptionError."""
        report = self.own.integrate(frame, submap)
        if self._files is not None:
            self._files.note_frame(self.own, frame)
            self._files.write_changes(self.own)
        self.frames += 1
        for name, value in report.milliseconds.items():
            self._times[name].append(value)
        self._times["integrate"].append(sum(report.milliseconds.values()))

    def answers(self) -> dict[str, MapAnswer]:
        """Label of each query to the map's answer; to be asked for once all frames are in."""
        if self.own.surface is not None:
            self.own.surface.finish_rebuild()
        encoder = self._pipeline.query_encoder
        if encoder.text_space and len(generic_names()):
            self.own.set_name_bank(encoder.embed_texts(generic_names()))
        return {
            query.label: self.own.find(self._question(query), FindFilters())
            for query in self._pipeline.vocabulary.queries
        }

    def _question(self, query: Query) -> MapQuery:
        encoder, texts = self._pipeline.query_encoder, query.texts()
        vectors = np.zeros((0, 0), np.float32)
        if encoder.text_space and texts:
            vectors = encoder.embed_texts(texts)
        return MapQuery(label=query.label, texts=vectors)

    def report(self, answers: dict[str, MapAnswer]) -> dict[str, Any]:
        """Figures and answers as JSON can hold them."""
        own = self.own
        return {
            "frames": self.frames,
            "semantic_space": own.semantic_space,
            "problem": own.frame_problem,
            "map": {
                "objects": sum(one.status == "confirmed" for one in own.objects.objects),
                "unconfirmed": sum(one.status == "unconfirmed" for one in own.objects.objects),
                "voxels": 0 if own.voxels is None else len(own.voxels),
                "far_rays": 0 if own.far is None else len(own.far),
            },
            "milliseconds": {name: float(np.median(values)) for name, values in self._times.items()},
            "answers": {label: answer_record(answer) for label, answer in answers.items()},
        }

    def keep(self, name: str, frame: str) -> None:
        """Writes the map and its memory under a name from now on, so that an end by force loses little.

        Args:
            name: Of a new map.
            frame: TF frame that positions are in.

        Raises:
            MapError: What is no name, or a map in use.
            StorageError: It cannot be written.
        """
        files = MapFiles(MapFolder(), frame)
        files.open(name, self.own.settings)
        self._files = files

    def draw(self, path: Path, answers: dict[str, MapAnswer]) -> None:
        """Writes the map from above with the answers as PNG. Raises StorageError."""
        from perception_contrast.cli.map.map_picture import map_picture, write_picture

        hits = {label: answer.hits for label, answer in answers.items()}
        write_picture(path, map_picture(self.own, hits))


def answer_record(answer: MapAnswer) -> dict[str, Any]:
    """An answer as JSON can hold it."""
    return {
        "answer": AnswerKind(answer.kind).name.lower(),
        "message": answer.message,
        "best_score": round(answer.best_score, 4),
        "hits": [hit_record(hit) for hit in answer.hits],
        "directions": [
            {
                "score": round(one.score, 4),
                "origin": [round(float(value), 3) for value in one.origin],
                "direction": [round(float(value), 3) for value in one.direction],
            }
            for one in answer.directions
        ],
    }


def hit_record(hit: Hit) -> dict[str, Any]:
    """A hit as JSON can hold it: metres in the map, stamps in nanoseconds."""
    thing = hit.thing
    return {
        "id": None if thing is None else thing.id,
        "label": "" if thing is None else thing.label,
        "status": hit.status,
        "score": round(hit.score, 4),
        "position": [round(float(value), 3) for value in hit.box.center],
        "size": [round(float(value), 3) for value in hit.box.size],
        "yaw": round(float(hit.box.yaw), 3),
        "last_seen": hit.last_seen,
        "sightings": 0 if thing is None else thing.sightings,
    }
