"""`perception-contrast map merge | forget | reembed`."""

from __future__ import annotations

import argparse

import numpy as np

from perception_contrast.cli.map.map_arguments import ordered_box
from perception_contrast.cli.map.map_models import MapModels
from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.map_merging import merged
from perception_contrast.mapping.map_persistence import map_of
from perception_contrast.mapping.map_reembedding import reembedded
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.rewriting import reembed, rename_objects, take_in
from perception_contrast.memory.saved_forgetting import save_forgotten
from perception_contrast.memory.sightings import Filters


def merge(options: argparse.Namespace) -> int:
    """Two maps, and what they remember, under a third name."""
    maps = MapFolder()
    maps.path(options.save)
    if options.save in maps.names():
        raise PerceptionError(f"there is a map '{options.save}' already; choose another --save, or delete it")
    one, other = states = [maps.load(name) for name in (options.first, options.second)]
    frames = {state.header.frame for state in states}
    if len(frames) > 1 and options.transform is None:
        raise PerceptionError(
            f"the maps have different frames ({', '.join(sorted(frames))}); give --transform of the second's"
        )
    result = merged(one, other, options.transform)
    maps.save(options.save, result.state)
    first, second, new = (maps.memory_path(name) for name in (options.first, options.second, options.save))
    if first.exists() or second.exists():
        with MemoryStore(new) as memory:
            if first.exists():
                kept = {int(record["id"]): int(record["id"]) for record in one.objects}
                with MemoryStore(first, read_only=True) as source:
                    take_in(memory, source, kept)
                rename_objects(memory, result.joined_ids)
            if second.exists():
                with MemoryStore(second, read_only=True) as source:
                    take_in(memory, source, result.object_ids, options.transform)
    objects = len(result.state.objects)
    print(f"{options.save}: {counted(objects, 'object')} of {sum(len(state.objects) for state in states)}")
    return 0


def forget_things(options: argparse.Namespace) -> int:
    """Deletes things from a map and its memory, so that their bytes are gone from the files."""
    if not (options.label or options.object is not None or options.near or options.box):
        raise PerceptionError("nothing to forget; give --label, --object, --near or --box")
    maps = MapFolder()
    state = maps.load(options.name)
    # A surface needs Open3D, which a map without one does not.
    own = map_of(state, MapSettings() if state.surface else MapSettings(surface_voxel=0.0))
    box = _area(options)
    doomed = _chosen(own, options, box)
    own.forget(doomed)
    if box is not None and not options.label and options.object is None:
        doomed = sorted({*doomed, *own.forget_box(*map(np.asarray, box))})
    filters = Filters(
        label=options.label,
        object_id=options.object,
        low=None if options.box is None else ordered_box(options.box)[0],
        high=None if options.box is None else ordered_box(options.box)[1],
        near=options.near,
        radius=options.radius,
    )
    gone = save_forgotten(maps, options.name, own, state.header, doomed, filters)
    print(
        f"forgotten: {counted(len(doomed), 'object')}, {counted(gone.sightings, 'sighting')}, "
        f"{counted(gone.keyframes, 'keyframe')}"
    )
    return 0


def reembed_map(options: argparse.Namespace) -> int:
    """New vectors for the objects of a map, and for what it remembers."""
    if not options.language_model and not options.model:
        raise PerceptionError("no model is named; give --language-model or --model")
    maps = MapFolder()
    state = maps.load(options.name)
    present = [space.partition("@")[0] for space in (state.header.spatial_space, state.header.semantic_space)]
    model = options.model or present[0] or "dinov2-s14"
    with MapModels(model, options.language_model or "none", options.device, options.offline) as models:
        semantic = models.semantic if options.language_model else None
        done = reembedded(state, semantic, models.spatial if options.model else None)
        maps.save(options.name, done.state)
        renewed = 0
        memory = maps.memory_path(options.name)
        if semantic is not None and memory.exists():
            with MemoryStore(memory) as store:
                renewed = reembed(store, semantic, models.semantic_of_images)
    print(
        f"{options.name}: new vectors for {counted(done.renewed, 'object')} and "
        f"{counted(renewed, 'image')} of the memory"
    )
    if done.without_image:
        print(f"no image, and so no vector now: {counted(done.without_image, 'object')}")
    if done.voxels:
        print(f"no vector until it is seen again: {counted(done.voxels, 'voxel or ray', 'voxels and rays')}")
    return 0


def _area(options: argparse.Namespace) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    bounds = Filters(
        low=None if options.box is None else ordered_box(options.box)[0],
        high=None if options.box is None else ordered_box(options.box)[1],
        near=options.near,
        radius=options.radius,
    ).bounds
    return bounds


def _chosen(
    own: SemanticMap,
    options: argparse.Namespace,
    box: tuple[tuple[float, ...], tuple[float, ...]] | None,
) -> list[int]:
    """Ids of the objects that the label, the id and the area mean together."""
    found = []
    for one in own.objects.objects:
        wanted = options.label.casefold()
        named = not wanted or any(label.casefold() == wanted for label in one.evidence)
        meant = options.object is None or one.id == options.object
        inside = box is None or bool(((one.high >= box[0]) & (one.low <= box[1])).all())
        if named and meant and inside:
            found.append(one.id)
    return found
