"""The alignment head of household-lit: DINOv2 tokens and colours to a space shared with words.

Locked-image tuning (Zhai et al., LiT, CVPR 2022) for dense features: the image encoder and the sentence
encoder stay as they are, and a small head maps both into one space. Words enter through an adapter on the
sentence embedding. Exemplars are not the head's matter: they are compared in the image encoder's own space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.embedding_spaces import require_same_space, space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing

COLOUR_CHANNELS = 6
# Instance cues of a cell: offset to its object's centre (rows, columns, in radii of the object), log of that
# radius in cells, logit of lying at the object's edge.
THING_CHANNELS = 4
# Rows of ``log_scale`` and ``bias``. The row between them was of exemplars; it stays, unused, so that heads
# of before and of now have one shape.
WORDS, CAPTIONS = 0, 2
# What heads from before hold of exemplars, which nothing reads any more: tensors, and a calibration.
OF_EXEMPLARS, CALIBRATION_OF_EXEMPLARS = "example.", "example_calibration"
# The fact with the names, in JSON, that training always called absent.
TRAINED_ABSENT = "trained_absent"
# A sentence vector is mixed with the most similar known one: from a cosine of the first number on, by at most
# the third number, which is reached at a cosine of the second.
LEAN = (0.5, 0.9, 0.7)


@dataclass(frozen=True)
class AlignmentConfig:
    """Sizes of an alignment head.

    Attributes:
        layers: 0-based blocks of the image encoder that are read.
        image_dim, text_dim: channels of the image encoder and of the sentence encoder.
        width, fine_width: channels of the trunk, and at the output's resolution.
        dim: of the shared space.
        blocks: residual blocks of the trunk.
        up: cells per patch side in the output.
        patch: pixels of a patch.
        known: number of sentence vectors that are stored with the head.
        things: whether the head gives instance cues too.
    """

    layers: tuple[int, ...] = (3, 7, 11)
    image_dim: int = 384
    text_dim: int = 384
    width: int = 320
    fine_width: int = 128
    dim: int = 256
    blocks: int = 2
    up: int = 2
    patch: int = 14
    known: int = 0
    things: bool = True


def colour_statistics(rgb: Tensor, cell: int) -> Tensor:
    """Mean and deviation of R, G, B in every cell: (B, 3, H, W) in [0, 1] to (B, 6, H/cell, W/cell)."""
    mean = F.avg_pool2d(rgb, cell)
    square = F.avg_pool2d(rgb * rgb, cell)
    deviation = (square - mean * mean).clamp_min(0.0).add(1e-6).sqrt()
    return torch.cat([mean - 0.5, deviation * 2.0], dim=1)


class _Block(nn.Module):
    """Depthwise 5x5 and a gated residual MLP on a grid (B, c, h, w)."""

    def __init__(self, width: int, kernel: int = 5, expand: int = 2) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, expand * width)
        self.down = nn.Linear(expand * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.near(x).permute(0, 2, 3, 1))
        y = self.down(F.gelu(self.up(y))) * self.gain
        mixed: Tensor = x + y.permute(0, 3, 1, 2)
        return mixed


class AlignmentHead(nn.Module):
    """Grid and query sides of the shared space."""

    def __init__(self, config: AlignmentConfig | None = None) -> None:
        super().__init__()
        self.config = config or AlignmentConfig()
        c = self.config
        cells = c.up * c.up
        self.norms = nn.ModuleList(nn.LayerNorm(c.image_dim) for _ in c.layers)
        self.enter = nn.Linear(c.image_dim * len(c.layers) + COLOUR_CHANNELS * cells, c.width)
        self.blocks = nn.ModuleList(_Block(c.width) for _ in range(c.blocks))
        self.split = nn.Conv2d(c.width, c.fine_width * cells, 1)
        self.colour = nn.Conv2d(COLOUR_CHANNELS, c.fine_width, 3, padding=1)
        self.fine = _Block(c.fine_width)
        self.leave = nn.Linear(c.fine_width, c.dim)
        self.things = nn.Sequential(
            nn.Linear(c.fine_width, c.fine_width), nn.GELU(), nn.Linear(c.fine_width, THING_CHANNELS)
        ) if c.things else None  # fmt: skip
        self.image = nn.Sequential(
            nn.LayerNorm(c.image_dim + c.width), nn.Linear(c.image_dim + c.width, c.width), nn.GELU(),
            nn.Linear(c.width, c.dim),
        )  # fmt: skip
        self.text_skip = nn.Linear(c.text_dim, c.dim)
        self.text = nn.Sequential(nn.Linear(c.text_dim, 2 * c.dim), nn.GELU(), nn.Linear(2 * c.dim, c.dim))
        last = self.text[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        # Of the trunk's channels, in training alone; the trainer sets its share.
        self.drop = nn.Dropout(0.0)
        self.known: Tensor
        self.register_buffer("known", torch.zeros(c.known, c.text_dim))
        # logit = exp(log_scale) * cosine + bias, in the rows WORDS and CAPTIONS.
        self.log_scale = nn.Parameter(torch.tensor([2.5, 2.5, 2.5]))
        self.bias = nn.Parameter(torch.tensor([-6.0, -6.0, 0.0]))

    def grid(self, layers: Sequence[Tensor], colours: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Dense features in the shared space.

        Args:
            layers: (B, h, w, image_dim) each, raw block outputs.
            colours: (B, 6, h * up, w * up), as of ``colour_statistics``.

        Returns:
            Unit vectors (B, h * up, w * up, dim), the trunk (B, width, h, w), and instance cues
            (B, h * up, w * up, THING_CHANNELS), None for a head without them.
        """
        up = self.config.up
        tokens = [norm(layer) for norm, layer in zip(self.norms, layers, strict=True)]
        coarse = F.pixel_unshuffle(colours, up).permute(0, 2, 3, 1)
        x = self.drop(self.enter(torch.cat([*tokens, coarse], dim=-1))).permute(0, 3, 1, 2)
        for block in self.blocks:
            x = block(x)
        fine = F.pixel_shuffle(self.split(self.drop(F.gelu(x))), up) + self.colour(colours)
        fine = F.gelu(self.fine(fine).permute(0, 2, 3, 1))
        things = None if self.things is None else self.things(fine).float()
        return F.normalize(self.leave(fine).float(), dim=-1), x, things

    def image_embedding(self, cls: Tensor, trunk: Tensor) -> Tensor:
        """(B, image_dim) class tokens and the trunk to unit vectors (B, dim)."""
        return F.normalize(self.image(torch.cat([cls, trunk.mean(dim=(2, 3))], dim=-1)).float(), dim=-1)

    def text_embedding(self, sentences: Tensor) -> Tensor:
        """Sentence embeddings (n, text_dim), unit, to unit vectors (n, dim).

        The vector of words that training never used is mixed with that of the most similar known sentence,
        the more the more similar it is.
        """
        own = self._adapted(sentences)
        if not len(self.known):
            return own
        likeness, nearest = (sentences @ self.known.T).max(dim=-1)
        low, high, most = LEAN
        share = most * ((likeness - low) / (high - low)).clamp(0.0, 1.0).unsqueeze(-1)
        return F.normalize((1 - share) * own + share * self._adapted(self.known[nearest]), dim=-1)

    def _adapted(self, sentences: Tensor) -> Tensor:
        return F.normalize((self.text_skip(sentences) + self.text(sentences)).float(), dim=-1)

    def remembering(self, sentences: Tensor) -> AlignmentHead:
        """A copy that remembers these sentence vectors (k, text_dim), unit rows."""
        head = AlignmentHead(replace(self.config, known=len(sentences)))
        head.load_state_dict({**self.state_dict(), "known": sentences})
        return head.eval()

    def word_side(self) -> dict[str, Tensor]:
        """The parameters that words pass through, by name: equal ones give words the same vectors."""
        sides = ("text.", "text_skip.", "known")
        return {name: value for name, value in self.state_dict().items() if name.startswith(sides)}

    def logits(self, cosine: Tensor) -> Tensor:
        """Of words, from their cosines with cells or regions."""
        return self.log_scale[WORDS].exp() * cosine.float() + self.bias[WORDS]


