"""Exported graphs, run by ONNX Runtime and by onnx's own reference, against the torch they came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from PIL import Image
from small_models import pipeline_of, small_clip, small_dino, small_lit
from timm.models.vision_transformer import VisionTransformer

from perception_contrast.cli.export_command import image_vector_note
from perception_contrast.cli.main import main
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.engines import static_quantization
from perception_contrast.engines.accuracy_gate import compare
from perception_contrast.engines.export import export_check
from perception_contrast.engines.export import onnx_export as export
from perception_contrast.engines.export.exported_encoder import ExportedEncoder
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.engines.openvino_engine import installed_int8
from perception_contrast.models.registry import model_spec
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.preprocessing.to_tensor import image_tensor

SIZE = (42, 70)


def registers() -> EncoderGraph:
    """Its position embedding is resampled with antialiasing, which ONNX has no operator for."""
    torch.manual_seed(3)
    vit = VisionTransformer(
        img_size=112, patch_size=14, embed_dim=24, depth=2, num_heads=2, init_values=1.0, num_classes=0,
        reg_tokens=4, no_embed_class=True,
    )  # fmt: skip
    return graph_of(DinoTower(vit, model_spec("dinov2-s14-reg"), "dinov2-s14-reg@small").eval())


def siglip() -> EncoderGraph:
    import open_clip

    torch.manual_seed(4)
    config = open_clip.get_model_config("ViT-B-16-SigLIP2")
    config["embed_dim"] = 32
    config["text_cfg"] |= {"vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    config["vision_cfg"] |= {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token"}
    config.pop("custom_text")
    network = open_clip.CustomTextCLIP(**config)
    network.visual.trunk = VisionTransformer(
        img_size=64, embed_dim=32, depth=2, num_heads=2, class_token=False, global_pool="map", num_classes=0,
        act_layer=partial(torch.nn.GELU, approximate="tanh"),
    )  # fmt: skip
    return graph_of(ClipTower(network, model_spec("siglip2-b16"), "siglip2-b16@small").eval())


def lit() -> EncoderGraph:
    tower = small_dino()
    return graph_of(small_lit(tower).image_encoder)


GRAPHS: dict[str, tuple[Callable[[], EncoderGraph], tuple[int, int]]] = {
    "dinov2": (lambda: graph_of(small_dino()), SIZE),
    "registers": (registers, SIZE),
    "lit": (lit, SIZE),
    "clip": (lambda: graph_of(small_clip()), (48, 80)),
    "siglip": (siglip, (48, 80)),
}


def of_torch(graph: EncoderGraph, images: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {name: values.numpy() for name, values in zip(graph.names, graph(images), strict=True)}


def of_runtime(path: Path, graph: EncoderGraph, images: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip(graph.names, session.run(list(graph.names), {"images": images.numpy()}), strict=True))


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_any_number_of_images_gives_what_torch_gives(kind: str, precision: str, tmp_path: Path) -> None:
    make, size = GRAPHS[kind]
    graph = make()
    export_onnx(graph, tmp_path / "m.onnx", size, precision=precision)
    for batch in (1, 3):
        images = torch.randn(batch, 3, *size)
        expected, found = of_torch(graph, images), of_runtime(tmp_path / "m.onnx", graph, images)
        assert {name: values.dtype for name, values in found.items()} == dict.fromkeys(
            graph.names, np.float32
        )
        assert min(compare(expected, found, graph.map_names).values()) > (
            0.999999 if precision == "fp32" else 0.9999
        )
        if precision == "fp32":
            for name, values in expected.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4)


def test_bfloat16_gives_what_torch_gives_in_onnxs_own_reference(tmp_path: Path) -> None:
    graph, size = lit(), (28, 28)
    export_onnx(graph, tmp_path / "m.onnx", size, precision="bf16")
    model = onnx.load(tmp_path / "m.onnx")
    images = torch.randn(2, 3, *size)
    found = ReferenceEvaluator(model).run(None, {"images": images.numpy()})
    worst = compare(of_torch(graph, images), dict(zip(graph.names, found, strict=True)), graph.map_names)
    assert 0.99 < min(worst.values()) < 0.999999  # near, and really in fewer bits


@pytest.mark.parametrize("kind", GRAPHS)
def test_nodes_are_native_and_nothing_is_resized(kind: str, tmp_path: Path) -> None:
    make, size = GRAPHS[kind]
    graph = make()
    export_onnx(graph, tmp_path / "m.onnx", size)
    model = onnx.load(tmp_path / "m.onnx")
    kinds = Counter(node.op_type for node in model.graph.node)
    norms = sum(
        isinstance(module, torch.nn.LayerNorm)
        for name, module in graph.named_modules()
        if not name.startswith(
            ("encoder.network.transformer", "encoder.network.text", "encoder.network.ln_final")
        )
    )
    # CLIP's last norms run twice: once for the patches, once for the image.
    assert norms <= kinds["LayerNormalization"] <= norms + 2
    assert not {"Resize", "Upsample", "Pow", "Einsum"} & set(kinds)
    assert {node.domain for node in model.graph.node} == {""}
    assert [entry.version for entry in model.opset_import if not entry.domain] == [17]
    for value in model.graph.output:
        first, *rest = value.type.tensor_type.shape.dim
        assert first.dim_param == "batch" and all(dimension.dim_value for dimension in rest)


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)]
)
def test_products_are_reduced_and_norms_softmax_and_lengths_are_not(
    precision: str, kind: int, tmp_path: Path
) -> None:
    export_onnx(lit(), tmp_path / "m.onnx", SIZE, precision=precision)
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "m.onnx"), strict_mode=True)
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}

    def of(*kinds: str) -> set[int]:
        nodes = [node for node in model.graph.node if node.op_type in kinds]
        assert nodes
        return {types[node.input[0]] for node in nodes} | {types[node.output[0]] for node in nodes}

    assert of("MatMul", "Gemm") == {kind}
    wide = of("LayerNormalization", "Softmax", "ReduceL2", "Conv", "AveragePool", "Clip")
    assert wide == {TensorProto.FLOAT}
    assert {types[value.name] for value in (*model.graph.input, *model.graph.output)} == {TensorProto.FLOAT}


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    graph = graph_of(small_clip())
    for precision in ("fp32", "fp16"):
        export_onnx(graph, tmp_path / precision, (64, 64), precision=precision)
    # The words' tower, the larger half of it, is in neither.
    assert (tmp_path / "fp32").stat().st_size < 1_000_000
    assert (tmp_path / "fp16").stat().st_size < 0.75 * (tmp_path / "fp32").stat().st_size


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    export_onnx(lit(), tmp_path / "m.onnx", SIZE, precision="fp16", licence="Apache-2.0")
    facts = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    plain = ("format", "format_version", "model", "space", "family", "precision", "patch", "licence", "opset")
    assert [facts[key] for key in plain] == [
        "perception_contrast", "1", "household-lit", "household-lit@small", "lit", "fp16", "14", "Apache-2.0",
        "17",
    ]  # fmt: skip
    assert json.loads(facts["size"]) == list(SIZE)
    assert json.loads(facts["outputs"]) == ["tokens", "cls", "grid", "picture", "things"]
    assert json.loads(facts["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(facts["spaces"])["tokens"] == "dinov2-s14@small"
    assert facts["interpolation"] == "bicubic antialias" and facts["package_version"]


def test_torch_is_left_as_it_was(tmp_path: Path) -> None:
    before = torch.nn.functional.scaled_dot_product_attention
    export_onnx(graph_of(small_clip()), tmp_path / "m.onnx", (48, 80))
    assert torch.nn.functional.scaled_dot_product_attention is before
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_size_that_does_not_fit_names_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="98x112, 98x126, 112x112, 112x126"):
        export_onnx(graph_of(small_dino()), tmp_path / "m.onnx", (100, 113))
    with pytest.raises(ModelError, match=r"14x14$"):
        export_onnx(graph_of(small_dino()), tmp_path / "m.onnx", (0, 3))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ModelError, match="int3"):
        export_onnx(graph_of(small_dino()), path, SIZE, precision="int3")
    monkeypatch.setattr(export, "LIMIT_BYTES", 1000)
    with pytest.raises(ModelError, match=r"2 GB.*fp16"):
        export_onnx(graph_of(small_dino()), path, SIZE)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works on a small tower in place of the named one."""
    monkeypatch.setattr(export_check, "graph_to_export", lambda *_, **__: graph_of(small_dino()))


