"""Export: a prompt, the report, and the study itself, each with the lines that use it."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from metapt_explore.config import StudyConfig
from metapt_explore.config.support import pretrained_at
from metapt_explore.dashboard.parts import messages, shared
from metapt_explore.dashboard.parts.push_prompt import push_to_hub
from metapt_explore.errors import UserError
from metapt_explore.escaping import file_name
from metapt_explore.results.study_order import order_of
from metapt_explore.results.tables import fewshot_entries
from metapt_explore.stages.base import listed_at
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.overview import SCORES

UNTUNED = "(the pre-trained prompt itself)"
#: Seconds that an export or a report may take.
EXPORT_TIMEOUT_S = 300


def _page(workspace: Workspace, name: str) -> None:
    config = shared.study_config(workspace, name)
    with messages.guard():
        _prompt(workspace, name, config)
    st.divider()
    with messages.guard():
        _report(workspace, name)
    st.divider()
    _study(workspace, name)


# -------------------------------------------------------------------------------------------- prompt


def _prompt(workspace: Workspace, name: str, config: StudyConfig) -> None:
    st.header("A prompt")
    shots = shared.choose_shots(st, config, key=f"away_shots_{name}")
    done = _prompts(workspace, name, config, shots)
    if not done:
        shared.first_prompt_missing(workspace, name)
        return
    methods = list(dict.fromkeys(entry["method"] for entry in done))
    left, middle, right, last = st.columns(4)
    first = methods.index("MetaPT") if "MetaPT" in methods else len(methods) - 1
    method = left.selectbox("Method", methods, index=first, key=f"away_method_{name}")
    seeds = [entry["init_seed"] for entry in done if entry["method"] == method]
    init_seed = middle.selectbox("Initialisation seed", seeds, key=f"away_init_{method}")
    scored = [
        e
        for e in fewshot_entries(workspace, name, shots)
        if e["method"] == method and e["init_seed"] == init_seed and workspace.artifact(e["id"]).status == "done"
    ]
    tasks = [UNTUNED, *(entry["task"] for entry in scored)]
    task = right.selectbox("Tuned on", tasks, index=min(1, len(scored)), key=f"away_task_{name}")
    words = ["--method", str(method), "--init-seed", str(init_seed)]
    if task != UNTUNED:
        data_seed = last.selectbox("Data seed", config.evaluation.data_seeds_of(int(init_seed or 0)), key="away_data")
        words += ["--task", str(task), "--data-seed", str(data_seed)]
    words += [] if shots is None else ["--shots", str(shots)]
    st.caption(
        "Do not choose a prompt by its test score. Every pair of seeds is as good as another; the report gives their "
        "spread."
    )
    ids = [e["id"] for e in (*done, *scored) if e["method"] == method and e["init_seed"] == init_seed]
    key = f"export {name} {' '.join(words)} {' '.join(ids)}"  # changes with the prompts
    archives = st.session_state.setdefault("exports", {})
    if st.button("Export the prompt", key="make_export", type="primary"):
        with st.spinner("Writing …"):
            archives[key] = _made(["export", name, *words], workspace)
            while len(archives) > 8:
                archives.pop(next(iter(archives)))
    if key in archives:
        files, archive = archives[key]
        st.download_button(
            "Download (ZIP)",
            data=archive,
            file_name=file_name(f"{name}-{method}{'' if task == UNTUNED else f'-{task}'}.zip"),
            mime="application/zip",
            key="download_export",
            on_click="ignore",
        )
        st.caption(messages.plain(f"In it: {', '.join(sorted(files))}."))
        with st.expander("Model card, with code that uses the prompt", key="card", expanded=True):
            st.code(files["README.md"].decode(), language="markdown", wrap_lines=True)
        with messages.guard():
            push_to_hub(files, key)
    setting = ["--out", "my-prompt", "--workspace", str(workspace.folder)]
    st.caption("The same in a terminal, and its use:")
    st.code(
        f"{shlex.join(['metapt', 'export', name, *words, *setting])}\nmetapt classify --prompt my-prompt < texts.txt\n"
        "metapt push my-prompt owner/name",
        language="bash",
        wrap_lines=True,
    )


def _prompts(workspace: Workspace, name: str, config: StudyConfig, shots: int | None) -> list[IndexEntry]:
    """Finished prompts that were pre-trained for a number of examples; of methods without one of their own, the one."""
    listed, order = [], order_of(config)
    for method in config.methods:
        own = shots if shots in pretrained_at(config, method) else None
        entries = shared.entries(workspace, name, listed_at("prompt", own), method=method.name)
        entries = [e for e in entries if e.get("shots") == own and workspace.artifact(e["id"]).status == "done"]
        listed += order.entries(entries)
    return listed


def _made(words: list[str], workspace: Workspace) -> tuple[dict[str, bytes], bytes]:
    """Runs a `metapt` command that writes a folder; returns its files and a ZIP of them."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "out"
        command = [sys.executable, "-m", "metapt_explore", *words, "--workspace", str(workspace.folder)]
        try:
            done = subprocess.run(
                [*command, "--out", str(folder)],
                capture_output=True,
                timeout=EXPORT_TIMEOUT_S,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise UserError(
                f"It was not finished within {EXPORT_TIMEOUT_S} s; try the command in a terminal."
            ) from None
        if done.returncode != 0:
            raise UserError((done.stderr.strip().splitlines() or ["no message"])[-1])
        written = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in written}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return files, packed.getvalue()


