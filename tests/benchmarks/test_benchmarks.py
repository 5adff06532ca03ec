"""The benchmark itself: what it prints, and that a wrong answer is never timed as a right one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from parties.cli import bench
from parties.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "run.py"


def test_an_intersection_through_nodes(tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--only", "psi", "--sizes", "200", "--plot", plot],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    facts = ("benchmark", "protocol", "parties", "rows", "run", "checked")
    assert [record[fact] for fact in facts] == ["protocols", "psi", 2, 200, "cold", True]
    assert record["seconds"] > 0
    assert sum(record["cpu_seconds_by_party"].values()) == pytest.approx(
        record["cpu_seconds"], abs=0.05
    )
    # 32 bytes for each point of 200 a side, and a tag for each of the querier's.
    assert 200 * (2 * 32 + 7) < record["bytes"] < 2 * record["estimated_bytes"]
    assert set(record["peak_mb_by_party"]) == {"bank", "core"}
    assert max(record["peak_mb_by_party"].values()) >= record["largest_process_mb"] > 10
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_wrong_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    workloads = __import__("workloads")

    psi = workloads.psi(tmp_path, 100)
    result = tmp_path / "result.csv"
    common = set((tmp_path / "core.csv").read_text().upper().split())
    rows = [line.partition(",")[0] for line in (tmp_path / "bank.csv").read_text().splitlines()]
    right = ["company", *(row for row in rows if row in common)]
    result.write_text("\n".join(right) + "\n")
    assert len(right) == 51
    psi.check(result)
    for wrong in (right[:-1], [*right, rows[1] + "X"], [right[0], *right[:0:-1]]):
        result.write_text("\n".join(wrong) + "\n")
        with pytest.raises(workloads.WrongAnswer):
            psi.check(result)

    sums = workloads.sums(tmp_path, 100)
    keys = (tmp_path / "bank.csv").read_text().split()[1:]
    result.write_text("supplier,total,contributors\n" + "".join(f"{k},1.00,5\n" for k in keys))
    with pytest.raises(workloads.WrongAnswer):
        sums.check(result)

    score = workloads.score(tmp_path, 100)
    keys = (tmp_path / "bank.csv").read_text().split()[1:]
    result.write_text("applicant,score,logit\n" + "".join(f"{k},0.5,0.0\n" for k in keys))
    with pytest.raises(workloads.WrongAnswer):
        score.check(result)


def test_outside_a_clone_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SCRIPT", Path("nowhere") / "run.py")
    result = CliRunner().invoke(cli, ["bench"])
    assert result.exit_code == 2
    assert "clone" in result.stderr
    assert result.stdout == ""
