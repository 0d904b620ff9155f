"""The ROS 2 (ament_python) package of a robot's runtime; it needs package.xml and requirements/."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = "perception_contrast"
NODES = ("bag_player", "map_node", "perception_node")
ROOT = Path(__file__).resolve().parent
# Said once: release tools of ROS change it in package.xml.
VERSION = ElementTree.parse(ROOT / "package.xml").findtext("version")
DATA = {".json", ".safetensors", ".txt", ".yaml"}
# Extras that bring a package of this repository, beside the libraries that it needs.
COMPANIONS = {
    "studio": "perception_contrast_studio",
    "training": "perception_contrast_training",
    "simulation": "perception_contrast_sim",
}


def installed(folder: str, pattern: str) -> tuple[str, list[str]]:
    return f"share/{NAME}/{folder}", sorted(str(path) for path in Path(folder).glob(pattern))


def package_data(folder: str) -> list[str]:
    """Listed one by one: the setuptools of Ubuntu 22.04 knows no recursive patterns."""
    root = Path(folder)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.suffix in DATA)


def requirements(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


def extras() -> dict[str, list[str]]:
    # What the nodes use where it is there: an engine, and the surface of the map.
    found = {name: requirements(name) for name in ("openvino", "mapping")}
    # By this name `colcon test` sees that the tests want pytest; without it, it runs none and says OK.
    found["test"] = requirements("dev")
    return found | {
        folder: [f"{package} @ {(ROOT / folder).as_uri()}"]
        for folder, package in COMPANIONS.items()
        if (ROOT / folder / "setup.py").is_file()
    }


setup(
    name=NAME,
    version=VERSION,
    description="A robot camera's frames as dense features, masks and detections of things named in words.",
    maintainer="perception_contrast maintainers",
    maintainer_email="maintainers@perception-contrast.dev",
    license="Apache-2.0",
    author="perception_contrast authors",
    url="https://perception-contrast.dev",
    keywords="ROS 2 robotics vision open-vocabulary DINOv2 CLIP",
    python_requires=">=3.10,<3.13",
    install_requires=requirements("core"),
    extras_require=extras(),
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", *package_data(NAME)]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        installed("launch", "*.launch.py"),
        installed("config", "*.*"),
        installed("config/vocabularies", "*.yaml"),
        installed("config/presets", "*.yaml"),
        installed("config/sros2", "*.xml"),
        installed("examples", "*.*"),
        installed("examples/methods", "*.*"),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "perception-contrast = perception_contrast.cli.command_entry:main",
            *(f"{node} = {NAME}.nodes.node_commands:{node}" for node in NODES),
        ]
    },
)
