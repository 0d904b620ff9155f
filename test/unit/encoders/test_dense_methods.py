"""Dense language features against the papers' equations, written here row by row in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from clip_towers import TOWERS
from numpy.typing import NDArray

from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dense.method_names import EDITS, PROXY
from perception_contrast.encoders.dense.proxyclip import gather_by_proxy, proxy_attention, resampled_grid

Array = NDArray[np.float64]
CLOSE = 1e-4
ALONE = ("stock", *EDITS)
EVERY = (*ALONE, PROXY)
GRID, DINO_GRID = (4, 4), (6, 6)


@cache
def tower_of(kind: str, method: str) -> ClipTower:
    made: ClipTower = TOWERS[kind](method)
    return made


# --- The equations, by hand.


@dataclass
class Block:
    """The last block of a tower and what comes after it, taken from open_clip's and timm's modules.

    entering: (B, n, width) tokens. prefix: how many of them are no patches. turn: rotates a query or
    key (n, d) of patches. end: tokens (n, width) that leave the block to the shared space.
    """

    entering: Array
    prefix: int
    heads: int
    norms: tuple[Any, Any]
    projection: Any
    bias: Any
    out: Any
    mlp: Any
    turn: Callable[[Array], Array]
    end: Callable[[torch.Tensor], torch.Tensor]

    def qkv(self, sample: Array) -> list[list[Array]]:
        """Per head [query, key, value], each (n, d)."""
        y = numpy(self.norms[0](torch.from_numpy(sample).float()))
        weight, bias = numpy(self.projection), numpy(self.bias)
        width = y.shape[1]
        d = width // self.heads
        found = []
        for head in range(self.heads):
            three = []
            for part in range(3):
                at = slice(part * width + head * d, part * width + (head + 1) * d)
                three.append(y @ weight[at].T + bias[at])
            for part in (0, 1):
                three[part] = np.concatenate(
                    [three[part][: self.prefix], self.turn(three[part][self.prefix :])]
                )
            found.append(three)
        return found


def numpy(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def clip_block(tower: ClipTower, images: torch.Tensor) -> Block:
    visual = tower.network.visual
    x = visual._embeds(images)
    *before, last = visual.transformer.resblocks
    for block in before:
        x = block(x)
    attention = last.attn
    return Block(
        numpy(x), 1, attention.num_heads, (last.ln_1, last.ln_2), attention.in_proj_weight,
        attention.in_proj_bias, attention.out_proj, last.mlp, lambda vectors: vectors,
        lambda tokens: visual.ln_post(tokens) @ visual.proj,
    )  # fmt: skip


def pooled_block(tower: ClipTower, images: torch.Tensor) -> Block:
    """SigLIP's and Perception Encoder's; timm embeds the image."""
    visual = tower.network.visual
    trunk = visual.trunk
    embedded = trunk._pos_embed(trunk.patch_embed(images))
    x, rope = embedded if isinstance(embedded, tuple) else (embedded, None)
    x = trunk.norm_pre(x)
    *before, last = trunk.blocks
    for block in before:
        x = block(x) if rope is None else block(x, rope=rope)

    def turn(vectors: Array) -> Array:
        if rope is None:
            return vectors
        sine, cosine = numpy(rope).reshape(len(vectors), 2, -1).transpose(1, 0, 2)
        turned = np.empty_like(vectors)
        for pair in range(0, vectors.shape[1], 2):
            left, right = vectors[:, pair], vectors[:, pair + 1]
            turned[:, pair] = left * cosine[:, pair] - right * sine[:, pair]
            turned[:, pair + 1] = right * cosine[:, pair + 1] + left * sine[:, pair + 1]
        return turned

    def end(tokens: torch.Tensor) -> torch.Tensor:
        """Each token is the only one that the pooling head can attend to."""
        alone = [trunk.attn_pool(trunk.norm(token[None, None])) for token in tokens]
        return visual.head(trunk.head(trunk.fc_norm(torch.cat(alone))))

    attention = last.attn
    return Block(
        numpy(x), trunk.num_prefix_tokens, attention.num_heads, (last.norm1, last.norm2),
        attention.qkv.weight, attention.qkv.bias, attention.proj, last.mlp, turn, end,
    )  # fmt: skip


def plain_block(tower: ClipTower, images: torch.Tensor) -> Block:
    """TIPSv2's: what each branch adds is scaled, and the norm alone comes after the block."""
    trunk = tower.network.visual.trunk
    x = trunk._pos_embed(trunk.patch_embed(images))
    *before, last = trunk.blocks
    for block in before:
        x = block(x)
    attention = last.attn
    return Block(
        numpy(x), trunk.num_prefix_tokens, attention.num_heads, (last.norm1, last.norm2),
        attention.qkv.weight, attention.qkv.bias, lambda x: last.ls1(attention.proj(x)),
        lambda x: last.ls2(last.mlp(x)), lambda vectors: vectors, trunk.norm,
    )  # fmt: skip


