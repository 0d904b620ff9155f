"""MapBuilder: the thread that gives frames their poses and adds them to the map."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from perception_contrast.core.errors import FrameError, PerceptionError, SpaceError
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.pose_queue import Posed, PoseQueue
from perception_contrast.mapping.poses.pose_source import PoseSource
from perception_contrast.ros.mapping.frame_conversion import FrameParts, map_frame
from perception_contrast.ros.mapping.map_control import MapControl
from perception_contrast.ros.monitoring.statistics import Issues, Statistics

_POLL = 0.1  # seconds between looks at what waits for a pose, where no transform wakes the thread


@dataclass(frozen=True)
class _Waiting:
    camera: str
    parts: FrameParts


@dataclass(frozen=True)
class BuildReport:
    """What became of the frames so far.

    Attributes:
        waiting: Frames that wait for their pose.
        late: Frames whose pose came late.
        no_pose: Frames without a pose, by reason.
        last_pose_error: The newest of those reasons in words; "" for none.
        left_out: Frames that were left out for another reason, by reason.
    """

    waiting: int
    late: int
    no_pose: Mapping[str, int] = field(default_factory=dict)
    last_pose_error: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)


class MapBuilder:
    """Any thread may call ``submit`` and ``wake``.

    Args:
        control: The map.
        poses: Tells the cameras' poses.
        correction: map_from_odom for a stamp and a pose; None where there is no odometry.
        statistics: Counts frames and times.
        issues: Takes what is wrong.
        patience: Seconds that a frame waits for its pose.

    Attributes:
        max_rate: Most frames of a camera that are mapped a second; 0 for all.
        labels: What perception looks for; None while that is not known.
    """

    def __init__(
        self,
        control: MapControl,
        poses: PoseSource,
        correction: Callable[[int, RigidTransform], RigidTransform | None],
        statistics: Statistics,
        issues: Issues,
        patience: float,
    ) -> None:
        self._control, self._correction = control, correction
        self._statistics, self._issues = statistics, issues
        self._lock, self._changed = threading.Lock(), threading.Event()
        self._queue: PoseQueue[_Waiting] = PoseQueue(poses, patience)
        self._left_out: Counter[str] = Counter()
        self._newest: dict[str, int] = {}
        self.max_rate = 0.0
        self.labels: frozenset[str] | None = None
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to map; does nothing where it has begun."""
        if self._thread is None:
            self._ended = False
            self._thread = threading.Thread(target=self._work, name="mapping", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends once the frame in progress is done, and drops what waits."""
        thread, self._thread = self._thread, None
        self._ended = True
        self._changed.set()
        if thread is not None:
            thread.join()
        with self._lock:
            self._queue.clear()

    def set_patience(self, seconds: float) -> None:
        """From the next frame on: how long one waits for its pose."""
        with self._lock:
            self._queue.patience = seconds

    def submit(self, camera: str, parts: FrameParts) -> None:
        """Takes the parts of one image of a camera."""
        self._statistics.frame_in()
        with self._lock:
            if self._too_soon(camera, parts.stamp):
                self._statistics.dropped("max_rate")
                return
            self._newest[camera] = parts.stamp
            self._queue.put(_Waiting(camera, parts), parts.frame_id, parts.stamp, time.monotonic())
        self._changed.set()

    def _too_soon(self, camera: str, stamp: int) -> bool:
        """Whether a frame exceeds ``max_rate``; a quarter of a period early does not, as cameras jitter."""
        newest = self._newest.get(camera)
        if newest is None or self.max_rate <= 0.0:
            return False
        return 0 <= stamp - newest < 0.75e9 / self.max_rate

    def wake(self) -> None:
        """Looks for poses again: transforms have come."""
        if len(self._queue):
            self._changed.set()

    def reset(self) -> None:
        """Drops what waits: the clock jumped."""
        with self._lock:
            self._queue.clear()
            self._newest.clear()

    def report(self) -> BuildReport:
        """What became of the frames so far."""
        with self._lock:
            return BuildReport(
                len(self._queue),
                self._queue.late,
                dict(self._queue.dropped),
                self._queue.last_error,
                dict(self._left_out),
            )

    def _work(self) -> None:
        while not self._ended:
            self._changed.wait(_POLL)
            self._changed.clear()
            with self._lock:
                posed = self._queue.take(time.monotonic())
            for one in posed:
                if self._ended:
                    return
                self._add(one)

    def _add(self, posed: Posed[_Waiting]) -> None:
        began = time.perf_counter()
        waiting = posed.item
        try:
            frame = map_frame(waiting.parts, waiting.camera, posed.pose, self.labels)
            report = self._control.process(frame, self._correction(posed.stamp, posed.pose))
        except FrameError as error:
            self._leave_out(error.reason, str(error))
            return
        except SpaceError as error:
            self._leave_out("other_space", str(error))
            return
        except PoseError as error:
            self._leave_out(error.reason, str(error))
            return
        except PerceptionError as error:
            self._leave_out("refused", str(error))
            return
        except Exception as error:
            self._statistics.error(f"internal error while mapping: {error!r}")
            return
        if report is None:
            self._left_out["jumping"] += 1
            return
        total = 1e3 * (time.perf_counter() - began)
        self._statistics.latency({**report.milliseconds, "integrate": total})
        self._statistics.frame_out()
        self._issues.clear("frames")

    def _leave_out(self, reason: str, message: str) -> None:
        self._left_out[reason] += 1
        self._issues.add("frames", message)
