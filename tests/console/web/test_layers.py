"""The layered layout: columns, few crossings, and the same picture every time."""

from __future__ import annotations

import re

import pytest

from console.web.layers import BOX_HEIGHT, BOX_WIDTH, Edge, Item, lay_out


def test_columns_go_from_left_to_right_and_boxes_do_not_touch() -> None:
    """Also when columns are numbered with holes."""
    items = [Item("a", 0), Item("b", 7), Item("c", 7), Item("d", 100)]
    made = lay_out(items, [Edge("a", "b"), Edge("a", "c"), Edge("c", "d")])
    (ax, _), (bx, by), (cx, cy), (dx, _) = (made.boxes[each] for each in "abcd")
    assert ax + BOX_WIDTH < bx == cx < dx
    assert abs(by - cy) >= BOX_HEIGHT
    assert dx + BOX_WIDTH <= made.width
    assert max(by, cy) + BOX_HEIGHT <= made.height
    assert set(made.columns) == {0, 7, 100}


def test_two_crossed_pairs_are_uncrossed() -> None:
    """The order in which things are named costs no crossing."""
    items = [Item("a", 0), Item("b", 0), Item("of-b", 1), Item("of-a", 1)]
    boxes = lay_out(items, [Edge("a", "of-a"), Edge("b", "of-b")]).boxes
    assert (boxes["a"][1] < boxes["b"][1]) == (boxes["of-a"][1] < boxes["of-b"][1])


def test_an_edge_over_a_column_passes_between_its_boxes() -> None:
    """It gets a place of its own there."""
    items = [Item("a", 0), Item("b", 1), Item("c", 1), Item("d", 2)]
    made = lay_out(items, [Edge("a", "d"), Edge("a", "b"), Edge("c", "d")])
    found = re.search(r" ([\d.]+)H", made.paths[0])
    assert found is not None
    y = float(found[1])
    assert not any(made.boxes[each][1] <= y <= made.boxes[each][1] + BOX_HEIGHT for each in "bc")


def test_the_same_graph_gives_the_same_picture() -> None:
    """It can be compared from one look to the next."""
    items = [Item(f"k{number}", number % 4) for number in range(40)]
    edges = [Edge(f"k{one}", f"k{two}") for one in range(0, 40, 4) for two in range(1, 40, 7) if two % 4]
    assert lay_out(items, edges) == lay_out(items, edges)


def test_nothing_makes_an_empty_picture_and_backwards_is_refused() -> None:
    """An edge that leads nowhere onward would be drawn wrong."""
    assert lay_out([], []).boxes == {}
    with pytest.raises(ValueError, match="later column"):
        lay_out([Item("a", 0), Item("b", 0)], [Edge("a", "b")])
