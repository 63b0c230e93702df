"""The hand-written gradients that tracejit is measured against are right."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tracejit
from benchmarks import as_written, growth, peers, polynomials, staging, vectors
from benchmarks.suites import SUITES, workloads
from benchmarks.workload import disagreement, leaves

WORKLOADS = [work for suite in SUITES for work in workloads(suite)]


@pytest.mark.parametrize("work", WORKLOADS, ids=lambda w: w.name)
def test_hand_written_gradient_agrees_with_finite_differences(work):
    args = work.make(work.small)
    value, *gradients = leaves(work.hand(*args))
    plain = work.f(*args)
    assert value == pytest.approx(plain, rel=1e-12)
    assert work.primal(*args) == pytest.approx(plain, rel=1e-12)
    for argnum, gradient in zip(np.atleast_1d(work.argnums), gradients, strict=True):
        # One random direction tests the whole gradient at once.
        x = args[argnum]
        direction = np.random.default_rng(argnum).normal(size=np.shape(x))
        h = 1e-5

        def moved(by, argnum=argnum, x=x, direction=direction):
            at = x + by * direction
            return work.f(*args[:argnum], at, *args[argnum + 1 :])

        slope = (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (
            12.0 * h
        )
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-8)


VECTOR = [work for work in WORKLOADS if work.hand_vector is not None]


@pytest.mark.parametrize("work", VECTOR, ids=lambda w: w.name)
def test_both_hand_written_gradients_agree(work):
    args = work.make(work.small)
    assert disagreement(work.hand_vector(*args), work.hand(*args)) < 1e-12


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "tanh", "sin", "cos", "erf"])
def test_polynomials_stand_for_the_functions_of_math(name):
    function, rng = getattr(polynomials, name), np.random.default_rng(0)
    numbers = np.concatenate([rng.normal(size=300), 100.0 * rng.normal(size=300)])
    if name in ("log", "log1p"):
        numbers = abs(numbers)
    for x in [*numbers, *(1e-3 * numbers), *(1e-9 * numbers)]:
        true = getattr(math, name)(x)
        unit = 1.0 if name == "erf" else true
        assert abs(function(x) - true) <= 4.0 * np.spacing(abs(unit)), x


@pytest.mark.parametrize("work", WORKLOADS, ids=lambda w: w.name)
def test_tracejit_agrees_with_the_hand_written_gradient(work):
    args = work.make(work.small)
    for backend in ("numpy", "numba"):
        vg = tracejit.value_and_grad(work.f, argnums=work.argnums, backend=backend)
        assert disagreement(vg(*args), work.hand(*args)) < 1e-10, backend


def source(work, args):
    """The text of a program's kernel, by which it is found again once compiled."""
    gradient = tracejit.value_and_grad(work.f, argnums=work.argnums)
    return tracejit.show(gradient, *args, stage="source")


@pytest.mark.parametrize("work", workloads("loops"), ids=lambda w: w.name)
def test_a_loop_has_one_kernel_for_every_number_of_rounds(work):
    text = source(work, work.make(20))
    assert source(work, work.make(41)) == text
    if growth.steps_of(work.make(20)) is not None:
        for steps in (10, 100_000):
            assert source(work, growth.with_steps(work.make(20), steps)) == text


def test_the_growth_of_a_program_is_measured_by_steps_and_by_cells(capsys):
    (work,) = (w for w in workloads("loops") if w.name == "heat-2d")
    by = {
        axis: [scaled(scale) for scale in (1.0, 8.0)]
        for axis, scaled in growth.axes(work)
    }
    (few, many), (small, large) = by["steps"], by["cells"]
    assert many[2] == 8 * few[2] and many[0].size == few[0].size
    assert 7.5 * small[0].size < large[0].size < 8.5 * small[0].size
    growth.report([work], 1)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_programs_as_written_are_refused_by_the_frameworks_that_refuse_them():
    (work,) = (w for w in workloads("loops") if w.name == "seidel")
    outcomes = {who: outcome for _, who, outcome in as_written.rows([work])}
    for who, why in {"jax": "TypeError", "autograd": "AttributeError"}.items():
        assert outcomes[who].startswith(("not installed", why)), outcomes


def test_the_benchmarks_run(tmp_path):
    path = tmp_path / "results.json"
    options = ["--only", "newton", "--repeat", "1", "--json", str(path)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "newton" in done.stdout
    (row,) = json.loads(path.read_text(encoding="utf-8"))["workloads"]
    assert not row["errors"]
    assert row["seconds"].keys() >= {"hand", "primal", "tracejit", "interpreted"}
    assert row["compilations"] >= 1


@pytest.mark.parametrize("kind", staging.KINDS)
def test_staging_takes_a_time_in_proportion_to_the_program(kind):
    """Each step by itself: ten times the program may take no more than thirty times."""
    staging.measure(kind, 50)
    small, large = (staging.measure(kind, n)[2] for n in (40, 400))
    for step, a, b in zip(staging.STEPS, small, large, strict=True):
        assert b < 30 * max(a, 2e-3), f"{step}: {a:.3f} s, then {b:.3f} s"


def test_the_speed_of_functions_is_printed(capsys):
    vectors.functions(["exp", "arctan2"], 1)
    vectors.chains(1000, 1)
    vectors.bandwidth(1000, 1)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[-1] == "ratio"
    assert [row.split()[0] for row in rows] == [
        *("exp", "arctan2", "chain,", "chain,", "squares,", "squares,")
    ]
    assert all(float(row.split()[-1]) > 0 for row in rows)


def test_peers_are_given_the_data_and_keep_the_sizes():
    work = next(w for w in workloads("kernels") if w.name == "greeks")
    data, by = peers.split(work, work.make(3))
    assert (data, by) == ([0, 1, 2, 3, 4], [0, 2, 3, 4])
    assert peers.joined((1.0, 7, 2.0), [0, 2], "ab") == ["a", 7, "b"]


@pytest.mark.parametrize("peer", ["torch", "pytensor", "casadi"])
@pytest.mark.parametrize("name", ["chain", "options", "formula"])
def test_a_peer_has_the_gradient(peer, name):
    pytest.importorskip(peer)
    work = next(w for w in workloads("kernels") if w.name == name)
    args = work.make(work.small)
    assert disagreement(peers.PEERS[peer](work, args)(), work.hand(*args)) < 1e-12
