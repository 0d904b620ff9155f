"""`perception-contrast vocab`: lists, shows and checks vocabulary files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Query
from perception_contrast.vocabulary.vocabulary_file import VocabularyFile, load_vocabulary, named_vocabulary
from perception_contrast.vocabulary.vocabulary_folders import named_vocabularies, user_folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perception-contrast vocab", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="list | show | check", required=True)
    actions.add_parser("list", help="all vocabularies that have a name, a line each")
    show = actions.add_parser("show", help="labels, phrases, negatives and distractors of one")
    show.add_argument("name", help="a name of the list")
    check = actions.add_parser("check", help="read a file as the node would and say what is wrong with it")
    check.add_argument("file", type=Path, help="a YAML file")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 where `list` found a file that is refused. Raises QueryError."""
    options = _parser().parse_args(argv)
    if options.action == "list":
        return _list()
    if options.action == "show":
        _show(named_vocabulary(options.name))
    else:
        print(_summary(load_vocabulary(options.file)))
    return 0


def _list() -> int:
    refused = 0
    for path in named_vocabularies().values():
        try:
            print(_summary(load_vocabulary(path)))
        except QueryError as error:
            refused = 1
            print(f"refused: {error}", file=sys.stderr)
    print(f"\nyour own go to {user_folder()}")
    return refused


def _summary(found: VocabularyFile) -> str:
    counts = f"{len(found.queries)} labels, {len(found.distractors)} distractors"
    return f"{found.name}: {counts}. {found.description} ({found.path})"


def _show(found: VocabularyFile) -> None:
    print(_summary(found))
    width = max(len(query.label) for query in found.queries)
    for query in found.queries:
        print(f"{query.label:<{width}}  {_described(query)}".rstrip())
    print(f"distractors: {', '.join(found.distractors) or 'none'}")


def _described(query: Query) -> str:
    parts = ["; ".join(query.phrases)]
    if query.negatives:
        parts.append(f"not: {'; '.join(query.negatives)}")
    if query.threshold is not None:
        parts.append(f"from {query.threshold:g}")
    return "  ".join(part for part in parts if part)
