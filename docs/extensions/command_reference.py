"""The directive `command-reference`: every command and option, read from the commands' own parsers."""

from __future__ import annotations

import argparse
import importlib
import re
import textwrap
from collections.abc import Iterator, Sequence

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from perception_contrast.cli import main as command_line

PROGRAM = "perception-contrast"


class _Helped(Exception):
    """A parser was asked for its help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser that answers to `perception-contrast WORDS --help`."""

    def raise_it(parser: argparse.ArgumentParser, file: object = None) -> None:
        raise _Helped(parser)

    printed = argparse.ArgumentParser.print_help
    argparse.ArgumentParser.print_help = raise_it  # type: ignore[method-assign, assignment]
    try:
        command_line.main([*words, "--help"])
    except _Helped as helped:
        return helped.parser
    finally:
        argparse.ArgumentParser.print_help = printed  # type: ignore[method-assign]
    raise ValueError(f"`{' '.join(words)} --help` shows no help of a parser")


def commands(words: Sequence[str] = ()) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Words of each command below ``words`` and its parser, in the order of the help."""
    if len(words) > 1:
        return
    for name in choices(words):
        if (below := (*words, name)) != ("version",):
            yield below, parser_of(below)
            yield from commands(below)


def choices(words: Sequence[str]) -> list[str]:
    """Names of the commands below one: those of its module, where it hands them on, or of its parser."""
    if words:
        module = importlib.import_module(command_line._module_of(words[0]))
        if hasattr(module, "COMMANDS"):
            return sorted(module.COMMANDS)
    actions = parser_of(words)._actions
    found = [one.choices for one in actions if isinstance(one, argparse._SubParsersAction)]
    return sorted(found[0]) if found else []


def markdown(words: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Usage, description and options of one command."""
    usage = re.sub(r"\s+", " ", parser.format_usage()).removeprefix("usage: ").strip()
    usage = textwrap.fill(usage, 90, subsequent_indent="    ", break_on_hyphens=False)
    parts = [f"{'#' * (len(words) + 1)} {PROGRAM} {' '.join(words)}", f"```text\n{usage}\n```"]
    laid_out = issubclass(parser.formatter_class, argparse.RawDescriptionHelpFormatter)
    for text in (parser.description, parser.epilog):
        if text:
            parts.append(f"```text\n{text.strip()}\n```" if laid_out and "\n" in text else _escaped(text))
    for group in parser._action_groups:
        rows = [row for action in group._group_actions if (row := _row(parser, action))]
        if rows:
            parts.append("\n".join(["| | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
        return ""
    if isinstance(action, argparse._SubParsersAction):
        rows = [f"| `{one.dest}` | {_escaped(one.help or '')} |" for one in action._choices_actions]
        return "\n".join(rows)
    value = parser._get_formatter()._format_args(action, (action.dest or "").upper())
    names = ", ".join(f"`{one} {value}`" if value else f"`{one}`" for one in action.option_strings)
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return f"| {(names or f'`{value}`').replace('|', chr(92) + '|')} | {_escaped(text)} |"


def _escaped(text: str) -> str:
    """Plain text as Markdown, of one paragraph for each of the text's."""
    paragraphs = [re.sub(r"\s+", " ", one).strip() for one in text.split("\n\n")]
    return "\n\n".join(re.sub(r"([|<>*_\[\]])", r"\\\1", one) for one in paragraphs)


class CommandReference(SphinxDirective):
    """`command-reference`, without arguments."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        text = "\n\n".join(markdown(words, parser) for words, parser in commands())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
