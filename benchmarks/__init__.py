"""Gradients against hand-written ones: `python -m benchmarks` (see RESULTS.md)."""
