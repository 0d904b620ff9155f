"""perception_node under nav2's lifecycle manager: the bond from activation to deactivation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

rclpy = pytest.importorskip("rclpy")

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from ros_graph import Client, Serving, wait_for  # noqa: E402

from perception_contrast.ros.node import lifecycle_bond  # noqa: E402
from perception_contrast.ros.node.lifecycle_bond import BondState, LifecycleBond  # noqa: E402

pytestmark = pytest.mark.ros
TOPIC, NAME = "/robot/bond", "perception_node"
NODE = f"/robot/{NAME}"
# nav2's manager waits half its bond_timeout of 4 s for a new bond.
BRING_UP_PATIENCE = 2.0


class Bringup:
    """nav2's lifecycle manager with one node: transitions by service, and a bond while the node is active."""

    def __init__(self, **values: object) -> None:
        # Skips where the messages are not installed.
        self.bonds = pytest.importorskip("manager_bond")
        self.client = Client("lifecycle_manager")
        self.serving = Serving("/robot", autostart=False, **values)

    @property
    def node_side(self) -> BondState | None:
        return self.serving.node._bond.state

    def change(self, transition: int) -> bool:
        changed = self.client.call(ChangeState, f"{NODE}/change_state", transition=Transition(id=transition))
        return bool(changed.success)

    def state(self) -> str:
        return str(self.client.call(GetState, f"{NODE}/get_state").current_state.label)

    def bond(self, **options: float):
        return self.bonds.ManagerBond(self.client.node, NAME, TOPIC, **options)

    def bring_up(self, **options: float):
        """Configures and activates the node, then forms the bond, in this order as the manager does."""
        assert self.change(Transition.TRANSITION_CONFIGURE)
        return self.activate(**options)

    def activate(self, **options: float):
        assert self.change(Transition.TRANSITION_ACTIVATE)
        formed = self.bond(**options)
        wait_for(lambda: formed.state == self.bonds.ALIVE, "the bond", BRING_UP_PATIENCE)
        return formed

    def close(self) -> None:
        self.serving.close()
        self.client.close()


@pytest.fixture
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.fixture
def bringup(ros: None) -> Iterator[Bringup]:
    made = Bringup(bond_heartbeat_period=0.05)
    yield made
    made.close()


def test_bring_up_and_shut_down_go_as_the_manager_expects(bringup: Bringup) -> None:
    assert bringup.node_side is None
    bond = bringup.bring_up()
    wait_for(lambda: bringup.node_side is BondState.FORMED, "the node's side")
    wait_for(lambda: len(bond.heard) > 10, "heartbeats")
    first = bond.heard[0]
    assert (first.id, first.heartbeat_timeout) == (NAME, 4.0)
    assert first.heartbeat_period == pytest.approx(0.05)
    assert len({one.instance_id for one in bond.heard}) == 1 and bond.events == ["SisterAlive"]
    assert bringup.change(Transition.TRANSITION_DEACTIVATE)
    # The manager learns it from the node, before any heartbeat is late.
    wait_for(lambda: bond.state == bringup.bonds.DEAD, "the end")
    assert bond.events == ["SisterAlive", "SisterDead"]
    assert bringup.node_side is None
    assert not bringup.client.node.get_publishers_info_by_topic(TOPIC)[1:]
    assert bringup.change(Transition.TRANSITION_CLEANUP)
    assert bringup.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


def test_a_pause_and_a_resume_form_a_new_bond_that_the_old_ones_end_does_not_break(bringup: Bringup) -> None:
    before = bringup.bring_up()
    for _ in range(3):
        assert bringup.change(Transition.TRANSITION_DEACTIVATE)
        after = bringup.activate()
        wait_for(lambda now=after: len(now.heard) > 5, "heartbeats")
        assert after.state == bringup.bonds.ALIVE and all(one.active for one in after.heard)
        assert after.heard[0].instance_id != before.heard[0].instance_id
        before.fall_silent()
        before = after


def test_an_end_that_the_manager_tells_is_answered_and_the_node_goes_on(bringup: Bringup) -> None:
    bond = bringup.bring_up()
    bond.die()
    wait_for(lambda: bond.state == bringup.bonds.DEAD, "the answer")
    assert bond.events == ["SisterAlive", "Die", "SisterDead"]
    wait_for(lambda: bringup.node_side is BondState.BROKEN, "the node's side")
    assert bringup.state() == "active"
    assert bringup.change(Transition.TRANSITION_DEACTIVATE)


def test_a_manager_that_falls_silent_leaves_the_node_active(bringup: Bringup) -> None:
    bringup.bring_up().fall_silent()
    later = bringup.bond()
    wait_for(lambda: len(later.heard) > 10, "heartbeats")
    # A manager that was started again finds the node alive.
    assert later.state == bringup.bonds.ALIVE and bringup.state() == "active"


def test_a_node_that_hangs_is_noticed_by_its_silence(bringup: Bringup) -> None:
    bond = bringup.bring_up(heartbeat_timeout=0.5)
    bringup.serving._spinning.stop()
    wait_for(lambda: bond.state == bringup.bonds.DEAD, "the timeout")
    assert bond.events == ["SisterAlive", "HeartbeatTimeout"]


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_the_end_of_the_node_is_told(bringup: Bringup, end: str) -> None:
    bond = bringup.bring_up()
    if end == "close":
        bringup.serving.node.close()
    else:
        assert bringup.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    wait_for(lambda: bond.state == bringup.bonds.DEAD, "the end")
    assert bond.events == ["SisterAlive", "SisterDead"]


def test_bonds_of_other_nodes_are_none_of_its_own(bringup: Bringup) -> None:
    other = bringup.bonds.ManagerBond(bringup.client.node, "planner_server", TOPIC)
    bond = bringup.bring_up()
    other.die()
    before = len(bond.heard)
    wait_for(lambda: len(bond.heard) > before + 5, "heartbeats")
    assert bond.state == bringup.bonds.ALIVE and not other.heard


def test_without_a_manager_the_heartbeats_stop_until_the_next_activation(
    bringup: Bringup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle_bond, "CONNECT_TIMEOUT", 0.2)
    assert bringup.change(Transition.TRANSITION_CONFIGURE)
    assert bringup.change(Transition.TRANSITION_ACTIVATE)
    wait_for(lambda: bringup.node_side is BondState.BROKEN, "the timeout")
    wait_for(lambda: not bringup.client.node.get_publishers_info_by_topic(TOPIC), "silence")
    assert bringup.state() == "active"
    monkeypatch.undo()
    assert bringup.change(Transition.TRANSITION_DEACTIVATE)
    assert bringup.activate().state == bringup.bonds.ALIVE


def test_a_period_of_zero_is_no_bond(ros: None) -> None:
    bringup = Bringup(bond_heartbeat_period=0.0)
    assert bringup.change(Transition.TRANSITION_CONFIGURE)
    assert bringup.change(Transition.TRANSITION_ACTIVATE)
    assert bringup.node_side is None
    assert not bringup.client.node.get_publishers_info_by_topic(TOPIC)
    bringup.close()


class _Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def get_logger(self) -> _Log:
        return self

    def info(self, line: str) -> None:
        self.lines.append(line)


def test_without_the_messages_the_log_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_bond, "message_class", lambda name: None)
    log = _Log()
    bond = LifecycleBond(log, 0.1)  # type: ignore[arg-type]
    for _ in range(2):
        bond.start()
        bond.end()
    assert len(log.lines) == 1 and "`bond`" in log.lines[0] and bond.state is None
