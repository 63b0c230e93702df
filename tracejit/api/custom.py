"""Functions with derivatives of their own: `custom_vjp`, `custom_jvp`, and none at
all: `stop_gradient`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from tracejit.api.decorated import Decorated
from tracejit.api.shared import Function
from tracejit.base.errors import CustomRuleError
from tracejit.base.pytree import flatten, tree_map
from tracejit.frontend.box import HANDLERS, Box, box_of, is_static
from tracejit.frontend.calls import call
from tracejit.frontend.rules import Custom
from tracejit.frontend.trace import staging
from tracejit.ops import control


class Ruled(Decorated):
    """A function with rules. Outside of transforms it is the function itself."""

    def __init__(self, fun: Function, nondiff_argnums: Sequence[int] = ()):
        super().__init__(fun)
        self.nondiff_argnums = tuple(nondiff_argnums)

    def custom(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Custom:
        """The call, with keyword arguments and defaults in their places."""
        try:
            signature = inspect.signature(self.fun)
        except (TypeError, ValueError):  # a ufunc: by position
            signature = None
        if signature is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        if kwargs:
            raise CustomRuleError(
                f"{self.name} has a rule of its own and is called with "
                f"{', '.join(kwargs)}, which are keyword-only",
                cure="rules get arguments by position: give the function no `*`",
            )
        nondiff = {k % max(len(args), 1) for k in self.nondiff_argnums}
        return Custom(self.fun, self.name, args, nondiff)

    def missing(self, what: str) -> CustomRuleError:
        return CustomRuleError(
            f"no rule has been given to {self.name}",
            cure=f"give it one: {self.name}.{what}",
        )


class custom_vjp(Ruled):
    """A function with a reverse rule of its own.

    Arguments: `fun`, the function; `nondiff_argnums`, positions of arguments that are
    no arrays, or have no derivative. `f.defvjp(fwd, bwd)` gives the rule: `fwd(*args)`
    returns `(value, residuals)`; `bwd(residuals, ct)`, given the cotangent of the
    value, returns a tuple with the cotangent of every argument (None: zero). Arguments
    in `nondiff_argnums` come first in `bwd`, and have no cotangent.

    Returns a function that computes what `fun` does. Its second derivative is that of
    `fwd` and `bwd`. Forward mode works where `bwd` is linear in the cotangent.

    Raises `CustomRuleError`, a `TypeError`, where rules do not fit the function, which
    must not change its arguments.

    >>> import numpy as np
    >>> from tracejit import grad
    >>> @custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1.0, 1.0),))
    >>> grad(lambda x: clipped(x) ** 2, backend="numpy")(3.0)
    1.0
    """

    fwd: Function | None = None
    bwd: Function | None = None

    def defvjp(
        self,
        fwd: Function,
        bwd: Function,
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Give the rule; see the class. The options of JAX change nothing here."""
        self.fwd, self.bwd = fwd, bwd

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise self.missing("defvjp(fwd, bwd)")
        return self.custom(args, kwargs).vjp(self.fwd, self.bwd)


class custom_jvp(Ruled):
    """A function with a forward rule of its own; reverse mode is its transpose.

    Arguments: `fun`, the function; `nondiff_argnums`, positions of arguments that are
    no arrays, or have no derivative. `f.defjvp(rule)` gives the rule, which returns
    `(value, tangent)` from `rule(primals, tangents)`, two tuples; arguments in
    `nondiff_argnums` come first. It has to be linear in the tangents.
    `f.defjvps(*rules)` gives one for each argument instead: `rule(tangent, value,
    *primals)`, or None for zero; what they return is added up.

    Returns a function that computes what `fun` does.

    Raises `CustomRuleError`, a `TypeError`, where rules do not fit the function, which
    must not change its arguments.

    >>> import numpy as np
    >>> from tracejit import grad
    >>> @custom_jvp
    ... def log1pexp(x):
    ...     return np.log(1.0 + np.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t * (1.0 - 1.0 / (1.0 + np.exp(x)))
    >>> grad(log1pexp, backend="numpy")(100.0)
    1.0
    """

    jvp: Function | None = None

    def defjvp(self, jvp: Function, symbolic_zeros: bool = False) -> Function:
        """Give the rule; see the class. Returns it, so that it may decorate."""
        self.jvp = jvp
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Give a rule for each argument; see the class."""
        if self.nondiff_argnums:
            raise CustomRuleError(
                f"defjvps cannot give the rules of {self.name}, which has "
                "nondiff_argnums",
                cure="use defjvp",
            )
        self.jvp = _Sum(self, jvps)

    def __tracejit_call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.jvp is None:
            raise self.missing("defjvp(rule)")
        return self.custom(args, kwargs).jvp(self.jvp)


class _Sum:
    """The rule that adds up one for each argument."""

    def __init__(self, fn: custom_jvp, rules: Sequence[Function | None]):
        self.fn, self.rules = fn, rules

    def __call__(self, primals: Any, tangents: Any) -> Any:
        value = call(self.fn, *primals)
        terms = [
            call(rule, tangent, value, *primals)
            for rule, tangent in zip(self.rules, tangents, strict=True)
            if rule is not None
        ]
        total = terms[0] if terms else tree_map(lambda y: y * 0.0, value)
        for term in terms[1:]:
            total = tree_map(lambda a, b: a + b, total, term)
        return value, total

    __tracejit_call__ = __call__


def stop_gradient(x: Any) -> Any:
    """The value of `x`, which derivatives take for a constant.

    Arguments: `x`, an array, a number, or a structure of them. Returns the same.

    >>> from tracejit import grad
    >>> grad(lambda x: x * stop_gradient(x), backend="numpy")(3.0)
    3.0
    """
    return _staged_stop_gradient(x) if staging() else x


def _stopped(leaf: Any) -> Any:
    if not isinstance(leaf, Box) or is_static(leaf) or not leaf.aval.inexact:
        return leaf
    return box_of(control.stop_gradient(leaf.read()), leaf.kind, leaf._layout)


def _staged_stop_gradient(x: Any) -> Any:
    return tree_map(_stopped, x) if any(_boxes(x)) else x


def _boxes(x: Any) -> list[bool]:
    return [isinstance(leaf, Box) for leaf in flatten(x)[0]]


HANDLERS[stop_gradient] = _staged_stop_gradient
