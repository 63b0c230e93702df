"""Settings for the whole run, made before NumPy and tracejit are imported."""

import os

# pytest-xdist runs one process a core: more threads in each would only queue up.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Well-formedness of every Program is checked after every transform.
os.environ.setdefault("TRACEJIT_CHECK", "1")
# A window is never wanted, and not always possible.
os.environ.setdefault("MPLBACKEND", "agg")
