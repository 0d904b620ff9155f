"""feature_map.hpp, compiled: its numbers against numpy's, with Eigen and OpenCV where their headers are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from perception_contrast.core.grid_to_image import GridToImage

SOURCE = Path(__file__).resolve().parents[1] / "cpp" / "feature_map_dump.cpp"
EIGEN, OPENCV = "Eigen/Core", "opencv2/core.hpp"
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
MAP = (4.5, 5.25, 1.75, 2.125)


def compiled(repository: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    include = repository / "interfaces/perception_contrast_msgs/include"
    words = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{include}"]
    for place in ("/usr/include/eigen3", "/usr/include/opencv4"):
        words += ["-isystem", place]
    program = folder / "dump"
    return subprocess.run(
        [*words, str(SOURCE), "-o", str(program), *flags], capture_output=True, text=True, check=False
    )


def has(header: str) -> bool:
    """True if the compiler finds a header where ``compiled`` looks."""
    test = f"#if !__has_include(<{header}>)\n#error\n#endif\n"
    places = ["-I/usr/include/eigen3", "-I/usr/include/opencv4"]
    done = subprocess.run(
        ["g++", *places, "-E", "-x", "c++", "-"], input=test, capture_output=True, text=True
    )
    return done.returncode == 0


@pytest.fixture(scope="module")
def plain(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program without any library."""
    folder = tmp_path_factory.mktemp("plain")
    done = compiled(repository, folder, "-DPERCEPTION_CONTRAST_NO_EIGEN", "-DPERCEPTION_CONTRAST_NO_OPENCV")
    assert done.returncode == 0, done.stderr
    return folder / "dump"


