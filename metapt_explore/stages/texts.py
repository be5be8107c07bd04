"""The pre-training texts: loaded, reported on, decontaminated, sampled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metapt_explore.config import TextsConfig
from metapt_explore.cost.count import Reckoning
from metapt_explore.cost.own_cost import BASE_MIB, OwnCost
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.split import Split
from metapt_explore.stages.steps import Listed, Step
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.rows import texts_of

if TYPE_CHECKING:
    from metapt_explore.texts.decontaminate import HeldOutIndex
    from metapt_explore.texts.report import DataReport
    from metapt_explore.texts.row_source import RowSource
    from metapt_explore.texts.text_scan import Scanned, TextScan


@dataclass(frozen=True, eq=False)
class Texts(Stage):
    """The pre-training texts, without whatever a dev or test row of the study repeats."""

    kind = "texts"
    version = 2
    part = "texts"
    least_work = 2_000.0
    finds_recorded = True

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Texts]:
        """The texts."""
        yield cls(pipeline)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return "texts"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return "pre-training texts"

    @cached_property
    def splits(self) -> dict[str, Split]:
        """Splits of every task at every number of shots; texts must not repeat their dev and test rows.

        Raises:
            UserError: Where no task can be read; outside of a run, where one cannot.
        """
        splits: dict[str, Split] = {}
        for split in Split.asked(self.pipeline, ()):
            try:
                self.pipeline.refuse(split.id)
            except UserError:
                if not self.pipeline.goes_on:
                    raise
                # An unreadable task is not scored, so none of its rows can leak.
                self.pipeline.progress.notice(
                    f"Pre-training texts are not compared with the rows of {split.called}, which could not be read. "
                    "When they can be read again, pre-training begins anew."
                )
            else:
                splits[split.called] = split
        if not splits:
            raise UserError("no task of the study can be read, so nothing could be scored.")
        return splits

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The splits whose dev and test rows no text may repeat."""
        return {f"split of {name}": split for name, split in sorted(self.splits.items())}

    @property
    def settings(self) -> TextsConfig:
        """Which texts."""
        return self.study.texts

    def config(self) -> dict[str, Any]:
        """Settings of the texts, without the content of their file."""
        return {
            **self.settings.model_dump(mode="json", exclude={"starter", "file", "hub"}),
            "seed": self.study.seed,
        }

    def inputs(self) -> dict[str, Any]:
        """The content of the source."""
        from metapt_explore.texts.sources import source_fingerprint

        return {"source": source_fingerprint(self.settings)}

    def compute(self, out: ArtifactWriter) -> None:
        """Reads the texts in batches, cleans and samples them; holds those that are kept and no other."""
        from metapt_explore.texts.decontaminate import HeldOutIndex
        from metapt_explore.texts.open_rows import with_rows

        held_out = held_out_rows({name: split.artifact for name, split in self.splits.items()})
        index = HeldOutIndex(list(held_out["text"]), self.settings.near_duplicate)
        scan, scanned, kept, report = with_rows(self.settings, lambda rows: self._read(rows, index))
        if not len(scanned.kept):
            raise UserError(f"{self.settings.name}: no text is left to pre-train on ({scanned.dropped()}).")
        kept.insert(0, "source_row", scanned.kept)
        out.write_table("texts", kept)
        leaks = scan.leaks
        leak_table = pd.DataFrame(
            {
                "source_row": np.array(leaks.rows, dtype=np.int64),
                "text": np.array(leaks.texts, dtype=object),
                "reason": np.array(leaks.reasons, dtype=object),
                "held_out_task": held_out["task"].to_numpy()[leaks.matches],
                "held_out_text": held_out["text"].to_numpy()[leaks.matches],
                "overlap": np.array(leaks.overlaps, dtype=np.float64),
            }
        )
        out.write_table("leaks", leak_table)
        by_task = leak_table["held_out_task"].value_counts().to_dict()
        out.write_summary(
            {
                "report": report,
                "kept": len(kept),
                "dropped": scanned.dropped(),
                "held_out_rows": int(held_out["whole"].sum()),
                "leaks_by_task": {str(task): int(count) for task, count in by_task.items()},
            }
        )

    def _read(self, rows: RowSource, index: HeldOutIndex) -> tuple[TextScan, Scanned, pd.DataFrame, DataReport]:
        """Looks at all rows, then takes those that are kept, and some for the report."""
        from metapt_explore.texts.report import filled_texts
        from metapt_explore.texts.text_scan import TextScan

        scan = TextScan(self.settings, index)
        for batch in rows.batches():
            self.advance(0)  # a cancel acts here
            scan.add(batch)
        scanned = scan.finish(self._drawn)
        wanted = np.union1d(scanned.kept, scanned.for_language)
        taken = rows.take(wanted)
        shown = taken.take(np.searchsorted(wanted, scanned.for_language))
        pairs = shown["text_pair"].to_pylist() if "text_pair" in shown.column_names else None
        report = scan.report(filled_texts(shown["text"].to_pylist(), pairs))
        return scan, scanned, taken.take(np.searchsorted(wanted, scanned.kept)).to_pandas(), report

    def _drawn(self, labels: np.ndarray) -> np.ndarray:
        """Places of the rows that are drawn, of more rows than `limit`; `labels` are their labels' numbers."""
        from metapt_explore.seeds import stream

        order = stream(self.study.seed, "texts").permutation(len(labels))
        if self.settings.balanced:
            order = order[_by_turns(labels[order])]
        return np.sort(order[: self.settings.limit])

    def own_cost(self, reckoning: Reckoning) -> OwnCost:
        """See `Stage.own_cost`; `metapt plan` looks at the first rows of a large file."""
        from metapt_explore.texts.scan_cost import count_large, rough_scan

        seconds, mib = rough_scan(count_large(self.settings) or reckoning.text_rows, self.settings)
        return OwnCost(seconds, BASE_MIB + mib)

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in summary.get("dropped", {}).items())
        return f"{counted(summary.get('kept'), 'text')} kept (not: {dropped or 'none'})"

    @classmethod
    def step(cls, listed: Listed) -> Step | None:
        """See `Stage.step`."""
        made = listed.summaries("texts")
        said = f"{made[0][1]['kept']:,} texts" if made and "kept" in made[0][1] else ""
        return Step("Texts", "done" if made else "none", said)


