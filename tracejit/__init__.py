"""Derivatives of the NumPy code that people already have, compiled by Numba."""
