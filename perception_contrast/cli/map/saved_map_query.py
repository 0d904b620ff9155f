"""`perception-contrast map query | recall`: questions to a saved map, and to what it remembers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.cli.map.map_arguments import local_time, ordered_box, require_file_place
from perception_contrast.cli.map.map_models import MapModels
from perception_contrast.cli.map.map_run import answer_record
from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.answers.map_answer import MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.map_persistence import map_of
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_format import read_manifest
from perception_contrast.mapping.storage.map_state import MapHeader
from perception_contrast.memory.history import moves, remembered_objects, seen_then
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import (
    Filters,
    Keyframe,
    Match,
    Move,
    RememberedObject,
    Sighting,
)
from perception_contrast.segmentation.scoring.name_bank import generic_names


def query(options: argparse.Namespace) -> int:
    """Answers each text and label of the command line."""
    if not options.texts and not options.label:
        raise PerceptionError('nothing is asked for; give words ("red mug") or --label')
    if options.picture:
        require_file_place(options.picture)
    filters = FindFilters(
        near=None if options.near is None else np.asarray(options.near, float),
        radius=options.radius,
        within=None if options.box is None else _corners(options.box),
        since=options.since,
        min_score=options.min_score,
        include_gone=options.gone,
        max_results=options.max,
    )
    state = MapFolder().load(options.name)
    # The surface answers no question, and would need Open3D.
    settings = MapSettings() if options.picture and state.surface else MapSettings(surface_voxel=0.0)
    own = map_of(state, settings)
    answers = {label: own.find(MapQuery(label=label), filters) for label in options.label}
    if options.texts:
        answers |= _answers_to_words(own, state.header, options, filters)
    if options.picture:
        from perception_contrast.cli.map.map_picture import map_picture, write_picture

        hits = {question: answer.hits for question, answer in answers.items()}
        write_picture(options.picture, map_picture(own, hits))
    if options.json:
        print(json.dumps({name: answer_record(answer) for name, answer in answers.items()}, indent=1))
    else:
        for question, answer in answers.items():
            _tell(question, answer)
    return 0


def recall(options: argparse.Namespace) -> int:
    """Tells what was seen that fits the filters, by words or the newest first."""
    maps = MapFolder()
    header = read_manifest(maps.info(options.name).path).header
    filters = Filters(
        label=options.label,
        object_id=options.object,
        since=options.since,
        until=options.until,
        low=None if options.box is None else ordered_box(options.box)[0],
        high=None if options.box is None else ordered_box(options.box)[1],
        near=options.near,
        radius=options.radius,
    )
    if not maps.memory_path(options.name).exists():
        raise PerceptionError(
            f"map '{options.name}' remembers nothing: map_node keeps a memory beside the map that its "
            "parameter `map` names. `perception-contrast map query` tells what is in the map"
        )
    with MemoryStore(maps.memory_path(options.name), read_only=True) as memory:
        found = _recalled(memory, header, options, filters)
        records = [_record(one) for one in found]
        if options.images:
            _write_images(memory, found, options.images)
    if options.json:
        print(json.dumps(records, indent=1))
    else:
        for record in records:
            print(_line(record))
        if not records:
            print("nothing was seen that fits")
    return 0


def _answers_to_words(
    own: SemanticMap, header: MapHeader, options: argparse.Namespace, filters: FindFilters
) -> dict[str, MapAnswer]:
    with MapModels.of_map(header, options) as models:
        vectors = models.embed_texts(options.texts, header, options.name)
        own.set_name_bank(models.embed_texts(generic_names(), header, options.name))
    return {
        text: own.find(MapQuery(label=text, texts=vectors[row : row + 1]), filters)
        for row, text in enumerate(options.texts)
    }


def _tell(question: str, answer: MapAnswer) -> None:
    print(f"{question}: {answer.message}")
    for hit in answer.hits:
        thing, (x, y, z) = hit.thing, hit.box.center
        what = "a place" if thing is None else f"{thing.label} {thing.id}"
        status = "" if thing is None or thing.status == "confirmed" else f", {thing.status}"
        print(
            f"  {what}{status}: {hit.score:.2f}, at {x:.2f}, {y:.2f}, {z:.2f} m, "
            f"last seen {local_time(hit.last_seen)}"
        )
    for one in answer.directions:
        (x, y, z), (dx, dy, dz) = one.origin, one.direction
        print(f"  {one.score:.2f}, from {x:.1f}, {y:.1f}, {z:.1f} m towards {dx:.2f}, {dy:.2f}, {dz:.2f}")


_Recalled = Sighting | Keyframe | Move | RememberedObject | Match[Sighting] | Match[Keyframe]


def _recalled(
    memory: MemoryStore, header: MapHeader, options: argparse.Namespace, filters: Filters
) -> Sequence[_Recalled]:
    if options.moves:
        if options.object is None:
            raise PerceptionError("--moves needs --object; `perception-contrast map query` tells the ids")
        return moves(memory, options.object)
    if options.at is not None:
        return seen_then(memory, options.at, filters)[: options.max]
    if not options.text:
        if options.keyframes:
            return memory.keyframes(filters, limit=options.max)
        return remembered_objects(memory, filters, limit=options.max)
    vector = _words(header, options)
    search = memory.search_keyframes if options.keyframes else memory.search_sightings
    found: Sequence[_Recalled] = search(vector, header.semantic_space, filters, limit=options.max)
    return found


def _words(header: MapHeader, options: argparse.Namespace) -> FloatArray:
    with MapModels.of_map(header, options) as models:
        return np.asarray(models.embed_texts([options.text], header, options.name)[0], np.float32)


def _record(found: _Recalled) -> dict[str, Any]:
    """What was found as JSON can hold it: metres in the map, stamps in nanoseconds."""
    if isinstance(found, Match):
        return _record(found.item) | {"score": round(found.score, 4)}
    if isinstance(found, Move):
        return {
            "object": found.object_id,
            "after": found.after,
            "before": found.before,
            "from": _rounded(found.origin),
            "to": _rounded(found.destination),
        }
    if isinstance(found, RememberedObject):
        last = {**_record(found.last), "label": found.label}
        return last | {"sightings": found.count, "first_seen": found.first_seen}
    if isinstance(found, Keyframe):
        return {
            "keyframe": found.id,
            "stamp": found.stamp,
            "camera": found.camera,
            "place": found.place,
            "labels": list(found.labels),
            "position": _rounded(found.position),
        }
    return {
        "sighting": found.id,
        "object": found.object_id,
        "label": found.label,
        "stamp": found.stamp,
        "camera": found.camera,
        "position": _rounded(found.center),
    }


def _line(record: dict[str, Any]) -> str:
    if "from" in record:
        after, before = local_time(record["after"]), local_time(record["before"])
        return f"object {record['object']} moved from {record['from']} to {record['to']}: {after} to {before}"
    what = (
        f"{record['label']} (object {record['object']})"
        if "object" in record
        else f"keyframe {record['keyframe']} {record['place']} ({', '.join(record['labels']) or 'no labels'})"
    )
    score = f"{record['score']:.2f} " if "score" in record else ""
    seen = f", {counted(record['sightings'], 'time')}" if "sightings" in record else ""
    x, y, z = record["position"]
    return f"{score}{what}: {local_time(record['stamp'])}{seen}, at {x:.2f}, {y:.2f}, {z:.2f} m"


def _write_images(memory: MemoryStore, found: Sequence[_Recalled], folder: Path) -> None:
    for one in found:
        item = one.item if isinstance(one, Match) else one
        if isinstance(item, RememberedObject):
            item = _with_image(memory, item.last)
        if isinstance(item, Sighting | Keyframe) and item.thumbnail:
            kind = "keyframe" if isinstance(item, Keyframe) else "sighting"
            atomic_write(folder / f"{kind}_{item.id}.jpg", item.thumbnail)


def _with_image(memory: MemoryStore, sighting: Sighting) -> Sighting:
    """The newest sighting of the same object that has an image; the given one where none has."""
    if sighting.thumbnail:
        return sighting
    seen = memory.sightings(Filters(object_id=sighting.object_id), limit=None)
    return next((one for one in seen if one.thumbnail), sighting)


def _corners(box: list[Any]) -> tuple[Any, Any]:
    low, high = ordered_box(box)
    return np.asarray(low, float), np.asarray(high, float)


def _rounded(point: Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in point]
