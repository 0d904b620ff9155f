"""The ROS 2 (ament_python) package of the studio, a web page; a robot runs without it."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = "perception_contrast_studio"
HERE = Path(__file__).resolve().parent
# Said once: release tools of ROS change it in package.xml.
VERSION = ElementTree.parse(HERE / "package.xml").findtext("version")


def requirements(name: str) -> list[str]:
    lines = (HERE.parent / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


setup(
    name=NAME,
    version=VERSION,
    description="A web page that shows what a robot sees, asks it in words, and explains its features.",
    maintainer="perception_contrast maintainers",
    maintainer_email="maintainers@perception-contrast.dev",
    license="Apache-2.0",
    author="perception_contrast authors",
    url="https://perception-contrast.dev",
    keywords="ROS 2 robotics vision open-vocabulary DINOv2 CLIP",
    python_requires=">=3.10,<3.13",
    install_requires=[f"perception_contrast=={VERSION}", *requirements("studio")],
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={
        NAME: ["py.typed", "data/*.jpg"],
        f"{NAME}.components": ["*/*.js", "*/*.css", "*/*/*.js"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    zip_safe=False,
    entry_points={
        "console_scripts": [f"studio = {NAME}.nodes.studio_node:main"],
        "perception_contrast.commands": [f"studio = {NAME}.cli.studio_command"],
    },
)
