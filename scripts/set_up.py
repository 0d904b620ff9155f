"""Makes everything that this repository needs, in `.venv`: libraries, ROS 2, messages, our package.

Run through `make setup`. Steps whose inputs did not change since the last run are skipped; what was
done is noted in `.venv/.set-up`. Uses the standard library alone, of any Python from 3.10.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import ament_index
import system_packages

ROOT = Path(__file__).resolve().parents[1]
# Another place, and constraints beside requirements/, are for scripts/test_matrix.py.
VENV = Path(os.environ.get("PERCEPTION_CONTRAST_VENV") or ROOT / ".venv")
CONSTRAINTS = os.environ.get("PERCEPTION_CONTRAST_CONSTRAINTS")
PYTHON = VENV / "bin" / "python"
NOTES = VENV / ".set-up"
CACHE = Path(os.environ.get("PERCEPTION_CONTRAST_CACHE") or Path.home() / ".cache" / "perception_contrast")
PIP = (PYTHON, "-m", "pip", "install")
OFFLINE = "Check the network and free disk space; finished downloads are kept, so run it again."
NEEDED_GB = 9
PACKAGES = (ROOT, ROOT / "simulation", ROOT / "training", ROOT / "studio")
SCRIPTS = (ROOT / "scripts" / "ament_index.py",)
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def installed_ros() -> str | None:
    """Distribution of the sourced ROS 2, or None where the wheels are to be used."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p]
    foreign = [p for p in prefixes if p != VENV]
    return os.environ.get("ROS_DISTRO") if foreign else None


ROS = installed_ros()


def has_whole_open3d() -> bool:
    """Whether the build of Open3D with CUDA is installed."""
    return any(VENV.glob(f"lib/python{PYTHON_VERSION}/site-packages/open3d-*.dist-info"))


def requirement_files() -> list[Path]:
    """Of what runs: nodes, simulation, training, studio."""
    names = ["core", "openvino", "sim", "training", "studio"]
    names += [] if ROS else ["ros", "ros_build"]
    # The package `open3d` holds the same modules as `open3d-cpu`: who installed it keeps it.
    names += [] if has_whole_open3d() else ["mapping"]
    return [ROOT / "requirements" / f"{name}.txt" for name in names]


def further_requirement_files() -> list[Path]:
    """Of tests and documents, and of what few need: the demo starts sooner without."""
    # What measures tracks asks for NumPy 2.
    names = ["fleet", "loggers", "docs", "dev"] + ([] if ROS or CONSTRAINTS else ["tracks"])
    return [ROOT / "requirements" / f"{name}.txt" for name in names]


def interface_packages() -> list[Path]:
    """vision_msgs, tf2_msgs and bond are declared here only for machines whose ROS is the wheels."""
    fallback = [] if ROS else sorted(p.parent for p in (ROOT / "interfaces/fallback").glob("*/package.xml"))
    return [*fallback, ROOT / "interfaces" / "perception_contrast_msgs"]


def digest(paths: Iterable[Path]) -> str:
    """Changes whenever a file's name or content does."""
    total = hashlib.sha256(f"{ROS} {PYTHON_VERSION}".encode())
    for path in sorted(paths):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def names_digest(paths: Iterable[Path]) -> str:
    """Changes whenever a file comes, goes or gets another name."""
    names = "\0".join(str(path.relative_to(ROOT)) for path in paths)
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def read_notes() -> dict[str, str]:
    if not NOTES.exists():
        return {}
    return dict(line.split("=", 1) for line in NOTES.read_text().splitlines() if "=" in line)


def note(key: str, value: str) -> None:
    """Records a finished step, so that the next run skips it."""
    text = "".join(f"{k}={v}\n" for k, v in {**read_notes(), key: value}.items())
    temporary = NOTES.with_suffix(".part")
    temporary.write_text(text)
    temporary.replace(NOTES)


def environment() -> dict[str, str]:
    """Of every command we run: the virtual environment first, caches in our own folder."""
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), "PYTHONNOUSERSITE": "1", "PYTHONWARNINGS": "ignore"}
    env["PATH"] = f"{VENV / 'bin'}:{env.get('PATH', '/usr/bin:/bin')}"
    env["PIP_CACHE_DIR"] = str(CACHE / "pip")
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env.pop("PYTHONHOME", None)
    if not ROS:
        env.pop("PYTHONPATH", None)
        env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = str(VENV)
    return env


