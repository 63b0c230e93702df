"""The public transforms: JAX's names, argument order and return shapes."""
