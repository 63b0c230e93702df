"""Floor 1: the intermediate representation."""

from tracejit.ir import text as text  # so that every Program can print itself
