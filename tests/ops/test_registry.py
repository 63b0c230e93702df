"""The tests that every primitive gets from its declaration alone."""

from __future__ import annotations

import pytest

from tests.ops.checks import CHECKS, PRIMITIVES, samples


@pytest.mark.parametrize("prim", PRIMITIVES, ids=lambda p: p.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_primitive(check, prim):
    check(prim)


@pytest.mark.parametrize("prim", PRIMITIVES, ids=lambda p: p.name)
def test_there_are_samples(prim):
    assert samples(prim)
