"""The gradient of a workload, by each framework that is there and can say it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.workload import SAME, Workload, variant

Call = Callable[[], Any]


def module(name: str) -> Any:
    """A module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def with_tracejit(work: Workload, args: tuple, **options: Any) -> Call:
    tracejit = importlib.import_module("tracejit")
    gradient = tracejit.value_and_grad(work.f, argnums=work.argnums, **options)
    return partial(gradient, *args)


def with_jax(work: Workload, args: tuple) -> Call | None:
    jax, numpy = module("jax"), module("jax.numpy")
    if jax is None or (f := variant(work.f, work.jax, numpy)) is None:
        return None
    jax.config.update("jax_enable_x64", True)
    # Sizes are part of the program; everything else is put in place once, so that no
    # call pays for bringing its arguments in, nor for taking its results out.
    static = [i for i, x in enumerate(args) if isinstance(x, int)]
    ready = [x if i in static else numpy.asarray(x) for i, x in enumerate(args)]
    gradient = jax.jit(jax.value_and_grad(f, work.argnums), static_argnums=static)
    return lambda: jax.block_until_ready(gradient(*ready))


def with_autograd(work: Workload, args: tuple) -> Call | None:
    autograd, numpy = module("autograd"), module("autograd.numpy")
    if autograd is None or (f := variant(work.f, work.autograd, numpy)) is None:
        return None
    return partial(autograd.value_and_grad(f, work.argnums), *args)


def contestants(work: Workload, args: tuple) -> Iterator[tuple[str, Call | Exception]]:
    """Names and calls; where there is no call to be made, the reason."""
    makers: dict[str, Callable[[], Call | None]] = {
        "tracejit": partial(with_tracejit, work, args),
        "fastmath": partial(with_tracejit, work, args, fastmath=True),
        "interpreted": partial(with_tracejit, work, args, backend="numpy"),
        "jax": partial(with_jax, work, args),
        "autograd": partial(with_autograd, work, args),
    }
    if work.jax == SAME:
        for name, peer in PEERS.items():
            if module(name.partition(".")[0]) is not None:
                makers[name] = partial(peer, work, args)
    for name, make in makers.items():
        try:
            call = make()
        except Exception as error:  # one framework's failure is not another's
            yield name, error
        else:
            if call is not None:
                yield name, call
