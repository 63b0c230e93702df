"""Copies of nodes, under other names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from tracejit.ir.program import Eqn, Literal, Var
from tracejit.optimize.nest import (
    BLOCKS,
    Affine,
    Load,
    Loop,
    Node,
    Parallel,
    scalar_var,
)

#: What stands for a scalar in the copy: another one, or an integer.
Renamed: TypeAlias = dict[Var, Var | Literal]


def clone(nodes: Sequence[Node], renamed: Renamed) -> list[Node]:
    """Copies of nodes, in which what they bind once has names of its own.

    Args:
        nodes: a block; what `Let` and `Accumulate` assign to is not renamed by itself.
        renamed: what scalars are called in the copy; it grows.
    """
    return [_clone(node, renamed) for node in nodes]


def _clone(node: Node, renamed: Renamed) -> Node:
    new: dict[str, Any] = {}
    if isinstance(node, Loop | Parallel):
        new["index"] = _fresh(node.index, renamed)
    for name in BLOCKS:  # first: the test of a `While` binds what it reads
        if hasattr(node, name):
            new[name] = clone(getattr(node, name), renamed)
    for name in ("lo", "hi", "step", "row", "value", "ok", "pred", "target"):
        if hasattr(node, name):
            new[name] = _renamed(getattr(node, name), renamed)
    for name in ("inputs", "args"):
        if hasattr(node, name):
            new[name] = [_renamed(item, renamed) for item in getattr(node, name)]
    if hasattr(node, "index") and not isinstance(node, Loop | Parallel):
        new["index"] = tuple([_renamed(item, renamed) for item in node.index])
    # Last: what a node binds, it does not read.
    if isinstance(node, Eqn):
        new["outputs"] = [_fresh(v, renamed) for v in node.outputs]
    elif isinstance(node, Load):
        new["out"] = _fresh(node.out, renamed)
    return replace(node, **new)


def _fresh(var: Var, renamed: Renamed) -> Var:
    new = renamed[var] = scalar_var(var.aval.dtype, var.hint)
    return new


def _renamed(item: Any, renamed: Renamed) -> Any:
    if isinstance(item, Var):
        return renamed.get(item, item)
    if not isinstance(item, Affine):
        return item
    out = Affine.of(item.const)
    for symbol, factor in item.terms.items():
        new = renamed.get(symbol, symbol) if isinstance(symbol, Var) else symbol
        if isinstance(new, Literal):
            out = out + Affine({}, factor * int(new.value))
        else:
            out = out + Affine({new: factor})
    return out


__all__ = ["Renamed", "clone"]
