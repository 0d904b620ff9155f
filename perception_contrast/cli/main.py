"""The `perception-contrast` command: picks a subcommand and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.early_exit import EXIT_INTERRUPTED, interrupt_as_usual
from perception_contrast.core.process.threads import settle_threads
from perception_contrast.core.version import __version__

EXIT_ERROR = 2


@dataclass(frozen=True)
class Command:
    """module has ``main(argv) -> int`` and is imported only when its command is called."""

    module: str
    help: str


COMMANDS = {
    "bench": Command(
        "perception_contrast.cli.bench_command", "times of each stage of a frame on this machine"
    ),
    "bench-map": Command(
        "perception_contrast.cli.bench_map_command", "times and memory of the 3D map at several sizes"
    ),
    "bench-node": Command(
        "perception_contrast.cli.bench_node_command",
        "overhead of the ROS node, several cameras, restarts",
    ),
    "demo": Command(
        "perception_contrast.cli.demo.demo_command", "a camera, the perception node and a live table"
    ),
    "doctor": Command("perception_contrast.cli.doctor_command", "check the installation"),
    "export": Command(
        "perception_contrast.cli.export_command", "write a model as ONNX, to run without torch"
    ),
    "find": Command(
        "perception_contrast.cli.find.find_command",
        "search images, videos and recordings without ROS: JSON, COCO, overlays, MCAP",
    ),
    "map": Command(
        "perception_contrast.cli.map.map_command",
        "a 3D map of a recording that answers questions; saved maps",
    ),
    "models": Command("perception_contrast.cli.models_command", "list, describe and fetch models"),
    "soak": Command(
        "perception_contrast.cli.soak_command",
        "run the node under every known fault",
    ),
    "vocab": Command("perception_contrast.cli.vocab_command", "list, show and check vocabularies"),
}
# Commands of other packages, by the package's folder; it names their modules as entry points of GROUP.
COMPANION_COMMANDS = {
    "training": {
        "calibrate": "fit the probabilities of words to your images",
        "data": "datasets of recordings: extract, look, dedup, split",
        "distill": "teach a small network what large models see",
        "embed": "vectors of all frames of your data: duplicates, outliers, what to label",
        "eval": "measure accuracy on annotated data",
        "train": "learn from your own images: run, resume, export, evaluate",
    },
    "studio": {"studio": "a web page that shows what the robot sees and answers questions"},
}
GROUP = "perception_contrast.commands"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast",
        description="Open-vocabulary perception for ROS 2.",
        epilog="`perception-contrast COMMAND --help` describes a command.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"perception_contrast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    helps = {name: command.help for name, command in COMMANDS.items()}
    for companion in COMPANION_COMMANDS.values():
        helps |= companion
    for name, text in sorted(helps.items()):
        commands.add_parser(name, help=text, add_help=False)
    commands.add_parser("version", help="print the version")
    return parser


def _module_of(name: str) -> str:
    """Raises PerceptionError for a command of a package that is not installed."""
    if name in COMMANDS:
        return COMMANDS[name].module
    # A robot runs without training code, so it is found only where it was installed.
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return entry.value
    folder = next(folder for folder, commands in COMPANION_COMMANDS.items() if name in commands)
    raise PerceptionError(
        f"'{name}' is a command of the package perception_contrast_{folder}, which is not installed; "
        f"install it with `pip install ./{folder}`, or build it in your ROS 2 workspace"
    )


def _run(name: str, argv: Sequence[str]) -> int:
    settle_threads()
    try:
        module = importlib.import_module(_module_of(name))
    except ModuleNotFoundError as error:
        raise PerceptionError(
            f"'{name}' needs the Python module '{error.name}', which is not installed; "
            "run `make setup` and `source env.sh`, or source your ROS 2 workspace"
        ) from error
    interrupt_as_usual()
    return int(module.main(argv))


def _told(error: OSError) -> int:
    """The exit code of a command that could not write; raises what is no matter of the user's machine."""
    from perception_contrast.core.file_writing import MAKE_ROOM, is_out_of_space

    if isinstance(error, BrokenPipeError):
        # Its reader has enough; what is still in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if not is_out_of_space(error):
        raise error
    where = f"'{error.filename}' cannot be written" if error.filename else "a file cannot be written"
    print(f"error: {where} ({error.strerror}): {MAKE_ROOM}", file=sys.stderr)
    return EXIT_ERROR


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
    except OSError as error:
        return _told(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
