"""`perception-contrast embed`: vectors of whole data sets, and what they tell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.cli.embed_arguments import embed_parser, report_parser, select_parser
from perception_contrast_training.cli.ray_arguments import where_of

if TYPE_CHECKING:
    from perception_contrast_training.embedding.run import Embedded
    from perception_contrast_training.embedding.settings import EmbedSettings

_LISTED = 20  # lines for people


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given and given[0] in COMMANDS:
            COMMANDS[given[0]](given[1:])
        else:
            _embed(embed_parser().parse_args(given))
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error
    return 0


def _embed(arguments: argparse.Namespace) -> None:
    from perception_contrast.cli.frame_progress import FrameProgress
    from perception_contrast_training.embedding.find_data import find_data
    from perception_contrast_training.embedding.pca_images import draw_pca, pca_patches
    from perception_contrast_training.embedding.run import embed

    settings, patches = _settings(arguments), arguments.patches
    if arguments.pca and not patches:
        patches = pca_patches(arguments.pca)
    sources = find_data(arguments.data, arguments.topic, arguments.part)
    counts = [source.count() for source in sources]
    total = sum(counts) if all(counts) else 0
    with FrameProgress(total, 0, what="embedding") as progress:
        try:
            found = embed(
                sources, arguments.out, settings, patches=patches, where=where_of(arguments),
                restart=arguments.restart, advance=progress.reach,
            )  # fmt: skip
        except KeyboardInterrupt:
            progress.say("what is finished stays; give the same command again to go on")
            raise
        if arguments.pca:
            draw_pca(patches, sources, arguments.pca, keep=bool(arguments.patches))
        pace = progress.pace
    _tell(found, arguments.out, pace)


def _settings(arguments: argparse.Namespace) -> EmbedSettings:
    from perception_contrast_training.embedding.settings import THUMBNAIL, EmbedSettings

    batch = arguments.batch
    if batch is None:
        batch = 64 if arguments.model != THUMBNAIL and _on_gpu(arguments.device) else 8
    return EmbedSettings(
        model=arguments.model,
        short_side=arguments.short_side,
        dtype=arguments.dtype,
        patches=arguments.patch_features if arguments.patches or arguments.pca else "",
        batch=batch,
        part_frames=arguments.part_frames,
        device=arguments.device,
        engine=arguments.engine,
        precision=arguments.precision,
        offline=arguments.offline,
    )


def _on_gpu(device: str) -> bool:
    import torch

    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


def _tell(found: Embedded, out: str, pace: str) -> None:
    for line in (*found.unreadable[:_LISTED], *found.lost[:_LISTED]):
        print(f"left out: {line}", file=sys.stderr)
    more = len(found.unreadable) - _LISTED
    if more > 0:
        print(f"and {counted(more, 'more frame')}", file=sys.stderr)
    print(f"{counted(found.rows, 'vector')} in {out}, {pace}")
    if found.unreadable:
        are = "is" if len(found.unreadable) == 1 else "are"
        print(f"{counted(len(found.unreadable), 'frame')} cannot be read and {are} left out")


def _report(argv: Sequence[str]) -> None:
    arguments = report_parser().parse_args(argv)
    from perception_contrast_training.vectors.report import ReportOptions, write_report

    options = ReportOptions(
        arguments.duplicates_from,
        arguments.neighbours,
        arguments.radius,
        arguments.labelled,
        arguments.sheets,
    )
    found = write_report(arguments.vectors, arguments.out, options)
    for line in found.lines:
        print(line)
    print(found.page)


def _select(argv: Sequence[str]) -> None:
    arguments = select_parser().parse_args(argv)
    from perception_contrast_training.vectors.choose import ChooseOptions, choose_frames

    options = ChooseOptions(
        arguments.count, arguments.by, arguments.labelled, arguments.detections, arguments.seed,
        arguments.sheets,
    )  # fmt: skip
    for path in choose_frames(arguments.vectors, arguments.out, options):
        print(path)


COMMANDS = {"report": _report, "select": _select}
