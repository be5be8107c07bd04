"""A better text instead of a soft prompt: templates and instructions are tried, the best instruction is edited.

The search needs no model but the frozen one that is asked. As in GrIPS (Prasad et al., EACL 2023, arXiv 2203.07281) an
instruction is edited by leaving words out, moving them and putting some back, and an edit leads where the rows score
better; without its paraphrases, which need a second model, and with runs of words in place of parsed phrases.
Candidates are ranked on the training rows as `metapt rank-templates` ranks templates; dev chooses among the leaders.
Label words compete with one another, whatever `verbalizer.decode` says: sets of them are compared, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import numpy as np
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.baselines.zero_shot import calibrated_scores, content_free
from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import DevMetrics, LabelledTexts, dev_metrics, measure
from metapt_explore.fewshot.selection import choose
from metapt_explore.fewshot.template_candidates import menu_candidates
from metapt_explore.fewshot.template_ranking import rank_templates
from metapt_explore.models.families import family_of
from metapt_explore.models.folder import model_folder
from metapt_explore.models.scoring import zero_shot
from metapt_explore.seeds import stream
from metapt_explore.texts.rows import TextInput

#: Words that an edit takes out or moves, at most.
LONGEST_EDIT = 3


class CandidatePoint(DevMetrics):
    """Dev scores of a candidate.

    Attributes:
        step: Its rank on the training rows: of equals the better one is chosen.
    """

    step: int


@dataclass(frozen=True)
class Candidate:
    """A text around each row.

    Attributes:
        number: Which of the templates and sets of label words.
        instruction: What stands in front of the template; may be empty.
        cut: Words that edits left out, which another may put back.
    """

    number: int = 0
    instruction: str = ""
    cut: tuple[str, ...] = ()


def instruction_search(inputs: BaselineInputs) -> BaselineOutcome:
    """Searches a text for each data seed, and scores test rows with it; the initialisation seed draws the edits.

    Raises:
        UserError: Where the model can read none of the candidates.
    """
    options, outcome = inputs.options, BaselineOutcome({})
    inputs.restore(outcome)
    menu = templates_of(inputs)
    words = ", ".join(str(label.word) for label in inputs.task.labels.values())
    instructions = ["", *(text.replace("{labels}", words) for text in options["instructions"])]
    begun = [Candidate(number, text) for text in instructions for number in range(len(menu))]
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        search = _Search(inputs, menu, train)
        ranked = search.ranked(begun)
        generator = stream(inputs.seeds[0], "instruction_search", inputs.seeds[1], seed)
        for number in range(options["rounds"]):
            inputs.on_units((done + (1 + number) / (1 + options["rounds"])) / len(inputs.train))
            # Where bare templates lead there is nothing to edit in them, but there is in what comes behind.
            best_instruction = next(filter(has_edits, ranked), None)
            made = edits(best_instruction, options["edits"], generator) if best_instruction else []
            ranked = search.ranked([*ranked, *made])
        leaders, dev = ranked[: options["keep"]], inputs.dev[seed]
        on_dev = [search.scores(candidate, dev.texts) for candidate in leaders]
        points: list[CandidatePoint] = [
            {"step": rank, **dev_metrics(measure(scores, dev.labels))} for rank, scores in enumerate(on_dev)
        ]
        best = choose(points, inputs.select_by)
        winner = search.written(leaders[best["step"]])
        chosen: dict[str, float | str] = {
            "template": winner.template,
            "words": ", ".join(str(label.word) for label in winner.labels.values()),
            "tried": search.tried,
        }
        scores = search.scores(leaders[best["step"]], inputs.test)
        outcome.seeds[seed] = Scored(scores, best["dev_accuracy"], chosen=chosen, dev=on_dev[best["step"]])
        outcome.spent.forward_rows += search.forward_rows
        inputs.keep(outcome)
    return outcome


def templates_of(inputs: BaselineInputs) -> list[LabelsConfig]:
    """The task's own template and those of the packaged menu, with the label words that are tried."""
    model = inputs.study.model
    return menu_candidates(inputs.task, family_of(model_folder(model.name, model.revision), model))


def has_edits(candidate: Candidate) -> bool:
    """Whether a candidate's instruction can be edited: it has two words."""
    return len(candidate.instruction.split()) > 1


