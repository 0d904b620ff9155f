"""Prints how easy the pages are to read: Flesch reading ease and the mean length of a sentence.

The figures are a hint and no test: a page may be easy to read and wrong. Run in the repository:
  python scripts/reading_ease.py [--against GIT_REV] [PAGE ...]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What a reader does not read as sentences. The order matters: fences hold everything else.
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*\s*$", re.DOTALL | re.MULTILINE)
_FORMULA = re.compile(r"^\$\$.*?^\$\$\s*$", re.DOTALL | re.MULTILINE)
_DIRECTIVE = re.compile(r"^:{3,}.*$|^:[\w-]+:.*$|^\([\w-]+\)=$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TABLE = re.compile(r"^\s*\|.*$", re.MULTILINE)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ADDRESS = re.compile(r"https?://\S+")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_CODE = re.compile(r"(`+)(?!`).+?\1")
_INLINE_FORMULA = re.compile(r"\$[^$\n]+\$")
# A heading, an item of a list and a definition are paragraphs of their own.
_BLOCK = re.compile(r"^\s*(?:#{1,6} |[-*+] |\d+[.)] |: )", re.MULTILINE)
_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_]*[A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|vs|cf|approx|etc|Fig|No)\.$")
_WORD = re.compile(r"[A-Za-z]+(?:['\u2019-][A-Za-z]+)*")
# Stands for inline code, a formula or an address: one word of one syllable, which may begin a sentence.
_NAME = "Code"


@dataclass(frozen=True)
class ReadingEase:
    """Counts of one text, and what follows from them."""

    sentences: int
    words: int
    syllables: int

    @property
    def sentence_length(self) -> float:
        """Mean number of words in a sentence; 0 for a text without words."""
        return self.words / self.sentences if self.sentences else 0.0

    @property
    def flesch(self) -> float:
        """Flesch reading ease (Flesch 1948): 60 to 70 is plain English, below 30 is hard; 0 without words."""
        if not self.words:
            return 0.0
        return 206.835 - 1.015 * self.sentence_length - 84.6 * self.syllables / self.words


def syllables(word: str) -> int:
    """Syllables of an English word, by its groups of vowels; each part of a hyphened word counts."""
    parts = [part for part in re.split(r"[^a-z]+", word.lower()) if part]
    return sum(_syllables_of_part(part) for part in parts) or 1


def _syllables_of_part(part: str) -> int:
    count = len(re.findall(r"[aeiouy]+", part))
    # "make", "boxes" against "table"; "named" against "wanted".
    silent_end = re.search(r"[^aeiouy]e$", part) and not re.search(r"[^aeiouyl]le$", part)
    silent_plural = re.search(r"[^aeiouycgsxz]es$", part) and not re.search(r"(?:[^aeiouyl]l|sh|ch)es$", part)
    silent_past = re.search(r"[^aeiouytd]ed$", part) and not re.search(r"[^aeiouyl]led$", part)
    if silent_end or silent_plural or silent_past:
        count -= 1
    # A silent e before an ending: "likely", "movement".
    count -= len(re.findall(r"[aeiouy][^aeiouy]+e(?:ly|ments?|ness|less|ful)$", part))
    return max(count + len(_APART.findall(part)), 1)


# Two vowels that are spoken apart: "create", "video", "variance", "various".
_APART = re.compile(
    r"creat|ideo|[^cgst]ia(?!ge)|[^cgst]iou|[^cgst]io(?!u)|tio$|(?<!q)ua[lt]|[ay]yi|eyi|being|seeing|(?:id|ar)ea|scien|quiet"
)


def prose(markdown: str) -> list[str]:
    """Sentences of a page: without its code, tables, images, formulas and headings' marks."""
    text = markdown.replace("\r\n", "\n")
    for pattern in (_FRONT, _COMMENT, _FENCE, _FORMULA, _DIRECTIVE, _TABLE):
        text = pattern.sub("\n", text)
    text = _CODE.sub(_NAME, _IMAGE.sub(" ", text))
    text = _LINK.sub(r"\1", text)
    text = _TAG.sub(" ", _INLINE_FORMULA.sub(_NAME, _ADDRESS.sub(_NAME, text)))
    text = re.sub(r"^\s*#{1,6} .*$", "\n", text, flags=re.MULTILINE)
    text = _BLOCK.sub("\n\n", text)
    found = [sentence for block in re.split(r"\n\s*\n", text) for sentence in _sentences(block)]
    return [sentence for sentence in found if _WORD.search(sentence)]


