"""The methods that replace the last block's attention, by name.

| name | file | paper |
|---|---|---|
| maskclip | maskclip.py | Zhou et al., ECCV 2022 |
| sclip | sclip.py | Wang et al., ECCV 2024 |
| clearclip | clearclip.py | Lan et al., ECCV 2024 |
| naclip | naclip.py | Hajimiri et al., WACV 2025 |
| naradio | naclip.py | Alama et al., IROS 2025 |
| proxyclip | proxyclip.py | Lan et al., ECCV 2024; reads another encoder's features, so it is no edit |
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from perception_contrast.encoders.dense.clearclip import clearclip_attention
from perception_contrast.encoders.dense.maskclip import maskclip_attention
from perception_contrast.encoders.dense.naclip import naclip_attention, naradio_attention
from perception_contrast.encoders.dense.sclip import sclip_attention


class Attend(Protocol):
    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
        """What each token attends to.

        Args:
            query: (B, heads, n, d). The last rows * columns tokens are the image's patches, row-major; class
                and register tokens come first and take part, as published.
            key: as ``query``.
            value: as ``query``.
            rows: rows of patches.
            columns: columns of patches.

        Returns:
            (B, heads, n, d).
        """
        ...


@dataclass(frozen=True)
class AttentionEdit:
    """A method that changes the last block.

    Attributes:
        attend: what takes the place of its attention.
        keeps_block: whether its residual and its feed-forward part stay, as in the authors' code.
    """

    attend: Attend
    keeps_block: bool


ATTENTION_EDITS = MappingProxyType(
    {
        "maskclip": AttentionEdit(maskclip_attention, keeps_block=True),
        "sclip": AttentionEdit(sclip_attention, keeps_block=True),
        "clearclip": AttentionEdit(clearclip_attention, keeps_block=False),
        "naclip": AttentionEdit(naclip_attention, keeps_block=False),
        "naradio": AttentionEdit(naradio_attention, keeps_block=True),
    }
)
