"""`python -m benchmarks`: everything on one thread, every kernel compiled afresh."""

import os
import sys
import tempfile
from importlib import import_module

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["NPROC"] = "1"  # XLA's thread pool
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["JAX_PLATFORMS"] = "cpu"

with tempfile.TemporaryDirectory() as empty:
    os.environ["TRACEJIT_CACHE_DIR"] = empty  # so that a first call compiles
    # Imported only now: NumPy and XLA read these settings when they are loaded.
    sys.exit(import_module("benchmarks.run").main())
