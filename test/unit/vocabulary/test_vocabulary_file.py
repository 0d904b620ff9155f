"""Vocabularies as files: shipped ones, what is refused and how it is said, names that are no paths."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from perception_contrast.cli import main as cli
from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import MAX_QUERIES, Query
from perception_contrast.encoders.alignment_head import TRAINED_ABSENT, load_alignment
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast.vocabulary.vocabulary_file import VocabularyFile, load_vocabulary, named_vocabulary
from perception_contrast.vocabulary.vocabulary_folders import named_vocabularies

SHIPPED = ("household", "outdoor", "road", "warehouse")
WHOLE = """\
description: " What stands on my desk. "
labels:
  - {label: mug, phrases: [red mug, cup with a handle], negatives: [bowl], threshold: 0.4}
  - lamp
  - label: "2"
distractors: [wall, wall]
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of vocabularies."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("PERCEPTION_CONTRAST_VOCABULARIES", str(folder))
    return folder


def loaded(folder: Path, text: str) -> VocabularyFile:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_vocabulary(path)


def test_a_file_becomes_queries_and_distractors(own: Path) -> None:
    found = loaded(own, WHOLE)
    mug = Query("mug", ("red mug", "cup with a handle"), threshold=0.4, negatives=("bowl",))
    assert found.queries == (mug, Query("lamp"), Query("2"))
    assert (found.name, found.description) == ("mine", "What stands on my desk.")
    assert found.distractors == ("wall",)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_vocabularies_hold_what_they_should(name: str, repository: Path) -> None:
    found = load_vocabulary(name)
    assert found.path == repository / "config" / "vocabularies" / f"{name}.yaml"
    assert 40 <= len(found.queries) <= 100 and len(found.distractors) >= 5 and found.description
    phrases = [phrase for query in found.queries for phrase in query.texts()]
    assert len(set(phrases)) == len(phrases), "a phrase of two labels makes them fight for it"
    assert not set(phrases) & set(found.distractors)
    assert sum(len(query.texts()) > 1 for query in found.queries) > 0.7 * len(found.queries)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("head", sorted(PACKAGED))
def test_shipped_vocabularies_for_household_lit_hold_nothing_it_was_trained_to_call_absent(
    name: str, head: str
) -> None:
    """The others say which language model they are for."""
    found = load_vocabulary(name)
    facts = load_alignment(PACKAGED[head].alignment)[1]
    absent = {one.casefold() for one in json.loads(facts.get(TRAINED_ABSENT, "[]"))}
    held = {text for query in found.queries for text in (query.label, *query.texts())} & absent
    meant_for = set(re.findall(r"siglip2-b16|household-lit", found.description))
    assert len(meant_for) == 1, "a vocabulary says which language model it is for"
    assert not held or meant_for == {"siglip2-b16"}, held


def test_the_household_vocabulary_is_for_household_lit() -> None:
    assert "household-lit" in load_vocabulary("household").description


