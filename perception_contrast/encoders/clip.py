"""Image-text encoders: CLIP (Radford et al., 2021), SigLIP (Zhai et al., 2023; Tschannen et al., SigLIP 2,
2025), Perception Encoder (Bolya et al., 2025), MobileCLIP 2 (Faghri et al., 2025), TIPSv2 (``tips``),
dino.txt (``dinotxt``) and C-RADIO (``radio_words``).

Dense features need no training: a method of ``dense/`` changes the attention of the last block. CLIP's
tokens then go through the last norm and the projection; a token of SigLIP or Perception Encoder goes alone
through the value path of the attention pooling head; a cell of MobileCLIP's last map goes alone through
the projection of the mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from perception_contrast.core.cache import sha256_of_all
from perception_contrast.core.embedding_spaces import require_same_space, space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.encoders.clip_visual import ClipVisual, clip_visual_of
from perception_contrast.encoders.dense.method_names import AUTO, PROXY, method_alone, require_method
from perception_contrast.encoders.dense.proxyclip import gather_by_proxy, resampled_grid
from perception_contrast.encoders.dinotxt import dinotxt_names, dinotxt_network
from perception_contrast.encoders.image_text_pair import load_pair, pair_network
from perception_contrast.encoders.metaclip2 import metaclip2_names, metaclip2_network
from perception_contrast.encoders.patch_encoder import PatchEncoder
from perception_contrast.encoders.position_embedding import grid_of
from perception_contrast.encoders.radio_words import WORDS, radio_words_names, radio_words_network
from perception_contrast.encoders.tips import tips_names, tips_network
from perception_contrast.models.download import Progress
from perception_contrast.models.folder_models import TEXT_TOWERS
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.model_libraries import import_open_clip, import_timm
from perception_contrast.models.registry import IMAGE_TEXT_NAMES, model_spec
from perception_contrast.models.specs import ModelSpec, Triple
from perception_contrast.models.weight_loading import (
    DeferredWeights,
    load_in_two_steps,
    load_strictly,
    load_tensors,
    uninitialised,
)
from perception_contrast.models.weights import all_weights, weights_file
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.causal_text_tower import ends_of, reads_to_the_end_alone, vectors_at_ends
from perception_contrast.text.clip_text_encoder import tokenizer_beside
from perception_contrast.text.sentence_encoder import deferred_minilm
from perception_contrast.text.text_tower_kind import TowerTokens, text_tower_kind
from perception_contrast.text.tips_transformer import TipsTextTransformer


@dataclass(frozen=True)
class ClipOutput:
    """What ``ClipTower.forward`` gives; None for what was not requested.

    Attributes:
        dense: (B, h, w, dim), unit vectors.
        image: (B, dim), unit vectors; of ``image_dim`` numbers where images have a space of their own.
        values: (B, h, w, width), in place of dense where the method is proxyclip: values of the last
            block's attention, for ``ClipTower.by_proxy``.
        spatial: (B, h, w, c), the patches of the images alone; of towers where they are worth it.
    """

    dense: Tensor | None
    image: Tensor | None
    values: Tensor | None = None
    spatial: Tensor | None = None


class ClipTower(nn.Module, ImageEncoder):
    """Both towers of a CLIP, SigLIP or their like; images at any size that is a multiple of the patch.

    Args:
        network: open_clip's network, or a ``PairNetwork`` where ``spec.words`` is set.
        spec: patch, dimensions of the shared space, normalisation.
        space: identity of the shared space.
        tokenizer_file: the tokenizer's file; None for CLIP, whose vocabulary comes with open_clip.
        sentences: encodes texts first, for a text tower that was fitted to its vectors.
        method: how dense features are made; "auto" is the best that needs no other encoder.
        deferred_texts: weights of the text tower that are not in ``network`` yet.

    Attributes:
        image_space: identity of the space in which whole images and texts are compared. It is ``space``,
            which patches and texts share, but for dino.txt.

    Raises:
        ModelError: the tower cannot make dense features by this method.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        space: str,
        tokenizer_file: Path | None = None,
        *,
        sentences: TextEncoder | None = None,
        method: str = AUTO,
        deferred_texts: DeferredWeights | None = None,
    ) -> None:
        super().__init__()
        self._deferred_texts = deferred_texts or DeferredWeights()
        self.method = method_alone(spec) if method == AUTO else method
        require_method(spec, self.method)
        self.network: Any = network  # open_clip declares few types
        self.spec, self.tokenizer_file, self.sentences = spec, tokenizer_file, sentences
        self.model, self.family, self.space = spec.name, spec.family, space
        self.patch, self.dim = spec.patch, spec.dim
        self.mean: Triple = spec.mean
        self.std: Triple = spec.std
        self.image_input, self.tile = spec.image_input, spec.tile
        self.visual: ClipVisual = clip_visual_of(network, spec)
        self.image_space = f"{space}/image" if self.visual.image_dim else space
        # In a tuple, since a module that is registered inside its own part would never end.
        self._alone = (PatchEncoder(self),) if self.visual.spatial else ()

    @property
    def backbone(self) -> ImageEncoder:
        """Its patches before they are made comparable with text, where it has such; else itself."""
        return self._alone[0] if self._alone else self

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """Dense features or values for ProxyCLIP, the image's embedding, and the backbone's patches."""
        pooled = (Role.SPATIAL_POOLED, Role.LANGUAGE_POOLED)
        image = EncoderOutput("image", pooled, self.image_space, unit=True)
        tokens = tuple(one.outputs[0] for one in self._alone)
        if self.method == PROXY:
            return (EncoderOutput("values", (Role.PROXY_VALUES,), f"{self.space}/values"), image, *tokens)
        roles = (Role.LANGUAGE,) if tokens else (Role.SPATIAL, Role.LANGUAGE)
        return (EncoderOutput("dense", roles, self.space, unit=True), image, *tokens)

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; gives no ``layers``."""
        seen: ClipOutput = self(images)
        grid = seen.values if seen.dense is None else seen.dense
        assert grid is not None and seen.image is not None
        return (grid, seen.image) if seen.spatial is None else (grid, seen.image, seen.spatial)

    def forward(self, images: Tensor, *, dense: bool = True, pooled: bool = True) -> ClipOutput:
        """images (B, 3, H, W) float, normalised by mean and std. What both outputs share is computed once."""
        rows, columns = grid_of(images, self.patch, self.model)
        seen = self.visual.encode(images, rows, columns, method=self.method if dense else None, pooled=pooled)
        image = None if seen.image is None else _unit(seen.image)
        if seen.patches is None:
            return ClipOutput(None, image)
        shape = (images.shape[0], rows, columns, -1)
        grid = seen.patches.reshape(shape)
        spatial = None if seen.spatial is None else seen.spatial.reshape(shape)
        if self.method == PROXY:
            return ClipOutput(None, image, grid, spatial)
        return ClipOutput(_unit(grid), image, None, spatial)

    def by_proxy(self, values: Tensor, features: Tensor) -> Tensor:
        """As ``ImageEncoder.by_proxy`` (ProxyCLIP, Lan et al., ECCV 2024).

        Raises:
            ModelError: the tower is convolutional.
        """
        require_method(self.spec, PROXY)
        rows, columns = features.shape[1:3]
        offered = resampled_grid(values, rows, columns).flatten(1, 2)
        patches = self.visual.finish(gather_by_proxy(features.flatten(1, 2), offered))
        return _unit(patches).reshape(*features.shape[:3], -1)

    @property
    def logit_scale(self) -> LogitScale:
        """Of whole images with texts, as the network was trained."""
        scale, bias = self.network.logit_scale, getattr(self.network, "logit_bias", None)
        return LogitScale(scale.detach().exp().item(), None if bias is None else bias.detach().item())

    def image_embedding(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to (B, dim) unit vectors."""
        image = self.forward(images, dense=False).image
        assert image is not None
        return image

    def dense(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to (B, h, w, dim) unit vectors, comparable with text.

        Raises ModelError where they need another encoder's features.
        """
        patches = self.forward(images, pooled=False).dense
        if patches is None:
            raise ModelError(f"'{self.model}' by {self.method} needs an image encoder's features: by_proxy")
        return patches

    def text_embedding(self, tokens: Tensor) -> Tensor:
        """Token ids (n, T), or vectors of ``sentences`` (n, c), to (n, dim) unit vectors of ``space``.

        A text that is too long for the model is cut.
        """
        return functional.normalize(self.visual.for_patches(self.text_vectors(tokens)), dim=-1)

    @property
    def of_images(self) -> WordsOfImages | ClipTower:
        """The model as a text encoder for whole images takes it; itself where patches have the same space."""
        return WordsOfImages(self) if self.visual.image_dim else self

    def image_vectors(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) to (B, dim) as they are before they are made unit, which training compares."""
        rows, columns = grid_of(images, self.patch, self.model)
        image = self.visual.encode(images, rows, columns, method=None, pooled=True).image
        assert image is not None
        return image

    def text_vectors(self, tokens: Tensor) -> Tensor:
        """As ``text_embedding``, before they are made unit; comparable with whole images."""
        self._deferred_texts.load(self.network)
        if self.sentences is None:
            text = self._text
            tokens = _cut(tokens, text.context_length, text.vocab_size - 1)
            if tokens.shape[1] < text.context_length and reads_to_the_end_alone(text):
                return vectors_at_ends(text, tokens)
        vectors: Tensor = self.network.encode_text(tokens, normalize=False)
        return vectors

    def tokens_read(self, tokens: Tensor) -> Tensor:
        """How many of its ids (n, T) each text's vector depends on, (n,); the rest may be cut off."""
        text = self._text
        if self.sentences is None and isinstance(text, TipsTextTransformer):
            return text.tokens_read(tokens)
        if self.sentences is None and reads_to_the_end_alone(text):
            return ends_of(text, tokens) + 1
        return torch.full((len(tokens),), tokens.shape[1])

    @property
    def _text(self) -> Any:
        """The text tower; of open_clip's ``CLIP`` the network, which has its parts."""
        return getattr(self.network, "text", self.network)


class WordsOfImages:
    """The text side of a tower whose whole images have a space of their own, in it (a ``ClipLike``)."""

    def __init__(self, tower: ClipTower) -> None:
        self._tower = tower
        self.model, self.space, self.dim = tower.model, tower.image_space, tower.visual.image_dim
        self.spec, self.tokenizer_file, self.sentences = tower.spec, tower.tokenizer_file, tower.sentences

    def text_embedding(self, tokens: Tensor) -> Tensor:
        """As ``ClipTower.text_embedding``, to (n, dim) unit vectors of ``space``."""
        return functional.normalize(self._tower.text_vectors(tokens), dim=-1)

    def tokens_read(self, tokens: Tensor) -> Tensor:
        """As ``ClipTower.tokens_read``."""
        return self._tower.tokens_read(tokens)

    def parameters(self) -> Any:
        """Those of the tower."""
        return self._tower.parameters()


def _unit(vectors: Tensor) -> Tensor:
    """Of unit length in float32, whatever the products before were made in."""
    return functional.normalize(vectors.float(), dim=-1)


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
    method: str = AUTO,
    progress: Progress | None = None,
    defer_texts: bool = False,
) -> ClipTower:
    """A model of images and words, by its name or spec, in evaluation mode without gradients.

    Also one of images that training gave words: both together. weights: a local file in open_clip's names;
    SigLIP's tokenizer.json and what else a model has beside its weights are looked for beside it. The
    companion of a model that has one is taken from where it comes from. random_init: no weights at all, for
    checks of the computation. method: as of ``ClipTower``. defer_texts: read the weights of the text tower
    when the first text comes, where the file allows it: for a model that only answers. Raises ModelError.
    """
    spec = model_spec(name) if isinstance(name, str) else name
    if not spec.knows_words or spec.family in ("lit", "text", "student"):
        raise ModelError(
            f"'{spec.name}' has no tower of words beside its images'; choose one of {IMAGE_TEXT_NAMES}"
        )
    if method != AUTO:
        require_method(spec, method)
    path = None if random_init else weights or weights_file(spec, offline=offline, progress=progress)
    if spec.words is not None:
        return _with_words(spec, path, device=device, offline=offline, method=method, progress=progress)
    files = all_weights(spec, path, offline=offline, progress=progress) if path else ()
    with uninitialised() if files else nullcontext():
        network = _network_of(spec)
    texts = DeferredWeights()
    if path:
        state = _NAMES.get(spec.family, _plain_names)(_tensors_of(spec, files), network)
        # Tensors of another format would stay in memory until they are used.
        if defer_texts and all(file.suffix == ".safetensors" for file in files):
            texts = load_in_two_steps(network, state, path, _is_of_texts)
        else:
            load_strictly(network, state, path)
    sha256 = sha256_of_all(files) if files else _digest(network)
    words = tokenizer_beside(files[-1] if files else None, spec.family)
    space = space_name(spec.name, sha256)
    tower = ClipTower(network, spec, space, words, method=method, deferred_texts=texts)
    return tower.eval().requires_grad_(False).to(device)


