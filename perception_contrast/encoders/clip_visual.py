"""The image towers of image-text models, run at any grid and with any method of dense features.

``OpenClipVit``, ``TimmPooledVit`` and ``FastVit`` run open_clip's networks; ``PairVit`` and ``PairConv`` run
the image side of a ``PairNetwork``, which our training writes and which TIPSv2 and C-RADIO have;
``DinoTxtVit`` runs dino.txt. A patch of a vision transformer takes the way
of the class token, or that of the attention pooling head where there is one; a cell of a convolutional
network goes alone through what follows the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dense.last_block import OpenClipBlock, TimmBlock, dense_tokens
from perception_contrast.encoders.dense.method_names import PROXY, STOCK
from perception_contrast.encoders.position_embedding import Positions
from perception_contrast.encoders.timm_backbones import VitTrunk, through, trunk_of
from perception_contrast.models.specs import ModelSpec, Resampling


@dataclass(frozen=True)
class Seen:
    """What an image tower gives; None for what is not wanted.

    Attributes:
        patches: (B, n, dim) for text, or values (B, n, width) by proxyclip; not of unit length.
        image: (B, dim), not of unit length.
        spatial: (B, n, c) of the images alone, from a tower whose plain patches are worth it.
    """

    patches: Tensor | None
    image: Tensor | None
    spatial: Tensor | None = None


class ClipVisual(Protocol):
    """The image tower of an image-text model. Holds no parameters of its own.

    Attributes:
        spatial: channels of the patches of images alone that ``encode`` gives beside those for text; 0 for
            none, where the patches for text are all there is.
        image_dim: numbers in the vector of a whole image where it has a space of its own; 0 where that and
            the patches for text share one.
    """

    spatial: int = 0
    image_dim: int = 0

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """Runs the tower.

        Args:
            images: (B, 3, H, W), normalised.
            rows: rows of patches.
            columns: columns of patches.
            method: how dense features are made (``dense.method_names``); None for none.
            pooled: whether the embedding of the whole image is wanted.

        Returns:
            Of n = rows * columns patches. Those of images alone come with ``method``.
        """
        ...

    def finish(self, gathered: Tensor) -> Tensor:
        """What proxyclip gathered (B, n, width) to (B, n, dim).

        Raises:
            ModelError: the tower is convolutional and has no attention to replace.
        """
        raise ModelError("a convolutional image tower has no attention that proxyclip could replace")

    def for_patches(self, texts: Tensor) -> Tensor:
        """Vectors of texts, which are compared with whole images, to what patches are compared with.

        Args:
            texts: (n, image_dim), or (n, dim) where ``image_dim`` is 0; not of unit length.

        Returns:
            (n, dim), not of unit length.
        """
        return texts

    def alone(self, images: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Patches of images alone (B, rows * columns, spatial), and a vector of each image (B, spatial).

        Raises:
            ModelError: ``spatial`` is 0.
        """
        raise ModelError("this image tower has no patches beside those that are comparable with text")


