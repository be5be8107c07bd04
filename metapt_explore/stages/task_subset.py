"""Some of the auxiliary tasks of a clustering, as a stage: for leaving clusters out, or for one cluster alone."""

from __future__ import annotations

from metapt_explore.errors import UserError
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question


def chosen_tasks_recipe(tasks: Artifact, clustering: str, without: list[int], only: list[int], where: str) -> Recipe:
    """The auxiliary tasks without some clusters, or of some only; rows and classes of a task stay as they are.

    Args:
        tasks: All tasks of the clustering; finished.
        clustering: What it is called.
        without: Clusters to leave out, by the numbers of their tasks (over several clusterings these go on).
        only: Clusters to keep, where `without` is empty.
        where: The method, for messages.

    Raises:
        UserError: Where there is no such cluster, it is no task, or no task is left.
    """
    key, named = ("without", without) if without else ("only", only)
    there = [int(task) for task in tasks.summary["sizes"]]
    for cluster in named:
        if cluster in there:
            continue
        listed = ", ".join(map(str, there))
        if (why := tasks.summary["dropped"].get(str(cluster))) is not None:
            raise UserError(
                f"{where}: cluster {cluster} of '{clustering}' is no auxiliary task ({why}), so `{key}` cannot name "
                f"it. Tasks: {listed}."
            )
        raise UserError(f"{where}: `{key}`: '{clustering}' has no cluster {cluster}; its auxiliary tasks are {listed}.")
    kept = [task for task in there if (task in named) != bool(without)]
    if not kept:
        raise UserError(f"{where}: `without` leaves out every auxiliary task of '{clustering}'.")
    title = f"auxiliary tasks {key} {', '.join(map(str, sorted(named)))}"
    stage = Question("tasks", title, 1, {key: sorted(set(named))}, {"tasks": tasks.id})

    def compute(out: ArtifactWriter) -> None:
        # How many memberships soft clusters have is of all of them.
        table, summary = tasks.table("tasks"), {k: v for k, v in tasks.summary.items() if k != "memberships"}
        own = table[table["task"].isin(kept)].reset_index(drop=True)
        out.write_table("tasks", own)
        counts = dict(summary["counts"])
        used = int(own["row"].nunique())
        counts["left_out"], counts["used"] = counts["used"] - used, used
        out.write_summary(
            {
                **summary,
                "tasks": len(kept),
                "sizes": {str(task): summary["sizes"][str(task)] for task in kept},
                "counts": counts,
            }
        )

    return stage, compute
