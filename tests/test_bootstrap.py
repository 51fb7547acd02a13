"""The set-up script: what it decides, and that it goes on from where it was interrupted, with nothing installed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import bootstrap
from bootstrap import Record, SetupError, Stamp

STAMP = Stamp(pyproject="abc", python="3.11", root="/somewhere", extras=("dev",))


class Machine:
    """A stand-in for every command that the script runs; it knows what is installed and writes down what was asked."""

    def __init__(self, torch: str = "", cpu_wheel: bool = True, failing: str = "") -> None:
        self.torch, self.cpu_wheel, self.failing = torch, cpu_wheel, failing
        self.called: list[str] = []

    def ask(self, command: list[str], seconds: float = 0.0) -> tuple[int, str]:
        line = " ".join(command)
        if "version_info" in line:
            return 0, "3.11\n"
        if "get_path" in line:
            return 0, str(Path(command[0]).parents[1] / "packages")
        if "pip --version" in line:
            return 0, "pip 24.0 from somewhere (python 3.11)"
        if "import torch" in line:
            return (0, self.torch) if self.torch else (1, "")
        if "--dry-run" in line:
            return 0, report("2.13.0+cpu" if self.cpu_wheel else "2.13.0", ["nvidia-cudnn-cu13==9; x"])
        return 1, ""

    def call(self, command: list[str]) -> int:
        line = " ".join(command)
        self.called.append(line)
        if "-m venv" in line:
            python = bootstrap.python_of(Path(command[-1]))
            python.parent.mkdir()
            python.touch()
        failed = bool(self.failing) and self.failing in line
        if bootstrap.TORCH_TRIED in line and not failed:
            self.torch = "2.13.0+cpu"
        return int(failed)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A Linux machine without a GPU on which pip finds a CPU build."""
    return install(monkeypatch, Machine())


def install(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Machine:
    monkeypatch.setattr(bootstrap, "ask", machine.ask)
    monkeypatch.setattr(bootstrap, "call", machine.call)
    monkeypatch.setattr(bootstrap.platform, "system", lambda: "Linux")
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: False)
    return machine


def report(version: str, needs: list[str]) -> str:
    return json.dumps({"install": [{"metadata": {"version": version, "requires_dist": needs}}]})


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 13)])
def test_supported_pythons(version: tuple[int, int]) -> None:
    assert bootstrap.version_fault(version) == ""


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 14), (4, 0)])
def test_unsupported_pythons_are_named(version: tuple[int, int]) -> None:
    fault = bootstrap.version_fault(version)
    assert f"Python {version[0]}.{version[1]}," in fault
    assert "3.10 to 3.13" in fault


def test_the_requirement_of_torch_is_the_package_s() -> None:
    text = (bootstrap.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{bootstrap.TORCH}"' in text
    assert bootstrap.numbers(bootstrap.TORCH.partition(">=")[2]) == bootstrap.TORCH_LOWEST
    assert bootstrap.numbers(bootstrap.TORCH_TRIED.partition("==")[2]) >= bootstrap.TORCH_LOWEST
    assert f'requires-python = ">={bootstrap.LOWEST[0]}.{bootstrap.LOWEST[1]}"' in text
    assert f"Python :: {bootstrap.HIGHEST[0]}.{bootstrap.HIGHEST[1]}" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2.13.0+cpu\n", (2, 13, 0)), ("24.3.1 from /x", (24, 3, 1)), ("2.6.0a0+git1", (2, 6, 0)), ("none", ())],
)
def test_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert bootstrap.numbers(text) == expected


def test_python_of() -> None:
    assert bootstrap.python_of(Path("e"), "posix") == Path("e/bin/python")
    assert bootstrap.python_of(Path("e"), "nt") == Path("e/Scripts/python.exe")


