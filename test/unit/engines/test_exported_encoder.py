"""Serving exported files: what they give, what is refused, and that no torch is needed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from small_models import small_dino, small_lit

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.engines.export.exported_encoder import CPU, ExportedEncoder, UnservableError, seal
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.preprocessing.to_tensor import image_tensor

SIZE = (42, 70)
TORCH = ("torch", "torchvision", "timm", "open_clip", "transformers")
HOOK = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TORCH}:
            raise ImportError(name + " is not to be imported here")

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def graph() -> EncoderGraph:
    tower = small_dino()
    return graph_of(small_lit(tower).image_encoder)


@pytest.fixture(scope="module")
def file(graph: EncoderGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "household-lit-336x448-fp32.onnx"
    export_onnx(graph, path, SIZE, licence="Apache-2.0")
    return path


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    from skimage import data

    return np.asarray(data.coffee())


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_image_gives_what_torch_gives(
    engine: str, file: Path, graph: EncoderGraph, image: np.ndarray
) -> None:
    pytest.importorskip(engine)
    seen = ExportedEncoder(file, engine=engine).see(image)
    with torch.no_grad():
        expected = graph(image_tensor(image, SIZE, graph.mean, graph.std))
    assert tuple(seen) == graph.names
    for name, values in zip(graph.names, expected, strict=True):
        np.testing.assert_allclose(seen[name], values[0].numpy(), rtol=1e-3, atol=1e-4)


def test_grids_know_their_space_and_their_place(file: Path, image: np.ndarray) -> None:
    grids = ExportedEncoder(file).features(image)
    assert {name: grid.space for name, grid in grids.items()} == {
        "tokens": "dinov2-s14@small",
        "grid": "household-lit@small",
    }
    tokens, grid = grids["tokens"], grids["grid"]
    assert (tokens.model, tokens.normalized, tokens.shape[:2]) == ("dinov2-s14", False, (3, 5))
    assert (grid.model, grid.normalized, grid.shape[:2]) == ("household-lit", True, (6, 10))
    np.testing.assert_allclose(np.linalg.norm(grid.values, axis=-1), 1.0, atol=1e-5)
    # The centre of the first cell of 6 x 10 in an image of 400 x 600.
    assert grid.image_size == image.shape[:2] == (400, 600)
    np.testing.assert_allclose(grid.grid_to_image.to_image(0, 0), (29.5, 400 / 6 / 2 - 0.5))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 3, 42, 42), np.float32), ((3, 42, 70), np.float32), ((1, 3, 42, 70), np.float64)],
)
def test_images_of_another_size_or_dtype_are_refused(file: Path, shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, 42, 70\) float32"):
        ExportedEncoder(file).run(np.zeros(shape, dtype))


def test_facts_are_those_of_the_file(file: Path) -> None:
    encoder = ExportedEncoder(file, threads=1)
    facts = encoder.facts
    assert (facts.model, facts.size, facts.patch, facts.precision) == ("household-lit", SIZE, 14, "fp32")
    assert (facts.licence, encoder.providers) == ("Apache-2.0", (CPU,))


def test_the_seal_is_an_entry_that_protocol_buffers_read(file: Path) -> None:
    model = onnx.load(file)
    onnx.checker.check_model(model)
    entry = model.metadata_props[-1]
    written = onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    data = file.read_bytes()
    assert entry.key == "sha256" and data.endswith(written)
    assert entry.value == hashlib.sha256(data.removesuffix(written)).hexdigest()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.9999])
def test_a_flipped_bit_is_found_wherever_it_is(file: Path, share: float, tmp_path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[int(share * len(data))] ^= 4
    path = tmp_path / "damaged.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged\.onnx.*export it again") as caught:
        ExportedEncoder(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("left", [0, 10, 80, 1000, -1, -50])
def test_a_file_that_is_cut_short_is_refused(file: Path, left: int, tmp_path: Path) -> None:
    path = tmp_path / "short.onnx"
    path.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ModelError, match=r"short\.onnx.*cut short; export it again"):
        ExportedEncoder(path)


def test_what_is_no_file_of_ours_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file .*absent\.onnx"):
        ExportedEncoder(tmp_path / "absent.onnx")
    model = onnx.load(file)
    del model.metadata_props[-1]
    path = tmp_path / "other.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not written by"):
        ExportedEncoder(path)
    changed = {"format": ("other", "not one of"), "format_version": ("2", "format version 2, and 1"),
               "size": ("[42]", "does not say")}  # fmt: skip
    for key, (value, told) in changed.items():
        spoiled = onnx.ModelProto()
        spoiled.CopyFrom(model)
        next(entry for entry in spoiled.metadata_props if entry.key == key).value = value
        path.write_bytes(seal(spoiled.SerializeToString()))
        with pytest.raises(ModelError, match=told):
            ExportedEncoder(path)
    path.write_bytes(seal(b"no model at all"))
    with pytest.raises(ModelError, match="cannot load"):
        ExportedEncoder(path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"engine": "torch"}, "neither"),
        ({"engine": "openvino", "providers": [CPU]}, "neither"),
        ({"precision": "bf16"}, "neither"),
        ({"engine": "openvino", "threads": -1}, "threads is -1"),
    ],
)
def test_engines_that_do_not_run_files_are_refused(options: dict[str, object], told: str, file: Path) -> None:
    with pytest.raises(ModelError, match=told):
        ExportedEncoder(file, **options)  # type: ignore[arg-type]


def test_openvino_refuses_a_file_that_is_no_network(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "other.onnx"
    path.write_bytes(seal(b"no model at all"))
    with pytest.raises(ModelError, match="export it again"):
        ExportedEncoder(path, engine="openvino")
    model = onnx.load(file)
    del model.metadata_props[-1]
    model.graph.node[0].op_type = "NoSuchOperator"
    path.write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match=r"OpenVINO cannot load .*export it again"):
        ExportedEncoder(path, engine="openvino")


def test_a_provider_that_is_not_there_is_named_with_those_that_are(file: Path) -> None:
    with pytest.raises(ModelError, match=r"no NoSuchExecutionProvider; it has .*CPUExecutionProvider"):
        ExportedEncoder(file, ["NoSuchExecutionProvider"])


def test_a_gpu_that_is_not_there_is_an_error_and_not_the_cpu(file: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match=r"CUDAExecutionProvider.*(does not start here|it has)"):
        ExportedEncoder(file, ["CUDAExecutionProvider", CPU])


@pytest.mark.gpu
def test_a_gpu_gives_what_torch_gives(file: Path, graph: EncoderGraph, image: np.ndarray) -> None:
    seen = ExportedEncoder(file, ["CUDAExecutionProvider", CPU]).see(image)
    with torch.no_grad():
        expected = graph(image_tensor(image, SIZE, graph.mean, graph.std))
    for name, values in zip(graph.names, expected, strict=True):
        np.testing.assert_allclose(seen[name], values[0].numpy(), rtol=1e-2, atol=1e-2)


def test_a_precision_that_the_processor_has_not_is_said(graph: EncoderGraph, tmp_path: Path) -> None:
    export_onnx(graph, tmp_path / "m.onnx", (28, 28), precision="bf16")
    try:
        ExportedEncoder(tmp_path / "m.onnx")
    except UnservableError as error:
        assert "export fp32 or fp16" in str(error)


def _documented(repository: Path) -> str:
    """The page's own example."""
    found = re.findall(r"```python\n(.*?)```", (repository / "docs/export.md").read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def _run(program: str, python: str, folder: Path, path: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    environment["PYTHONPATH"] = path
    done = subprocess.run(
        [python, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _prepared(folder: Path, file: Path, image: np.ndarray) -> None:
    (folder / file.name).symlink_to(file)
    Image.fromarray(image).save(folder / "photo.jpg")


def test_the_documented_example_runs_without_torch(
    repository: Path, file: Path, image: np.ndarray, tmp_path: Path
) -> None:
    _prepared(tmp_path, file, image)
    end = f"\nassert not set({TORCH}) & set(sys.modules)\n"
    told = _run(HOOK + _documented(repository) + end, sys.executable, tmp_path, str(repository))
    assert "'grid': (6, 10, 10)" in told and "household-lit@small (6, 10, 10)" in told


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_detector_of_a_file_finds_what_it_was_shown_without_torch(
    engine: str, repository: Path, file: Path, image: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip(engine)
    _prepared(tmp_path, file, image)
    program = textwrap.dedent(
        f"""
        import perception_contrast as pc
        detector = pc.load("{file.name}", engine="{engine}")
        shown = pc.Query("cup", exemplars=[detector.exemplar("photo.jpg", box=(200, 100, 420, 330))])
        found = detector("photo.jpg", [shown])
        print(found.features.shape, found.label_map.shape, detector.device)
        """
    )
    told = _run(HOOK + program, sys.executable, tmp_path, str(repository))
    assert "(3, 5, " in told and "(400, 600) cpu" in told


@pytest.mark.slow
def test_an_environment_without_torch_serves_the_same(
    repository: Path, file: Path, image: np.ndarray, tmp_path: Path
) -> None:
    """A fresh environment that has NumPy, Pillow, OpenCV and ONNX Runtime and nothing else."""
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(_run(ask, str(python), tmp_path, "").strip())
    ours = Path(sysconfig.get_path("purelib"))
    for name in ("numpy", "PIL", "cv2", "onnxruntime"):
        spec = importlib.util.find_spec(name)
        assert spec and spec.origin
        (packages / name).symlink_to(Path(spec.origin).parent)
    for libraries in (*ours.glob("numpy.libs"), *ours.glob("pillow.libs"), *ours.glob("opencv_python.libs")):
        (packages / libraries.name).symlink_to(libraries)
    _prepared(tmp_path, file, image)
    program = textwrap.dedent(
        f"""
        import importlib.util, numpy as np
        from PIL import Image
        from perception_contrast.engines.export.exported_encoder import ExportedEncoder
        assert not [name for name in {TORCH} if importlib.util.find_spec(name)]
        image = np.asarray(Image.open("photo.jpg").convert("RGB"))
        np.savez("seen.npz", **ExportedEncoder("{file.name}").see(image))
        """
    )
    _run(program, str(python), tmp_path, str(repository))
    _run(_documented(repository), str(python), tmp_path, str(repository))
    expected = ExportedEncoder(file).see(np.asarray(Image.open(tmp_path / "photo.jpg").convert("RGB")))
    with np.load(tmp_path / "seen.npz") as seen:
        assert set(seen) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(seen[name], values, rtol=1e-4, atol=1e-5)