def _is_of_texts(name: str) -> bool:
    """Whether a tensor of a network is of its text tower."""
    return not name.startswith(("visual.", "logit_"))


def _tensors_of(spec: ModelSpec, files: Sequence[Path]) -> dict[str, Tensor]:
    """Those of all files of a model; of a teacher beside C-RADIO its text tower's alone."""
    *own, last = files
    keep = WORDS if spec.family == "radio-words" else ()
    parts = [*(load_tensors(file) for file in own), load_tensors(last, keep)]
    return {name: value for part in parts for name, value in part.items()}


def _with_words(
    spec: ModelSpec, path: Path | None, *, device: str, offline: bool, method: str, progress: Progress | None
) -> ClipTower:
    """path: of the images' weights, None for random ones."""
    words = spec.words
    assert words is not None
    network, sha256 = load_pair(spec, path) if path else (pair_network(spec), "")
    sentences: Any = None
    if words.tower not in TEXT_TOWERS:
        sentences = TowerTokens(text_tower_kind(words.tower), words.context)
    elif words.tower == "minilm":
        sentences = deferred_minilm(device=device, offline=offline, progress=progress)
        require_same_space(words.sentences, sentences.space, f"the words of '{spec.name}'")
    space = space_name(spec.name, sha256 or _digest(network))
    shared = replace(spec, dim=words.dim)
    tower = ClipTower(network, shared, space, sentences=sentences, method=method)
    return tower.eval().requires_grad_(False).to(device)


