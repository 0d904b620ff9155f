"""The documents name only files, anchors and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perception_contrast.cli.main import COMMANDS, COMPANION_COMMANDS

ROOT = Path(__file__).parents[2]
# Where a path in a document may begin: at the repository, or in one of its packages.
BASES = (
    "",
    "perception_contrast",
    "training",
    "training/perception_contrast_training",
    "simulation",
    "simulation/perception_contrast_sim",
    "studio",
    "studio/perception_contrast_studio",
    "interfaces/perception_contrast_msgs/include",
)
DOCUMENTS = sorted(
    [
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "examples/README.md", "simulation/README.md")
        ),
        *ROOT.glob("docs/**/*.md"),
    ]
)

FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
ANCHOR_TAG = re.compile(r'<a (?:id|name)="([^"]+)"')
FILE_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+\.(?:py|yaml|yml|md|txt|toml|json|msg|srv|hpp)")
FOLDER = re.compile(
    r"(?:perception_contrast\w*|training|simulation|studio|test|config|launch|docs)/(?:[\w-]+/)*"
)
MODULE = re.compile(r"perception_contrast(?:_training|_sim|_studio)?(?:\.[A-Za-z_]\w*)+")
COMMAND = re.compile(r"perception-contrast ([a-z][a-z-]*)")
RECIPE = re.compile(r"--recipe[ =](?:training/recipes/)?(\w+)")
RECIPE_NAME = re.compile(r"`(\w+_(?:scratch|adapt|lora))`")
EXECUTABLE = re.compile(r"ros2 run (perception_contrast\w*) ([\w-]+)")
EXECUTABLES = {
    "perception_contrast": {"perception-contrast", "perception_node", "map_node", "bag_player"},
    "perception_contrast_sim": {"sim_camera"},
    "perception_contrast_studio": {"studio"},
}
# Files of other projects and of data sets, that documents name.
OTHER_FILES = {"scripts/export_onnx_model.py", "gt/gt.txt"}
# Dotted names that begin as a module does but are none.
OTHER_NAMES = {
    "perception_contrast.trace",  # an LTTng event
    # Groups of entry points.
    "perception_contrast.methods",
    "perception_contrast.readers",
    "perception_contrast.text_towers",
}


def text_of(document: Path) -> str:
    return document.read_text("utf-8")


def anchors(document: Path) -> set[str]:
    """GitHub's anchors: lower case, punctuation dropped, spaces as hyphens, plus explicit tags."""
    text = FENCE.sub("", text_of(document))
    slugs = set(ANCHOR_TAG.findall(text))
    for heading in HEADING.findall(text):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"<[^>]*>", "", heading)).strip().lower().replace(" ", "-")
        slugs.add(slug)
    return slugs


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in LINK.findall(FENCE.sub("", text_of(document))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def file_paths(document: Path) -> list[str]:
    spans = SPAN.findall(FENCE.sub("", text_of(document)))
    paths = [span for span in spans if FILE_PATH.fullmatch(span) or FOLDER.fullmatch(span)]
    return [path for path in paths if path not in OTHER_FILES]


def bases(document: Path) -> list[Path]:
    return [ROOT / base for base in BASES] + [document.parent]


def module_exists(name: str) -> bool:
    """A dotted name is a module, or a name that stands in a module's text."""
    parts = name.split(".")
    roots = {
        "perception_contrast_training": "training",
        "perception_contrast_sim": "simulation",
        "perception_contrast_studio": "studio",
    }
    folder = ROOT / roots.get(parts[0], "")
    for length in range(len(parts), 0, -1):
        path = folder.joinpath(*parts[:length])
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if source.is_file():
            return length == len(parts) or bool(re.search(rf"\b{parts[length]}\b", text_of(source)))
    return False


def wrong_executables(file: Path) -> list[str]:
    named = EXECUTABLE.findall(text_of(file))
    return [f"{package} {name}" for package, name in named if name not in EXECUTABLES.get(package, ())]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestDocument:
    def test_links_and_anchors_resolve(self, document: Path) -> None:
        assert broken_links(document) == []

    def test_paths_exist(self, document: Path) -> None:
        missing = [
            path
            for path in file_paths(document)
            if not any((base / path).exists() for base in bases(document))
        ]
        assert missing == []

    def test_modules_exist(self, document: Path) -> None:
        named = set(MODULE.findall(text_of(document))) - OTHER_NAMES
        assert sorted(name for name in named if not module_exists(name)) == []

    def test_commands_exist(self, document: Path) -> None:
        companions = [name for commands in COMPANION_COMMANDS.values() for name in commands]
        known = {*COMMANDS, *companions, "version"}
        assert sorted(set(COMMAND.findall(text_of(document))) - known) == []

    def test_recipes_exist(self, document: Path) -> None:
        shipped = {path.stem for path in (ROOT / "training/recipes").glob("*.yaml")}
        text = text_of(document)
        assert sorted({*RECIPE.findall(text), *RECIPE_NAME.findall(text)} - shipped) == []

    def test_executables_belong_to_their_packages(self, document: Path) -> None:
        assert wrong_executables(document) == []


def test_comments_of_parameter_files_name_executables_that_exist() -> None:
    files = [*ROOT.glob("config/**/*.yaml"), *ROOT.glob("simulation/config/*.yaml")]
    assert files and {file.name: wrong for file in files if (wrong := wrong_executables(file))} == {}


def test_a_missing_file_or_anchor_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Some, heading\n\n[a](#some-heading) [b](#other) [c](gone.md) [d](https://example.org)\n"
    )
    assert broken_links(page) == ["#other", "gone.md"]
