"""`perception-contrast export`: a model's image side as ONNX files that run without torch."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.core.cache import atomic_write, replacing
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import Role
from perception_contrast.encoders.dense.method_names import AUTO, EDITS, STOCK

if TYPE_CHECKING:
    from perception_contrast.encoders.encoder_graph import EncoderGraph

CALIBRATION_FRAMES = 64
_EPILOG = """\
Each --size gives a file of its own: sides are fixed in it, the number of images at once is free.
A file is written only if it gives what float32 torch gives: the worst vector of three photographs
keeps a cosine of 0.999 in fp32, 0.99 in the others. bf16 runs on a GPU alone; where there is none
the file is written unchecked, and a line says so.
int8 measures its scales on images of yours: --calibrate takes what `find` takes, a recording for instance.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast export",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="any of `perception-contrast models list`, or timm:ARCHITECTURE")
    parser.add_argument(
        "--size",
        type=_size,
        action="append",
        required=True,
        metavar="HxW",
        help="height and width of the images, multiples of the model's patch; may be given several times",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16", "int8"),
        default="fp32",
        help="of the matrix products; inputs and outputs are float32 in any case (default: %(default)s)",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="for int8: a recording, a video, images or folders of them that the scales are measured on; may "
        "be given several times (default: photographs that come with scikit-image)",
    )
    parser.add_argument(
        "--calibration-frames",
        type=positive_int,
        default=CALIBRATION_FRAMES,
        metavar="N",
        help="for int8: the most of them, evenly spread (default: %(default)s)",
    )
    parser.add_argument(
        "--dense",
        choices=(AUTO, STOCK, *EDITS),
        default=AUTO,
        help="way to the dense features of a model of images and words (default: %(default)s, which is "
        "naclip where the model can); proxyclip takes two encoders, so no file can hold it",
    )
    parser.add_argument("--to", choices=("onnx",), default="onnx", help="file format (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="FILE|DIR",
        help="a file ending in .onnx, or a folder for MODEL-HxW-PRECISION.onnx (default: this folder)",
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="for int8: put a copy where the nodes' engine openvino looks for it, so that `engine: auto` of "
        "this machine tries it",
    )
    parser.add_argument("--offline", action="store_true", help="do not touch the network")
    parser.add_argument(
        "--random-init", action="store_true", help="no weights at all, for checks of the export itself"
    )
    return parser


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write height x width, such as 336x448")
    return int(match[1]), int(match[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises ModelError."""
    options = _parser().parse_args(argv)
    sizes = list(dict.fromkeys(options.size))
    from perception_contrast.engines.export.export_check import graph_to_export
    from perception_contrast.engines.export.onnx_export import require_size
    from perception_contrast.models.registry import model_spec

    spec = model_spec(options.model)
    targets = _targets(options.output, spec.name, sizes, options.precision)
    for flag, given in (("--calibrate", options.calibrate), ("--install", options.install)):
        if given and options.precision != "int8":
            raise ModelError(f"{flag} is for 8-bit products; use it with --precision int8")
    for size in sizes:
        require_size(size, spec.patch, spec.name)
    images = _calibration(options)
    graph = graph_to_export(
        options.model,
        offline=options.offline,
        random_init=options.random_init,
        dense=options.dense,
        progress=print,
    )
    for size, target in zip(sizes, targets, strict=True):
        _export(graph, target, size, options.precision, spec.licence, images)
        if options.install:
            _install(graph, target, size)
    return 0


def _install(graph: EncoderGraph, source: Path, size: tuple[int, int]) -> None:
    from perception_contrast.engines.openvino_engine import installed_int8

    place = installed_int8(graph, size)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(place, source.read_bytes())
    except OSError as error:
        raise ModelError(f"{place} cannot be written: {error}; {source} is complete") from error
    print(f"  installed for the engine openvino as {place}")


def _calibration(options: argparse.Namespace) -> list[NDArray[np.uint8]]:
    from perception_contrast.cli.calibration_frames import evenly_spread_frames

    if options.precision != "int8" or not options.calibrate:
        return []
    images = evenly_spread_frames(options.calibrate, options.calibration_frames)
    print(f"scales are measured on {len(images)} images")
    return images


def _targets(output: Path, model: str, sizes: Sequence[tuple[int, int]], precision: str) -> list[Path]:
    if output.suffix.lower() == ".onnx" and not output.is_dir():
        if len(sizes) > 1:
            raise ModelError(f"{output} is one file, but there are {len(sizes)} sizes; give a folder")
        return [output]
    if output.exists() and not output.is_dir():
        raise ModelError(f"{output} is neither a folder nor a name ending in .onnx; give one of these")
    return [output / f"{model}-{height}x{width}-{precision}.onnx" for height, width in sizes]


def _export(
    graph: EncoderGraph,
    target: Path,
    size: tuple[int, int],
    precision: str,
    licence: str,
    images: Sequence[NDArray[np.uint8]],
) -> None:
    """Writes beside the target, checks, and only then gives the file its name."""
    try:
        with replacing(target) as part:
            if precision == "int8":
                cosines: dict[str, float] | None = _write_int8(graph, part, size, licence, images)
            else:
                cosines = _write_float(graph, part, size, precision, licence)
        megabytes = target.stat().st_size / 1e6
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error}") from error
    print(f"{target}: {megabytes:.1f} MB, {precision}, outputs {', '.join(graph.names)}")
    if cosines is None:
        print(
            f"  not checked: no ONNX Runtime provider here runs {precision}; check it on a machine with a GPU"
        )
    else:
        figures = ", ".join(f"{name} {cosine:.6f}" for name, cosine in cosines.items())
        print(f"  smallest cosine with float32 torch: {figures}")
    if note := image_vector_note(graph, size):
        print(f"  {note}")


def _write_float(
    graph: EncoderGraph, part: Path, size: tuple[int, int], precision: str, licence: str
) -> dict[str, float] | None:
    from perception_contrast.engines.export.export_check import check_export
    from perception_contrast.engines.export.onnx_export import export_onnx

    export_onnx(graph, part, size, precision=precision, licence=licence)
    return check_export(graph, part, size)


def _write_int8(
    graph: EncoderGraph,
    part: Path,
    size: tuple[int, int],
    licence: str,
    images: Sequence[NDArray[np.uint8]],
) -> dict[str, float] | None:
    """As few layers stay in float32 as the check allows."""
    from perception_contrast.engines.export.export_check import check_export
    from perception_contrast.engines.quantization import FLOAT32_LAYERS
    from perception_contrast.engines.static_quantization import write_int8

    for keep in FLOAT32_LAYERS:
        write_int8(graph, part, size, images=images, keep=keep, licence=licence)
        try:
            return check_export(graph, part, size)
        except ModelError as error:
            refused = error
            print(f"  {', '.join(keep) or 'all layers'} in {'float32' if keep else '8 bits'}: {error}")
    raise refused


def image_vector_note(graph: EncoderGraph, size: tuple[int, int]) -> str:
    """What a file's vectors of whole images are made of, where a node makes its own of something else.

    Args:
        graph: the encoder.
        size: (height, width) of the file's images.

    Returns:
        A line for people, "" for a model whose image vectors any size will do for.
    """
    own = graph.image_input
    if own is None:
        return ""
    name, square = graph.name_of(Role.LANGUAGE_POOLED), f"{own.side}x{own.side}"
    brought = "the image stretched" if own.squash else "the middle square of the image resized"
    if size == (own.side, own.side):
        return f"{name}: as `classify` has it, for images brought to {square} as the model's authors did"
    return (
        f"{name}: of the image at {size[0]}x{size[1]}; `classify` and `~/embedding` take {brought} to "
        f"{square}, which a file of --size {square} does"
    )
