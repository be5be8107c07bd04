"""Names that try to be something else, and a study that is full of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from dashboard import handmade
from hypothesis import strategies as st

from metapt_explore.config import StudyConfig
from metapt_explore.config.names import HIDDEN, LONGEST_NAME
from metapt_explore.storage.files import read_json, write_json, write_table
from metapt_explore.storage.workspace import Workspace

#: Sets a mark wherever a script of it runs.
SCRIPT = "<img src=x onerror=window.hacked=1>"
NAMES = [
    "<script>window.hacked=1</script>",
    SCRIPT,
    '"><svg onload=window.hacked=1>',
    "[a](javascript:window.hacked=1)",
    "![a](http://evil.example/x.png)",
    "<http://evil.example> http://evil.example www.evil.example",
    r"$\x{y}$ costs $5",
    "$",
    "a_b^c\\",
    ":red[hot] :material/home: :smile:",
    "**bold** *it* `code` ~~s~~ ``",
    "# a | b | c",
    "- [ ] todo",
    "1. one",
    "---",
    "&lt;b&gt; &#60;b> &amp;",
    "a\nb\r\n\n# c",
    "\x1b[31mred\x07\x00",
    "漢字 ไทย हिन्दी مرحبا \u202egnp.exe",
    "😀👩‍👩‍👧",
    "=HYPERLINK(\"http://evil.example\")",
    "-5+2",
    "%{x} {y} {{z}}",
    "../../etc/passwd",
    "x" * 300,
    "`" * 5,
    "<!-- --> ]]> <?php",
]  # fmt: skip
#: Any letters, and those that mean something to somebody above all.
names = st.one_of(
    st.sampled_from(NAMES),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.text("<>&\"'`*_[]()$\\|~#:!-+=@%{}\n\t .0a", min_size=1, max_size=25),
).filter(lambda name: name.strip() != "")


def renamed(value: Any, to: dict[str, str]) -> Any:
    """The same value with other names wherever one stands alone; algorithms keep theirs."""
    if isinstance(value, dict):
        return {
            to.get(key, key): entry if key in ("algorithm", "kind", "read") else renamed(entry, to)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [renamed(entry, to) for entry in value]
    if isinstance(value, pd.DataFrame):
        return value.assign(**{str(name): value[name].map(lambda cell: renamed(cell, to)) for name in value})
    return to.get(value, value) if isinstance(value, str) else value


def _named(given: str) -> str:
    """The name as the settings take it: without control characters, nor blanks at its ends."""
    return HIDDEN.sub(" ", given).strip()[:LONGEST_NAME].strip() or "blank"


def study(folder: Path, given: Sequence[str]) -> Workspace:
    """The study written by hand, with these names (as many as there are) in place of its own, everywhere."""
    workspace = handmade.write(folder)
    _look_at_prompts(workspace)
    own = [*handmade.METHODS, "kmeans", "trec", "0: phone", "1: book", "phone", "book", "positive", "negative", "good"]
    to = {name: given[place % len(given)] for place, name in enumerate(own)}
    # What the settings refuse in a name cannot come so far.
    to |= {name: _named(to[name]) for name in (*handmade.METHODS, "kmeans")}
    if len(given) < 4:  # methods must be told apart
        to |= {name: f"{_named(given[0])[:60]} {place}" for place, name in enumerate(handmade.METHODS)}
    workspace.compact_index(handmade.NAME)  # the whole list in one file
    config = workspace.study_config(handmade.NAME).model_dump(mode="json", exclude_none=True)
    config = renamed(config, {name: to[name] for name in (*handmade.METHODS, "kmeans")})
    config["title"], index = given[0], read_json(workspace.study_folder(handmade.NAME) / "index.json")
    workspace.save_study(StudyConfig.model_validate(config))
    write_json(workspace.study_folder(handmade.NAME) / "index.json", renamed(index, to))
    for file in (workspace.folder / "artifacts").glob("*/summary.json"):
        write_json(file, renamed(read_json(file), to))
    for file in (workspace.folder / "artifacts").glob("*/*.parquet"):
        write_table(file, renamed(pd.read_parquet(file), to))
    notices = {"status": "failed", "error": given[0], "notices": list(given[:3]), "stage": given[-1]}
    write_json(workspace.study_folder(handmade.NAME) / "job.json", {"pid": 1, "began": 0.0, "fraction": 0.5, **notices})
    return workspace


def _look_at_prompts(workspace: Workspace) -> None:
    vectors = [
        {"prompt": method, "method": method, "init_seed": 0, "task": None, "vector": place,
         "nearest": json.dumps(NAMES[:4]), "similarity": 0.5, "norm_ratio": 1.0, "drift": 0.1, "cosine_to_start": 0.9}
        for method in handmade.METHODS
        for place in range(2)
    ]  # fmt: skip
    alike = [{"first": "PT", "second": "PPT", "cosine": 0.5, "moved": 0.1}]
    tables = {"vectors": pd.DataFrame(vectors), "similarities": pd.DataFrame(alike)}
    handmade.Writer(workspace).artifact("lens", 0, {"prompts": 3}, tables)
