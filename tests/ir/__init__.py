"""Tests of the IR: printing, checking, evaluation."""
