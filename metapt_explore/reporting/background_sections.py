"""What the scores rest on: equal terms, clusters, data, limits, versions and hardware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from metapt_explore.clusters.fit_words import format_fit
from metapt_explore.clusters.outliers import format_moved
from metapt_explore.config import ClusteringConfig
from metapt_explore.config.embeddings import EmbeddingsConfig
from metapt_explore.models.text_lengths import MANY, CutShare
from metapt_explore.reporting import tables
from metapt_explore.reporting.agreement_tables import agreement_by_cluster, agreement_table
from metapt_explore.reporting.document import Bullets, Code, Document, Heading, Paragraph, Table
from metapt_explore.reporting.notes import methods_chosen_on_dev, sample_notes
from metapt_explore.reporting.score_sections import scored_rows
from metapt_explore.results.budgets import Budget
from metapt_explore.results.made_rows import made_sentences
from metapt_explore.results.models_used import format_code, format_model
from metapt_explore.results.record import Record
from metapt_explore.results.search_grids import searched
from metapt_explore.statistics import MethodBudget, fairness_flags
from metapt_explore.statistics.grid_edges import SETTINGS, GridEdge

#: Kinds of methods that tune a soft prompt.
PROMPTS = ("pt", "ppt", "metapt")


def add_fairness(document: Document, record: Record) -> None:
    document.add(Heading("On equal terms?"))
    flags = fairness_flags([terms_of(budget) for budget in record.budgets])
    if len(record.results) < record.cells:
        # Methods that have not come as far are not treated unequally.
        flags = [flag for flag in flags if flag.rule not in ("inits", "data seeds", "tasks")]
    unequal = [flag.sentence for flag in flags if flag.severity == "unequal"]
    if unequal:
        document.add(Paragraph("**Not all methods were compared on equal terms.**", note=True), Bullets(unequal))
    elif any(budget["kind"] in ("ppt", "metapt") for budget in record.budgets):
        fixed = not methods_chosen_on_dev(record.study)
        tuning = "were tuned by the same learning rate" if fixed else "searched the same learning rates on dev"
        document.add(
            Paragraph(
                "All pre-trained methods began from the same starts, sent the same number of rows forward and "
                f"backward, {tuning} and were scored on the same tasks and seeds."
            )
        )
    notes = [flag.sentence for flag in flags if flag.severity == "note"]
    document.add(*([Bullets(notes)] if notes else []))
    if edges := searched(record).edges:
        text = (
            "How often dev chose the ends of the grid that it searched. Where that is often, a wider grid may serve "
            "the method better."
        )
        document.add(Table(grid_table(edges), text))
    if record.budgets:
        text = (
            "What one pre-training and the tuning of one score cost. A row counts once for its forward and backward "
            "pass. Times are those of the machine below, with whatever else it did meanwhile."
        )
        document.add(Table(tables.budget_table(record.budgets), text))
        if made := [f"{budget['method']}: {budget['made_by']}" for budget in record.budgets if budget.get("made_by")]:
            document.add(Paragraph(f"Made by a package, or by a model of their own: {'; '.join(made)}."))


def grid_table(edges: Sequence[GridEdge]) -> pd.DataFrame:
    """A row for each grid: its ends, and how often dev chose them; written for people."""
    return pd.DataFrame(
        [
            {
                "method": edge.grid.method,
                "setting": SETTINGS[edge.grid.setting],
                "values": len(edge.grid.values),
                "lowest, chosen": f"{edge.grid.values[0]:g}" + ("" if edge.lowest is None else _share(edge.lowest)),
                "highest, chosen": f"{edge.grid.values[-1]:g}" + _share(edge.highest),
                "scores": edge.scores,
            }
            for edge in edges
        ]
    )


def _share(share: float) -> str:
    return f" ({100 * share:.0f} %)"


def terms_of(budget: Budget) -> MethodBudget:
    """A budget as fairness looks at it: baselines that are no prompts are bound by seeds, tasks and shots only."""
    rates = tuple(budget["learning_rates"] or ())
    return MethodBudget(
        method=budget["method"],
        kind=budget["kind"],
        init=budget.get("start"),
        pretraining_row_passes=budget["pretraining_row_passes"],
        tuning_row_passes=budget.get("tuning_row_passes_of_a_rate") or budget["tuning_row_passes"] / max(len(rates), 1),
        diagnostic_rows=budget["diagnostic_rows"],
        learning_rates=rates,
        tuning_steps=budget["tuning_steps"] or 0,
        proximal=budget.get("proximal", 0.0),
        choice=budget.get("choice", ""),
        kept_rates=budget.get("kept_rates", False),
        begins=budget.get("begins", ""),
        average_last=budget.get("average_last"),
        auxiliary=budget.get("auxiliary", ""),
        reading=budget.get("reading", ""),
        selected_on=budget["selected_on"],
        data_seeds=tuple(budget["data_seeds"]),
        init_seeds=tuple(budget["init_seeds"] or ()),
        tasks=tuple(budget["tasks"]),
        shots=budget["shots"],
        trained_parameters=budget["trained_parameters"],
        prompt=budget["kind"] in PROMPTS,
    )


def add_clusters(document: Document, record: Record) -> None:
    if not record.clusterings:
        return
    document.add(Heading("Clusters and auxiliary tasks"))
    text = (
        "Silhouette (−1 to 1), Calinski–Harabasz and DBCV: higher is better separated; Davies–Bouldin: lower. ARI: "
        "agreement with known groups, 0 for chance. Label information: 0 where clusters say nothing of the label, 1 "
        "where they are the label. Gain: of the methods that learn on these clusters, over PPT, in points."
    )
    document.add(Table(tables.cluster_table(record.clusterings), text))
    made = EmbeddingsConfig.kinds.get((record.study.get("embeddings") or {}).get("kind", "encoder"))
    if made is not None and made.runs != "encoder":
        document.add(
            Paragraph(f"Clusters that are made from vectors are made from {made.title}, not from the sentence encoder.")
        )
    for clustering in record.clusterings:
        if clustering["names"] and ClusteringConfig.facts(clustering["algorithm"]).meaningful:
            document.add(Paragraph(f"`{clustering['name']}`: {'; '.join(clustering['names'])}."))
        if clustering.get("moved"):
            document.add(Paragraph(f"`{clustering['name']}`: {format_moved(clustering['moved'])}"))
        if clustering.get("fit"):
            document.add(Paragraph(f"`{clustering['name']}`: {format_fit(clustering['fit'])}"))


def add_agreement(document: Document, record: Record) -> None:
    if record.agreement.empty:
        return
    text = (
        "Cosine of the gradients of two tasks with respect to the prompt, corrected for noise, at the prompt named: "
        "mean over auxiliary tasks (– where gradients are nothing but noise). *One another*: near 1, the auxiliary "
        "tasks pull the prompt the same way, and there is little that learning from them apart could add to pooling "
        "them. The others: above 0, a step on the auxiliary tasks helps that downstream task. Only training rows are "
        "looked at."
    )
    document.add(Heading("Do the tasks agree?"), Table(agreement_table(record.agreement), text))
    controls = {c["name"] for c in record.clusterings if not ClusteringConfig.facts(c["algorithm"]).meaningful}
    apart = record.agreement[~record.agreement["clustering"].isin(controls)]
    for (clustering, at, seed), pairs in apart.groupby(["clustering", "at", "init_seed"], sort=False):
        text = (
            f"The tasks of `{clustering}` one by one, at {at}, initialisation seed {seed}; ± one standard error. A "
            "step on a task that stands out helps, or harms, a downstream task more than one on the others."
        )
        document.add(Table(agreement_by_cluster(pairs), text))


def add_data(document: Document, record: Record) -> None:
    document.add(Heading("Data"))
    if record.texts:
        dropped = ", ".join(f"{count:,} {why}" for why, count in record.texts.get("dropped", {}).items())
        leaks = record.texts.get("leaks_by_task") or {}
        text = f"Pre-training texts: {record.texts['kept']:,} kept (not: {dropped or 'none'})."
        if leaks:
            text += (
                " Equal or nearly equal to dev or test rows of "
                + ", ".join(f"{t}: {n}" for t, n in leaks.items())
                + "."
            )
        document.add(Paragraph(text))
        for sentence in made_sentences(record.texts["made"]) if "made" in record.texts else ():
            document.add(Paragraph(sentence))
    if record.tasks:
        table = tables.task_table(record.tasks)
        note, limit = "Downstream tasks. ⏎ is a line break.", record.study["evaluation"].get("test_rows", 400)
        if scored_rows(record) != "test rows":
            table = table.drop(columns="test rows")
            note += f" Scored rows: dev rows of the other data seeds, at most {limit} a task; no test row."
        elif limit is not None:
            note += " Test rows: those that are scored, equally many of each class as far as they go."
        document.add(Table(table, note))
        document.add(*_cut_texts(record))
        warnings = sample_notes(record)
        warnings += [warning for task in record.tasks for warning in task.get("warnings") or []]
        document.add(*([Bullets(warnings)] if warnings else []))
    if record.overlaps:
        rows = [
            {
                "rows": f"{o['task']} {o['part']}",
                "also in": f"{o['other_task']} {o['other_part']}",
                "texts": o["texts"],
                "share of the first": f"{tables.percent(o['share'])} %",
            }
            for o in record.overlaps
        ]
        text = (
            "Texts that tasks, or splits of one task, have in common: their scores are not independent of one another."
        )
        document.add(Table(pd.DataFrame(rows), text))


def _cut_texts(record: Record) -> list[Paragraph]:
    """How many texts the model reads the beginning of only; nothing where that was not looked at."""
    cuts = [CutShare(**facts["cut"]) for facts in (record.texts, *record.tasks) if facts.get("cut")]
    if not cuts:
        return []
    limit = next((cut.limit for cut in cuts if not cut.own), cuts[0].limit)
    text = f"The model reads {limit:,} tokens of a text (`model.max_text_tokens`). Longer, and cut: "
    shares = [
        f"{tables.percent(cut.share)} % of {cut.of or 'the pre-training texts'}"
        + (f" (read to {cut.limit:,} tokens)" if cut.own else "")
        for cut in cuts
    ]
    return [Paragraph(text + ", ".join(shares) + ".", note=any(cut.share > MANY for cut in cuts))]


def add_limits(document: Document, record: Record, *, over_both: bool) -> None:
    """What the study cannot say.

    Args:
        document: The report.
        record: The study, names quoted.
        over_both: Whether the section on errors has intervals over seeds and test rows together.
    """
    study = record.study
    model = study["model"].get("name", "smollm2-135m") if "model" in study else "smollm2-135m"
    items = [
        f"One language model ({model}), one set of pre-training texts, one template and one set of words a task: "
        "nothing is said about others.",
        "No published number is claimed as reproduced: MetaPT's tables and hyper-parameters were not available to us.",
        "All units share their test rows: the error of a test set of this size is in each of them and in no interval"
        + (" but the one over both, under *Errors*." if over_both else ".")
        if scored_rows(record) == "test rows"
        else "Scored rows are few and those of two data seeds overlap: their error is in no interval.",
    ]
    items += _draws(study)
    if study["evaluation"].get("shuffle_labels"):
        items.insert(0, "**Labels were shuffled on purpose: there is nothing to learn, and no method can be better.**")
    document.add(Heading("What this does not say"), Bullets(items))


def _draws(study: dict[str, Any]) -> list[str]:
    """What is to be kept in mind of clusterings that are drawn at random."""
    topics = [method["topics"] for method in study.get("methods", []) if method.get("topics")]
    named = [method.get("clustering") or [] for method in (*study.get("methods", []), *topics)]
    used = {name for names in named for name in ([names] if isinstance(names, str) else names)}
    listed = [c for c in study.get("clusterings", []) if c["name"] in used]
    drawn = [c for c in listed if ClusteringConfig.facts(c["algorithm"]).seeded]
    seeds = {c["name"]: c.get("seed") for c in study.get("clusterings", [])}
    # Random groups of a clustering that was drawn several times are drawn as often.
    swept = {c["name"] for c in drawn if seeds[c["name"]] is not None or seeds.get(c.get("like")) is not None}
    several = [c["name"] for c in drawn if c["name"] in swept]
    once = [c["name"] for c in drawn if c["name"] not in swept]
    cautions = []
    if once:
        cautions.append(
            f"A clustering is drawn once and serves all pairs of seeds ({', '.join(once)}): the luck of that draw is "
            "in no interval. A list of seeds (`seed: [0, 1, 2]`) draws several."
        )
    if several:
        cautions.append(
            f"The same draws of clusterings serve all pairs of seeds ({', '.join(several)}): means over them depend "
            "less on their luck, but no interval holds it; where seeds are crossed the variance table shows it."
        )
    return cautions


def add_made_with(document: Document, record: Record) -> None:
    document.add(Heading("Made with"))
    manifest, models = record.manifest, record.manifest.get("models", [])
    if manifest:
        versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
        system = f"{manifest.get('system')}, Python {manifest.get('python')}"
        code = f" ({written})" if (written := format_code(manifest)) else ""
        document.add(Paragraph(f"{_hardware(manifest)}; {system}; {versions}{code}."))
        document.add(*([Bullets([f"{_capital(format_model(each))}." for each in models])] if models else []))
        # Seeds and methods of a study may have been run on several machines.
        others = list(dict.fromkeys(_hardware(other) for other in manifest.get("others", [])))
        others = [other for other in others if other != _hardware(manifest)]
        document.add(*([Paragraph(f"Some scores on: {'; '.join(others)}.")] if others else []))
    document.add(Paragraph("The study, as `metapt run` takes it (paths are the files' names only):"))
    document.add(Code(yaml.safe_dump(record.study, sort_keys=False, allow_unicode=True).rstrip()))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _hardware(manifest: dict[str, Any]) -> str:
    gpu = f", {manifest['gpu']}" if manifest.get("gpu") else ""
    dtype = f", {manifest['dtype']}" if manifest.get("dtype") else ""
    return f"{manifest.get('cpu')}, {manifest.get('cores')} cores, {manifest.get('memory_gib')} GiB{gpu}{dtype}"