@pytest.fixture(scope="module")
def full(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the libraries that are there."""
    if not (has(EIGEN) or has(OPENCV)):
        pytest.skip("neither Eigen's nor OpenCV's headers are installed (libeigen3-dev, libopencv-dev)")
    folder = tmp_path_factory.mktemp("full")
    done = compiled(repository, folder, *(["-lopencv_core"] if has(OPENCV) else []))
    assert done.returncode == 0, done.stderr
    return folder / "dump"


def values_of(dtype: str) -> np.ndarray:
    """(3, 4, 5), zero, the smallest denormal and the largest float16 among them."""
    values = np.random.default_rng(1).standard_normal((3, 4, 5)).astype(dtype)
    values[0, 0, :3] = (0.0, 6e-8, 65504.0)
    return values


def asked(program: Path, folder: Path, values: np.ndarray, **changes: object) -> dict[str, str]:
    """What the program says of a message, by name."""
    fields = {
        "dtype": values.dtype.name,
        "height": values.shape[0],
        "width": values.shape[1],
        "channels": values.shape[2],
        "image_height": 16,
        "image_width": 20,
        "map": " ".join(map(str, MAP)),
        "data": values.tobytes(),
        **changes,
    }
    data = fields.pop("data")
    path = folder / "message"
    path.write_bytes(" ".join(map(str, fields.values())).encode() + b"\n" + bytes(data))
    done = subprocess.run([str(program), str(path)], capture_output=True, text=True, check=True)
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


def floats(text: str) -> np.ndarray:
    return np.array(text.split(), np.float64)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_and_pixels_are_those_of_numpy(plain: Path, tmp_path: Path, dtype: str) -> None:
    values = values_of(dtype)
    said = asked(plain, tmp_path, values)
    np.testing.assert_array_equal(
        floats(said["vector"]).astype(np.float32), values.astype(np.float32).ravel()
    )
    np.testing.assert_array_equal(
        floats(said["corner"]).astype(np.float32), values[-1, -1].astype(np.float32)
    )
    pixel = GridToImage(*MAP).to_image(2.0, 1.0)
    np.testing.assert_allclose(floats(said["pixel"]), (*pixel, 1.0, 2.0), rtol=1e-6)
    assert said["other_type"] == "refused"


def test_every_half_becomes_the_float_that_numpy_says(plain: Path) -> None:
    done = subprocess.run([str(plain)], capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.float32)
    expected = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float64"}, "dtype 'float64' is unknown"),
        ({"height": 4}, "has 120 bytes"),
        ({"channels": 0}, "or none"),
        ({"data": b""}, "has 0 bytes"),
        # 2^32 cells of 2^32 bytes: the product is 0 in 64 bits.
        ({"height": 2**31, "width": 2**31, "channels": 2**31, "data": b""}, "has 0 bytes"),
        ({"map": "0 1 0 0"}, "not a map to pixels"),
        ({"map": "1 -2 0 0"}, "not a map to pixels"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    plain: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    assert message in asked(plain, tmp_path, values_of("float16"), **changes)["error"]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_eigen_sees_the_same_numbers_in_place(full: Path, tmp_path: Path, dtype: str) -> None:
    if not has(EIGEN):
        pytest.skip("Eigen's headers are not installed (libeigen3-dev)")
    values = values_of(dtype)
    values[0, 0] = 0.5
    said = asked(full, tmp_path, values)
    rows = values.astype(np.float32).reshape(12, 5)
    np.testing.assert_array_equal(floats(said["eigen"]).astype(np.float32), rows.ravel())
    np.testing.assert_allclose(floats(said["products"]), rows @ rows[0], rtol=1e-5, atol=1e-6)
    assert said["eigen_no_copy"] == "1"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_opencv_sees_the_same_numbers_in_place(full: Path, tmp_path: Path, dtype: str) -> None:
    if not has(OPENCV):
        pytest.skip("OpenCV's headers are not installed (libopencv-dev)")
    values = values_of(dtype)
    said = asked(full, tmp_path, values)
    np.testing.assert_array_equal(
        floats(said["opencv"]).astype(np.float32), values.astype(np.float32).ravel()
    )
    assert said["opencv_shape"].split() == ["3", "4", "5", "12", "5"] and said["opencv_no_copy"] == "1"


def test_a_view_of_a_message_that_is_about_to_go_does_not_compile(repository: Path, tmp_path: Path) -> None:
    source = tmp_path / "temporary.cpp"
    # The struct of the program above, and a view of one that lives for a line.
    struct = re.search(r"struct Message\n\{.*?\n\};\n", SOURCE.read_text(), re.DOTALL)
    assert struct is not None
    body = "int main() { perception_contrast::FeatureMapView view(%s); return view.height() == 0; }\n"
    include = repository / "interfaces/perception_contrast_msgs/include"
    head = "#define PERCEPTION_CONTRAST_NO_EIGEN\n#define PERCEPTION_CONTRAST_NO_OPENCV\n"
    head += "#include <perception_contrast/feature_map.hpp>\n" + struct.group()
    codes = []
    for argument in ("Message{}", "message"):
        source.write_text(head + ("Message message;\n" if argument == "message" else "") + body % argument)
        done = subprocess.run(
            ["g++", "-std=c++17", "-fsyntax-only", f"-I{include}", str(source)],
            capture_output=True,
            env=os.environ,
        )
        codes.append(done.returncode)
    assert codes[0] != 0 and codes[1] == 0


def test_the_message_package_installs_the_header(repository: Path) -> None:
    cmake = (repository / "interfaces/perception_contrast_msgs/CMakeLists.txt").read_text()
    assert re.search(r"install\(DIRECTORY include/ DESTINATION include/\$\{PROJECT_NAME\}\)", cmake)
    # The struct that the program is compiled against has the fields of the message.
    message = (repository / "interfaces/perception_contrast_msgs/msg/FeatureMap.msg").read_text()
    fields = {line.split()[1] for line in message.splitlines() if line and not line.startswith("#")}
    struct = re.search(r"struct Message\n\{(.*?)\n\};", SOURCE.read_text(), re.DOTALL).group(1)
    assert fields - {"header"} <= set(re.findall(r"\w+", struct))
