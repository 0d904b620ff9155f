"""The ROS 2 (ament_python) package; dependencies stand in package.xml and requirements/."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "perception_contrast"
TRAINING = "perception_contrast_training"
NODES = ("bag_player", "perception_node", "sim_camera")


DATA = {".json", ".safetensors", ".txt", ".yaml"}


def installed(folder: str, pattern: str) -> tuple[str, list[str]]:
    return f"share/{NAME}/{folder}", sorted(str(path) for path in Path(folder).glob(pattern))


def package_data(folder: str) -> list[str]:
    """Listed one by one: the setuptools of Ubuntu 22.04 knows no recursive patterns."""
    root = Path(folder)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.suffix in DATA)


setup(
    name=NAME,
    version="0.1.0",
    description="A robot camera's frames as dense features, masks and detections of things named in words.",
    maintainer="perception_contrast maintainers",
    maintainer_email="maintainers@perception-contrast.dev",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=[NAME, f"{NAME}.*"])
    + find_packages("training", include=[TRAINING, f"{TRAINING}.*"]),
    package_dir={TRAINING: f"training/{TRAINING}"},
    package_data={NAME: package_data(NAME), TRAINING: package_data(f"training/{TRAINING}")},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        installed("launch", "*.launch.py"),
        installed("config", "*.*"),
        installed("config/vocabularies", "*.yaml"),
        installed("config/presets", "*.yaml"),
        installed("config/sros2", "*.xml"),
        installed("examples", "*.*"),
        (f"share/{NAME}/recipes", sorted(str(path) for path in Path("training/recipes").glob("*.yaml"))),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "perception-contrast = perception_contrast.cli.main:main",
            *(f"{node} = {NAME}.nodes.{node}:main" for node in NODES),
        ]
    },
)
