"""Why a transform between two frames is not there: one class for each reason."""

from __future__ import annotations

from perception_contrast.core.rigid_transform import PoseError

_SECOND = 1e9


class UnknownFrameError(PoseError):
    """A frame that no transform ever named, or a name that cannot be one."""

    reason = "unknown_frame"


class DisconnectedError(PoseError):
    """Two frames that are known and hang in different trees."""

    reason = "disconnected_frames"


class FrameLoopError(PoseError):
    """Frames that are each other's ancestors."""

    reason = "frame_loop"


class SampleGapError(PoseError):
    """A time between two samples that lie too far apart to interpolate."""

    reason = "pose_gap"

    def __init__(self, parent: str, child: str, gap: int, most: int) -> None:
        super().__init__(
            f"the transform from '{parent}' to '{child}' has a gap of {gap / _SECOND:.3f} s at the time "
            f"asked for; at most {most / _SECOND:.3f} s are interpolated: publish it more often, or allow a "
            "longer gap"
        )


class ExtrapolationError(PoseError):
    """A time at which a transform is not known: before the oldest sample, after the newest, or beside one.

    Attributes:
        requested: The time asked for, nanoseconds.
        available: The nearest time that has a sample, nanoseconds; None where there is none or none
            is told.
        future: Whether the time asked for lies after what is known, so that waiting can help.
    """

    def __init__(self, message: str, requested: int, available: int | None, *, future: bool) -> None:
        self.requested, self.available, self.future = requested, available, future
        self.reason = "extrapolation_future" if future else "extrapolation_past"
        super().__init__(message)


def extrapolation(parent: str, child: str, requested: int, available: int | None) -> ExtrapolationError:
    """The error of a link whose nearest sample is at ``available``, in nanoseconds; None without any."""
    link = f"the transform from '{parent}' to '{child}'" if parent else f"the transform to '{child}'"
    future = available is None or requested > available
    if available is None:
        known = "has no sample since the buffer was cleared; see that it is still published"
    elif future:
        known = (
            f"is known up to {available / _SECOND:.3f} s only, {(requested - available) / _SECOND:.3f} s "
            "earlier; wait for it, or see that the publishers' clocks agree"
        )
    else:
        known = (
            f"is known from {available / _SECOND:.3f} s on only, {(available - requested) / _SECOND:.3f} s "
            "later; ask sooner, keep transforms for longer, or see that the publishers' clocks agree"
        )
    return ExtrapolationError(
        f"extrapolation into the {'future' if future else 'past'}: {link} is asked for at "
        f"{requested / _SECOND:.3f} s and {known}",
        requested,
        available,
        future=future,
    )