def run(*command: str | Path, remedy: str) -> None:
    """Runs a command with its output in sight; a failure ends the set-up with ``remedy``."""
    words = [str(word) for word in command]
    if subprocess.run(words, env=environment(), cwd=ROOT, check=False).returncode != 0:
        sys.exit(f"set-up: `{' '.join(words[:6])} ...` failed. {remedy}")


def make_venv() -> None:
    if not PYTHON.exists():
        free = shutil.disk_usage(ROOT).free / 1e9
        if free < NEEDED_GB:
            sys.exit(f"set-up: {free:.1f} GB free at {ROOT}; the libraries need about {NEEDED_GB} GB")
        venv.create(VENV, with_pip=True, system_site_packages=ROS is not None)


def install_libraries(early: EarlyBuild) -> None:
    run(*PIP, "--upgrade", "pip", remedy=OFFLINE)
    if early.is_due:
        first = options("-r", [path for path in requirement_files() if path.stem in ("ros", "ros_build")])
        core = ROOT / "requirements" / "core.txt"
        run(*PIP, *first, "numpy", "-c", core, *constraints(), remedy=OFFLINE)
        early.begin()
    try:
        run(*PIP, *options("-r", requirement_files()), *constraints(), remedy=OFFLINE)
    except BaseException:
        early.stop()
        raise


def install_further_libraries() -> None:
    # Together with what is there, so that pip finds versions that suit both.
    files = [*requirement_files(), *further_requirement_files()]
    run(*PIP, *options("-r", files), *constraints(), remedy=OFFLINE)


def constraints() -> list[str | Path]:
    held: list[str | Path] = ["-c", ROOT / "requirements" / "installed_ros.txt"] if ROS else []
    return held + (["-c", CONSTRAINTS] if CONSTRAINTS else [])


def options(option: str, values: Iterable[Path]) -> list[str | Path]:
    """The option before each of the values."""
    return [word for value in values for word in (option, value)]


def name_our_python() -> None:
    """The wheels' CMake files name the Python and NumPy of the machine that built them."""
    site = VENV / "lib" / f"python{PYTHON_VERSION}" / "site-packages"
    core = "_core" if (site / "numpy" / "_core" / "include").is_dir() else "core"
    theirs = r"/opt/(?:_internal/[^/\";]+|python/cp\d+-cp\d+)"
    for path in VENV.glob("share/*/cmake/*.cmake"):
        text = path.read_text()
        ours = re.sub(theirs + r"/[^\";]*/numpy/_?core/include", f"{site}/numpy/{core}/include", text)
        ours = re.sub(theirs, sys.base_prefix, ours)
        if ours != text:
            path.write_text(ours)


class EarlyBuild:
    """The build of the ROS messages, while pip still brings the libraries that they do not need.

    Args:
        is_due: Whether messages are to be built, of wheels that pip has brought.
    """

    def __init__(self, is_due: bool) -> None:
        self.is_due = is_due
        self._process: subprocess.Popen[bytes] | None = None
        self._built_with: set[str] = set()

    def begin(self) -> None:
        self._built_with = built_with()
        name_our_python()
        shutil.rmtree(build_folder(), ignore_errors=True)
        words, quiet = [str(word) for word in colcon_build()], subprocess.DEVNULL
        self._process = subprocess.Popen(words, env=environment(), cwd=ROOT, stdout=quiet, stderr=quiet)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def served(self) -> bool:
        """Waits for the build: whether it went well, with the packages that are still installed."""
        if self._process is None or self._process.wait() != 0:
            return False
        return self._built_with == built_with()


def built_with() -> set[str]:
    """The installed packages that messages are compiled against, with their versions."""
    found = VENV.glob(f"lib/python{PYTHON_VERSION}/site-packages/*.dist-info")
    return {path.name for path in found if path.name.startswith(("ros_", "numpy-"))}


def build_folder() -> Path:
    return ROOT / "build" / "interfaces" if VENV == ROOT / ".venv" else VENV / "build"


def colcon_build() -> list[str | Path]:
    layout = [] if ROS else [f"-DPYTHON_INSTALL_DIR=lib/python{PYTHON_VERSION}/site-packages"]
    return [
        *("colcon", "--log-base", ROOT / "build" / "log", "build", "--executor", "sequential"),
        *("--paths", *interface_packages(), "--build-base", build_folder()),
        *("--install-base", ROOT / "install" if ROS else VENV, "--merge-install"),
        *("--cmake-args", "--no-warn-unused-cli", f"-DPython3_EXECUTABLE={PYTHON}"),
        *("-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release", *layout),
    ]


