"""What lies at a place that studies are pushed to, and whether it may be taken.

::

    URL/
      artifacts/<kind>-<hash>/<checksum>-<file>   files, by their content: two who push at once never mix theirs
      artifacts/<kind>-<hash>/stage.json          written last: what it names is there
      studies/<name>/<hash>.json                  settings and list of a study, one for each that was pushed

Nobody's word is taken for any of it: names are checked before they become paths, an artifact must answer the question
that its id is the hash of, and each file must have the checksum that its record names.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, TypedDict

from metapt_explore.config import StudyConfig, parse
from metapt_explore.config.names import check_folder_name
from metapt_explore.config.portable import portable
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.remote import DamagedRemote, Remote
from metapt_explore.storage.stage_file import FILES, STAGE, FileSum, StageRecord, parse_stage, sealed
from metapt_explore.storage.studies import IndexEntry

#: Ids, files of an artifact, and files with a study's list.
ID, FILE, LIST = (
    re.compile(pattern)
    for pattern in (r"[a-z][a-z0-9_]{0,60}-[0-9a-f]{16}", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}", r"[0-9a-f]{16}\.json")
)
SHA256 = re.compile(r"[0-9a-f]{64}")
#: Files of an artifact, and artifacts of a study, that are taken at most.
MOST_FILES, MOST_ARTIFACTS = 1_000, 1_000_000
#: Keys of a record that make its id.
QUESTION = frozenset({"kind", "version", "config", "parents", "inputs"})
#: Keys of a list's entry and what they hold.
ENTRY: dict[str, type] = {
    "kind": str, "id": str, "title": str, "clustering": str, "method": str, "task": str, "init_seed": int,
    "shots": int, "at": str,
}  # fmt: skip


class PushedRecord(TypedDict):
    """A study's list as it is written.

    Attributes:
        study: ``study.yaml``.
        tasks: Hash of each task file's content, where it is known.
        index: Entries of artifacts that were pushed.
        artifacts: Ids of all of them, parents in front of what is made from them.
        pushed: When, in seconds since 1970.
        checksum: SHA-256 over all of the above.
    """

    study: str
    tasks: dict[str, str] | None
    index: list[IndexEntry]
    artifacts: list[str]
    pushed: float
    checksum: str


@dataclass(frozen=True)
class PushedStudy:
    """A study as it lies at a place.

    Attributes:
        config: Its settings.
        tasks: Hash of each task file's content, where it is known.
        index: Its list.
        artifacts: Ids of its artifacts, parents in front.
        others: Other settings of a study of this name that lie there, by their names for `read_study`.
    """

    config: StudyConfig
    tasks: dict[str, str] | None
    index: list[IndexEntry]
    artifacts: list[str]
    others: list[str]


def settings_name(study: str, tasks: dict[str, str] | None) -> str:
    """Eight digits that tell settings of studies of one name apart; where their files lie tells nothing."""
    tree = portable(parse_yaml(study, "the pushed study"))
    return hashlib.sha256(json.dumps([tree, tasks], sort_keys=True, default=str).encode()).hexdigest()[:8]


def study_names(remote: Remote) -> list[str]:
    """Names of the studies of a place."""
    names = []
    for name in remote.names("studies"):
        try:
            names.append(check_folder_name(name))
        except ValueError:
            continue
    return names


def write_study(remote: Remote, name: str, record: dict[str, Any]) -> None:
    """Writes a study's list beside those of others.

    Args:
        remote: The place.
        name: The study.
        record: All of `PushedRecord` but the checksum.
    """
    content = {key: value for key, value in record.items() if key != "pushed"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    written: Any = sealed(record)  # type: ignore[arg-type]
    remote.write((json.dumps(written, indent=1, ensure_ascii=False) + "\n").encode(), "studies", name, f"{digest}.json")


def read_study(remote: Remote, name: str, settings: str | None = None) -> PushedStudy:
    """A study of a place: the lists of all who pushed these settings, joined.

    Args:
        remote: The place.
        name: The study.
        settings: Which settings (`settings_name`), where several lie there; those pushed last when absent.

    Raises:
        UserError: Where there is no such study, or a list is damaged.
    """
    records: list[tuple[str, PushedRecord]] = []
    for file in remote.names("studies", name):
        if LIST.fullmatch(file):
            record = _checked(remote.read_json("studies", name, file), remote.where("studies", name, file))
            records.append((settings_name(record["study"], record["tasks"]), record))
    records.sort(key=lambda found: found[1]["pushed"])
    known = list(dict.fromkeys(found for found, _ in reversed(records)))
    if not known:
        raise UserError(f"{remote.where()} holds no study '{name}' that metapt pushed.")
    chosen = settings or known[0]
    if chosen not in known:
        raise UserError(f"{remote.where()} has no settings '{chosen}' of '{name}'; it has {', '.join(known)}.")
    mine = [record for found, record in records if found == chosen]
    where = remote.where("studies", name)
    config = parse(StudyConfig, parse_yaml(mine[-1]["study"], where), where)
    if config.name != name:
        raise DamagedRemote(f"{where} holds a study of another name: it is nothing that metapt pushed.")
    # The newest entry of a cell stands last, and that is the one which counts.
    index = list({json.dumps(entry, sort_keys=True): entry for record in mine for entry in record["index"]}.values())
    artifacts = list(dict.fromkeys(each for record in mine for each in record["artifacts"]))
    return PushedStudy(config, mine[-1]["tasks"], index, artifacts, [each for each in known if each != chosen])


def _checked(found: tuple[dict[str, Any], bytes] | None, where: str) -> PushedRecord:
    record: Any = {} if found is None else found[0]
    tasks, index, artifacts = (record.get(key) for key in ("tasks", "index", "artifacts"))
    is_ours = (
        record.get("checksum") is not None
        and sealed(record) == record
        and isinstance(record.get("study"), str)
        and isinstance(record.get("pushed"), float | int)
        and (tasks is None or (isinstance(tasks, dict) and all(isinstance(value, str) for value in tasks.values())))
        and isinstance(index, list)
        and isinstance(artifacts, list)
        and len(artifacts) <= MOST_ARTIFACTS
        and all(isinstance(each, str) and ID.fullmatch(each) for each in artifacts)
        and all(map(_is_entry, index))
        and {entry["id"] for entry in index} <= set(artifacts)
    )
    if not is_ours:
        raise DamagedRemote(f"{where} is damaged, or nothing that metapt pushed.")
    checked: PushedRecord = record
    return checked


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and {"kind", "id", "title"} <= entry.keys() <= ENTRY.keys()
        and all(value is None or (type(value) is ENTRY[key]) for key, value in entry.items())
        and all(isinstance(entry[key], str) for key in ("kind", "id", "title"))
    )


def stored_name(name: str, expected: FileSum) -> str:
    """What a file of an artifact is called there."""
    return f"{expected['sha256'][:32]}-{name}"


def read_pushed_stage(remote: Remote, identifier: str) -> tuple[StageRecord, bytes] | None:
    """The record of a finished artifact of a place; None where there is none.

    Raises:
        DamagedRemote: Where it is damaged, answers another question, or names files that no artifact has.
    """
    found = remote.read_json("artifacts", identifier, STAGE)
    if found is None:
        return None
    stage = parse_stage(found[1].decode())
    files = (stage or {}).get(FILES)
    if stage is None or stage.get("status") != "done" or not isinstance(files, dict) or len(files) > MOST_FILES:
        what = "is damaged, or not finished"
    elif not answers_its_id(identifier, stage):
        what = "answers another question than the one that its folder is named by"
    elif not all(_is_file(name, expected) for name, expected in files.items()):
        what = "names a file that no artifact has"
    else:
        return stage, found[1]
    raise DamagedRemote(f"{remote.where('artifacts', identifier, STAGE)} {what}: it is not taken.")


def _is_file(name: str, expected: Any) -> bool:
    return (
        FILE.fullmatch(name) is not None
        and name != STAGE
        and not name.endswith(".")
        and isinstance(expected, dict)
        and type(expected.get("bytes")) is int
        and expected["bytes"] >= 0
        and isinstance(expected.get("sha256"), str)
        and SHA256.fullmatch(expected["sha256"]) is not None
    )


def answers_its_id(identifier: str, stage: StageRecord) -> bool:
    """Whether a record holds the question that an id is the hash of; false where it holds none."""
    if not stage.keys() >= QUESTION:
        return False
    asked = Question(stage["kind"], "", stage["version"], stage["config"], stage["parents"], stage["inputs"])
    return asked.id == identifier
