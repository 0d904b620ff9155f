"""The `perception-contrast` command: picks a subcommand and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .. import __version__
from ..errors import PerceptionError
from ..threads import settle_threads

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """module has ``main(argv) -> int`` and is imported only when its command is called."""

    module: str
    help: str


COMMANDS = {
    "bench": Command("perception_contrast.cli.bench", "how long each part of a frame takes here"),
    "bench-node": Command(
        "perception_contrast.cli.bench_node", "what the ROS node costs, how it shares, how it restarts"
    ),
    "calibrate": Command(
        "perception_contrast_training.calibrate_words", "fit the probabilities of words to your pictures"
    ),
    "data": Command(
        "perception_contrast_training.data.command", "datasets of recordings: extract, look, dedup, split"
    ),
    "demo": Command("perception_contrast.cli.demo", "a camera, the perception node and a live table"),
    "doctor": Command("perception_contrast.cli.doctor", "what is installed, what is missing, and the remedy"),
    "eval": Command(
        "perception_contrast_training.evaluation.command", "how good it is on data with known answers"
    ),
    "export": Command("perception_contrast.cli.export", "write a model as ONNX, to run without torch"),
    "models": Command("perception_contrast.cli.models", "list, describe and fetch models"),
    "soak": Command(
        "perception_contrast.cli.soak", "every fault that a robot may meet, for as long as you like"
    ),
    "train": Command(
        "perception_contrast_training.cli", "learn from your own pictures: run, resume, export, evaluate"
    ),
    "vocab": Command("perception_contrast.cli.vocab", "list, show and check vocabularies"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast",
        description="Open-vocabulary perception for ROS 2.",
        epilog="`perception-contrast COMMAND --help` describes a command.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"perception_contrast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help, add_help=False)
    commands.add_parser("version", help="print the version")
    return parser


def _run(name: str, argv: Sequence[str]) -> int:
    command = COMMANDS[name]
    settle_threads()
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        raise PerceptionError(
            f"'{name}' needs the Python module '{error.name}', which is not installed; "
            "run `make setup` and `source env.sh`, or source your ROS 2 workspace"
        ) from error
    return int(module.main(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 success, 2 an error the user can act on, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the command's name is read here: everything after it belongs to the command.
    chosen = _parser().parse_args(arguments[:1])
    if chosen.command == "version":
        print(__version__)
        return 0
    try:
        return _run(chosen.command, arguments[1:])
    except PerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except BrokenPipeError:
        # Its reader has enough; what is still in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