@pytest.mark.parametrize(
    ("system", "gpu", "first", "last"),
    [
        ("Linux", False, "pip, if a CPU build", "uv, CPU build"),
        ("Linux", True, "pip", "pip"),
        ("Darwin", False, "pip", "pip"),
        ("Windows", False, "pip", "pip"),
        ("Windows", True, "uv, for the GPU", "pip"),
    ],
)
def test_torch_ways(system: str, gpu: bool, first: str, last: str) -> None:
    ways = bootstrap.torch_ways(system, gpu)
    assert (ways[0], ways[-1]) == (first, last)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (report("2.13.0+cpu", []), True),
        (report("2.13.0", ["sympy>=1.13", 'triton; extra == "compile"']), True),
        (report("2.13.0", ["sympy", 'nvidia-cudnn-cu13==9.2; platform_system == "Linux"']), False),
        (report("2.13.0", ['cuda-toolkit[cublas]==13.0; platform_system == "Linux"']), False),
        (report("2.13.0+cu130", ["sympy"]), False),
        (report("2.13.0+rocm7", ["sympy"]), False),
        ('{"install": []}', False),
        ("pip said something else", False),
        ("", False),
    ],
)
def test_is_cpu_build(text: str, expected: bool) -> None:
    assert bootstrap.is_cpu_build(text) == expected


def test_stamp_covers_fewer_extras_and_nothing_else() -> None:
    assert STAMP.covers(STAMP)
    assert STAMP.covers(STAMP._replace(extras=()))
    assert not STAMP._replace(extras=()).covers(STAMP)
    for changed in ({"pyproject": "d"}, {"python": "3.12"}, {"root": "/moved"}):
        assert not STAMP.covers(STAMP._replace(**changed))


def test_record_round_trip(tmp_path: Path) -> None:
    for record in (Record(True, STAMP), Record(False, None)):
        bootstrap.write_record(tmp_path, record)
        assert bootstrap.read_record(tmp_path) == record


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made_here": true, "stamp": {"python": "3.11"}}'])
def test_a_damaged_record_counts_as_nothing_done(tmp_path: Path, text: str) -> None:
    (tmp_path / bootstrap.RECORD_NAME).write_text(text)
    assert bootstrap.read_record(tmp_path) == Record(made_here=False, stamp=None)


def test_unfinished_packages_are_found(tmp_path: Path) -> None:
    for name in ("whole-1.0.dist-info", "half-2.0.dist-info", "~umpy", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "whole-1.0.dist-info" / "INSTALLER").write_text("pip\n")
    assert [folder.name for folder in bootstrap.unfinished(tmp_path)] == ["half-2.0.dist-info", "~umpy"]


def test_fresh_set_up_and_nothing_on_the_second_run(tmp_path: Path, machine: Machine) -> None:
    folder = tmp_path / "e"
    python = bootstrap.set_up(folder, ())
    assert python == bootstrap.python_of(folder)
    assert "-m venv" in machine.called[0]
    assert machine.called[1].endswith(bootstrap.TORCH_TRIED)
    assert machine.called[2].endswith(f"--editable {bootstrap.ROOT}")
    assert len(machine.called) == 3
    bootstrap.set_up(folder, ())
    assert len(machine.called) == 3


def test_the_tests_extra_is_added_and_kept(tmp_path: Path, machine: Machine) -> None:
    bootstrap.set_up(tmp_path / "e", ())
    bootstrap.set_up(tmp_path / "e", ("dev",))
    assert machine.called[3].endswith(f"--editable {bootstrap.ROOT}[dev]")
    assert machine.called[4].endswith("--no-deps lpips>=0.1.4 tqdm>=4.28 torchvision==0.28.*")
    bootstrap.set_up(tmp_path / "e", ())
    assert len(machine.called) == 5


def test_only_the_tests_need_lpips_and_never_another_torch(tmp_path: Path, machine: Machine) -> None:
    machine.torch = "2.13.0+cpu"
    bootstrap.set_up(tmp_path / "demo", ())
    assert not any("lpips>=" in line for line in machine.called)
    bootstrap.set_up(tmp_path / "test", ("dev",))
    (line,) = (line for line in machine.called if "lpips>=" in line)
    assert "--no-deps" in line


@pytest.mark.parametrize(
    ("torch", "expected"),
    [((2, 6, 0), "torchvision==0.21.*"), ((2, 13, 0), "torchvision==0.28.*"), ((2, 9, 1), "torchvision==0.24.*")],
)
def test_torchvision_for(torch: tuple[int, ...], expected: str) -> None:
    assert bootstrap.torchvision_for(torch) == expected


def test_lpips_needs_a_torch_that_starts(tmp_path: Path, machine: Machine) -> None:
    with pytest.raises(SetupError, match="PyTorch does not start"):
        bootstrap.install_lpips(tmp_path / "bin" / "python")


