"""Pictures and words that training brought together: a tower of pictures, a linear layer, a text tower.

Of a vision transformer a patch is compared with words by the way that its class token goes, or by that of
the attention pooling head where it has one; of a convolutional network each cell goes alone through what
follows the mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..cache import replacing, sha256_of
from ..errors import ModelError
from ..language.text_networks import sentence_head, word_transformer
from .dense.blocks import TimmBlock, dense_tokens
from .dense.names import PROXY
from .registry import MINILM
from .specs import ModelSpec
from .trunks import VitTrunk, create_network, through, trunk_of
from .weights import load_strictly, load_tensors

PICTURES = "pictures"  # in the words' file: sha256 of the weights that they were fitted to


class Pictures(nn.Module):
    """trunk: timm's network. head: its vector to the shared space."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head


class PairNetwork(nn.Module):
    """As open_clip's networks are built; all but ``visual.trunk`` is what the words' file holds.

    text: ids (n, T) or sentence vectors (n, c) to (n, dim). logit_scale: logarithm. logit_bias: None unless
    each pair stands for itself.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, text: nn.Module, *, sigmoid: bool) -> None:
        super().__init__()
        self.visual, self.text = Pictures(trunk, head), text
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.logit_bias = nn.Parameter(torch.zeros(())) if sigmoid else None

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        """(n, dim)."""
        vectors: Tensor = self.text(tokens)
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Of the text tower; blocks of ``trunk`` are marked one by one."""
        if hasattr(self.text, "set_grad_checkpointing"):
            self.text.set_grad_checkpointing(enable)


class HeadedVit:
    """A ``Pictures`` of timm's vision transformer at any grid. Holds no parameters of its own."""

    def __init__(self, visual: Any, *, antialias: bool) -> None:
        self.visual = visual
        self._trunk = VitTrunk(visual.trunk, antialias=antialias)

    def encode(
        self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Patches (B, rows * columns, dim), or their values by proxyclip, and pictures (B, dim), not unit."""
        vit = self.visual.trunk
        x, rope = self._trunk.until_last(images, rows, columns)
        whole = through(vit.blocks[-1], x, rope)
        picture = self.visual.head(self._trunk.picture(vit.norm(whole))) if pooled else None
        if method is None:
            return None, picture
        tokens = dense_tokens(TimmBlock(vit.blocks[-1], rope), method, x, whole, rows, columns)
        tokens = tokens[:, vit.num_prefix_tokens :]
        return tokens if method == PROXY else self._project(tokens), picture

    def finish(self, gathered: Tensor) -> Tensor:
        """What patches gathered (B, n, width) to (B, n, dim)."""
        return self._project(TimmBlock(self.visual.trunk.blocks[-1]).out(gathered))

    def _project(self, tokens: Tensor) -> Tensor:
        vit = self.visual.trunk
        x = vit.norm(tokens)
        projected: Tensor = self.visual.head(x if vit.attn_pool is None else attended_alone(vit.attn_pool, x))
        return projected


class HeadedMap:
    """A ``Pictures`` of timm's ResNet or ConvNeXt at any grid."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self._trunk = trunk_of(visual.trunk)

    def encode(
        self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """As ``HeadedVit.encode``, of the one method there is."""
        tokens, picture, _ = self._trunk.run(images, rows, columns, ())
        patches = None
        if method is not None:
            cells = tokens.reshape(-1, tokens.shape[-1], 1, 1)
            alone = self.visual.trunk.forward_head(cells, pre_logits=True)
            patches = self.visual.head(alone.reshape(images.shape[0], rows * columns, -1))
        return patches, self.visual.head(picture) if pooled else None


def attended_alone(pool: Any, tokens: Tensor) -> Tensor:
    """Each token (B, n, c), after the norm, as if timm's attention pooling head attended to it alone."""
    y = pool.proj(pool.kv(tokens).chunk(2, dim=-1)[1])
    alone: Tensor = y + pool.mlp(pool.norm(y))
    return alone


def headed_visual(network: PairNetwork, spec: ModelSpec) -> HeadedVit | HeadedMap:
    """What runs a network's tower of pictures."""
    if hasattr(network.visual.trunk, "blocks"):
        return HeadedVit(network.visual, antialias=spec.antialias)
    return HeadedMap(network.visual)


def pair_network(spec: ModelSpec) -> PairNetwork:
    """The network of a model of pictures with words, at random initialisation."""
    words = spec.words
    assert words is not None
    if words.tower == "minilm":
        text = sentence_head(MINILM.dim, words.dim, words.hidden)
    else:
        text = word_transformer(words.width, words.depth, words.heads, words.context, words.dim)
    head: nn.Module = nn.Linear(spec.dim, words.dim, bias=False) if words.head else nn.Identity()
    trunk = create_network(spec.arch, spec.size, dict(spec.options))
    return PairNetwork(trunk, head, text, sigmoid=words.sigmoid)


def save_words(network: PairNetwork, path: Path, pictures: str) -> str:
    """Writes all but the tower of pictures; gives the file's sha256. pictures: sha256 of that tower's file."""
    from safetensors.torch import save_file

    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
        if not name.startswith("visual.trunk.")
    }
    with replacing(path) as part:
        save_file(tensors, str(part), {PICTURES: pictures})
        part.chmod(0o644)
    return sha256_of(path)


def load_pair(spec: ModelSpec, path: Path) -> tuple[PairNetwork, str]:
    """The network with its weights, and the sha256 of the words' file, which names those of the pictures'.

    path: the weights of the tower of pictures. Raises ModelError for files that do not belong together.
    """
    assert spec.words is not None
    words = path.with_name(spec.words.file)
    state = load_tensors(words)
    fitted, found = _pictures_of(words), sha256_of(path)
    if fitted != found:
        raise ModelError(
            f"{words} was fitted to pictures' weights with sha256 {fitted[:12] or 'unknown'}, and {path.name} "
            f"has {found[:12]}; put the file that it was exported with there"
        )
    network = pair_network(spec)
    load_strictly(network.visual.trunk, load_tensors(path), path)
    trunk = {f"visual.trunk.{name}": value for name, value in network.visual.trunk.state_dict().items()}
    load_strictly(network, {**trunk, **state}, words)
    return network, sha256_of(words)


def _pictures_of(words: Path) -> str:
    from safetensors import safe_open

    with safe_open(str(words), framework="pt") as file:
        return str((file.metadata() or {}).get(PICTURES, ""))
