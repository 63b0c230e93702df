"""Floor 4: running a Program, in NumPy or compiled by Numba."""
