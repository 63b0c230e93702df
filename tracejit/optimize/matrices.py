"""What is known of matrices by how they were made: triangles, identities, diagonals.

Leading axes are batches, as in `ops.matrices`.
"""

from __future__ import annotations

from tracejit.ir.program import Atom, Eqn, Literal, Var
from tracejit.ops.elementwise import mul
from tracejit.optimize.view import View, fitted

#: How many equations are followed to what a matrix is made of.
FAR = 6


def turning(ndim: int) -> tuple[int, ...]:
    """The permutation of axes that transposes matrices."""
    return (*range(ndim - 2), ndim - 1, ndim - 2)


def triangle(atom: Atom, view: View, far: int = FAR) -> bool | None:
    """Whether a matrix is lower triangular; False if upper, None if neither is known.

    What has been found zero beyond its diagonal there is so, not by chance.
    """
    eqn = view.defs.get(atom) if isinstance(atom, Var) else None
    if eqn is None or far == 0:
        return None
    if eqn.prim.name == "cholesky":
        return True
    if eqn.prim.name == "qr" and atom is eqn.outputs[1]:
        return False
    if eqn.prim.name == "transpose" and eqn.params["perm"] == turning(atom.aval.ndim):
        lower = triangle(eqn.inputs[0], view, far - 1)
        return None if lower is None else not lower
    if eqn.prim.name == "select" and view.zero(eqn.inputs[2]):
        return _kept(eqn.inputs[0], view)
    return None


def _kept(atom: Atom, view: View) -> bool | None:
    """Which triangle a comparison of rows with columns chooses, the lower if True."""
    eqn = view.defs.get(atom) if isinstance(atom, Var) else None
    if eqn is None or eqn.prim.name not in ("le", "ge"):
        return None
    rows = atom.aval.ndim - 2
    axes = [_counted(a, view) for a in eqn.inputs]
    if sorted(axes) != [rows, rows + 1]:
        return None
    return (axes[0] == rows) == (eqn.prim.name == "ge")


def is_identity(atom: Atom, view: View) -> bool:
    """Whether these are identity matrices."""
    numbers = diagonal(atom, view) if atom.aval.ndim >= 2 else None
    return numbers is not None and view.is_one(numbers)


def diagonal(atom: Atom, view: View, far: int = FAR) -> Atom | None:
    """The numbers on the diagonal of a matrix that is zero elsewhere.

    A number stands for as many; for others equations may be emitted.
    """
    eqn = view.defs.get(atom) if isinstance(atom, Var) else None
    if eqn is None or far == 0 or atom.aval.shape[-1] != atom.aval.shape[-2]:
        return None
    name = eqn.prim.name
    if name == "cast" and is_delta(eqn.inputs[0], view):
        return Literal(atom.aval.dtype.type(1).item(), atom.aval.dtype)
    if name == "select" and is_delta(eqn.inputs[0], view) and view.zero(eqn.inputs[2]):
        return on_diagonal(eqn.inputs[1], view)
    if atom.aval.ndim != 2:
        return None
    if name == "mul":
        return _scaled(eqn, view, far)
    if name == "transpose":
        return diagonal(eqn.inputs[0], view, far - 1)
    if name == "reshape":
        return _spaced(eqn, view)
    return None


def _scaled(eqn: Eqn, view: View, far: int) -> Atom | None:
    """A diagonal times what is spread from fewer numbers."""
    for x, other in (eqn.inputs, eqn.inputs[::-1]):
        numbers = diagonal(x, view, far - 1)
        factors = on_diagonal(other, view)
        if numbers is None or factors is None:
            continue
        if isinstance(factors, Literal):
            numbers, factors = factors, numbers
        if isinstance(numbers, Literal) and view.is_one(numbers):
            return factors
        return mul(fitted(numbers, factors.aval), factors)
    return None


def is_delta(atom: Atom, view: View) -> bool:
    """Whether this says of every element of matrices if it is on the diagonal."""
    eqn = view.definition(atom, "eq")
    if eqn is None:
        return False
    ndim = atom.aval.ndim
    axes = sorted(_counted(a, view) for a in eqn.inputs)
    return axes == [ndim - 2, ndim - 1]


def _counted(atom: Atom, view: View) -> int:
    """The axis along which the elements are 0, 1, 2, …; else -1."""
    spread = view.definition(atom, "broadcast")
    if spread is None or view.definition(spread.inputs[0], "iota") is None:
        return -1
    return spread.params["axes"][0]


def on_diagonal(atom: Atom, view: View) -> Atom | None:
    """The numbers on the diagonal of a matrix, if it is spread from fewer."""
    literal = view.literal(atom)
    if literal is not None:
        return literal
    spread = view.definition(atom, "broadcast")
    if spread is None or atom.aval.ndim != 2 or not view.movable(spread.inputs[0]):
        return None
    return spread.inputs[0]


def _spaced(eqn: Eqn, view: View) -> Atom | None:
    """`zeros(n * n).at[:: n + 1]` in the shape of a matrix: what `np.diag` makes, and
    the derivative of what it reads."""
    write = view.defs.get(eqn.inputs[0])  # type: ignore[arg-type]
    if write is None or write.prim.name not in ("acc_slice", "setitem"):
        return None
    flat, numbers, start = write.inputs[0], write.inputs[1], write.inputs[-1]
    n = eqn.out.aval.shape[0]
    whole = write.params["sizes"] == (n,) and write.params["steps"] == (n + 1,)
    first = isinstance(start, Literal) and start.value == 0
    if len(write.inputs) == 3 and whole and first and view.zero(flat):
        return numbers if view.movable(numbers) else None
    return None