class OpenClipVit(ClipVisual):
    """open_clip's VisionTransformer, run at any grid."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self._positions = Positions()
        self._last = OpenClipBlock(visual.transformer.resblocks[-1])

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """As ``ClipVisual.encode``."""
        x = self._embed(images, rows, columns)
        blocks = self.visual.transformer.resblocks
        for block in blocks[:-1]:
            x = through(block, x)
        unchanged = through(blocks[-1], x)
        image = self._project(unchanged[:, 0]) if pooled else None
        if method is None:
            return Seen(None, image)
        tokens = dense_tokens(self._last, method, x, unchanged, rows, columns)[:, 1:]
        return Seen(tokens if method == PROXY else self._project(tokens), image)

    def finish(self, gathered: Tensor) -> Tensor:
        """As ``ClipVisual.finish``."""
        return self._project(self._last.out(gathered))

    def _embed(self, images: Tensor, rows: int, columns: int) -> Tensor:
        visual = self.visual
        x = visual.conv1(images).flatten(2).transpose(1, 2)
        position = visual.positional_embedding[None]
        learns = bool(visual.positional_embedding.requires_grad)
        patches = x + self._positions.at(position[:, 1:], rows, columns, learns=learns).to(x.dtype)
        first = (visual.class_embedding + position[:, 0]).to(x.dtype).expand(x.shape[0], 1, -1)
        embedded: Tensor = visual.ln_pre(torch.cat([first, patches], dim=1))
        return embedded

    def _project(self, x: Tensor) -> Tensor:
        projected: Tensor = self.visual.ln_post(x) @ self.visual.proj
        return projected


class TimmPooledVit(ClipVisual):
    """open_clip's wrapper of timm's ViT with attention pooling (SigLIP, Perception Encoder), at any grid."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self._trunk = VitTrunk(visual.trunk)

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """As ``ClipVisual.encode``."""
        trunk = self.visual.trunk
        x, rope = self._trunk.until_last(images, rows, columns)
        last = TimmBlock(trunk.blocks[-1], rope)
        unchanged = through(trunk.blocks[-1], x, rope)
        image = self._project(trunk.attn_pool(trunk.norm(unchanged))) if pooled else None
        if method is None:
            return Seen(None, image)
        tokens = dense_tokens(last, method, x, unchanged, rows, columns)[:, trunk.num_prefix_tokens :]
        return Seen(tokens if method == PROXY else self._values(tokens), image)

    def finish(self, gathered: Tensor) -> Tensor:
        """As ``ClipVisual.finish``."""
        return self._values(TimmBlock(self.visual.trunk.blocks[-1]).out(gathered))

    def _values(self, tokens: Tensor) -> Tensor:
        """Each token of the last block as if the pooling head attended to it alone, in the shared space."""
        trunk = self.visual.trunk
        return self._project(attended_alone(trunk.attn_pool, trunk.norm(tokens)))

    def _project(self, x: Tensor) -> Tensor:
        trunk = self.visual.trunk
        projected: Tensor = self.visual.head(trunk.head(trunk.fc_norm(x)))
        return projected


class FastVit(ClipVisual):
    """open_clip's wrapper of timm's FastViT (MobileCLIP), at any grid.

    Its embedding is the mean of the last map through a linear layer; each cell goes through that layer
    alone, so the mean of the dense vectors, before they are made unit, is the embedding.
    """

    def __init__(self, visual: Any) -> None:
        self.visual = visual

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """As ``ClipVisual.encode``, of the one method there is."""
        trunk = self.visual.trunk
        x = trunk.forward_features(images)
        patches = None if method is None else trunk.head.fc(x.flatten(2).transpose(1, 2))
        return Seen(patches, trunk.head(x) if pooled else None)


