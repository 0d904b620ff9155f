"""Colours, shapes and the legend, and what a browser's lasso is decoded to."""

from __future__ import annotations

import base64

import numpy as np
import pytest

pytest.importorskip("nicegui")

from perception_contrast_studio.components.embedding.point_cloud_view import indices_of_bits
from perception_contrast_studio.components.embedding.point_colours import (
    group_colours,
    group_style,
    legend_of,
    time_colours,
    ways_of,
)
from perception_contrast_studio.points.point_set import PointSet


def test_forty_groups_differ_by_colour_or_shape():
    assert len({group_style(number) for number in range(40)}) == 40


def test_hidden_groups_have_no_shape_and_the_legend_counts_all():
    groups = np.array([0, 1, 1, -1, 9], np.int32)
    colours = group_colours(groups, {1, -1})
    assert (colours[:, 3] == 0).tolist() == [False, True, True, True, False]
    legend = legend_of(groups, [f"g{number}" for number in range(10)])
    assert [(entry.text, entry.count) for entry in legend] == [("g1", 2), ("g0", 1), ("g9", 1), ("none", 1)]


def test_times_go_from_dark_to_light_and_unknown_ones_are_grey():
    colours = time_colours(np.array([100, 200, 300, -1]))
    brightness = colours[:3, :3].astype(int) @ [2126, 7152, 722]
    assert (np.diff(brightness) > 0).all() and len(set(colours[3, :3].tolist())) == 1


def test_only_ways_that_tell_something_are_offered():
    points = PointSet("t", "", "", 2, np.array([-1, -1], np.int32))
    assert ways_of(points) == ["cluster", "none"]


def test_bits_of_a_lasso_are_numpys_and_bounded():
    marks = np.random.default_rng(0).random(77) > 0.5
    text = base64.b64encode(np.packbits(marks, bitorder="little").tobytes()).decode()
    np.testing.assert_array_equal(indices_of_bits(text, 77), np.flatnonzero(marks))
    assert indices_of_bits(base64.b64encode(b"\xff" * 99).decode(), 10).tolist() == list(range(10))
    assert indices_of_bits("no base64!", 10).tolist() == []
