"""The reading ease of pages: sentences and syllables that are known, and what of a page is no prose."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "reading_ease.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reading_ease", SCRIPT)
    assert spec is not None and spec.loader is not None
    # dataclasses look their module up by its name.
    module = sys.modules["reading_ease"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("word", "expected"),
    # As hyphenated in Merriam-Webster's dictionary.
    [
        *[(word, 1) for word in ("the", "make", "named", "notes", "used", "scale", "once")],
        *[(word, 2) for word in ("table", "boxes", "wanted", "image", "query", "likely", "matches", "trial")],
        *[
            (word, 3)
            for word in ("camera", "detection", "images", "idea", "various", "equation", "re-use-it")
        ],
        *[(word, 4) for word in ("calibration", "diagonal", "material")],
        ("vocabulary", 5),
    ],
)
def test_syllables(script: ModuleType, word: str, expected: int) -> None:
    assert script.syllables(word) == expected


def test_flesch_of_known_sentences(script: ModuleType) -> None:
    # Six words of one syllable: 206.835 - 1.015 * 6 - 84.6 * 1, the formula of Flesch (1948).
    assert script.measure("The cat sat on the mat.").flesch == pytest.approx(116.145)
    # The pangram: nine words, eleven syllables.
    fox = script.measure("The quick brown fox jumps over the lazy dog.")
    assert (fox.words, fox.syllables) == (9, 11)
    assert fox.flesch == pytest.approx(206.835 - 1.015 * 9 - 84.6 * 11 / 9)


def test_only_prose_counts(script: ModuleType) -> None:
    page = """# A heading that is not a sentence

The node reads `image/compressed`. See [the map](map.md#here) at 0.5 m, e.g. Kitchen one.

```python
detector = load("household-lit")
```

| name | meaning |
|---|---|
| `fps` | results a second |

![A picture with words](images/one.png)

- First item
- Second item of
  two lines

$$
x = y
$$
"""
    assert script.prose(page) == [
        "The node reads Code.",
        "See the map at 0.5 m, e.g. Kitchen one.",
        "First item",
        "Second item of two lines",
    ]


def test_a_page_without_prose_has_no_figures(script: ModuleType) -> None:
    empty = script.measure("```\nmake demo\n```\n")
    assert (empty.sentences, empty.words, empty.flesch, empty.sentence_length) == (0, 0, 0.0, 0.0)


def test_before_and_after_stand_side_by_side(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    page = tmp_path / "README.md"
    page.write_text("The camera that stands on the robot sends images to the node.\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "before")
    page.write_text("The camera is on the robot. It sends images.\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "new.md").write_text("The cat sat.\n")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert script.main(["--against", "HEAD"]) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    # 17 syllables in 12 words before, 14 in 9 after.
    eases = [f"{206.835 - 1.015 * 12 - 84.6 * 17 / 12:.0f}", f"{206.835 - 1.015 * 4.5 - 84.6 * 14 / 9:.0f}"]
    assert rows[2] == ["README.md", "12", "9", *eases, "12.0", "4.5"]
    assert rows[3][:3] == ["docs/new.md", "-", "3"]
    assert script.main(["--against", "no-such-revision"]) == 2
    assert script.main([str(tmp_path / "docs" / "gone.md")]) == 2
