"""An exported file as an image encoder again, for pipelines that run one beside encoders of torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from perception_contrast.encoders.base import EncoderOutput, ImageEncoder
from perception_contrast.engines.export.exported_encoder import ExportedEncoder


class OnnxImageEncoder(ImageEncoder):
    """Runs an exported file. Images must have the file's size.

    Args:
        exported: the file.
    """

    def __init__(self, exported: ExportedEncoder) -> None:
        facts = exported.facts
        self._exported = exported
        self.model, self.family, self.space = facts.model, facts.family, facts.space
        self.dim, self.patch, self.method = facts.dim, facts.patch, facts.method
        self.mean, self.std = facts.mean, facts.std

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        return self._exported.outputs

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; gives no ``layers``.

        Raises:
            ValueError: the images have another size than the file.
        """
        given = self._exported.run(images.detach().float().cpu().numpy())
        return tuple(torch.from_numpy(given[one.name]).to(images.device) for one in self.outputs)
