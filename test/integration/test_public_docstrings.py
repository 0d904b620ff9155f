"""Docstrings of the public API: Sphinx's own reader finds in them each argument, result and error."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

napoleon = pytest.importorskip(
    "sphinx.ext.napoleon", reason="sphinx is not installed: `make setup` brings it"
)

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT, ROOT / "training")
AUTOMODULE = re.compile(r"^\.\. automodule:: (\S+)$", re.MULTILINE)
# Imported by users, though the API reference does not show them.
OTHERS = (
    "perception_contrast.encoders.base",
    "perception_contrast.memory.history",
    "perception_contrast.memory.memory_store",
    "perception_contrast.models.registry",
    "perception_contrast_training",
    "perception_contrast_training.losses",
    "perception_contrast_training.methods.method_kind",
    "perception_contrast_training.views",
)
# Bases that give public classes their methods.
BASES = ("perception_contrast.client.node_client", "perception_contrast.client.result_methods")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def path_of(module: str) -> Path:
    for folder in FOLDERS:
        path = folder.joinpath(*module.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
    raise FileNotFoundError(module)


def public_modules() -> list[str]:
    pages = (ROOT / "docs/api").glob("*.md")
    shown = [name for page in pages for name in AUTOMODULE.findall(page.read_text("utf-8"))]
    return sorted({*shown, *OTHERS, *BASES})


def public_nodes(module: str) -> Iterator[tuple[str, ast.stmt]]:
    """Name and definition of each public class and function of a module, or that a package exports."""
    file = path_of(module)
    tree = ast.parse(file.read_text("utf-8"))
    if file.name != "__init__.py":
        for node in tree.body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                yield f"{module}.{node.name}", node
        return
    for imported in ast.walk(tree):
        if isinstance(imported, ast.ImportFrom) and (imported.module or "").startswith("perception_contrast"):
            wanted = {one.name for one in imported.names}
            assert imported.module is not None
            for node in ast.parse(path_of(imported.module).read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef | Function) and node.name in wanted:
                    yield f"{imported.module}.{node.name}", node


def functions(module: str) -> Iterator[tuple[str, Function, bool]]:
    """Name and definition of each public function and method, and whether it is a method."""
    for name, node in public_nodes(module):
        if isinstance(node, Function):
            yield name, node, False
        elif isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, Function) and (not one.name.startswith("_") or one.name == "__call__"):
                    yield f"{name}.{one.name}", one, True


def decorators(function: Function) -> set[str]:
    return {ast.unparse(one) for one in function.decorator_list}


def arguments(function: Function, is_method: bool) -> list[str]:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args)]
    if is_method and "staticmethod" not in decorators(function):
        names = names[1:]
    names += [one.arg for one in given.kwonlyargs]
    return names + [one.arg for one in (given.vararg, given.kwarg) if one is not None]


def raised(function: Function) -> set[str]:
    """Classes of the errors that a function raises itself."""
    errors = [one.exc for one in ast.walk(function) if isinstance(one, ast.Raise) and one.exc is not None]
    names = [ast.unparse(one.func if isinstance(one, ast.Call) else one) for one in errors]
    return {name.rpartition(".")[2] for name in names if name[:1].isupper()}


def gaps(function: Function, is_method: bool) -> list[str]:
    """What Sphinx does not find in the docstring of a function."""
    text = ast.get_docstring(function)
    if not text:
        return ["a docstring"]
    fields = str(napoleon.GoogleDocstring(text, napoleon.Config(napoleon_use_param=True)))
    found = [name.replace("\\", "").lstrip("*") for name in re.findall(r":param (\S+?):", fields)]
    missing = [name for name in arguments(function, is_method) if name not in found]
    unknown = [name for name in found if name not in arguments(function, is_method)]
    result = ast.unparse(function.returns) if function.returns is not None else "None"
    is_property = any("property" in one for one in decorators(function))
    if result not in ("None", "Self") and not is_property and not re.search(r":returns:|:Yields:", fields):
        missing.append("Returns")
    documented = re.findall(r":raises (\S+?):", fields)
    missing += [f"Raises {name}" for name in sorted(raised(function)) if name not in documented]
    return missing + [f"no argument {name}" for name in unknown]


@pytest.mark.parametrize("module", public_modules())
def test_arguments_results_and_errors_are_documented(module: str) -> None:
    public = list(functions(module))
    lacking = {name: found for name, one, is_method in public if (found := gaps(one, is_method))}
    assert lacking == {}


def test_a_gap_is_found() -> None:
    function = ast.parse(
        "def near(point: Point, radius: float) -> list[Thing]:\n"
        "    '''Things near a point.\n\n"
        "    Args:\n        point: Metres.\n        distance: Metres.\n    '''\n"
        "    raise ValueError('radius')"
    ).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert gaps(function, False) == ["radius", "Returns", "Raises ValueError", "no argument distance"]