def word_space(head: AlignmentHead) -> str:
    """The space of the vectors that a head gives words, whatever its image side and its calibration are.

    Its hash is made of the parameters as ``save_alignment`` writes them, in half precision.
    """
    digest = hashlib.sha256()
    for name, value in sorted(head.word_side().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        # Adding 0 makes one zero of both, which give words the same vectors.
        digest.update((value.detach().half().cpu() + 0.0).contiguous().numpy().tobytes())
    return space_name("household-words", digest.hexdigest())


def require_words(named: str, words: str, whole: str, what: str) -> None:
    """Checks that a rescoring head was fitted to a head's words.

    Args:
        named: The space in the rescoring head's file: of the words or, in files of before, of the whole head.
        words: The head's ``word_space``.
        whole: The space of the whole head.
        what: What is compared, for the error.

    Raises:
        SpaceError: It was fitted to other words.
    """
    if named != whole:
        require_same_space(named, words, what)


def save_alignment(head: AlignmentHead, path: Path, facts: dict[str, str]) -> None:
    """Writes the head in half precision, with its configuration and ``facts`` (towers, training) inside."""
    from safetensors.torch import save

    tensors = {name: value.detach().half().contiguous() for name, value in head.state_dict().items()}
    metadata = {"format": "household-lit", "config": json.dumps(asdict(head.config)), **facts}
    with writing(path) as part:
        part.write_bytes(save(tensors, metadata=metadata))


def load_alignment(path: Path) -> tuple[AlignmentHead, dict[str, str], str]:
    """The head, the facts written with it and the sha256 of the file.

    What a head from before holds of exemplars is left out.

    Raises:
        ModelError: the file is missing or not a head's.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"alignment head '{path}' is missing; reinstall the package or train one")
    try:
        with safe_open(str(path), framework="pt") as stored:
            facts = dict(stored.metadata() or {})
            facts.pop(CALIBRATION_OF_EXEMPLARS, None)
            # The adapter for exemplars, which are compared by the image encoder's features now.
            names = [name for name in stored.keys() if not name.startswith(OF_EXEMPLARS)]  # noqa: SIM118
            tensors = {name: stored.get_tensor(name).float() for name in names}
        config = json.loads(facts["config"])
        config["layers"] = tuple(config["layers"])
        config.setdefault("things", False)  # heads from before they told things apart
        head = AlignmentHead(AlignmentConfig(**config))
        # Heads from before words were remembered remember none.
        head.load_state_dict({"known": head.known, **tensors})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ModelError(f"alignment head '{path}' is not readable ({error}); restore the file") from error
    return head.eval(), facts, sha256_of(path)
