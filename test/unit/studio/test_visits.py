"""A closed view holds nothing, whatever still runs for it; viewers' controls show what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nicegui")
from nicegui import Client, ui
from nicegui.page import page

from perception_contrast_studio.components.shared.confirm_dialog import discard
from perception_contrast_studio.server.access import Rights
from perception_contrast_studio.server.blobs import BlobStore
from perception_contrast_studio.server.folders import Folders
from perception_contrast_studio.server.studio_page import Studio, Visit
from perception_contrast_studio.workers.worker_pool import WorkerPool


def visit(*, change: bool = True) -> Visit:
    studio = Studio(Folders(), None, WorkerPool(), BlobStore())
    return Visit(studio, Rights(see=True, change=change), "client")


def test_what_is_taken_after_the_visitor_left_is_given_back_at_once() -> None:
    view, given_back = visit(), list[str]()
    view.leave()
    view.on_leave(lambda: given_back.append("late"))
    assert given_back == ["late"]
    assert view.publish(b"a picture") == "" and view.studio.blobs.size == 0


def test_one_part_that_fails_keeps_no_other_from_being_given_back() -> None:
    view, given_back = visit(), list[str]()
    view.publish(b"a picture")

    def fail() -> None:
        raise ValueError

    view.on_leave(fail)
    view.on_leave(lambda: given_back.append("next"))
    view.leave()
    view.leave()
    assert given_back == ["next"] and view.studio.blobs.size == 0


def test_a_control_of_a_viewer_goes_back_to_what_is_in_force() -> None:
    told: list[Any] = []
    with Client(page("/"), request=None):
        viewer = visit(change=False)
        viewer.changes(lambda: told.append("changed"), instead=lambda: told.append("restored"))()
        owner = visit()
        owner.changes(lambda: told.append("changed"), instead=lambda: told.append("restored"))()
    assert told == ["restored", "changed"]


def test_a_dialog_that_went_with_its_page_is_not_deleted_again() -> None:
    client = Client(page("/"), request=None)
    with client:
        dialog = ui.dialog()
    client.delete()
    discard(dialog)
    with Client(page("/"), request=None):
        dialog = ui.dialog()
        discard(dialog)
        assert dialog.is_deleted


def test_two_snapshots_of_one_second_do_not_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perception_contrast_studio.components.live import capture_panel

    monkeypatch.setattr(capture_panel.time, "strftime", lambda _: "now")
    first = capture_panel.free_name(tmp_path, "snapshot", "front")
    (tmp_path / f"{first}.jpg").touch()
    second = capture_panel.free_name(tmp_path, "snapshot", "front")
    (tmp_path / second).mkdir()
    assert (first, second) == ("snapshot_now_front", "snapshot_now_front_2")
    assert capture_panel.free_name(tmp_path, "snapshot", "front") == "snapshot_now_front_3"
    assert capture_panel.free_name(tmp_path, "snapshot", "") == "snapshot_now"


def test_a_source_that_cannot_be_shown_yet_leaves_nothing_of_the_one_before() -> None:
    import numpy as np

    from perception_contrast_studio.components.embedding.embedding_session import EmbeddingSession
    from perception_contrast_studio.points.point_set import PointSet

    session = EmbeddingSession(visit())
    session.points = PointSet("old", "space", "model", 2, np.zeros(3, np.int32), classes=("mug",))
    session.selection, session.picked = np.array([0, 2]), 1
    session.close()
    assert session.points is None and session.source is None and not session.words
    assert not len(session.selection) and session.picked == -1 and not session.legend
