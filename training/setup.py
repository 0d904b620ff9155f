"""The ROS 2 (ament_python) package that learns from recordings; a robot runs without it."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = "perception_contrast_training"
HERE = Path(__file__).resolve().parent
# Said once: release tools of ROS change it in package.xml.
VERSION = ElementTree.parse(HERE / "package.xml").findtext("version")
COMMANDS = {
    "calibrate": "calibration.calibrate_command",
    "data": "cli.data_command",
    "distill": "cli.distill_command",
    "embed": "cli.embed_command",
    "eval": "cli.eval_command",
    "train": "cli.train_command",
}


def requirements(name: str) -> list[str]:
    lines = (HERE.parent / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


setup(
    name=NAME,
    version=VERSION,
    description="Pretrains, adapts, evaluates and exports the encoders that perception_contrast serves.",
    maintainer="perception_contrast maintainers",
    maintainer_email="maintainers@perception-contrast.dev",
    license="Apache-2.0",
    author="perception_contrast authors",
    url="https://perception-contrast.dev",
    keywords="ROS 2 robotics vision open-vocabulary DINOv2 CLIP",
    python_requires=">=3.10,<3.13",
    install_requires=[f"perception_contrast=={VERSION}", *requirements("training")],
    extras_require={name: requirements(name) for name in ("fleet", "loggers")},
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "photographs/names.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (
            f"share/{NAME}/recipes",
            sorted(f"recipes/{path.name}" for path in (HERE / "recipes").glob("*.yaml")),
        ),
    ],
    zip_safe=False,
    entry_points={
        "perception_contrast.commands": [f"{name} = {NAME}.{module}" for name, module in COMMANDS.items()]
    },
)
