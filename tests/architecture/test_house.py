"""The rules of the house that a machine can check; CONTRIBUTING.md says why they are there."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from grimp import build_graph
from importlinter.cli import lint_imports

from protocols.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mpc", "protocols", "parties")
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")
MOST_LINES = 350

# Folders that only one machine has: a home, a scratch folder, a workplace. A path is absolute when
# its first slash follows neither a name nor a variable, a dot or a tilde.
MACHINE_PATH = re.compile(r"(?<![\w.~}>\])*/-])/(?:home|root|tmp|work|workspace|Users|opt)/[\w.]")
REGISTRY = re.compile(
    r"(?:pypi|npmjs|anaconda)\.org|pythonhosted\.org"
    r"|(?:^|\s)--(?:index-url|extra-index-url|find-links|trusted-host)\b",
    re.MULTILINE,
)


def sources(*packages: str) -> Iterator[Path]:
    """Every hand-written module of these packages."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not GENERATED.search(path.name):
                yield path


def tracked() -> list[Path]:
    """Every file under version control."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def matches(pattern: re.Pattern[str]) -> list[str]:
    """Where ``pattern`` occurs in the text files under version control, as ``file:line``."""
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.end()) + 1
            found.append(f"{path.relative_to(ROOT)}:{line}: {match.group()}")
    return found


def test_import_contracts_hold() -> None:
    configuration = str(ROOT / "pyproject.toml")
    assert lint_imports(config_filename=configuration, no_cache=True, no_logo=True) == 0


def test_protocols_know_neither_each_other_nor_what_steps_them() -> None:
    graph = build_graph("protocols", cache_dir=None)
    named = {
        f"protocols.{path.stem}"
        for path in sources("protocols")
        if re.search(r"^SPEC\b", path.read_text("utf-8"), re.MULTILINE)
    }
    specs = [importlib.import_module(name).SPEC for name in named]
    assert sorted(spec.name for spec in specs) == sorted(spec.name for spec in CATALOG)

    steppers = {"protocols.catalog", "protocols.local", "protocols.machine"}
    chains = [
        graph.find_shortest_chain(importer=protocol, imported=other)
        for protocol in sorted(named)
        for other in sorted((named | steppers) - {protocol})
    ]
    assert [chain for chain in chains if chain] == []


def test_mathematics_and_protocols_touch_neither_files_nor_the_terminal() -> None:
    effects = {"open", "print", "input", "eval", "exec", "__import__"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.func.id}()"
        for path in sources("mpc", "protocols")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in effects
    ]
    assert found == []


def test_everything_imports_with_the_runtime_dependencies_alone() -> None:
    # phe is GPL-3.0 and optional; the others are for those who develop or measure.
    script = """
import importlib, pkgutil, sys
for absent in ("phe", "matplotlib", "pytest", "hypothesis", "grpc_tools"):
    sys.modules[absent] = None
for package in ("mpc", "protocols", "parties"):
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_folder_of_code_is_a_package() -> None:
    # A folder without __init__.py would be left out of the import graph, and so of every contract.
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize("folder", ["proto", "tests"])
def test_folders_that_must_not_shadow_packages(folder: str) -> None:
    # An importable `proto` would hide proto-plus, and tests/mpc/__init__.py would hide mpc.
    assert list((ROOT / folder).rglob("__init__.py")) == []


def test_files_hold_one_idea() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in sources(*PACKAGES)}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MOST_LINES} == {}


def test_no_path_of_one_machine() -> None:
    assert matches(MACHINE_PATH) == []


def test_no_registry_is_named() -> None:
    # Where packages come from is the installing machine's decision.
    assert matches(REGISTRY) == []


def test_locks_pin_everything_by_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        entries = re.split(r"^(?=\w)", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)[1:]
        assert entries
        loose = [e.split()[0] for e in entries if "==" not in e or "--hash=sha256:" not in e]
        assert loose == [], name
