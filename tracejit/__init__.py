"""Derivatives of the NumPy code that people already have, compiled by Numba."""

from tracejit.api.custom import custom_jvp, custom_vjp, stop_gradient
from tracejit.api.forward import jvp, linearize
from tracejit.api.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from tracejit.api.jit import jit
from tracejit.api.mapping import vmap
from tracejit.api.remat import checkpoint
from tracejit.api.reverse import grad, value_and_grad, vjp
from tracejit.base.errors import TracejitError
from tracejit.base.pytree import register_pytree_node
from tracejit.show import cost, make_ir, show
from tracejit.testing import check_grads

__all__ = [
    "TracejitError",
    "check_grads",
    "checkpoint",
    "cost",
    "custom_jvp",
    "custom_vjp",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "make_ir",
    "register_pytree_node",
    "show",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
