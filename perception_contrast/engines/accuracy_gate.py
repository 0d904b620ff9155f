"""The gate: an engine serves only if its features point where those of float32 torch do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.errors import one_line
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.base import Engine
from perception_contrast.preprocessing.to_tensor import image_tensor

# Smallest cosine of any token or vector with that of float32 torch.
LIMITS = {"fp32": 0.999, "bf16": 0.99, "fp16": 0.99, "int8": 0.99}
# An image in a batch and the same image alone may differ by rounding, not by more.
BATCH_LIMIT = 0.999


@dataclass(frozen=True)
class Verdict:
    """worst: output name to its smallest cosine over all images. problem: why it is refused, or ""."""

    worst: dict[str, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem


def gate_photographs() -> tuple[NDArray[np.uint8], ...]:
    """Three photographs (H, W, 3) uint8 RGB, one of them square, that come with scikit-image."""
    from skimage import data

    return tuple(np.asarray(image()) for image in (data.astronaut, data.coffee, data.chelsea))


def gate_images(graph: EncoderGraph, size: tuple[int, int]) -> list[Tensor]:
    """The gate's photographs at size, normalised for the graph: (1, 3, H, W) float32 on the CPU."""
    return [image_tensor(image, size, graph.mean, graph.std) for image in gate_photographs()]


def compare(
    reference: Mapping[str, object], candidate: Mapping[str, object], maps: Collection[str] = ()
) -> dict[str, float]:
    """The smallest cosine between the vectors of two results, for each output.

    Args:
        reference: output name to an array or tensor; vectors lie along the last axis.
        candidate: as ``reference``.
        maps: outputs whose cells are no directions; of these an image's whole map counts as one vector.

    Returns:
        Output name to a cosine; -1 where a number is not finite, 1 where both vectors are zero.

    Raises:
        KeyError: the candidate lacks an output.
        ValueError: an output has another shape.
    """
    worst = {}
    for name, values in reference.items():
        left, right = _array(values), _array(candidate[name])
        if name in maps:
            left, right = (array.reshape(len(array), -1) for array in (left, right))
        worst[name] = _worst_cosine(left, right)
    return worst


def check(
    engine: Engine,
    expected: Sequence[Mapping[str, Tensor]],
    images: Sequence[Tensor],
    maps: Collection[str] = (),
) -> Verdict:
    """Whether an engine may serve.

    It must agree with float32 torch, give in a batch what it gives for each image alone, and give finite
    numbers for a grey and a black image.

    Args:
        engine: the candidate.
        expected: the outputs of float32 torch for each image.
        images: (1, 3, H, W) each, on the CPU.
        maps: as of ``compare``.
    """
    limit = LIMITS[engine.precision]
    try:
        alone = [engine.run(image.to(engine.device)) for image in images]
        worst = _least(
            compare(reference, seen, maps) for reference, seen in zip(expected, alone, strict=True)
        )
        batch = engine.run(torch.cat(list(images)).to(engine.device))
        together = _least(
            compare(seen, {name: values[i : i + 1] for name, values in batch.items()}, maps)
            for i, seen in enumerate(alone)
        )
        plain = [engine.run(torch.full_like(images[0], level).to(engine.device)) for level in (0.0, -2.0)]
    except (KeyError, ValueError, RuntimeError) as error:
        return Verdict(problem=f"it fails on the gate's images: {one_line(error)}")
    name, lowest = min(worst.items(), key=lambda item: item[1])
    if lowest < limit:
        return Verdict(worst, f"cosine of the worst vector of '{name}' is {lowest:.4f}, below {limit}")
    # Numbers scaled to a whole tensor's range depend on all images of it, by as much as the limit allows.
    batch_limit = BATCH_LIMIT if engine.precision == "fp32" else limit
    if min(together.values()) < batch_limit:
        return Verdict(worst, f"a batch differs from its images alone: cosine {min(together.values()):.4f}")
    if not all(torch.isfinite(values).all() for seen in plain for values in seen.values()):
        return Verdict(worst, "a plain image gives numbers that are not finite")
    return Verdict(worst)


def _least(cosines: Iterable[Mapping[str, float]]) -> dict[str, float]:
    least: dict[str, float] = {}
    for one in cosines:
        for name, value in one.items():
            least[name] = min(value, least.get(name, 1.0))
    return least


def _array(values: object) -> NDArray[np.float64]:
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, np.float64)


def _worst_cosine(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    if left.shape != right.shape:
        raise ValueError(f"expected an output of shape {left.shape}, got {right.shape}")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return -1.0
    norms = np.linalg.norm(left, axis=-1), np.linalg.norm(right, axis=-1)
    product = norms[0] * norms[1]
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    cosine = np.where(both_zero, 1.0, (left * right).sum(-1) / np.where(product == 0, 1.0, product))
    return float(cosine.min())