@pytest.mark.usefixtures("small")
def test_the_command_writes_a_file_for_each_size_and_says_how_near_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--size", "28x42", "--size", "42x28", "--size", "28x42"]
    assert main(["export", "dinov2-s14", *sizes, "--precision", "fp16", "--output", str(tmp_path)]) == 0
    names = {"dinov2-s14-28x42-fp16.onnx", "dinov2-s14-42x28-fp16.onnx"}
    assert {path.name for path in tmp_path.iterdir()} == names
    told = capsys.readouterr().out
    assert all(name in told for name in names) and "MB" in told and "outputs tokens, cls" in told
    assert told.count("smallest cosine with float32 torch: tokens ") == 2


@pytest.mark.usefixtures("small")
def test_the_command_says_that_bfloat16_was_not_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU checks it")
    path = tmp_path / "m.onnx"
    argv = ["export", "dinov2-s14", "--size", "28x28", "--precision", "bf16", "--output", str(path)]
    assert main(argv) == 0
    assert path.exists() and "not checked" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_the_command_measures_eight_bits_on_images_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nncf")
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (40, 30), (28 * number, 0, 0)).save(folder / f"{number}.png")
    seen: list[int] = []
    monkeypatch.setattr(
        static_quantization, "image_tensor",
        lambda image, *rest: seen.append(int(image[0, 0, 0])) or image_tensor(image, *rest),
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    argv = ["export", "dinov2-s14", "--size", "28x28", "--precision", "int8", "--output", str(path)]
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    assert main([*argv, "--calibrate", str(folder), "--calibration-frames", "5", "--install"]) == 0
    assert sorted(set(seen)) == [0, 56, 112, 168, 224], "evenly spread"
    assert "smallest cosine with float32 torch: tokens 0.99" in capsys.readouterr().out
    assert ExportedEncoder(path).facts.precision == "int8"
    assert installed_int8(graph_of(small_dino()), (28, 28)).read_bytes() == path.read_bytes()
    assert main([*argv, "--calibrate", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    argv[argv.index("int8")] = "fp32"
    assert main([*argv, "--calibrate", str(folder)]) == 2
    assert "--precision int8" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_an_export_that_is_not_near_enough_is_not_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(model: onnx.ModelProto, precision: str) -> None:
        tensor = max(model.graph.initializer, key=lambda one: np.prod(one.dims))
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values[..., ::-1].copy(), tensor.name))

    monkeypatch.setattr(export, "reduce_precision", spoil)
    assert main(["export", "dinov2-s14", "--size", "28x28", "--output", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "smallest cosine" in told and "nothing was written" in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["dinov2-s14", "--size", "100x112"], "98x112, 112x112"),
        (["dinov2-s15", "--size", "112x112"], "dinov2-s14"),
        (["dinov2-s14", "--size", "28x28", "--size", "28x42", "--output", "m.onnx"], "give a folder"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *argv, "--offline"]) == 2
    captured = capsys.readouterr().err
    assert told in captured and captured.count("\n") == 1


def test_image_vectors_are_a_nodes_where_the_file_has_the_models_own_size(tmp_path: Path) -> None:
    """A file for dense features has others, and the command says so."""
    pipeline = pipeline_of("clip", short_side=128)
    tower = pipeline.query_encoder.language.image_encoder
    graph = graph_of(tower)
    assert graph.image_input is not None
    side = graph.image_input.side
    # A smooth one, so that little is lost by one filter or another.
    rows, columns = np.mgrid[:96, :96] / 96
    image = np.stack([255 * rows, 255 * columns, 120 + 90 * np.sin(9 * rows * columns)], -1).astype(np.uint8)
    wanted = pipeline.process(Frame(image), OutputRequest(embedding=True)).embedding
    cosines = {}
    for size in ((side, side), (96, 128)):
        export_onnx(graph, tmp_path / "it.onnx", size)
        cosines[size] = float(ExportedEncoder(tmp_path / "it.onnx").see(image)["image"] @ wanted)
    assert cosines[side, side] > 0.9999 > cosines[96, 128] + 1e-4
    assert "as `classify` has it" in image_vector_note(graph, (side, side))
    told = image_vector_note(graph, (96, 128))
    assert "of the image at 96x128" in told and f"--size {side}x{side}" in told
    assert image_vector_note(lit(), SIZE) == "" == image_vector_note(registers(), SIZE)


@pytest.mark.parametrize("size", ["336", "336x", "-14x28", "14x28x3"])
def test_what_is_no_size_is_wrong_usage(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", "dinov2-s14", f"--size={size}"])
    assert stop.value.code == 2 and "336x448" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size"),
    [("household-lit", "112x140"), ("dinov2-s14-reg", "56x70"), ("clip-vit-b32-laion", "64x96"),
     ("siglip-b16", "64x96")],
)  # fmt: skip
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_family_as_it_is_built_passes_its_own_check(
    model: str, size: str, precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["export", model, "--size", size, "--precision", precision, "--random-init", "--offline"]
    assert main([*argv, "--output", str(tmp_path)]) == 0
    assert "smallest cosine with float32 torch" in capsys.readouterr().out