def _network_of(spec: ModelSpec) -> nn.Module:
    """At random initialisation."""
    made = _NETWORKS.get(spec.family)
    if made is not None:
        return made(spec)
    return metaclip2_network(spec.arch) if spec.family == "metaclip2" else _network(spec.arch)


def _network(arch: str) -> nn.Module:
    """Both towers as open_clip configures them, at random initialisation."""
    open_clip = import_open_clip()
    config = open_clip.get_model_config(arch)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    network: nn.Module = kind(**config)
    trunk: Any = getattr(network.visual, "trunk", None)
    if getattr(trunk, "rope", None) is not None:
        trunk.rope = _free_rotations(config["vision_cfg"]["timm_model_name"])
    return network


def _free_rotations(arch: str) -> nn.Module:
    """The rotary embedding of a timm architecture for any grid; open_clip asks for one grid alone."""
    # It is the same for every block, so a network of one block has it.
    shallow: Any = import_timm().create_model(arch, depth=1, num_classes=0, dynamic_img_size=True)
    rope: nn.Module = shallow.rope
    return rope


def _plain_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Without the prefix that distributed training adds, scalars in the shape the network has."""
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    return {n: v.reshape(shapes[n]) if v.numel() == 1 and n in shapes else v for n, v in plain.items()}


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


# Families whose files need more than ``_plain_names``.
_NAMES = {
    "tips": tips_names,
    "metaclip2": metaclip2_names,
    "dinotxt": dinotxt_names,
    "radio-words": radio_words_names,
}
# Families whose networks are ours, of timm's and open_clip's parts.
_NETWORKS = {"tips": tips_network, "dinotxt": dinotxt_network, "radio-words": radio_words_network}