def edits(candidate: Candidate, count: int, generator: np.random.Generator) -> list[Candidate]:
    """Draws edits of a candidate's instruction.

    Args:
        candidate: The candidate; without an instruction of two words there is nothing to edit.
        count: How many; fewer where some are equal.
        generator: What they are drawn from.

    Example:
        >>> begun = Candidate(instruction="Say what it is")
        >>> [each.instruction for each in edits(begun, 2, np.random.default_rng(1))]
        ['Say what', 'what it is Say']
    """
    if not has_edits(candidate):
        return []
    made: dict[str, Candidate] = {}
    for _ in range(count):
        kinds = ["leave_out", "move", *(["put_back"] if candidate.cut else [])]
        kind = kinds[int(generator.integers(len(kinds)))]
        edited = (
            _put_back(candidate, generator)
            if kind == "put_back"
            else _taken(candidate, generator, moves=kind == "move")
        )
        made.setdefault(edited.instruction, edited)
    made.pop(candidate.instruction, None)
    return list(made.values())


def _taken(candidate: Candidate, generator: np.random.Generator, *, moves: bool) -> Candidate:
    """Leaves a run of words out, or puts it elsewhere."""
    words = candidate.instruction.split()
    length = 1 + int(generator.integers(min(LONGEST_EDIT, len(words) - 1)))
    first = int(generator.integers(len(words) - length + 1))
    run, rest = words[first : first + length], [*words[:first], *words[first + length :]]
    if not moves:
        return replace(candidate, instruction=" ".join(rest), cut=(*candidate.cut, " ".join(run)))
    place = int(generator.integers(len(rest) + 1))
    return replace(candidate, instruction=" ".join([*rest[:place], *run, *rest[place:]]))


def _put_back(candidate: Candidate, generator: np.random.Generator) -> Candidate:
    """Puts words that were left out in some place."""
    words, cut = candidate.instruction.split(), list(candidate.cut)
    run = cut.pop(int(generator.integers(len(cut))))
    place = int(generator.integers(len(words) + 1))
    return replace(candidate, instruction=" ".join([*words[:place], run, *words[place:]]), cut=tuple(cut))


class _Search:
    """What the frozen model says of candidates on the rows of one data seed.

    Attributes:
        tried: Candidates that were scored on the training rows.
        forward_rows: Rows that were sent through the model.
    """

    def __init__(self, inputs: BaselineInputs, menu: Sequence[LabelsConfig], train: LabelledTexts) -> None:
        self._inputs, self._menu, self._train = inputs, menu, train
        self._backbone, self._how = inputs.backbone(), inputs.options["calibration"]
        self._losses: dict[tuple[int, str], float] = {}
        self.tried = self.forward_rows = 0

    def written(self, candidate: Candidate) -> LabelsConfig:
        """A candidate's template and label words, with its instruction in front."""
        labels = self._menu[candidate.number]
        if not candidate.instruction:
            return labels
        # A brace would be read as a place for a text.
        before = candidate.instruction.replace("{", "(").replace("}", ")")
        return LabelsConfig(template=f"{before}\n{labels.template}", labels=labels.labels)

    def ranked(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that the model can read, the one with the lowest loss on the training rows first.

        Raises:
            UserError: Where the model can read none of them.
        """
        new = {
            (candidate.number, candidate.instruction): self.written(candidate)
            for candidate in candidates
            if (candidate.number, candidate.instruction) not in self._losses
        }
        ranking = rank_templates(
            self._backbone, list(new.values()), {0: self._train}, on_candidate=lambda done: self._inputs.on_pass()
        )
        keys = list(new)
        for record in ranking:
            readable = record["reason"] is None
            # Where scores are calibrated in the end, by scores calibrated by their mean over these rows: for
            # `content_free` as well, whose own texts are read with the leaders alone.
            loss = record["loss" if self._how == "none" else "calibrated_loss"] if readable else inf
            self._losses[keys[record["candidate"]]] = loss
            self.tried += readable
            self.forward_rows += readable * len(self._train.texts)
        distinct = {(candidate.number, candidate.instruction): candidate for candidate in candidates}
        ranked = sorted(distinct, key=lambda key: self._losses[key])
        readable_ones = [distinct[key] for key in ranked if self._losses[key] < inf]
        if not readable_ones:
            reason = next(record["reason"] for record in ranking if record["reason"])
            raise UserError(f"{self._inputs.where}: the model can read no template of `instruction_search`: {reason}")
        return readable_ones

    def scores(self, candidate: Candidate, texts: Sequence[TextInput]) -> Tensor:
        """Scores of texts with a candidate around them, `[rows, classes]`."""
        pattern = self._backbone.pattern(self.written(candidate), self._inputs.where)
        blanks = content_free(self._inputs)
        score = partial(zero_shot, self._backbone, pattern=pattern)
        self.forward_rows += len(texts) + (len(blanks) if self._how == "content_free" else 0)
        scores = calibrated_scores(score, texts, how=self._how, blanks=blanks)
        self._inputs.on_pass()
        return scores
