"""Each kind of file of a finished workspace, damaged in each way: made again, or said; never another number."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from soak import examples
from tally import tried

from metapt_explore.errors import UserError
from metapt_explore.results.budgets import method_budgets
from metapt_explore.results.clustering_quality import clustering_quality
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.record import record_of
from metapt_explore.results.tables import curves_table, results_table
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.overview import finished_of, pipeline
from metapt_explore.study.study import Study
from metapt_explore.study.verify import Counts, verify

#: Telemetry: other when something is computed again.
SECONDS = ["seconds", "pretraining_seconds"]


def flip(path: Path, chance: random.Random) -> None:
    """Turns one bit round."""
    content = bytearray(path.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(content))


def halve(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def lose(path: Path, chance: random.Random) -> None:
    path.unlink()


def empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (flip, halve, lose, empty)


def files(folder: Path) -> list[str]:
    """Every file of a workspace that somebody reads."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def cases(folder: Path) -> list[tuple[str, Callable[[Path, random.Random], None]]]:
    """All of them, in an order that begins with one of each kind of file."""
    every = [(file, damage) for file in files(folder) for damage in DAMAGES]
    random.Random(22).shuffle(every)
    first: dict[str, int] = {}

    def turn(case: tuple[str, Any]) -> int:
        file = case[0]
        kind = Path(file).parent.name.rsplit("-", 1)[0] + Path(file).name
        first[kind] = first.get(kind, -1) + 1
        return first[kind]

    return sorted(every, key=turn)


def scores(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=SECONDS, errors="ignore").sort_values(["method", "task", "data_seed"], ignore_index=True)


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace."""
    shutil.copytree(finished, tmp_path / "workspace", ignore=shutil.ignore_patterns("*.lock", ".lock"))
    return Workspace(tmp_path / "workspace")


def readings(workspace: Workspace) -> dict[str, Callable[[], Any]]:
    """What people read out of a workspace without computing anything."""

    def record() -> str:
        made = record_of(workspace, "tiny")
        tables = (made.results, made.curves, made.efficiency, made.agreement)
        return repr([table.to_dict("list") for table in tables]) + repr((made.budgets, made.clusterings, made.tasks))

    def behind() -> str:
        found = lineage(workspace, "tiny", "MetaPT", "mood", data_seed=1, init_seed=0)
        return repr(found.score) + found.texts().to_csv() + found.rows().to_csv()

    config = workspace.study_config("tiny")
    return {
        "results": lambda: results_table(workspace, "tiny").to_csv(),
        "curves": lambda: curves_table(workspace, "tiny").to_csv(),
        "budgets": lambda: repr(method_budgets(workspace, config)),
        "quality": lambda: clustering_quality(workspace, config).to_csv(),
        "counts": lambda: repr(sorted(finished_of(workspace, "tiny").items())),
        "steps": lambda: repr(pipeline(workspace, config)),
        "record": record,
        "lineage": behind,
        "study": lambda: repr(workspace.study_config("tiny")),
    }


def test_reading_a_damaged_workspace_gives_the_same_numbers_or_a_sentence(own: Workspace) -> None:
    """Reads nothing but what is undamaged, and says what is not."""
    ask = readings(own)
    right = {name: read() for name, read in ask.items()}
    every, refused, number_of_cases = cases(own.folder), 0, examples(60)
    for number, (file, damage) in enumerate(islice(cycle(every), number_of_cases)):
        path = own.folder / file
        content = path.read_bytes()
        tried("damaged files")
        damage(path, random.Random(number))
        for name, read in ask.items():
            try:
                found = read()
            except UserError as error:
                refused += 1
                assert "run the study again" in str(error) or "metapt verify --repair" in str(error), (file, error)
            else:
                same = found == right[name] or (name == "steps" and "1 damaged" in found)
                assert same, f"{name} differs with {file} damaged ({damage.__name__})"
        path.write_bytes(content)
    assert refused > number_of_cases / 2
    assert {name: read() for name, read in ask.items()} == right, "reading changed something"


@pytest.mark.parametrize("number", range(examples(30)))
def test_a_damaged_workspace_that_is_run_again_gives_the_same_scores(own: Workspace, world: Path, number: int) -> None:
    tried("damaged files")
    every = cases(own.folder)
    before = scores(results_table(own, "tiny"))
    listed = [entry["id"] for entry in own.index("tiny")]
    file, damage = every[number % len(every)]  # a second time another bit is turned round
    damage(own.folder / file, random.Random(number))
    table = Study(world / "tiny.yaml", own).run()
    pd.testing.assert_frame_equal(scores(table), before)
    assert sorted(entry["id"] for entry in own.index("tiny")) == sorted(listed)
    # Nothing is damaged any more, and what was is kept (of a file that is gone the others are).
    assert [finding.where for finding in verify(own, Counts())] == []
    if file.startswith("artifacts/"):
        assert any(own.damaged.iterdir())


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_finds_every_damaged_file(own: Workspace, damage: Callable[[Path, random.Random], None]) -> None:
    """All files of artifacts at once: each artifact is named once, and all are set aside."""
    assert list(verify(own, Counts())) == []
    artifacts = [file for file in files(own.folder) if file.startswith("artifacts/")]
    chance = random.Random(5)
    hurt = {chance.choice([file for file in artifacts if Path(file).parts[1] == part]) for part in _ids(artifacts)}
    for file in hurt:
        damage(own.folder / file, chance)
    found = list(verify(own, Counts()))
    assert {finding.where for finding in found} == hurt
    assert all(finding.is_damage and finding.repair is not None for finding in found)
    for finding in found:
        assert finding.repair is not None
        finding.repair()
    assert len(list(own.damaged.iterdir())) == len(hurt)


def _ids(artifacts: list[str]) -> Iterator[str]:
    yield from sorted({Path(file).parts[1] for file in artifacts})


def test_artifacts_without_checksums_are_accepted_and_said_to_be_unknown(own: Workspace) -> None:
    """As earlier versions wrote them."""
    from metapt_explore.storage.files import read_json, write_json

    for file in own.folder.glob("artifacts/*/stage.json"):
        stage = read_json(file)
        write_json(file, {key: value for key, value in stage.items() if key not in ("files", "checksum")})
    counts = Counts()
    assert list(verify(own, counts)) == []
    assert counts.unknown == len(list(own.folder.glob("artifacts/*"))) and not counts.artifacts
    table = next(own.folder.glob("artifacts/fewshot-*/results.parquet"))
    halve(table, random.Random(0))
    assert [own.folder / finding.where for finding in verify(own, Counts())] == [table]
    with pytest.raises(UserError, match=r"results\.parquet.*damaged"):
        results_table(own, "tiny")