def head_block(tower: ClipTower, images: torch.Tensor) -> Block:
    """The last of dino.txt's blocks, whose attention has no bias; they read DINO's tokens after its norm."""
    trunk, head = tower.network.visual.trunk, tower.network.visual.head
    x = trunk._pos_embed(trunk.patch_embed(images))
    for block in trunk.blocks:
        x = block(x)
    x = trunk.norm(x)
    *before, last = head.blocks
    for block in before:
        x = block(x)
    attention = last.attn
    return Block(
        numpy(x), trunk.num_prefix_tokens, attention.num_heads, (last.norm1, last.norm2),
        attention.qkv.weight, torch.zeros(len(attention.qkv.weight)), lambda x: last.ls1(attention.proj(x)),
        lambda x: last.ls2(last.mlp(x)), lambda vectors: vectors, head.norm,
    )  # fmt: skip


def softmax(row: Array) -> Array:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


SIGMA = {"naradio": 7.0}  # of the others 5 patches


def nearness(prefix: int, rows: int, columns: int, sigma: float) -> Array:
    places = [(r, c) for r in range(rows) for c in range(columns)]
    near = np.zeros((prefix + len(places),) * 2)
    for i, (a, b) in enumerate(places):
        for j, (p, q) in enumerate(places):
            near[prefix + i, prefix + j] = math.exp(-((a - p) ** 2 + (b - q) ** 2) / (2 * sigma**2))
    return near


def attended(method: str, query: Array, key: Array, value: Array, near: Array) -> Array:
    """One head, one row of the attention matrix after the other."""
    scale = 1 / math.sqrt(query.shape[1])
    rows = []
    for i in range(len(value)):
        if method == "maskclip":
            weights = np.eye(len(value))[i]
        elif method == "sclip":
            weights = softmax(query @ query[i] * scale) + softmax(key @ key[i] * scale)
        elif method == "clearclip":
            weights = softmax(query @ query[i] * scale)
        elif method in ("naclip", "naradio"):
            weights = softmax(key @ key[i] * scale + near[i])
        else:
            weights = softmax(key @ query[i] * scale)
        rows.append(weights @ value)
    return np.array(rows)


def unit(vectors: torch.Tensor) -> Array:
    found = numpy(vectors)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def by_hand(method: str, block: Block, rows: int, columns: int) -> Array:
    near = nearness(block.prefix, rows, columns, SIGMA.get(method, 5.0))
    results = []
    for sample in block.entering:
        heads = [attended(method, *parts, near) for parts in block.qkv(sample)]
        tokens = block.out(torch.from_numpy(np.concatenate(heads, axis=1)).float())
        if method in ("maskclip", "sclip", "naradio", "stock"):  # the others drop the residual and the FFN
            tokens = torch.from_numpy(sample).float() + tokens
            tokens = tokens + block.mlp(block.norms[1](tokens))
        results.append(unit(block.end(tokens[block.prefix :])).reshape(rows, columns, -1))
    return np.stack(results)