# ---------------------------------------------------------------------------------- report and study


def _report(workspace: Workspace, name: str) -> None:
    st.header("The report")
    scored = [
        entry
        for entry in workspace.current_index(name)
        if entry["kind"] in SCORES and workspace.artifact(entry["id"]).status == "done"
    ]
    if not scored:
        st.caption("The report needs a first finished score.")
        return
    st.caption("Questions, answers, how sure they are, and what they rest on: one HTML file, and Markdown.")
    archives = st.session_state.setdefault("reports", {})
    written = (workspace.study_folder(name) / "study.yaml").stat().st_mtime_ns  # the margin may have changed
    finished = [e["id"] for e in workspace.current_index(name) if workspace.artifact(e["id"]).status == "done"]
    key = f"{name} {written} {' '.join(finished)}"
    if st.button("Write the report", key="make_report"):
        with st.spinner("Writing …"):
            archives.clear()
            archives[key] = _made(["report", name], workspace)
    if key in archives:
        files, archive = archives[key]
        left, right = st.columns(2)
        html = files["report.html"]
        left.download_button(
            "Download report.html", html, "report.html", "text/html", key="report_html", on_click="ignore"
        )
        right.download_button(
            "Download all (ZIP)",
            archive,
            file_name(f"{name}-report.zip"),
            "application/zip",
            key="report_zip",
            on_click="ignore",
        )
    command = shlex.join(["metapt", "report", name, "--workspace", str(workspace.folder)])
    st.code(command, language="bash", wrap_lines=True)


def _study(workspace: Workspace, name: str) -> None:
    st.header("The study")
    file = workspace.study_folder(name) / "study.yaml"
    st.caption("All settings in one file. With it and the texts, these commands make the same scores again.")
    with messages.guard():
        st.download_button(
            "Download study.yaml",
            file.read_bytes(),
            file_name(f"{name}.yaml"),
            "text/yaml",
            key="study_yaml",
            on_click="ignore",
        )
    study, yaml = shlex.quote(name), shlex.quote(f"{name}.yaml")
    st.code(
        f"metapt plan {yaml}          # what it will cost here\n"
        f"metapt run {yaml}           # run again to resume\n"
        f"metapt results --study {study}\n"
        f"metapt report {study} --record    # with the scores, without texts, for publishing",
        language="bash",
    )
    with st.expander("Show study.yaml", key="study_text"), messages.guard():
        st.code(file.read_text(encoding="utf-8"), language="yaml", wrap_lines=True)


shared.show_page("Export", _page)
