"""MetaCLIP 2 (Chuang et al., "Meta CLIP 2: A Worldwide Scaling Recipe", NeurIPS 2025): CLIP in 300 languages.

The networks are open_clip's CLIP with a larger vocabulary. open_clip knows the two largest sizes; the
smaller ones have the sizes that the authors' configurations state.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from perception_contrast.models.model_libraries import import_open_clip
from perception_contrast.models.weight_conversion import open_clip_names

# By architecture: channels of the shared space and of the image tower, its patch, the text tower's heads.
_SMALL = {
    "ViT-S-16-worldwide": (384, 384, 16, 6),
    "ViT-M-16-worldwide": (512, 512, 16, 8),
    "ViT-B-16-worldwide": (512, 768, 16, 8),
    "ViT-B-32-worldwide": (512, 768, 32, 8),
}
_VOCABULARY, _END, _CONTEXT = 901_629, 2, 77  # of XLM-V


def metaclip2_config(arch: str) -> dict[str, Any]:
    """The arguments of ``open_clip.CLIP`` for an architecture."""
    if arch not in _SMALL:
        found: dict[str, Any] = import_open_clip().get_model_config(arch)
        return found
    dim, width, patch, heads = _SMALL[arch]
    return {
        "embed_dim": dim,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": width, "patch_size": patch},
        "text_cfg": {
            "context_length": _CONTEXT,
            "vocab_size": _VOCABULARY,
            "pool_type": "eos",
            "eos_id": _END,
            "width": dim,
            "heads": heads,
            "layers": 12,
        },
    }


def metaclip2_network(arch: str) -> nn.Module:
    """Both towers at random initialisation."""
    network: nn.Module = import_open_clip().CLIP(**metaclip2_config(arch))
    return network


def metaclip2_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A file's tensors, in open_clip's names or in those of transformers, under open_clip's."""
    if "visual_projection.weight" not in state:
        return {name.removeprefix("module."): value for name, value in state.items()}
    return open_clip_names(state)
