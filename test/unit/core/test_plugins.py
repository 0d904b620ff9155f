"""What other packages add by name: found, refused with a line, and never imported without being asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from plugin_packages import installed

from perception_contrast.core import plugins
from perception_contrast.core.errors import PerceptionError, RecipeError

GROUP = "perception_contrast.tests"


def found(name: str) -> int | None:
    return plugins.find_plugin(GROUP, name, int, RecipeError)


def test_an_installed_package_is_found_by_its_name(tmp_path: Path) -> None:
    with installed(
        tmp_path, "others_seven", "class Box:\n    SEVEN = 7", {GROUP: {"seven": "others_seven:Box.SEVEN"}}
    ):
        assert plugins.registered_names(GROUP) == ("seven",)
        assert "others_seven" not in sys.modules, "names alone import nothing"
        assert found("seven") == 7
        assert found("eight") is None
    assert plugins.registered_names(GROUP) == ()


def test_two_packages_of_one_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    with (
        installed(tmp_path / "a", "others_a", "ONE = 1", {GROUP: {"one": "others_a:ONE"}}),
        installed(tmp_path / "b", "others_b", "ONE = 1", {GROUP: {"one": "others_b:ONE"}}),
        pytest.raises(RecipeError, match="registered by others_a, others_b; uninstall"),
    ):
        found("one")


def test_a_module_is_imported_only_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "others_mine.py").write_text(
        "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\nTWO = 2"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RecipeError, match="if you trust it, say so: --plugin others_mine:TWO"):
        found("others_mine:TWO")
    assert not (tmp_path / "others_mine.ran").exists()
    plugins.allow_modules(["others_mine:TWO", "no module"])
    assert found("others_mine:TWO") == 2 and (tmp_path / "others_mine.ran").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("others_no.such:KIND", "there is no module 'others_no'; install its package, or put the folder"),
        ("others_bad:TWOO", "module 'others_bad' has no 'TWOO'; did you mean 'TWO'"),
        ("others_bad:WORDS", "is a str, not a int"),
        ("others_lame:KIND", "needs the module 'others_missing', which is not installed"),
        ("others_broken:KIND", "cannot be imported: SyntaxError"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    (tmp_path / "others_bad.py").write_text("TWO = 2\nWORDS = 'two'")
    (tmp_path / "others_lame.py").write_text("import others_missing")
    (tmp_path / "others_broken.py").write_text("KIND = (")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.allow_modules([name])
    with pytest.raises(PerceptionError, match=said) as told:
        found(name)
    assert "\n" not in str(told.value) and name in str(told.value)
