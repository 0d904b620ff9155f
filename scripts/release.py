"""Sets the version of all packages, and dates their changelogs.

  python scripts/release.py 0.3.0          the section "Forthcoming" of each changelog becomes this version
  python scripts/release.py --forthcoming  each changelog gets such a section, after a release
docs/releases.md says what belongs before and behind. Nothing is written if anything is wrong.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (".", "interfaces/perception_contrast_msgs", "simulation", "training", "studio")
VERSION = re.compile(r"\d+\.\d+\.\d+")
FORTHCOMING = "Forthcoming"


class ReleaseError(Exception):
    """What is in the way of a release."""


def replaced(path: Path, pattern: str, text: str) -> str:
    """The file with the pattern's only place replaced. Raises ReleaseError unless it has exactly one."""
    content, count = re.subn(pattern, text, path.read_text("utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise ReleaseError(f"'{path}' has {count} places of {pattern!r}; it needs one")
    return content


def section(title: str) -> str:
    return f"{title}\n{'-' * len(title)}\n"


def check_newer(code: Path, version: str) -> None:
    """Raises ReleaseError for a version below the present one, which may be that of the release to come."""
    found = re.search(r'^__version__ = "(.*)"$', code.read_text("utf-8"), flags=re.MULTILINE)
    if found is None:
        raise ReleaseError(f"'{code}' has no line '__version__ = ...'")
    if numbers(version) < numbers(found[1]):
        raise ReleaseError(f"{version} is older than the present version {found[1]}; give a newer one")


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def released(root: Path, version: str, date: str) -> dict[Path, str]:
    """New contents of all files that name the version."""
    code, citation = root / "perception_contrast/core/version.py", root / "CITATION.cff"
    check_newer(code, version)
    files = {code: replaced(code, r'^__version__ = ".*"$', f'__version__ = "{version}"')}
    text = replaced(citation, r"^version: .*$", f"version: {version}")
    files[citation] = re.sub(r"^date-released: .*$", f"date-released: {date}", text, flags=re.MULTILINE)
    for folder in FOLDERS:
        manifest, log = root / folder / "package.xml", root / folder / "CHANGELOG.rst"
        files[manifest] = replaced(manifest, r"<version>.*</version>", f"<version>{version}</version>")
        if re.search(rf"^{re.escape(version)} \(", log.read_text("utf-8"), flags=re.MULTILINE):
            raise ReleaseError(f"'{log}' says that {version} is released already; give a newer one")
        files[log] = replaced(log, rf"^{FORTHCOMING}\n-+\n", section(f"{version} ({date})"))
    return files


def begun(root: Path) -> dict[Path, str]:
    """Changelogs with a section for what comes next."""
    files = {}
    for folder in FOLDERS:
        log = root / folder / "CHANGELOG.rst"
        text = log.read_text("utf-8")
        if re.search(rf"^{FORTHCOMING}\n-+$", text, flags=re.MULTILINE):
            raise ReleaseError(f"'{log}' has a section {FORTHCOMING!r} already")
        head, _, rest = text.partition("\n\n")
        files[log] = f"{head}\n\n{section(FORTHCOMING)}\n{rest}"
    return files


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", nargs="?", help="major.minor.patch")
    parser.add_argument("--forthcoming", action="store_true")
    options = parser.parse_args(argv)
    if options.forthcoming == bool(options.version):
        parser.error("give a version, or --forthcoming")
    if options.version and not VERSION.fullmatch(options.version):
        parser.error(f"'{options.version}' is no version: three numbers with dots, like 0.3.0")
    try:
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        files = begun(ROOT) if options.forthcoming else released(ROOT, options.version, date)
    except (ReleaseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path, text in files.items():
        path.write_text(text, "utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
