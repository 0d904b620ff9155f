"""The command line: quick help, one clear line for an error, exit codes."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from interrupted_imports import interrupted_imports

from perception_contrast import __version__
from perception_contrast.cli import main as cli
from perception_contrast.cli import main as main_module
from perception_contrast.core.errors import PerceptionError


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from perception_contrast.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(sorted({'torch', 'rclpy', 'cv2', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert all(
        f"    {name} " in done.stdout
        for name in ("calibrate", "demo", "doctor", "models", "train", "version")
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["--no-such-option"]])
def test_wrong_usage_exits_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2


class _Failing:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def main(self, argv: list[str]) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (PerceptionError("the cup is missing; put one there"), 2, "error: the cup is missing; put one there"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_one_line_and_a_code(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "failing_command", _Failing(error))
    monkeypatch.setitem(cli.COMMANDS, "models", cli.Command("failing_command", ""))
    assert cli.main(["models"]) == code
    assert capsys.readouterr().err == line + "\n"


def test_a_module_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = cli.Command("no_such_module_anywhere", "")
    monkeypatch.setitem(cli.COMMANDS, "train", missing)
    assert cli.main(["train"]) == 2
    captured = capsys.readouterr().err
    assert "no_such_module_anywhere" in captured and captured.count("\n") == 1


def test_an_unknown_model_is_one_line_with_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "info", "dinov2-s15"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: ") and captured.count("\n") == 1
    assert "dinov2-s14" in captured


def test_weights_that_are_not_there_are_one_line_that_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    assert cli.main(["models", "get", "dinov2-s14", "--offline"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: ") and captured.count("\n") == 1
    assert "dinov2-s14" in captured and "--offline" in captured
    assert list(tmp_path.iterdir()) == []


def test_models_are_listed_with_their_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("dinov2-s14 "))
    assert "Apache-2.0" in row


def test_a_full_disk_is_one_line_whatever_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(name: str, argv: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/out/find.json")

    monkeypatch.setattr(main_module, "_run", full)
    assert main_module.main(["models"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: '/out/find.json' cannot be written (No space") and said.count("\n") == 1


@pytest.mark.parametrize("imports", [3, 150])
def test_an_interrupt_while_a_command_imports_is_told_in_a_word(imports: int) -> None:
    entry = "import sys; from perception_contrast.cli.command_entry import main; sys.exit(main())"
    program = ["-c", entry, "find", "nowhere", "--queries", "mug"]
    assert interrupted_imports(program, signal.SIGINT, imports) == (130, ["interrupted\n"])
