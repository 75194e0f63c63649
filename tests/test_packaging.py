"""What is installed, and the make targets that install and run it."""

import ast
import configparser
import itertools
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("production", "embedded", "test", "dev")
MAKEFILE = (ROOT / "Makefile").read_text()
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)


def asked(lock: str) -> dict[str, Requirement]:
    """What setup.cfg asks for in `lock` itself, by name."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    text = (
        config["options"]["install_requires"]
        if lock == "production"
        else config["options.extras_require"][lock]
    )
    requirements = [Requirement(line) for line in text.split("\n") if line]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pins(lock: str) -> dict[tuple[str, str], str]:
    """The locked versions, by name and the environment that they are for."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return {(name, marker): version for name, version, marker in PIN.findall(text)}


def names(lock: str) -> set[str]:
    return {name for name, _ in pins(lock)}


# --- locks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_what_setup_cfg_asks_for(lock: str) -> None:
    locked = pins(lock)
    for part in LOCKS[: LOCKS.index(lock) + 1]:
        for name, requirement in asked(part).items():
            versions = [version for (pinned, _), version in locked.items() if pinned == name]
            assert versions, f"{name}: run `make lock`"
            assert all(requirement.specifier.contains(version) for version in versions), name


@pytest.mark.parametrize(("smaller", "larger"), list(itertools.pairwise(LOCKS)))
def test_each_lock_holds_the_one_before(smaller: str, larger: str) -> None:
    assert pins(smaller).items() <= pins(larger).items()


def test_production_has_neither_embedded_servers_nor_tools() -> None:
    tools = {*asked("embedded"), *asked("test"), *asked("dev")}
    assert len(tools) > 15
    assert names("production").isdisjoint(tools)
    assert names("embedded").isdisjoint({*asked("test"), *asked("dev")})
    assert not any(name.startswith("pytest") for name in names("production"))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_all_hashes_and_names_no_place(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$|[a-z0-9-]+==", x) for x in lines)
    for block in re.split(r"\n(?=[a-z])", "\n".join(lines)):
        assert "--hash=" in block
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|/(home|root|tmp)/", text)


def test_every_requirement_has_a_lower_bound() -> None:
    for lock in LOCKS:
        for requirement in asked(lock).values():
            assert [part.operator for part in requirement.specifier] == [">="], requirement


OURS = {"todo_app", "ops"}
TYPES_ONLY = {"_typeshed"}


def test_production_code_imports_only_what_production_installs() -> None:
    distributions = packages_distributions()
    for path in production_files():
        local = path.is_relative_to(ROOT / "ops" / "local")
        installed = names("embedded" if local else "production")
        for module in sorted(imports(path) - sys.stdlib_module_names - OURS - TYPES_ONLY):
            if (ROOT / f"{module}.py").exists() or (ROOT / module).is_dir():
                continue
            origins = {canonicalize_name(name) for name in distributions[module]}
            assert origins & installed, f"{path.relative_to(ROOT)} imports {module}"


def production_files() -> list[Path]:
    folders = [ROOT / name for name in ("todo_app", "ops", "migrations")]
    names = ("wsgi.py", "celeryconfig.py", "flowerconfig.py", "gunicorn.conf.py")
    modules = [ROOT / name for name in names]
    return [*modules, *(path for folder in folders for path in sorted(folder.rglob("*.py")))]


def imports(path: Path) -> set[str]:
    """The top-level modules that the file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_dependency_is_explained() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    explained = set(re.findall(r"`([a-z0-9-]+)`", text))
    for lock in LOCKS:
        assert set(asked(lock)) <= explained, f"docs/dependencies.md lacks some of {lock}"


# --- make ------------------------------------------------------------------------------------


def test_every_target_has_a_help_line_and_help_is_the_default() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony
    targets = set(re.findall(r"^([a-z]\w*):(?!=)", MAKEFILE, re.MULTILINE))
    assert targets == set(phony[1].split())
    done = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  (\w+) +\S", done.stdout, re.MULTILINE)) == targets


def test_commit_hooks_are_the_linters_of_make() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    linters = [line.replace("$(BIN)", ".venv/bin") for line in recipe[1].split("\n\t")[1:]]
    assert sorted(hooks) == sorted(line.strip() for line in linters)


# --- .venv -----------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose locks are empty, so that nothing is asked of a network."""
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    (requirements / "install.py").write_bytes((ROOT / "requirements/install.py").read_bytes())
    for lock in LOCKS:
        (requirements / f"{lock}.txt").write_text(f"# {lock}\n")
    return tmp_path


def install(clone: Path, lock: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, clone / "requirements" / "install.py", lock],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(clone), **env},
    )


def stamp(clone: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((clone / ".venv/installed.json").read_text())
    return found


def test_environment_is_built_once_and_grows(clone: Path) -> None:
    first = install(clone, "embedded")
    assert first.returncode == 0, first.stderr
    assert "installing requirements/embedded.txt" in first.stderr
    left_alone = clone / ".venv" / "mark"
    left_alone.touch()
    for lock in ("embedded", "production"):
        assert (install(clone, lock).returncode, install(clone, lock).stderr) == (0, "")
    assert "installing" in install(clone, "test").stderr
    assert stamp(clone)["lock"] == "test"
    (clone / "requirements" / "test.txt").write_text("# changed\n")
    assert "installing" in install(clone, "embedded").stderr
    assert left_alone.exists()


def test_half_built_environment_is_built_anew(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text("half a program")
    assert install(clone, "embedded").returncode == 0
    left_over = clone / ".venv" / "mark"
    left_over.touch()
    moved = clone.rename(clone.with_name("moved"))
    assert install(moved, "embedded").returncode == 0
    assert not (moved / ".venv" / "mark").exists()


def test_failed_installation_keeps_what_was_there(clone: Path) -> None:
    assert install(clone, "embedded").returncode == 0
    (clone / "requirements" / "test.txt").write_text(f"nothing==1 --hash=sha256:{'0' * 64}\n")
    failed = install(clone, "test", PIP_NO_INDEX="1")
    assert failed.returncode == 1
    assert "The packages could not be installed" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert install(clone, "embedded").stderr == ""


def test_unknown_lock(clone: Path) -> None:
    done = install(clone, "all")
    assert done.returncode == 1
    assert "production|embedded|test|dev" in done.stderr
