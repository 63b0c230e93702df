"""Gradients of array programs by PyTorch, PyTensor and CasADi, NumPy in and out.

The programs stay as they are: each framework's own NumPy-like module takes the place of
theirs. What it has not, it cannot be asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Workload, with_numpy

Call = Callable[[], Any]


def split(work: Workload, args: tuple) -> tuple[list[int], list[int]]:
    """The positions of the arguments that are data (sizes are part of the program), and
    where among them those stand that derivatives are taken by."""
    data = [i for i, x in enumerate(args) if not isinstance(x, int)]
    by = (work.argnums,) if isinstance(work.argnums, int) else work.argnums
    return data, [data.index(i) for i in by]


def joined(args: tuple, data: Sequence[int], symbols: Iterable[Any]) -> list[Any]:
    """The arguments, with symbols where there is data."""
    named = dict(zip(data, symbols, strict=True))
    return [named.get(i, x) for i, x in enumerate(args)]


def torch_value(work: Workload, args: tuple, compiled: bool) -> Call:
    """The value by tensors: through the modules that PyTorch has for NumPy code, and by
    its own functions where those of SciPy are called, which these have not."""
    torch, numpy = import_module("torch"), import_module("torch._numpy")
    data, _ = split(work, args)
    if "special" in work.f.__code__.co_names:
        named = SimpleNamespace(**vars(torch))
        named.sqrt = lambda x: x.sqrt() if torch.is_tensor(x) else math.sqrt(x)
        f = with_numpy(work.f, named, torch.special)

        def value(*tensors: Any) -> Any:
            return f(*joined(args, data, tensors))

        return torch.compile(value, fullgraph=True) if compiled else value
    if compiled:

        def plain(*arrays: Any) -> Any:
            return work.f(*joined(args, data, arrays))

        return torch.compile(torch.compiler.wrap_numpy(plain), fullgraph=True)
    f = with_numpy(work.f, numpy)
    return lambda *tensors: f(*joined(args, data, map(numpy.ndarray, tensors))).tensor


def with_torch(work: Workload, args: tuple, compiled: bool = False) -> Call:
    """PyTorch, eager or compiled, on one thread."""
    torch = import_module("torch")
    torch.set_num_threads(1)
    torch._dynamo.reset()  # sizes that other workloads had are not to count
    data, by = split(work, args)
    value = torch_value(work, args, compiled)

    def call() -> tuple:
        tensors = [torch.from_numpy(np.asarray(args[i])) for i in data]
        wanted = [tensors[i].requires_grad_() for i in by]
        result = value(*tensors)
        gradients = torch.autograd.grad(result, wanted)
        return result.detach().numpy(), *(g.numpy() for g in gradients)

    return call


def with_pytensor(work: Workload, args: tuple) -> Call:
    """PyTensor, compiled as it is by default, for the shapes that there are."""
    pytensor, tensor = import_module("pytensor"), import_module("pytensor.tensor")
    f = with_numpy(work.f, tensor, tensor)
    data, by = split(work, args)
    arrays = [np.asarray(args[i]) for i in data]
    symbols = [tensor.TensorType(str(x.dtype), shape=x.shape)() for x in arrays]
    with pytensor.config.change_flags(cast_policy="numpy+floatX"):  # no float32
        value = f(*joined(args, data, symbols))
    gradients = pytensor.grad(value, [symbols[i] for i in by])
    return partial(pytensor.function(symbols, [value, *gradients]), *arrays)


def with_casadi(work: Workload, args: tuple) -> Call:
    """CasADi, whose matrices take vectors for columns."""
    casadi = import_module("casadi")
    sums = {
        "pi": np.pi,
        "sum": lambda x: casadi.sum1(casadi.sum2(x)),
        "mean": lambda x: casadi.sum1(casadi.sum2(x)) / x.numel(),
    }
    numpy = SimpleNamespace(**{**vars(casadi), **sums})
    f = with_numpy(work.f, numpy, casadi)
    data, by = split(work, args)
    arrays = [np.asarray(args[i]) for i in data]
    symbols = [casadi.MX.sym(f"x{i}", *x.shape) for i, x in enumerate(arrays)]
    value = f(*joined(args, data, symbols))
    gradients = [casadi.gradient(value, symbols[i]) for i in by]
    gradient = casadi.Function("gradient", symbols, [value, *gradients])
    shapes = [(), *(arrays[i].shape for i in by)]

    def call() -> list[np.ndarray]:
        results = gradient(*arrays)
        return [x.full().reshape(s) for x, s in zip(results, shapes, strict=True)]

    return call


#: What is asked of those programs that JAX runs as they stand.
PEERS: dict[str, Callable[[Workload, tuple], Call]] = {
    "torch": with_torch,
    "torch.compile": partial(with_torch, compiled=True),
    "pytensor": with_pytensor,
    "casadi": with_casadi,
}
