"""`perception-contrast studio`: the web page of a robot, of datasets, training runs and saved maps."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.storage.map_folder import maps_folder
from perception_contrast_studio.server.access import AccessPolicy, is_loopback, read_token
from perception_contrast_studio.server.folders import Folders

PORT = 8080


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="perception-contrast studio",
        description="See in a browser what a robot sees, ask it in words, and understand its features.",
        epilog="Without a source the studio looks for the robot's nodes on this ROS 2 network.",
    )
    sources = found.add_argument_group("what to show")
    sources.add_argument("--robot", action="store_true", help="the robot's nodes, beside files")
    sources.add_argument(
        "--dataset", action="append", type=Path, default=[], metavar="DIR", help="a dataset; may be repeated"
    )
    sources.add_argument(
        "--run",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a training run, or a folder of runs",
    )
    sources.add_argument("--map", default="", metavar="NAME", help="a saved map")
    sources.add_argument("--target", default="perception_node", help="name of the perception_node")
    sources.add_argument("--map-target", default="map_node", help="name of the map_node")
    server = found.add_argument_group("server")
    server.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine)"
    )
    server.add_argument("--port", type=int, default=PORT, help="port, 0 for a free one (%(default)s)")
    server.add_argument(
        "--host-name", action="append", default=[], metavar="NAME", help="a further name of this machine"
    )
    server.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token (mode 600)")
    server.add_argument("--no-browser", action="store_true", help="do not open a browser")
    server.add_argument(
        "--save-to", type=Path, metavar="DIR", help="folder of snapshots, recordings and recipes made here"
    )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until interrupted. Raises PerceptionError."""
    given = list(sys.argv[1:] if argv is None else argv)
    ros_arguments = given[given.index("--ros-args") :] if "--ros-args" in given else []
    options = parser().parse_args(given[: len(given) - len(ros_arguments)])
    run_studio(options, ros_arguments)
    return 0


def folders_of(options: argparse.Namespace) -> Folders:
    """The folders that were named.

    Raises:
        PerceptionError: One is not there.
    """
    for option, paths in (("--dataset", options.dataset), ("--run", options.run)):
        for path in paths:
            if not path.is_dir():
                raise PerceptionError(f"{option} {path} is no folder")
    save_to = (options.save_to or cache_dir() / "studio" / "saved").expanduser()
    return Folders(
        datasets=tuple(path.resolve() for path in options.dataset),
        runs=tuple(path.resolve() for path in options.run),
        recipes=save_to / "recipes",
        recordings=save_to / "recordings",
        maps=maps_folder(),
    )


def run_studio(options: argparse.Namespace, ros_arguments: Sequence[str]) -> None:
    """Assembles and serves; prints the address once it answers."""
    token = read_token(options.token_file)
    folders = folders_of(options)
    from perception_contrast_studio.pages.page_list import PAGES
    from perception_contrast_studio.robot.robot_link import RobotOptions, connect
    from perception_contrast_studio.server.blobs import BlobStore
    from perception_contrast_studio.server.studio_page import Studio
    from perception_contrast_studio.server.studio_server import (
        create_app,
        free_port,
        serve,
        token_file,
    )
    from perception_contrast_studio.workers.worker_pool import WorkerPool

    alone = not (options.dataset or options.run or options.map)
    robot = (
        connect(RobotOptions(options.target, options.map_target, ros_arguments))
        if options.robot or alone
        else None
    )
    bound = free_port(options.host, options.port)
    port = bound.getsockname()[1]
    policy = AccessPolicy(options.host, port, token, tuple(name.lower() for name in options.host_name))
    studio = Studio(folders, robot, WorkerPool(), BlobStore(), {"map": options.map})
    application = create_app(studio, PAGES, policy)
    kept = token_file(port, token)
    try:
        serve(application, bound, lambda: announce(policy, kept, open_browser=not options.no_browser))
    finally:
        studio.workers.close()
        if robot is not None:
            robot.close()
        kept.unlink(missing_ok=True)


def address(policy: AccessPolicy) -> str:
    """As a browser takes it."""
    host = "localhost" if policy.loopback else policy.host
    if host in ("0.0.0.0", "::"):
        import socket

        host = socket.gethostname()
    return f"http://[{host}]:{policy.port}/" if ":" in host else f"http://{host}:{policy.port}/"


def announce(policy: AccessPolicy, kept: Path, *, open_browser: bool) -> None:
    """Prints the address; the token only to a terminal, never into a log."""
    place = address(policy)
    if sys.stdout.isatty():
        print(f"studio: {place}?token={policy.token}", flush=True)
        if open_browser and is_loopback(policy.host):
            webbrowser.open(f"{place}?token={policy.token}")
    else:
        print(f"studio: {place} (the token to change things is in {kept})", flush=True)
