"""PropPlacer: places props on the floor, on walls, ceilings and table tops, without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from perception_contrast_sim.objects.props import Prop
from perception_contrast_sim.render.scene_layout import Placement, Room

# Furniture whose back belongs to a wall more often than not.
AGAINST_WALL = frozenset(
    {
        "sofa", "bed", "wardrobe", "bookshelf", "cabinet", "dresser", "sideboard", "refrigerator", "oven",
        "washing machine", "dishwasher", "desk", "fireplace", "sink", "toilet", "bathtub", "kitchen counter",
        "nightstand", "radiator",
    }
)  # fmt: skip

MOVES = 20  # places that are tried for a thing that is to stand elsewhere


def _footprint(prop: Prop, yaw: float) -> tuple[float, float]:
    """Half extents of the axis-aligned box around the turned bounding box."""
    x, y = max(-prop.low[0], prop.high[0]), max(-prop.low[1], prop.high[1])
    c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
    return float(c * x + s * y), float(s * x + c * y)


class PropPlacer:
    """Places the props of a room one after the other.

    Attributes:
        placed: The placements so far.
    """

    def __init__(self, rng: np.random.Generator, room: Room, props: Sequence[Prop]) -> None:
        self.rng, self.room, self.props = rng, room, props
        self.placed: list[Placement] = []
        # By prop: x, y, half x, half y on the floor; and x, y, radius, number of the top on a support.
        self._occupied: dict[int, tuple[float, float, float, float]] = {}
        self._on_tops: dict[int, tuple[float, float, float, int]] = {}

    def place_on_floor(self, index: int, near: tuple[float, float] | None = None, tries: int = 25) -> bool:
        """Stands a prop on the floor; flat things (rugs) may lie under others."""
        prop = self.props[index]
        flat = prop.height < 0.03
        for _ in range(tries):
            x, y, yaw = self._floor_pose(prop, near)
            hx, hy = _footprint(prop, yaw)
            if abs(x) + hx > self.room.x or abs(y) + hy > self.room.y:
                continue
            if not flat and any(
                abs(x - tx) < hx + thx + 0.03 and abs(y - ty) < hy + thy + 0.03
                for tx, ty, thx, thy in self._occupied.values()
            ):
                continue
            if not flat:
                self._occupied[index] = (x, y, hx, hy)
            self.placed.append(Placement(index, (x, y, -prop.low[2]), yaw))
            return True
        return False

    def _floor_pose(self, prop: Prop, near: tuple[float, float] | None) -> tuple[float, float, float]:
        rng, room = self.rng, self.room
        if prop.category.name in AGAINST_WALL and near is None and rng.random() < 0.75:
            side = int(rng.integers(4))
            yaw = side * np.pi / 2  # yaw 0: front towards -y, back to the wall at +y
            depth = prop.high[1] + 0.01
            along = float(rng.uniform(-1, 1))
            across = (room.y if side % 2 == 0 else room.x) - depth
            width = (room.x if side % 2 == 0 else room.y) - max(-prop.low[0], prop.high[0])
            local = np.array([along * max(width, 0.0), across])
            c, s = np.cos(yaw), np.sin(yaw)
            return float(c * local[0] - s * local[1]), float(s * local[0] + c * local[1]), float(yaw)
        yaw = float(rng.uniform(-np.pi, np.pi))
        if near is not None:
            angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.2, 1.6)
            return near[0] + distance * np.cos(angle), near[1] + distance * np.sin(angle), yaw
        return float(rng.uniform(-room.x, room.x)), float(rng.uniform(-room.y, room.y)), yaw

    def place_on_wall(self, index: int, tries: int = 12) -> bool:
        """Hangs a prop on a wall; tall ones (doors) reach the floor."""
        prop = self.props[index]
        for _ in range(tries):
            side = int(self.rng.integers(4))
            yaw = side * np.pi / 2
            span = self.room.x if side % 2 == 0 else self.room.y
            width = max(-prop.low[0], prop.high[0])
            if width > span or prop.height > self.room.height:
                continue
            along = float(self.rng.uniform(-(span - width), span - width))
            across = self.room.y if side % 2 == 0 else self.room.x
            z = -prop.low[2] if prop.height > 1.7 else float(self.rng.uniform(1.1, 1.7))
            if prop.category.name in ("radiator", "heater"):
                z = -prop.low[2] + 0.1
            z = float(np.clip(z, -prop.low[2] + 0.001, self.room.height - prop.high[2]))
            c, s = np.cos(yaw), np.sin(yaw)
            x, y = c * along - s * (across - 0.002), s * along + c * (across - 0.002)
            near = [p for p in self.placed if self.props[p.prop].category.place == "wall"]
            if any(
                np.hypot(p.position[0] - x, p.position[1] - y) < width + self.props[p.prop].radius
                for p in near
            ):
                continue
            self.placed.append(Placement(index, (float(x), float(y), z), float(yaw)))
            return True
        return False

    def place_on_ceiling(self, index: int) -> bool:
        """Hangs a prop from the ceiling: its top at the ceiling."""
        prop = self.props[index]
        x, y = self.rng.uniform(-0.6, 0.6, 2) * (self.room.x, self.room.y)
        z = self.room.height - prop.high[2]
        self.placed.append(Placement(index, (float(x), float(y), z), float(self.rng.uniform(-3, 3))))
        return True

    def place_on_top(self, indices: Sequence[int], support: Placement, tight: float = 1.0) -> list[int]:
        """Stands props on the tops of a placed one; returns those that found room."""
        base = self.props[support.prop]
        done: list[int] = []
        beside = [item.prop for item in self.placed if item.on == support.prop]
        taken = [self._on_tops[number] for number in beside if number in self._on_tops]
        for index in indices:
            prop = self.props[index]
            for _ in range(20):
                top = int(self.rng.integers(len(base.model.tops)))
                hx, hy, z = base.model.tops[top]
                x, y = float(self.rng.uniform(-hx, hx)), float(self.rng.uniform(-hy, hy))
                yaw = float(self.rng.uniform(-np.pi, np.pi))
                px, py = _footprint(prop, yaw)
                if abs(x) + px > hx + 0.02 or abs(y) + py > hy + 0.02:
                    continue
                above = [t[2] for t in base.model.tops if t[2] > z + 0.05]
                if above and z + prop.height > min(above) - 0.02:
                    continue
                if any(
                    t == top and np.hypot(x - tx, y - ty) < (np.hypot(px, py) * 0.75 + r) * tight
                    for tx, ty, r, t in taken
                ):
                    continue
                self._on_tops[index] = (x, y, float(np.hypot(px, py) * 0.75), top)
                taken.append(self._on_tops[index])
                c, s = np.cos(support.yaw), np.sin(support.yaw)
                position = (
                    support.position[0] + c * x - s * y,
                    support.position[1] + s * x + c * y,
                    support.position[2] + z - prop.low[2],
                )
                self.placed.append(Placement(index, position, support.yaw + yaw, support.prop))
                done.append(index)
                break
        return done

    def take_away(self, indices: Iterable[int]) -> tuple[int, ...]:
        """Takes props out of the room, with what stands on them; returns all that left."""
        leaving = set(indices)
        leaving |= {item.prop for item in self.placed if item.on in leaving}
        gone = tuple(item.prop for item in self.placed if item.prop in leaving)
        self.placed = [item for item in self.placed if item.prop not in leaving]
        for index in gone:
            self._occupied.pop(index, None)
            self._on_tops.pop(index, None)
        return gone

    def move(self, index: int, least: float) -> bool:
        """Places a prop elsewhere, on the same support, on the floor or on a wall, as it was placed before.

        A prop stays where it is, and False is returned, where something stands on it, where no other place
        is found, or where it is not in the room.

        Args:
            index: Of the prop.
            least: Metres that it has to be away from its old place.
        """
        before = next((item for item in self.placed if item.prop == index), None)
        if before is None or any(item.on == index for item in self.placed):
            return False
        kept = list(self.placed), dict(self._occupied), dict(self._on_tops)
        for _ in range(MOVES):
            self.take_away([index])
            if self._place_again(before) and _apart(before, self.placed[-1]) >= least:
                return True
            self.placed, self._occupied, self._on_tops = list(kept[0]), dict(kept[1]), dict(kept[2])
        return False

    def _place_again(self, before: Placement) -> bool:
        if before.on >= 0:
            support = next(item for item in self.placed if item.prop == before.on)
            return bool(self.place_on_top([before.prop], support, tight=0.95))
        if self.props[before.prop].category.place == "wall":
            return self.place_on_wall(before.prop)
        return self.place_on_floor(before.prop)


def _apart(first: Placement, second: Placement) -> float:
    return float(np.linalg.norm(np.subtract(first.position, second.position)))


def furnish(rng: np.random.Generator, room: Room, props: tuple[Prop, ...], fill: float = 1.0) -> PropPlacer:
    """Furnishes a room with a random part of the props.

    Args:
        rng: Draws what stands where.
        room: The room.
        props: What there is to choose from; everything is named by its number there.
        fill: Factor on the number of things on the floor that are no tables.
    """
    placer = PropPlacer(rng, room, props)
    order = [int(i) for i in rng.permutation(len(props))]
    by_place = {
        p: [i for i in order if props[i].category.place == p] for p in ("table", "floor", "wall", "ceiling")
    }
    supports = [i for i in by_place["floor"] if props[i].model.tops and props[i].radius > 0.3]
    others = [i for i in by_place["floor"] if i not in supports]
    small = by_place["table"]
    for index in supports[: int(rng.integers(1, 4))]:
        placer.place_on_floor(index)
    for index in others[: round(fill * int(rng.integers(3, 11)))]:
        placer.place_on_floor(index)
    for index in by_place["wall"][: int(rng.integers(1, 5))]:
        placer.place_on_wall(index)
    for index in by_place["ceiling"][: int(rng.integers(0, 2))]:
        placer.place_on_ceiling(index)
    for support in [p for p in placer.placed if props[p.prop].model.tops and p.on < 0]:
        wish = small[: int(rng.integers(6, 18))]
        done = placer.place_on_top(wish, support, tight=float(rng.uniform(0.75, 1.2)))
        small = [i for i in small if i not in done]
    anchor = placer.placed[0].position[:2] if placer.placed else (0.0, 0.0)
    for index in small[: int(rng.integers(0, 7))]:
        placer.place_on_floor(index, near=(anchor[0], anchor[1]))
    return placer
