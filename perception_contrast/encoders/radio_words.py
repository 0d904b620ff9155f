"""C-RADIO (Ranzinger et al., "AM-RADIO", CVPR 2024; "C-RADIOv4", 2026) with words, by an adaptor to SigLIP 2.

C-RADIO learned to give what several teachers give. Each teacher that has a vector of the whole image has a
class token of its own, and an adaptor from it to the teacher's space. SigLIP 2's is the first one, so the
text tower of SigLIP 2 serves C-RADIO as well, with the scale and bias that it was trained with.

A patch takes the way of that class token, as in RayFronts (Alama et al., IROS 2025). C-RADIO's second
adaptor, for patches, leads to what SigLIP 2's own patches are before they are pooled, which is not comparable
with texts.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from perception_contrast.encoders.image_text_pair import PairNetwork
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.models.model_libraries import import_open_clip
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.models.weight_conversion import radio_names

# What begins the adaptor's names in the authors' checkpoints, and in files of their hub's model.
ADAPTOR = ("_heads.siglip2-g.", "radio_model.adaptors.siglip2-g.head_mlp.")
# What begins the names of the teacher's tensors that are needed.
WORDS = ("text.", "logit_scale", "logit_bias")
_TINY_IMAGES = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "linear"}


class TeacherAdaptor(nn.Module):
    """C-RADIO's vectors (..., width) to a teacher's (..., dim); parameters bear the published names.

    Args:
        width: channels of C-RADIO.
        hidden: channels inside.
        dim: channels of the teacher.
        blocks: residual ones inside.
    """

    def __init__(self, width: int, hidden: int, dim: int, blocks: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.blocks = nn.ModuleList(_layer(hidden, hidden) for _ in range(blocks))
        self.final = _layer(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) to (..., dim)."""
        x = self.fc1(x)
        for block in self.blocks:
            x = x + block(x)
        mapped: Tensor = self.final(x)
        return mapped


def _layer(width: int, dim: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, dim))


def radio_words_network(spec: ModelSpec) -> PairNetwork:
    """C-RADIO, the adaptor and the teacher's text tower at random initialisation."""
    options = dict(spec.options)
    hidden, blocks, width = (int(options.pop(name)) for name in ("adaptor_hidden", "adaptor_blocks", "width"))
    head = TeacherAdaptor(width, hidden, spec.dim, blocks)
    return PairNetwork(
        create_network(spec.arch, spec.size, options),
        head,
        _text_tower(model_spec(spec.companion).arch),
        sigmoid=True,
    )


def _text_tower(arch: str) -> Any:
    """The text tower of a network of open_clip, whose image tower is not needed and so made a small one."""
    open_clip = import_open_clip()
    config = open_clip.get_model_config(arch)
    config.pop("custom_text")
    config["vision_cfg"] |= _TINY_IMAGES
    return open_clip.CustomTextCLIP(**config).text


def radio_words_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Tensors of C-RADIO's file and of the teacher's, under the names of ``radio_words_network``.

    The adaptor of ``network`` is replaced by one of the size that the file has.
    """
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    adaptor = {
        name.removeprefix(start): value
        for start in ADAPTOR
        for name, value in plain.items()
        if name.startswith(start)
    }
    words = {
        name: value.reshape(()) if name.startswith("logit_") else value
        for name, value in plain.items()
        if name.startswith(WORDS)
    }
    made: Any = network
    if {"fc1.weight", "final.2.weight"} <= adaptor.keys():
        (hidden, width), dim = adaptor["fc1.weight"].shape, adaptor["final.2.weight"].shape[0]
        blocks = sum(name.startswith("blocks.") and name.endswith(".2.weight") for name in adaptor)
        made.visual.head = TeacherAdaptor(width, hidden, dim, blocks)
    trunk = {name: value for name, value in plain.items() if not name.startswith((*ADAPTOR, *WORDS))}
    return {
        **{f"visual.trunk.{name}": value for name, value in radio_names(trunk).items()},
        **{f"visual.head.{name}": value for name, value in adaptor.items()},
        **words,
    }