def build_interfaces(early: EarlyBuild) -> None:
    if early.served():
        return
    if not ROS:
        name_our_python()
    shutil.rmtree(build_folder(), ignore_errors=True)
    run(*colcon_build(), remedy=f"colcon's full log is in {ROOT / 'build' / 'log'}.")


def install_package() -> None:
    pip = (PYTHON, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet")
    # Each folder is a ROS package of its own; a robot installs the first alone.
    for folder in PACKAGES:
        run(*pip, "--editable", folder, remedy="")


def index_packages() -> None:
    """For `ros2 pkg`, `ros2 launch` and `ros2 run`: an editable installation by pip leaves them out."""
    prefix = ROOT / "install" if ROS else VENV
    try:
        ament_index.link_packages(PACKAGES, VENV, prefix)
    except FileExistsError as error:
        sys.exit(f"set-up: '{error.filename2}' is not a link that set-up made. Move it away, then try again.")


def fetch_weights() -> None:
    """A convenience: what cannot be fetched now is fetched when it is first used."""
    command = [VENV / "bin" / "perception-contrast", "models", "get", "household-lit"]
    if subprocess.run(command, env=environment(), cwd=ROOT, check=False).returncode != 0:
        print("set-up: weights could not be fetched now; they will be when they are first used")


def fetch_assets() -> None:
    """A convenience as well: what the simulated household is furnished with."""
    command = [PYTHON, "-c", "from perception_contrast_sim.objects import assets; assets.prepare()"]
    if subprocess.run(command, env=environment(), cwd=ROOT, check=False).returncode != 0:
        print("set-up: the simulation's assets could not be fetched now; they will be when it first runs")


Step = tuple[str, str, Callable[[], None], str]


def steps(notes: dict[str, str]) -> list[Step]:
    """Key in the notes, title, action, and the value that the key has once the action is done."""
    ros_files = [p for p in requirement_files() if p.stem.startswith("ros")]
    sources = [p for package in interface_packages() for p in package.rglob("*") if p.is_file()]
    metadata = [folder / name for folder in PACKAGES for name in ("setup.py", "setup.cfg", "package.xml")]
    shared = [file for folder in PACKAGES for file in ament_index.shared_files(folder)]
    kind = f"an installed ROS 2 {ROS}" if ROS else "ROS 2 wheels"
    interfaces = digest([*sources, *ros_files])
    early = EarlyBuild(ROS is None and notes.get("interfaces") != interfaces)
    return [
        ("ros", f"virtual environment for {kind}", make_venv, ROS or "wheels"),
        (
            "libraries",
            "Python libraries, several GB",
            partial(install_libraries, early),
            digest(requirement_files()),
        ),
        ("interfaces", "ROS messages", partial(build_interfaces, early), interfaces),
        (
            "package",
            "perception_contrast, its simulation, its training and its studio",
            install_package,
            digest(metadata),
        ),
        (
            "index",
            "names of the packages for ros2",
            index_packages,
            f"{digest([*metadata, *SCRIPTS])} {names_digest(shared)}",
        ),
        ("weights", "default model weights", fetch_weights, "tried"),
        ("assets", "meshes and textures of the simulated household", fetch_assets, "tried"),
        (
            "further",
            "libraries of tests, documents and fleets",
            install_further_libraries,
            digest([*requirement_files(), *further_requirement_files()]),
        ),
    ]


def check_kind(notes: dict[str, str]) -> None:
    made_for, wanted = notes.get("ros"), ROS or "wheels"
    if made_for not in (None, wanted):
        sys.exit(
            f"set-up: {VENV} was made for ROS 2 '{made_for}', and '{wanted}' is in use now. "
            "Run `make clean`, or use a shell where the ROS 2 that it was made for is sourced."
        )


def main() -> None:
    without = set(sys.argv[sys.argv.index("--without") + 1 :]) if "--without" in sys.argv else set()
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        notes = read_notes()
        check_kind(notes)
        todo = [one for one in steps(notes) if notes.get(one[0]) != one[3] and one[0] not in without]
        if not todo:
            return
        packages = system_packages.missing_packages(ROS)
        if packages:
            print(f"set-up: system packages: {' '.join(packages)}", flush=True)
            system_packages.install(packages)
        for number, (key, title, action, value) in enumerate(todo, 1):
            print(f"set-up: step {number} of {len(todo)}: {title}", flush=True)
            action()
            note(key, value)
        print("set-up: done. `source env.sh` gives a shell the whole environment.", flush=True)


if __name__ == "__main__":
    main()