def _sentences(block: str) -> Iterable[str]:
    held = ""
    for piece in _END.split(" ".join(block.split())):
        held = f"{held} {piece}".strip()
        if not _ABBREVIATION.search(held):
            yield held
            held = ""
    if held:
        yield held


def measure(markdown: str) -> ReadingEase:
    """Counts of a page's prose."""
    sentences = prose(markdown)
    words = [word for sentence in sentences for word in _WORD.findall(sentence)]
    return ReadingEase(len(sentences), len(words), sum(syllables(word) for word in words))


def pages() -> list[Path]:
    """README.md and every page below docs/, as paths from the repository."""
    return [Path("README.md"), *sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md"))]


def at_revision(revision: str, page: Path) -> str | None:
    """Text of a page at a revision of git; None where the page was not there yet."""
    done = subprocess.run(
        ["git", "show", f"{revision}:{page.as_posix()}"], cwd=ROOT, capture_output=True, check=False
    )
    return done.stdout.decode("utf-8") if done.returncode == 0 else None


def table(texts: Sequence[tuple[str, str]]) -> str:
    """Markdown table of pages, the hardest to read first."""
    rows = sorted(((name, measure(text)) for name, text in texts), key=lambda row: row[1].flesch)
    lines = ["| Page | Words | Reading ease | Words a sentence |", "|---|--:|--:|--:|"]
    for name, ease in rows:
        lines.append(f"| {name} | {ease.words} | {ease.flesch:.0f} | {ease.sentence_length:.1f} |")
    return "\n".join(lines)


def comparison(texts: Sequence[tuple[str, str | None, str]]) -> str:
    """Markdown table of pages before (None for a new one) and after, with a last row for all of them."""
    lines = [
        "| Page | Words before | after | Reading ease before | after | Words a sentence before | after |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    befores = [text for _, text, _ in texts if text is not None]
    every = ("all", "\n\n".join(befores) if befores else None, "\n\n".join(after for _, _, after in texts))
    for name, before, after in (*texts, every):
        old, new = None if before is None else measure(before), measure(after)
        cells = [
            ("-" if old is None else f"{old.words}", f"{new.words}"),
            ("-" if old is None else f"{old.flesch:.0f}", f"{new.flesch:.0f}"),
            ("-" if old is None else f"{old.sentence_length:.1f}", f"{new.sentence_length:.1f}"),
        ]
        lines.append(f"| {name} | " + " | ".join(cell for pair in cells for cell in pair) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 2 where a page or the revision is not there."""
    parser = argparse.ArgumentParser(
        description="Flesch reading ease and words a sentence of README.md and docs/."
    )
    parser.add_argument("pages", nargs="*", type=Path, help="pages to measure (default: all)")
    parser.add_argument("--against", metavar="GIT_REV", help="show the same pages at this revision beside")
    given = parser.parse_args(arguments)
    chosen = [one.resolve().relative_to(ROOT) for one in given.pages] or pages()
    missing = [str(page) for page in chosen if not (ROOT / page).is_file()]
    if missing:
        print(f"no such page: {', '.join(missing)}", file=sys.stderr)
        return 2
    now = [(str(page), (ROOT / page).read_text("utf-8")) for page in chosen]
    if given.against is None:
        print(table(now))
        return 0
    before = {str(page): at_revision(given.against, page) for page in chosen}
    if not any(before.values()):
        print(f"git has none of the pages at {given.against!r}; `git log` lists revisions.", file=sys.stderr)
        return 2
    print(comparison([(name, before[name], text) for name, text in now]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
