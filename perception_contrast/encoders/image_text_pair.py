"""Image-text pairs that our training made: an image tower, a linear layer and a text tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.models.folder_models import TEXT_TOWERS
from perception_contrast.models.registry import MINILM
from perception_contrast.models.specs import ModelSpec
from perception_contrast.models.weight_loading import load_strictly, load_tensors, uninitialised
from perception_contrast.text.text_networks import clip_text_transformer, sentence_projection
from perception_contrast.text.text_tower_kind import text_tower_kind

IMAGES = "pictures"  # in the words' file: sha256 of the weights that they were fitted to


class ImageTower(nn.Module):
    """The image side. trunk: timm's network. head: maps its vector into the shared space."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head


class PairNetwork(nn.Module):
    """Both towers, built as open_clip's networks are; the words' file holds all but ``visual.trunk``.

    Args:
        trunk: timm's network.
        head: its vectors to the shared space.
        text: ids (n, T) or sentence vectors (n, c) to (n, dim).
        sigmoid: whether the loss is a sigmoid of each pair, which has a bias.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, text: nn.Module, *, sigmoid: bool) -> None:
        super().__init__()
        self.visual = ImageTower(trunk, head)
        self.text: Any = text
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.logit_bias = nn.Parameter(torch.zeros(())) if sigmoid else None

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        """(n, dim)."""
        vectors: Tensor = self.text(tokens)
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Of the text tower; blocks of ``trunk`` are marked one by one."""
        if hasattr(self.text, "transformer"):
            self.text.set_grad_checkpointing(enable)


def pair_network(spec: ModelSpec) -> PairNetwork:
    """The network of a model of images with words, at random initialisation."""
    words = spec.words
    assert words is not None
    if words.tower == "minilm":
        text = sentence_projection(MINILM.dim, words.dim, words.hidden)
    elif words.tower not in TEXT_TOWERS:
        text = text_tower_kind(words.tower).make(words, words.dim)
    else:
        text = clip_text_transformer(words.width, words.depth, words.heads, words.context, words.dim)
    head: nn.Module = nn.Linear(spec.dim, words.dim, bias=False) if words.head else nn.Identity()
    trunk = create_network(spec.arch, spec.size, dict(spec.options))
    return PairNetwork(trunk, head, text, sigmoid=words.sigmoid)


def save_words(network: PairNetwork, path: Path, images: str) -> str:
    """Writes all but the tower of images; gives the file's sha256. images: sha256 of that one's file."""
    from safetensors.torch import save_file

    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
        if not name.startswith("visual.trunk.")
    }
    with writing(path) as part:
        save_file(tensors, str(part), {IMAGES: images})
        part.chmod(0o644)
    return sha256_of(path)


def load_pair(spec: ModelSpec, path: Path) -> tuple[PairNetwork, str]:
    """The network with its weights, and the sha256 of the words' file, which names those of the images'.

    path: the weights of the tower of images. Raises ModelError for files that do not belong together.
    """
    assert spec.words is not None
    words = path.with_name(spec.words.file)
    state = load_tensors(words)
    fitted, found = _images_of(words), sha256_of(path)
    if fitted != found:
        raise ModelError(
            f"{words} was fitted to images' weights with sha256 {fitted[:12] or 'unknown'}, and that of "
            f"{path.name} is {found[:12]}; put the file that it was exported with there"
        )
    with uninitialised():
        network = pair_network(spec)
    load_strictly(network.visual.trunk, load_tensors(path), path)
    trunk = {f"visual.trunk.{name}": value for name, value in network.visual.trunk.state_dict().items()}
    load_strictly(network, {**trunk, **state}, words)
    return network, sha256_of(words)


def _images_of(words: Path) -> str:
    from safetensors import safe_open

    with safe_open(str(words), framework="pt") as file:
        return str((file.metadata() or {}).get(IMAGES, ""))
