"""From the options of the public transforms to what the runtime goes by."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.api.budget import bytes_of
from tracejit.api.threads import threads_of
from tracejit.runtime.dispatch import Accuracy, Options


def options_of(
    backend: str | None = None,
    boundscheck: bool = True,
    fastmath: bool = False,
    accuracy: Accuracy = "fast",
    *,
    parallel: bool | int = False,
    memory: int | str | None = None,
    donate_argnums: int | Sequence[int] = (),
) -> Options:
    """Options as users give them; see `jit` and `grad`.

    >>> options_of(memory="1 kB", parallel=2).memory
    1000
    """
    return Options(
        backend,
        boundscheck,
        fastmath,
        accuracy,
        memory=bytes_of(memory),
        threads=threads_of(parallel),
        donated=_numbers(donate_argnums),
    )


def _numbers(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)
