"""Tests of the primitives: most of them follow from the registry."""
