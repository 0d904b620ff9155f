"""Which topics of a recording an extraction reads, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.bag_messages import camera_info_topic
from perception_contrast.recordings.bags import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, BagSource
from perception_contrast.recordings.image_topics import COLOR, DEPTH, holds_depth
from perception_contrast_training.data.bags.messages import ODOMETRY, TEXT_TYPES, TF, fields_of
from perception_contrast_training.data.bags.options import AUTO, NONE, ExtractOptions

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)


@dataclass(frozen=True)
class Topics:
    """images: in the order of their names. depth, camera: topic by image topic. infos: camera_info
    topics by the image or depth topic. skipped: image topics that hold none, with the reason.
    """

    images: tuple[str, ...]
    depth: dict[str, str]
    infos: dict[str, str]
    tf: tuple[str, ...]
    odometry: tuple[str, ...]
    text: tuple[str, ...]
    skipped: dict[str, str]

    def all(self) -> tuple[str, ...]:
        named = (
            *self.images,
            *self.depth.values(),
            *self.infos.values(),
            *self.tf,
            *self.odometry,
            *self.text,
        )
        return tuple(dict.fromkeys(named))


def choose_topics(bag: BagSource, options: ExtractOptions) -> Topics:
    """Sorts a recording's topics by what they hold. Raises PerceptionError that lists what is there."""
    for name in (*options.topics, *options.text):
        _require(bag, name)
    for name in options.topics:
        if bag.topics[name].type not in IMAGE_TYPES:
            raise PerceptionError(f"topic '{name}' of '{bag.path}' carries no images; {_there(bag)}")
    for name in options.text:
        if bag.topics[name].type not in TEXT_TYPES:
            raise PerceptionError(f"--text '{name}' must be one of {', '.join(TEXT_TYPES)}; {_there(bag)}")
    kinds = {name: bag.kind_of(name) for name, one in bag.topics.items() if one.type in IMAGE_TYPES}
    images = _images(bag, options, kinds)
    depth = _depth(bag, options, images, [name for name, kind in kinds.items() if kind == DEPTH])
    known = bag.topics
    infos = {
        name: info
        for name in (*images, *depth.values())
        if (info := camera_info_topic(name)) in known and known[info].type == CAMERA_INFO
    }
    tf, odometry = _pose_topics(bag, options)
    skipped = {name: kind for name, kind in kinds.items() if kind not in (COLOR, DEPTH)}
    return Topics(images, depth, infos, tf, odometry, options.text, skipped)


def _images(bag: BagSource, options: ExtractOptions, kinds: dict[str, str]) -> tuple[str, ...]:
    if options.topics:
        for name in options.topics:
            if kinds[name] == DEPTH:
                raise PerceptionError(f"topic '{name}' of '{bag.path}' holds depth; give it as --depth")
        return tuple(sorted(options.topics))
    found = tuple(sorted(name for name, kind in kinds.items() if kind == COLOR))
    if not found:
        reasons = "".join(f"; '{name}': {kind}" for name, kind in kinds.items())
        raise PerceptionError(f"recording '{bag.path}' has no images{reasons}; {_there(bag)}")
    return found


def _depth(
    bag: BagSource, options: ExtractOptions, images: tuple[str, ...], found: list[str]
) -> dict[str, str]:
    """For each image topic the depth topic that shares most of its name, and something of it."""
    if options.depth == NONE:
        return {}
    if options.depth != AUTO:
        _require(bag, options.depth)
        if bag.topics[options.depth].type not in IMAGE_TYPES:
            raise PerceptionError(f"--depth '{options.depth}' carries no images; {_there(bag)}")
        if bag.kind_of(options.depth) == COLOR and not holds_depth(bag.samples(options.depth), fields_of):
            raise PerceptionError(f"--depth '{options.depth}' holds colour, not depth; {_there(bag)}")
        return dict.fromkeys(images, options.depth)
    chosen = {}
    for name in images:
        best = max(found, key=lambda other: (_shared(name, other), other), default=None)
        if best is not None and (_shared(name, best) > 1 or (len(found) == 1 and len(images) == 1)):
            chosen[name] = best
    return chosen


def _shared(one: str, other: str) -> int:
    """Leading parts that two names share; the root counts as one."""
    count = 0
    for left, right in zip(PurePosixPath(one).parts, PurePosixPath(other).parts, strict=False):
        if left != right:
            break
        count += 1
    return count


def _pose_topics(bag: BagSource, options: ExtractOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if options.pose == NONE:
        return (), ()
    tf = tuple(name for name, one in bag.topics.items() if one.type == TF)
    if options.pose == AUTO:
        return tf, tuple(name for name, one in bag.topics.items() if one.type == ODOMETRY)
    _require(bag, options.pose)
    if bag.topics[options.pose].type != ODOMETRY:
        raise PerceptionError(f"--pose '{options.pose}' must be {ODOMETRY}, auto or none; {_there(bag)}")
    return tf, (options.pose,)


def _require(bag: BagSource, name: str) -> None:
    if name not in bag.topics:
        raise PerceptionError(f"recording '{bag.path}' has no topic '{name}'; {_there(bag)}")


def _there(bag: BagSource) -> str:
    listed = ", ".join(f"{one.name} ({one.type}, {one.count})" for one in bag.topics.values())
    return f"it has: {listed}"
