"""What every protocol of the catalog must do, whatever befalls the parties and their links.

``Network`` itself raises ``Misuse("replay-differs")`` where a party that comes back from its
journal sends other bytes than before, ``Misuse("deadlock")`` where all wait, and ``PeerFault``
where two parties' signed transcripts differ: a run that ends has passed those checks.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from protocols.catalog import CATALOG
from protocols.errors import Cancelled
from protocols.local import Outcome
from protocols.machine import Job
from protocols.role import Compute, Effect, Fork, Steps
from tests.protocols.adversary import observing, rewriting
from tests.protocols.case import Case, simulate
from tests.protocols.cases import CASES
from tests.protocols.conftest import seeds
from tests.sim.simulation import MOST_WINDOW, FaultAt, Seeded, Simulation

pytestmark = pytest.mark.conformance


def plain(case: Case, outcome: Outcome) -> dict[str, Any]:
    return {name: case.plain(result) for name, result in outcome.results.items()}


def test_every_protocol_has_a_case_for_each_of_its_roles() -> None:
    covered = {(case.protocol, party.role) for case in CASES for party in _parties(case)}
    assert covered == {(spec.name, role) for spec in CATALOG for role in spec.roles}


def _parties(case: Case) -> Any:
    return case.make(0).plan.message.parties


def test_equals_the_oracle_under_every_schedule(case: Case) -> None:
    """Any order of events, duplicates, lost connections and crashes, windows of 1 to 8 frames."""
    crashes = 0
    for seed in seeds():
        run = case.make(seed % 3)
        window = 1 + seed % MOST_WINDOW
        outcome = simulate(run, coins=seed % 2, schedule=Seeded(seed), window=window).run()
        assert plain(case, outcome) == run.expected, f"seed {seed}"
        crashes += outcome.crashes
    assert crashes > len(seeds())  # or else the faults were none


@pytest.mark.parametrize("fault", ["crash", "cut", "duplicate"])
def test_a_fault_at_any_event_changes_nothing(case: Case, fault: str) -> None:
    run = case.make(0)
    calm = simulate(run, window=2)
    frames = payloads(calm.run())
    for event in range(calm.events):
        outcome = simulate(run, schedule=FaultAt(event, fault), window=2).run()
        assert plain(case, outcome) == run.expected, f"{fault} at event {event}"
        assert payloads(outcome) == frames, f"{fault} at event {event}"


def payloads(outcome: Outcome) -> dict[tuple[int, int, str, int], bytes]:
    return {(f.sender, f.receiver, f.lane, f.sequence): f.payload for f in outcome.frames}


def test_one_frame_under_way_on_each_lane_is_enough(case: Case) -> None:
    for variant in range(3):
        run = case.make(variant)
        assert plain(case, simulate(run, window=1).run()) == run.expected


def test_frames_depend_on_public_sizes_alone(case: Case) -> None:
    """Other data, other coins, as many frames on every lane and each as long."""
    shapes = []
    for variant in range(3):
        outcome = simulate(case.make(variant), coins=variant).run()
        shapes.append([(*place, len(data)) for place, data in sorted(payloads(outcome).items())])
    assert shapes[0] == shapes[1] == shapes[2]


def test_both_ends_come_to_the_same_transcript(case: Case) -> None:
    """The same in any order of events; another one with other data."""
    calm, wild, other = (
        simulate(case.make(0)),
        simulate(case.make(0), schedule=Seeded(1), window=1),
        simulate(case.make(1)),
    )
    for simulation in (calm, wild, other):
        simulation.run()
    assert transcripts(calm) == transcripts(wild) != transcripts(other)
    assert all(digest == transcripts(calm)[b, a] for (a, b), digest in transcripts(calm).items())


def transcripts(simulation: Simulation) -> dict[tuple[str, str], bytes]:
    return {
        (me, peer): node.machine.digest(peer)
        for me, node in simulation.nodes.items()
        for peer in node.session.others
    }


def test_cancel_at_any_event_leaves_nothing_running(case: Case) -> None:
    run = case.make(0)
    whole = simulate(run, window=2)
    whole.run()
    for event in range(0, whole.events, 1 + whole.events // 60):
        alive = _Alive()
        simulation = simulate(run, window=2, wrap=alive)
        simulation.go(event)
        jobs = simulation.under_way()
        for node in simulation.nodes.values():
            node.machine.cancel("shutdown", "operator")
        assert alive.count == 0, f"at event {event}"
        for name, job in jobs:  # what workers still come back with is no news
            simulation.nodes[name].machine.answer(job.ticket, None)
        for node in simulation.nodes.values():
            with pytest.raises(Cancelled) as cancelled:
                node.machine.run()
            assert (cancelled.value.code, cancelled.value.by) == ("shutdown", "operator")


class _Alive:
    """Counts the generators, of roles and of their branches, that have begun and not ended."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, name: str, steps: Steps[Any]) -> Steps[Any]:
        return self._counted(rewriting(steps, self._rewrite))

    def _counted(self, steps: Steps[Any]) -> Steps[Any]:
        self.count += 1
        try:
            return (yield from steps)
        finally:
            self.count -= 1

    def _rewrite(self, effect: Effect) -> Effect:
        if isinstance(effect, Fork):
            return Fork(tuple(self._counted(branch) for branch in effect.branches))
        return effect


def test_work_is_a_function_of_its_arguments_that_another_process_can_do(case: Case) -> None:
    """Every call and all its arguments survive pickling; what comes back is the same each time.

    That is what lets a party come back from a journal without the results of its work.
    """
    run = case.make(0)
    seen: list[Compute] = []

    def note(name: str, effect: Effect) -> None:
        if isinstance(effect, Compute):
            seen.append(effect)

    simulate(run, wrap=observing(note)).run()
    assert seen
    for effect in seen:
        call, args = pickle.loads(pickle.dumps((effect.call, effect.args)))
        assert effect.fresh or pickle.dumps(call(*args)) == pickle.dumps(call(*args))


def test_answers_to_nobody_are_ignored(case: Case) -> None:
    """A worker may answer twice, or after its session has moved on."""
    run = case.make(0)
    simulation = simulate(run)
    work = simulation._work

    def twice(node: Any, machine: Any, job: Job) -> None:
        work(node, machine, job)
        machine.answer(job.ticket, b"again")
        machine.fail(job.ticket, RuntimeError("again"))

    simulation._work = twice  # type: ignore[method-assign]
    assert plain(case, simulation.run()) == run.expected
