"""`perception-contrast doctor`: checks the installation and names a remedy for each problem."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from perception_contrast.cli.doctor_checks import Finding, examine

COLOURS = {"ok": "green", "warn": "yellow", "missing": "red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 if nothing essential is missing, else 1."""
    parser = argparse.ArgumentParser(prog="perception-contrast doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--offline", action="store_true", help="do not touch the network")
    arguments = parser.parse_args(argv)
    findings = examine(offline=arguments.offline)
    healthy = all(finding.level != "missing" for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": healthy, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        _show(findings, healthy)
    return 0 if healthy else 1


def _show(findings: Sequence[Finding], healthy: bool) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        colour = COLOURS[finding.level]
        table.add_row(f"[{colour}]{finding.level}[/]", finding.area, finding.text)
        if finding.remedy:
            table.add_row("", "", f"[bold]remedy:[/] {finding.remedy}")
    console = Console(highlight=False)
    console.print(table)
    console.print("Nothing essential is missing." if healthy else "[red]Something essential is missing.[/]")
