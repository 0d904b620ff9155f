"""Towers of pictures and words: CLIP (Radford et al. 2021), SigLIP (Zhai et al. 2023; Tschannen et al.,
SigLIP 2, 2025), Perception Encoder (Bolya et al. 2025), MobileCLIP 2 (Faghri et al. 2025).

Dense features come from the stock weights: for CLIP the last block attends by keys and by nearness
(Hajimiri et al., "Pay Attention to Your Neighbours" (NACLIP), WACV 2025); for SigLIP and Perception
Encoder each patch goes alone through the value path of the attention pooling head; for MobileCLIP
each cell of the last map goes alone through the projection of the mean.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..cache import sha256_of
from ..errors import ModelError
from .grid import space_name
from .matching import Matching
from .position import Positions, grid_of
from .registry import ModelSpec, Triple, model_spec
from .trunks import VitTrunk
from .weights import Progress, load_strictly, load_tensors, weights_file

NEARNESS_SIGMA = 5.0  # patches; NACLIP's published value


@dataclass(frozen=True)
class ClipOutput:
    """dense (B, h, w, dim) and image (B, dim), unit vectors; None where not asked for."""

    dense: Tensor | None
    image: Tensor | None


class ClipTower(nn.Module):
    """Both towers of a CLIP, SigLIP or their like; pictures at any size that is a multiple of the patch.

    model, space: identity. patch: pixels. dim: of the shared space. mean, std: of RGB in [0, 1].
    tokenizer_file: of SigLIP's words, None for CLIP, whose vocabulary comes with open_clip.
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, space: str, tokenizer_file: Path | None = None
    ) -> None:
        super().__init__()
        self.network: Any = network  # open_clip declares few types
        self.spec, self.tokenizer_file = spec, tokenizer_file
        self.model, self.space = spec.name, space
        self.patch, self.dim = spec.patch, spec.dim
        self.mean: Triple = spec.mean
        self.std: Triple = spec.std
        self._visual = _visual_of(network, spec.name)

    def forward(self, images: Tensor, *, dense: bool = True, pooled: bool = True) -> ClipOutput:
        """images (B, 3, H, W) float, normalised by mean and std. What both outputs share is computed once."""
        rows, columns = grid_of(images, self.patch, self.model)
        patches, image = self._visual.encode(images, rows, columns, dense=dense, pooled=pooled)
        if patches is not None:
            patches = functional.normalize(patches, dim=-1).reshape(images.shape[0], rows, columns, -1)
        return ClipOutput(patches, None if image is None else functional.normalize(image, dim=-1))

    @property
    def matching(self) -> Matching:
        """Of whole pictures with texts, as the network was trained."""
        scale, bias = self.network.logit_scale, getattr(self.network, "logit_bias", None)
        return Matching(scale.detach().exp().item(), None if bias is None else bias.detach().item())

    def image_embedding(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to (B, dim) unit vectors."""
        image = self.forward(images, dense=False).image
        assert image is not None
        return image

    def dense(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to (B, h, w, dim) unit vectors, comparable with text."""
        patches = self.forward(images, pooled=False).dense
        assert patches is not None
        return patches

    def text_embedding(self, tokens: Tensor) -> Tensor:
        """Token ids (n, T) to (n, dim) unit vectors. A text that is too long for the model is cut."""
        text = getattr(self.network, "text", self.network)
        fitting = _cut(tokens, text.context_length, text.vocab_size - 1)
        vectors: Tensor = self.network.encode_text(fitting, normalize=True)
        return vectors


class _ClipVisual:
    """open_clip's VisionTransformer, run at any grid. Holds no parameters of its own."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self._positions = Positions(antialias=True)

    def encode(
        self, images: Tensor, rows: int, columns: int, *, dense: bool, pooled: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        x = self._embed(images, rows, columns)
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            x = block(x)
        patches = self._project(_neighbour_attention(last, x, rows, columns)[:, 1:]) if dense else None
        return patches, self._project(last(x)[:, 0]) if pooled else None

    def _embed(self, images: Tensor, rows: int, columns: int) -> Tensor:
        visual = self.visual
        x = visual.conv1(images).flatten(2).transpose(1, 2)
        position = visual.positional_embedding[None]
        patches = x + self._positions.at(position[:, 1:], rows, columns).to(x.dtype)
        first = (visual.class_embedding + position[:, 0]).to(x.dtype).expand(x.shape[0], 1, -1)
        embedded: Tensor = visual.ln_pre(torch.cat([first, patches], dim=1))
        return embedded

    def _project(self, x: Tensor) -> Tensor:
        projected: Tensor = self.visual.ln_post(x) @ self.visual.proj
        return projected


class _PooledVisual:
    """open_clip's wrapper of timm's ViT with attention pooling (SigLIP, Perception Encoder), at any grid."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self._trunk = VitTrunk(visual.trunk)

    def encode(
        self, images: Tensor, rows: int, columns: int, *, dense: bool, pooled: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        trunk = self.visual.trunk
        x, _ = self._trunk.sequence(images, rows, columns)
        patches = self._project(self._values(x[:, trunk.num_prefix_tokens :])) if dense else None
        return patches, self._project(trunk.attn_pool(x)) if pooled else None

    def _values(self, x: Tensor) -> Tensor:
        """Each token as if the pooling head attended to it alone."""
        head = self.visual.trunk.attn_pool
        y = head.proj(head.kv(x).chunk(2, dim=-1)[1])
        values: Tensor = y + head.mlp(head.norm(y))
        return values

    def _project(self, x: Tensor) -> Tensor:
        trunk = self.visual.trunk
        projected: Tensor = self.visual.head(trunk.head(trunk.fc_norm(x)))
        return projected


class _MeanVisual:
    """open_clip's wrapper of timm's FastViT (MobileCLIP), at any grid.

    Its embedding is the mean of the last map through a linear layer; each cell goes through that layer
    alone, so the mean of the dense vectors, before they are made unit, is the embedding.
    """

    def __init__(self, visual: Any) -> None:
        self.visual = visual

    def encode(
        self, images: Tensor, rows: int, columns: int, *, dense: bool, pooled: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        trunk = self.visual.trunk
        x = trunk.forward_features(images)
        patches = trunk.head.fc(x.flatten(2).transpose(1, 2)) if dense else None
        return patches, trunk.head(x) if pooled else None


def _visual_of(network: Any, model: str) -> _ClipVisual | _PooledVisual | _MeanVisual:
    """By how the tower is built. Raises ModelError for one without a known way to dense features."""
    visual = network.visual
    trunk = getattr(visual, "trunk", None)
    if trunk is None:
        return _ClipVisual(visual)
    if getattr(trunk, "attn_pool", None) is not None:
        return _PooledVisual(visual)
    if type(trunk).__name__ == "FastVit":
        return _MeanVisual(visual)
    raise ModelError(f"'{model}': dense features of a {type(trunk).__name__} image tower are not known")


def nearness(rows: int, columns: int, sigma: float = NEARNESS_SIGMA) -> Tensor:
    """(rows * columns, rows * columns): ``exp(-|p_i - p_j|^2 / (2 sigma^2))``, row-major patches p."""

    def along(count: int) -> Tensor:
        place = torch.arange(count, dtype=torch.float32)
        return torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))

    # A two-dimensional Gaussian is the product of two one-dimensional ones.
    return torch.kron(along(rows), along(columns))


def _neighbour_attention(block: Any, x: Tensor, rows: int, columns: int) -> Tensor:
    """NACLIP's last block: softmax(k k^T scale + nearness) v, out projection; no residual, no MLP.

    The class token takes part with no nearness, as in the published method.
    """
    attention = block.attn
    mixed = functional.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    _, key, value = mixed.reshape(*x.shape[:2], 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    bias = functional.pad(nearness(rows, columns), (1, 0, 1, 0)).to(key)
    seen = functional.scaled_dot_product_attention(key, key, value, attn_mask=bias)
    out: Tensor = attention.out_proj(seen.transpose(1, 2).flatten(2))
    return out


def _cut(tokens: Tensor, length: int, end: int) -> Tensor:
    """Ids (n, T) to (n, at most length). Of a text that is cut the last id is ``end``, which CLIP reads."""
    if tokens.shape[1] <= length:
        return tokens
    kept = tokens[:, :length].clone()
    kept[~(kept == end).any(1), -1] = end
    return kept


def load_clip(
    name: str | ModelSpec,
    *,
    device: str = "cpu",
    offline: bool = False,
    weights: Path | None = None,
    random_init: bool = False,
    progress: Progress | None = None,
) -> ClipTower:
    """A model of pictures and words, by its name or spec, in evaluation mode without gradients.

    weights: a local file in open_clip's names; SigLIP's tokenizer.json is looked for beside it.
    random_init: no weights at all, for checks of the computation. Raises ModelError.
    """
    spec = model_spec(name) if isinstance(name, str) else name
    if spec.spatial or spec.family in ("lit", "text"):
        raise ModelError(
            f"'{spec.name}' has no tower of words beside its pictures'; choose one of clip-*, metaclip-*, "
            "dfn-*, siglip*, mobileclip2-* or pe-core-*"
        )
    path = None if random_init else weights or weights_file(spec, offline=offline, progress=progress)
    network = _network(spec.arch)
    if path:
        load_strictly(network, _plain_names(load_tensors(path), network), path)
    sha256 = sha256_of(path) if path else _digest(network)
    tower = ClipTower(network, spec, space_name(spec.name, sha256), _tokenizer_beside(path))
    return tower.eval().requires_grad_(False).to(device)


def _network(arch: str) -> nn.Module:
    """Both towers as open_clip configures them, at random initialisation."""
    import open_clip

    config = open_clip.get_model_config(arch)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    network: nn.Module = kind(**config)
    trunk: Any = getattr(network.visual, "trunk", None)
    if getattr(trunk, "rope", None) is not None:
        trunk.rope = _free_rotations(config["vision_cfg"]["timm_model_name"])
    return network


def _free_rotations(arch: str) -> nn.Module:
    """The rotary embedding of a timm architecture for any grid; open_clip asks for one grid alone."""
    import timm

    # It is the same for every block, so a network of one block has it.
    shallow: Any = timm.create_model(arch, depth=1, num_classes=0, dynamic_img_size=True)
    rope: nn.Module = shallow.rope
    return rope


def _plain_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Without the prefix that distributed training adds, scalars in the shape the network has."""
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    return {n: v.reshape(shapes[n]) if v.numel() == 1 and n in shapes else v for n, v in plain.items()}


def _tokenizer_beside(path: Path | None) -> Path | None:
    found = path.with_name("tokenizer.json") if path else None
    return found if found and found.is_file() else None


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