class PairVit(ClipVisual):
    """timm's vision transformer and a head into the shared space: of a ``PairNetwork``, TIPSv2 or C-RADIO.

    spatial: whether to give the patches that leave the unchanged last block, after the norm, as well.
    """

    def __init__(self, visual: Any, rule: Resampling, *, spatial: bool = False) -> None:
        self.visual, self.spatial = visual, int(visual.trunk.num_features) if spatial else 0
        self._trunk = VitTrunk(visual.trunk, rule)

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """As ``ClipVisual.encode``."""
        vit = self.visual.trunk
        x, rope = self._trunk.until_last(images, rows, columns)
        unchanged = through(vit.blocks[-1], x, rope)
        normed = vit.norm(unchanged)
        image = self.visual.head(self._trunk.image(normed)) if pooled else None
        if method is None:
            return Seen(None, image)
        tokens = dense_tokens(TimmBlock(vit.blocks[-1], rope), method, x, unchanged, rows, columns)
        tokens = tokens[:, vit.num_prefix_tokens :]
        spatial = normed[:, vit.num_prefix_tokens :] if self.spatial else None
        return Seen(tokens if method == PROXY else self._project(tokens), image, spatial)

    def alone(self, images: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """As ``ClipVisual.alone``."""
        x, _ = self._trunk.sequence(images, rows, columns)
        return x[:, self.visual.trunk.num_prefix_tokens :], self._trunk.image(x)

    def finish(self, gathered: Tensor) -> Tensor:
        """As ``ClipVisual.finish``."""
        return self._project(TimmBlock(self.visual.trunk.blocks[-1]).out(gathered))

    def _project(self, tokens: Tensor) -> Tensor:
        vit = self.visual.trunk
        x = vit.norm(tokens)
        projected: Tensor = self.visual.head(x if vit.attn_pool is None else attended_alone(vit.attn_pool, x))
        return projected


class DinoTxtVit(ClipVisual):
    """timm's DINO and the blocks of dino.txt, the last of which is the one that methods change.

    The image is the class token beside the mean of the patches, so texts have two halves.
    """

    def __init__(self, visual: Any, rule: Resampling) -> None:
        self.visual = visual
        self.spatial = int(visual.trunk.num_features)
        self.image_dim = 2 * self.spatial
        self._trunk = VitTrunk(visual.trunk, rule)

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """As ``ClipVisual.encode``."""
        head, before = self.visual.head, self.visual.trunk.num_prefix_tokens
        plain, _ = self._trunk.sequence(images, rows, columns)
        x = plain
        for block in head.blocks[:-1]:
            x = through(block, x)
        last = head.blocks[-1]
        unchanged = through(last, x)
        seen = head.norm(unchanged)
        image = torch.cat([seen[:, 0], seen[:, before:].mean(1)], dim=-1) if pooled else None
        if method is None:
            return Seen(None, image)
        if method == STOCK:
            return Seen(seen[:, before:], image, plain[:, before:])
        tokens = dense_tokens(TimmBlock(last), method, x, unchanged, rows, columns)[:, before:]
        return Seen(tokens if method == PROXY else head.norm(tokens), image, plain[:, before:])

    def for_patches(self, texts: Tensor) -> Tensor:
        """As ``ClipVisual.for_patches``: the second half, which goes with the mean of the patches."""
        return texts[:, self.spatial :]

    def alone(self, images: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """As ``ClipVisual.alone``, of DINO as it was trained."""
        x, _ = self._trunk.sequence(images, rows, columns)
        return x[:, self.visual.trunk.num_prefix_tokens :], self._trunk.image(x)

    def finish(self, gathered: Tensor) -> Tensor:
        """As ``ClipVisual.finish``."""
        finished: Tensor = self.visual.head.norm(TimmBlock(self.visual.head.blocks[-1]).out(gathered))
        return finished


class PairConv(ClipVisual):
    """The image side of a ``PairNetwork``: timm's ResNet or ConvNeXt and a linear layer."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self._trunk = trunk_of(visual.trunk)

    def encode(self, images: Tensor, rows: int, columns: int, *, method: str | None, pooled: bool) -> Seen:
        """As ``ClipVisual.encode``, of the one method there is."""
        tokens, image, _ = self._trunk.run(images, rows, columns, ())
        patches = None
        if method is not None:
            cells = tokens.reshape(-1, tokens.shape[-1], 1, 1)
            alone = self.visual.trunk.forward_head(cells, pre_logits=True)
            patches = self.visual.head(alone.reshape(images.shape[0], rows * columns, -1))
        return Seen(patches, self.visual.head(image) if pooled else None)


def attended_alone(pool: Any, tokens: Tensor) -> Tensor:
    """Each token (B, n, c), after the norm, as if timm's attention pooling head attended to it alone."""
    y = pool.proj(pool.kv(tokens).chunk(2, dim=-1)[1])
    alone: Tensor = y + pool.mlp(pool.norm(y))
    return alone


def clip_visual_of(network: Any, spec: ModelSpec) -> ClipVisual:
    """Runs the image tower of ``network`` as it is built.

    Args:
        network: a ``PairNetwork`` where ``spec.words`` is set and for TIPSv2, C-RADIO and dino.txt, else
            open_clip's.
        spec: the model's entry in the registry.

    Raises:
        ModelError: no way to dense features of such a tower is known.
    """
    visual = network.visual
    if spec.family == "dinotxt":
        return DinoTxtVit(visual, spec.resampling)
    if spec.family in ("tips", "radio-words"):
        return PairVit(visual, spec.resampling, spatial=True)
    if spec.words is not None:
        is_vit = hasattr(visual.trunk, "blocks")
        return PairVit(visual, spec.resampling) if is_vit else PairConv(visual)
    trunk = getattr(visual, "trunk", None)
    if trunk is None:
        return OpenClipVit(visual)
    if getattr(trunk, "attn_pool", None) is not None:
        return TimmPooledVit(visual)
    if type(trunk).__name__ == "FastVit":
        return FastVit(visual)
    raise ModelError(f"'{spec.name}': dense features of a {type(trunk).__name__} image tower are not known")
