"""Pages name tasks by text, which no type checker sees: each names a function that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import perception_contrast_studio

ROOT = Path(perception_contrast_studio.__file__).parent
TASK = re.compile(r'"((?:\w+\.)?\w+):(\w+|\{\w+\})"')


def named_tasks() -> set[tuple[str, str]]:
    texts = [
        path.read_text("utf-8") for path in ROOT.rglob("*.py") if "tasks" not in path.relative_to(ROOT).parts
    ]
    return {found for text in texts for found in TASK.findall(text)}


def test_each_task_that_a_page_names_is_a_function_of_a_room() -> None:
    found = {(module, function) for module, function in named_tasks() if "." in module}
    assert len(found) > 20
    for module, function in found:
        path = ROOT / "tasks" / (module.replace(".", "/") + ".py")
        assert path.is_file(), module
        if not function.startswith("{"):
            defined = {
                one.name
                for one in ast.parse(path.read_text("utf-8")).body
                if isinstance(one, ast.FunctionDef)
            }
            assert function in defined, f"{module}:{function}"


def test_modules_that_lie_in_a_room_are_never_named_without_it() -> None:
    modules = {path.stem for path in (ROOT / "tasks").rglob("*.py")}
    assert not {name for name, _ in named_tasks() if name in modules}


def test_each_room_says_in_one_sentence_what_it_is_for() -> None:
    for room in (path for path in (ROOT / "tasks").iterdir() if (path / "__init__.py").is_file()):
        says = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
        assert says.count(".") == 1 and says.endswith("."), room.name