def bilinear(values: Array, rows: int, columns: int) -> Array:
    """values (h, w, c) at other cells of the same image, edges repeated."""
    height, width = values.shape[:2]
    found = np.zeros((rows, columns, values.shape[2]))
    for r in range(rows):
        for c in range(columns):
            y = min(max((r + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((c + 0.5) * width / columns - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            down, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = (1 - x + left) * values[top, left] + (x - left) * values[top, right]
            lower = (1 - x + left) * values[down, left] + (x - left) * values[down, right]
            found[r, c] = (1 - y + top) * upper + (y - top) * lower
    return found


def proxied_by_hand(block: Block, features: Array, rows: int, columns: int) -> Array:
    """features (B, H, W, c); the patches of the tower are rows x columns."""
    results = []
    for sample, seen in zip(block.entering, features, strict=True):
        f = seen.reshape(-1, seen.shape[-1])
        f = f / np.linalg.norm(f, axis=1, keepdims=True)
        cosines = np.array([[a @ b for b in f] for a in f])
        logits = (cosines - 1.2 * cosines.mean()) * 3.0
        weights = np.array([softmax(np.where(row < 0, -np.inf, row)) for row in logits])
        heads = []
        for _, _, value in block.qkv(sample):
            grid = value[block.prefix :].reshape(rows, columns, -1)
            heads.append(weights @ bilinear(grid, *seen.shape[:2]).reshape(len(f), -1))
        tokens = block.out(torch.from_numpy(np.concatenate(heads, axis=1)).float())
        results.append(unit(block.end(tokens)).reshape(*seen.shape[:2], -1))
    return np.stack(results)


def block_of(kind: str, tower: ClipTower, images: torch.Tensor) -> Block:
    return {"clip": clip_block, "tips": plain_block, "dinotxt": head_block}.get(kind, pooled_block)(
        tower, images
    )


def patches(rows: int, columns: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Patches of an image encoder: four things, each patch near to one of them."""
    made = torch.Generator().manual_seed(seed)
    things = torch.randn(4, 24, generator=made)
    which = torch.randint(4, (batch, rows, columns), generator=made)
    return things[which] + 0.4 * torch.randn(batch, rows, columns, 24, generator=made)


# --- Ours against them.


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", ALONE)
def test_dense_features_are_the_papers(kind: str, method: str) -> None:
    tower, images = tower_of(kind, method), torch.randn(2, 3, 64, 64)
    expected = by_hand(method, block_of(kind, tower, images), *GRID)
    difference = np.abs(numpy(tower.dense(images)) - expected).max()
    print(f"{kind} {method}: largest difference {difference:.1e}")
    assert difference < CLOSE
    assert np.abs(expected[0, 0, 0] - expected[0, 3, 3]).max() > 1e-2, "two patches must not look alike"


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("grid", [DINO_GRID, GRID, (3, 3)])
def test_proxied_features_are_the_papers(kind: str, grid: tuple[int, int]) -> None:
    """One image at a time: of several, the published mean is another one."""
    tower, images, features = tower_of(kind, PROXY), torch.randn(1, 3, 64, 64), patches(*grid)
    expected = proxied_by_hand(block_of(kind, tower, images), numpy(features), *GRID)
    seen = tower(images)
    assert seen.dense is None
    difference = np.abs(numpy(tower.by_proxy(seen.values, features)) - expected).max()
    print(f"{kind} proxyclip to {grid}: largest difference {difference:.1e}")
    assert difference < CLOSE


def test_the_methods_differ() -> None:
    images = torch.randn(1, 3, 64, 64)
    found = [tower_of("clip", method).dense(images) for method in ALONE]
    proxied = tower_of("clip", PROXY)
    found.append(proxied.by_proxy(proxied(images).values, patches(*GRID)))
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one - other).abs().max() > 1e-2


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", EVERY)
def test_the_embedding_of_the_image_is_the_same_by_every_method(kind: str, method: str) -> None:
    images = torch.randn(2, 3, 48, 80)
    expected = tower_of(kind, "stock").image_embedding(images)
    torch.testing.assert_close(tower_of(kind, method)(images).image, expected, atol=1e-6, rtol=0)


# --- What every method must hold on every tower.


def dense_of(tower: ClipTower, images: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    if tower.method != PROXY:
        return tower.dense(images)
    return tower.by_proxy(tower(images).values, features)


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", EVERY)
def test_an_image_in_a_batch_is_the_image_alone(kind: str, method: str) -> None:
    tower = tower_of(kind, method)
    images = torch.stack([torch.randn(3, 48, 80), 5 * torch.randn(3, 48, 80), torch.zeros(3, 48, 80)])
    features = torch.cat([patches(4, 6), 3 * patches(4, 6, seed=1), torch.ones(1, 4, 6, 24)])
    together = dense_of(tower, images, features)
    alone = torch.cat([dense_of(tower, a[None], b[None]) for a, b in zip(images, features, strict=True)])
    assert together.shape == (3, *((4, 6) if method == PROXY else (3, 5)), tower.dim)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("level", [0.0, -2.0, 2.7])
def test_blank_and_black_frames_give_finite_unit_vectors(kind: str, method: str, level: float) -> None:
    for features in (torch.ones(1, 3, 5, 24), torch.zeros(1, 3, 5, 24), 1e-20 * torch.randn(1, 3, 5, 24)):
        dense = dense_of(tower_of(kind, method), torch.full((1, 3, 32, 64), level), features)
        torch.testing.assert_close(dense.norm(dim=-1), torch.ones(dense.shape[:-1]))


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", EVERY)
def test_autocast_changes_nothing_but_rounding(kind: str, method: str) -> None:
    tower, images, features = tower_of(kind, method), torch.randn(1, 3, 48, 80), patches(4, 6)
    exact = dense_of(tower, images, features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = dense_of(tower, images, features)
    assert (exact * reduced).sum(dim=-1).min() > 0.99
    torch.testing.assert_close(reduced.norm(dim=-1), exact.norm(dim=-1))  # unit to the last bits of float32


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("method", EVERY)
def test_a_transposed_image_has_the_transposed_grid_where_nothing_else_has_a_direction(
    kind: str, method: str
) -> None:
    """Without positions and with patches that are each of one colour, rows and columns are alike."""
    tower = TOWERS[kind](method)
    visual = tower.network.visual
    (visual.positional_embedding if kind == "clip" else visual.trunk.pos_embed).data.zero_()
    images = torch.randn(1, 3, 3, 5).repeat_interleave(16, 2).repeat_interleave(16, 3)
    features = patches(4, 7)
    upright = dense_of(tower, images, features)
    lying = dense_of(tower, images.transpose(2, 3), features.transpose(1, 2))
    torch.testing.assert_close(lying.transpose(1, 2), upright, atol=1e-5, rtol=0)


# --- ProxyCLIP as it was published, and what is wrong with that.


def published_attention(features: torch.Tensor) -> torch.Tensor:
    """features (B, n, c) to (B, n, n): one mean over all images, negatives to minus infinity."""
    f = features / features.norm(dim=-1, keepdim=True)
    logits = f @ f.transpose(1, 2)
    logits = (logits - 1.2 * logits.mean()) * 3.0
    logits[logits < 0] = -torch.inf
    return logits.softmax(dim=-1)


def test_the_published_mean_depends_on_batch_mates() -> None:
    image, mate = patches(4, 6).flatten(1, 2), torch.ones(1, 24, 24)
    pair = torch.cat([image, mate])
    assert (published_attention(pair)[0] - published_attention(image)[0]).abs().max() > 1e-2
    torch.testing.assert_close(proxy_attention(pair)[0], proxy_attention(image)[0])
    torch.testing.assert_close(proxy_attention(image), published_attention(image), atol=1e-6, rtol=0)


def test_the_published_values_have_rows_and_columns_swapped() -> None:
    rows, columns = 3, 5
    values = torch.arange(columns).float().expand(1, rows, columns)[..., None]  # each cell knows its column
    swapped = values.flatten(1, 2).reshape(1, columns, rows, 1).permute(0, 3, 1, 2)
    published = torch.nn.functional.interpolate(swapped, (6, 10), mode="bilinear").permute(0, 2, 3, 1)
    ours = resampled_grid(values, 6, 10)
    expected = torch.from_numpy(bilinear(values[0].double().numpy(), 6, 10)).float()[None]
    assert (published - expected).abs().max() > 1
    torch.testing.assert_close(ours, expected)
    assert (ours == ours[:, :1]).all(), "a row is like every other"


@pytest.mark.parametrize("kind", TOWERS)
def test_proxied_features_are_right_on_grids_that_are_not_square(kind: str) -> None:
    """A column of the image that differs is the column of the grid that differs."""
    tower = tower_of(kind, PROXY)
    values = torch.zeros(1, 3, 5, 64)
    values[:, :, 3] = torch.randn(64)
    features = torch.zeros(1, 3, 5, 8)
    for column in range(5):
        features[:, :, column, column] = 1.0
    dense = tower.by_proxy(values, features)
    same = (dense - dense[:, :1]).abs().amax(dim=(0, 1, 3))
    other = (dense - dense[:, :, :1]).abs().amax(dim=(0, 1, 3))
    assert same.max() < 1e-5
    assert other[3] > 1e-2 and other[[1, 2, 4]].max() < 1e-5


@pytest.mark.parametrize("level", [1.0, 1e-3])
def test_the_published_attention_of_a_plain_image_is_not_a_number(level: float) -> None:
    plain = torch.full((1, 12, 24), level)
    assert published_attention(plain).isnan().all()
    torch.testing.assert_close(proxy_attention(plain), torch.eye(12)[None])
    black = torch.zeros(1, 12, 24)
    assert published_attention(black).isnan().all() and proxy_attention(black).isfinite().all()


def test_a_single_dark_patch_keeps_itself() -> None:
    """Most of an image alike, so that even a patch's own cosine is below the shifted mean."""
    features = torch.ones(1, 40, 8)
    features[0, 0] = torch.tensor([1.0, -1.0] * 4)
    assert published_attention(features)[0, 1:].isnan().all()
    ours = proxy_attention(features)[0]
    assert ours.isfinite().all()
    torch.testing.assert_close(ours.sum(dim=1), torch.ones(40))


def test_one_product_is_what_the_published_one_for_each_head_gives() -> None:
    heads, features, values = 4, patches(4, 6).flatten(1, 2), torch.randn(1, 24, 64)
    weights = published_attention(features).repeat(heads, 1, 1)
    each = weights @ values.reshape(24, heads, 16).transpose(0, 1)
    published = each.transpose(0, 1).reshape(1, 24, 64)
    assert all(torch.equal(weights[0], weights[head]) for head in range(heads)), "nothing but copies"
    torch.testing.assert_close(gather_by_proxy(features, values), published, atol=1e-6, rtol=0)


def test_a_large_image_is_gathered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from perception_contrast.encoders.dense import proxyclip

    features, values = patches(5, 7, batch=2).flatten(1, 2), torch.randn(2, 35, 16)
    whole = proxy_attention(features) @ values
    for most in (1, 8, 34, 35, 1000):
        monkeypatch.setattr(proxyclip, "ROWS_AT_ONCE", most)
        torch.testing.assert_close(gather_by_proxy(features, values), whole)
