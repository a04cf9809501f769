"""The papers cannot rot: what they name exists, and the commands that they show are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from app.core.jobs import TRANSITIONS
from enxuto.cli.app import application
from tests.support.markdown import PAPERS, blocks, command_lines, links
from tests.support.tree import ROOT

NAMES = [path.relative_to(ROOT).as_posix() for path in PAPERS]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def commands_of(program: str) -> list[tuple[str, str]]:
    return [
        (paper.relative_to(ROOT).as_posix(), line)
        for paper in PAPERS
        for line in command_lines(paper)
        if line.split(maxsplit=1)[:1] == [program]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_link_leads_somewhere(name: str) -> None:
    paper = ROOT / name
    broken = [link for link in links(paper) if not (paper.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("name", NAMES)
def test_a_make_target_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", text))
    named |= {target for line in command_lines(ROOT / name) for target in re.findall(r"^make ([a-z-]+)", line)}
    assert named <= TARGETS


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_a_file_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:enxuto|app|workers|tests|docs|scripts|examples|openapi)/[\w/.-]*)`", text)
    named += [f"enxuto/{path}" for path in re.findall(r"`((?:search|judge|measure|execution|render)/[\w/.-]*)`", text)]
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_every_make_target_says_what_it_does() -> None:
    targets = re.findall(r"^([a-z-]+):(?!=)(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets
    assert [target for target, rest in targets if "## " not in rest] == []


def test_there_are_commands_to_check() -> None:
    assert len(commands_of("enxuto")) >= 4, "the README shows the command line"


@pytest.mark.parametrize(("paper", "line"), commands_of("enxuto"))
def test_a_command_that_is_shown_is_understood(paper: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples" / "digits")
    group = typer.main.get_command(application())
    assert isinstance(group, TyperGroup)
    name, *arguments = shlex.split(line)[1:]
    with group.make_context("enxuto", [name]) as context:
        _, command, rest = group.resolve_command(context, [name, *arguments])
        assert command is not None
        with command.make_context(name, rest, parent=context):
            pass  # every option is one, and every value of its kind


@pytest.mark.parametrize("name", NAMES)
def test_python_that_is_shown_is_python(name: str) -> None:
    for block in blocks(ROOT / name):
        if block.language == "python":
            compile(block.text, name, "exec")


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in DECISIONS if f"]({path.name})" not in index] == []


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_bears_its_number(path: Path) -> None:
    title = path.read_text(encoding="utf-8").splitlines()[0]
    assert title.startswith(f"# {int(path.name[:4])}. ")


def test_the_drawing_of_a_jobs_states_shows_every_move_and_no_other() -> None:
    drawn = re.findall(r"^ +(\w+) --> (\w+)", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(drawn) == sorted((state, to) for state, following in TRANSITIONS.items() for to in following)
