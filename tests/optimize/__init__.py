"""Tests of the passes and of the loop nests."""