@pytest.mark.parametrize("fault", ["-m venv", bootstrap.TORCH_TRIED, "--editable"])
def test_a_failed_step_is_one_line_and_the_same_command_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    machine = install(monkeypatch, Machine(failing=fault))
    with pytest.raises(SetupError, match="same command again") as caught:
        bootstrap.set_up(tmp_path / "e", ())
    assert "\n" not in str(caught.value)
    machine.failing = ""
    bootstrap.set_up(tmp_path / "e", ())
    assert bootstrap.read_record(tmp_path / "e").stamp is not None


def test_torch_that_is_there_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = install(monkeypatch, Machine(torch="2.6.0+cu124"))
    bootstrap.install_torch(tmp_path / "python")
    assert machine.called == []


def test_no_cuda_build_is_taken_where_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = install(monkeypatch, Machine(torch="2.1.0", cpu_wheel=False))
    bootstrap.install_torch(tmp_path / "python")
    assert machine.called[0].endswith(bootstrap.UV)
    assert "--torch-backend=cpu" in machine.called[1]
    machine = install(monkeypatch, Machine(cpu_wheel=False, failing="-m uv"))
    with pytest.raises(SetupError, match="put one"):
        bootstrap.install_torch(tmp_path / "python")
    assert not any("-m pip" in line and "torch" in line for line in machine.called)


def test_a_broken_environment_of_our_own_is_made_anew(tmp_path: Path, machine: Machine) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    (folder / "junk").touch()
    bootstrap.write_record(folder, Record(made_here=True, stamp=None))
    bootstrap.set_up(folder, ())
    assert not (folder / "junk").exists()


def test_a_folder_of_the_user_is_never_removed(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SetupError, match="no Python environment that works"):
        bootstrap.set_up(tmp_path, ())
    assert (tmp_path / "thesis.txt").exists()
    assert machine.called == []


def test_environment_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(bootstrap.FOLDER_VARIABLE, str(tmp_path))
    assert bootstrap.environment_folder() == tmp_path
    monkeypatch.delenv(bootstrap.FOLDER_VARIABLE)
    assert bootstrap.environment_folder() == bootstrap.ROOT / ".venv"


@pytest.mark.parametrize("arguments", [[], ["dmeo"], ["--help"]])
def test_without_a_known_verb_the_usage_is_shown(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert bootstrap.main(arguments) == (0 if arguments == ["--help"] else bootstrap.EXIT_ERROR)
    assert "bootstrap.py demo" in "".join(capsys.readouterr())


def test_main_passes_arguments_on(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bootstrap.FOLDER_VARIABLE, str(tmp_path / "e"))
    started: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "become", lambda command, folder: started.append([*command, folder]) or 7)
    assert bootstrap.main(["demo", "-o", "x"]) == 7
    assert bootstrap.main(["test", "-k", "cameras"]) == 7
    assert started[0][1:] == ["-m", "nerface.apps.cli", "demo", "-o", "x", Path.cwd()]
    assert started[1][1:] == ["-m", "pytest", "-k", "cameras", bootstrap.ROOT]


def test_missing_weights_stop_the_demo_and_not_the_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, Machine(failing="nerface.apps.cli weights"))
    monkeypatch.setenv(bootstrap.FOLDER_VARIABLE, str(tmp_path / "e"))
    monkeypatch.setattr(bootstrap, "become", lambda command, folder: 0)
    assert bootstrap.main(["demo"]) == bootstrap.EXIT_ERROR
    assert "networks that capture uses are missing" in capsys.readouterr().err
    assert bootstrap.main(["test"]) == 0


def test_commands_do_not_see_another_python_s_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    status, text = bootstrap.ask([sys.executable, "-c", "import os; print(os.environ.get('PYTHONPATH'))"])
    assert (status, text.strip()) == (0, "None")
    assert os.environ["PYTHONPATH"] == "/elsewhere"


def test_ask_survives_what_does_not_start_or_end(tmp_path: Path) -> None:
    assert bootstrap.ask([str(tmp_path / "nothing")]) == (-1, "")
    assert bootstrap.ask([sys.executable, "-c", "import time; time.sleep(9)"], seconds=0.2) == (-1, "")
