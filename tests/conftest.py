"""Settings for the whole run, made before NumPy and tracejit are imported."""

import os

import pytest

# pytest-xdist runs one process a core: more threads in each would only queue up.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Well-formedness of every Program is checked after every transform.
os.environ.setdefault("TRACEJIT_CHECK", "1")
# A window is never wanted, and not always possible.
os.environ.setdefault("MPLBACKEND", "agg")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden texts anew instead of comparing with them",
    )


@pytest.fixture
def golden(request):
    """`golden(text, name)`: `text` is what golden/<name>.txt beside the test says."""

    def compare(text, name):
        path = request.path.parent / "golden" / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no {path.name}: run with --update-golden?"
        assert text == path.read_text(encoding="utf-8"), "see --update-golden"

    return compare