def counted(count: Any, what: str) -> str:
    """A count with its noun.

    Example:
        >>> counted(1, "text"), counted(1200, "text")
        ('1 text', '1,200 texts')
    """
    return f"{count or 0:,} {what}{'s' * (count != 1)}"


def _by_turns(labels: np.ndarray) -> np.ndarray:
    """Positions that take one row of each label in turn; a label that runs out is skipped."""
    turn = pd.Series(labels).groupby(labels).cumcount().to_numpy()
    return np.argsort(turn, kind="stable")


def held_out_rows(splits: Mapping[str, Artifact]) -> pd.DataFrame:
    """What pre-training texts are compared with: columns task, text and whole.

    All dev and test rows of the study's tasks; of pairs the two texts together (``whole``), and each of them that is
    long enough to be known again (a premise that lies in a pre-training text gives half of the row away).
    """
    from metapt_explore.texts.decontaminate import is_telling

    frames = []
    for name, split in sorted(splits.items()):
        rows = split.table("rows")
        rows = rows[rows["split"] != "train"]
        frames.append(pd.DataFrame({"task": name, "text": texts_of(rows), "whole": True}).drop_duplicates())
        for role in ("text", "text_pair") if "text_pair" in rows else ():
            telling = rows[role][rows[role].map(normalise).map(is_telling).astype(bool)]
            frames.append(pd.DataFrame({"task": name, "text": telling, "whole": False}).drop_duplicates())
    return pd.concat(frames, ignore_index=True)