def test_shipped_vocabularies_are_installed(repository: Path) -> None:
    listed = (repository / "setup.py").read_text()
    assert 'installed("config/vocabularies", "*.yaml")' in listed
    assert {path.stem for path in (repository / "config/vocabularies").glob("*.yaml")} == set(SHIPPED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("labels: [mug]\ndistractor: [wall]", "unknown key 'distractor'; did you mean 'distractors'?"),
        (
            "labels:\n  - {label: mug, phrase: [cup]}",
            "label 'mug': unknown key 'phrase'; did you mean 'phrases'",
        ),
        ("labels: [mug, lamp, mug]", "label 'mug' is given more than once"),
        ("labels: [mug]\ndescription: x\nlabels: [cup]", "mine.yaml:3: 'labels' is given twice"),
        ("labels:\n  - {label: mug, label: cup}", "mine.yaml:2: 'label' is given twice"),
        (
            "labels:\n  - {label: mug, phrases: cup}",
            "label 'mug': 'phrases' is text (cup); it must be a list",
        ),
        ("labels:\n  - {label: mug, phrases: [on]}", "label 'mug': 'phrases' holds true or false (True)"),
        ("labels:\n  - {label: mug, threshold: high}", "label 'mug': 'threshold' is text (high)"),
        ("labels:\n  - {label: mug, threshold: true}", "'threshold' is true or false"),
        ("labels:\n  - {label: mug, threshold: 1.5}", "threshold 1.5 of 'mug'"),
        ("labels:\n  - {label: mug, threshold: .nan}", "threshold nan of 'mug'"),
        ("labels:\n  - {label: mug, negatives: [mug]}", "'mug' has 'mug' as phrase and as negative"),
        ("labels: [lamp, no]", "label 2 is true or false (False)"),
        ("labels: [2026-01-01]", "label 1 is a date"),
        ("labels:\n  - {phrases: [cup]}", "label 1 is empty"),
        ("labels: [lamp, '']", "a label is empty"),
        ("labels: mug", "'labels' must be a list"),
        ("labels: []", "at least one label"),
        ("description: nothing", "'labels' must be a list"),
        ("description: [a]\nlabels: [mug]", "'description' is a list"),
        ("distractors: wall\nlabels: [mug]", "'distractors' is text (wall)"),
        ("- mug", "not a mapping"),
        ("", "not a mapping"),
        ("labels: [mug", "not YAML"),
        ("labels: !!python/object/apply:os.system ['true']", "not YAML"),
        (f"labels: ['{'x' * 600}']", "at most 512"),
        ("labels: [" + ", ".join(f"l{n}" for n in range(MAX_QUERIES + 1)) + "]", "at most 1024"),
        ("labels: " + "[" * 5000, "mine.yaml: n"),
        ("? [a, b]\n: c\nlabels: [mug]", "not YAML"),
        ("labels: [2026-13-45]", "put texts that look like dates in quotes"),
        (f"labels: [{'9' * 5000}]", "not a value"),
        (f"labels:\n  - {{label: mug, threshold: {'9' * 400}}}", "'threshold' is far from"),
    ],
)
def test_what_is_refused_names_file_place_and_remedy(own: Path, text: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        loaded(own, text)
    assert said in str(caught.value) and "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_are_looked_into_once(own: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    with pytest.raises(QueryError, match="unknown key 'a0'"):
        loaded(own, "\n".join(lines))


def test_files_that_cannot_be_read_say_so(own: Path) -> None:
    (own / "latin.yaml").write_bytes("labels: [Käse]".encode("latin-1"))
    (own / "large.yaml").write_bytes(b"#" * (1 << 20) + b"\nlabels: [mug]")
    for path, said in (
        (own / "absent.yaml", "cannot be read"), (own, "cannot be read"), (own / "latin.yaml", "not UTF-8"),
        (own / "large.yaml", "larger than 1 MB"),
    ):  # fmt: skip
        with pytest.raises(QueryError, match=said):
            load_vocabulary(path)


def test_a_users_own_vocabulary_comes_before_ours(own: Path) -> None:
    (own / "household.yaml").write_text("labels: [my thing]")
    (own / "lab.yaml").write_text("labels: [pipette]")
    (own / "Not A Name.yaml").write_text("labels: [pipette]")
    assert list(named_vocabularies()) == sorted([*SHIPPED, "lab"])
    assert [query.label for query in named_vocabulary("household").queries] == ["my thing"]


@pytest.mark.parametrize(
    "name",
    [
        "../household",
        "/etc/passwd",
        "household.yaml",
        "",
        "House",
        "a" * 65,
        "household\n",
        "..",
        "\u212aelvin",
    ],
)
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(QueryError, match="is not a name"):
        named_vocabulary(name)


def test_an_unknown_name_is_met_with_the_nearest_one() -> None:
    with pytest.raises(QueryError, match=r"did you mean 'household'.*known: household, outdoor, road"):
        named_vocabulary("houshold")


def test_the_command_lists_shows_and_checks(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vocab", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name}: " in listed for name in SHIPPED)
    (own / "mine.yaml").write_text(WHOLE)
    assert cli.main(["vocab", "show", "mine"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "mug   red mug; cup with a handle  not: bowl  from 0.4" in shown
    assert "lamp" in shown and "distractors: wall" in shown
    assert cli.main(["vocab", "check", str(own / "mine.yaml")]) == 0
    assert "3 labels, 1 distractors" in capsys.readouterr().out
    (own / "bad.yaml").write_text("labels: [a, a]")
    assert cli.main(["vocab", "check", str(own / "bad.yaml")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert cli.main(["vocab", "list"]) == 1
    listed = capsys.readouterr()
    assert "refused: " in listed.err and all(f"{name}: " in listed.out for name in (*SHIPPED, "mine"))
