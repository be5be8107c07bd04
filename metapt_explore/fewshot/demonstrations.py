"""Few-shot rows written out as demonstrations: their token embeddings are where a prompt begins.

Context Tuning (Lu et al., 2025, arXiv 2507.04221: CT-Prompt, CT-KV) and CPT (Tsachor Blau et al., 2024, 2410.17222;
PEFT's ``CPT``) tune a prompt that begins as the few-shot examples themselves. The start is theirs; tuning is that of
every other method here, without CT's masking of a row's own demonstration and its dropout of tokens, and without CPT's
bound on how far a vector moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.fewshot.starts import Begins, Starts, TrainRows
from metapt_explore.models.backbone import Backbone
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Between two demonstrations; a tokenizer that knows no line break leaves it out.
SEPARATOR = "\n"


@dataclass(frozen=True)
class Demonstration:
    """A few-shot row as tokens.

    Attributes:
        text: Tokens of its text.
        pair: Tokens of its second text; None where the template has no place for one.
        word: Tokens of its class's label word.
        behind: Tokens behind it.
        pattern: The template.
    """

    text: list[int]
    pair: list[int] | None
    word: list[int]
    behind: list[int]
    pattern: PatternVerbalizer

    def tokens(self, most: int | None = None) -> list[int]:
        """The row in its template with its label word.

        Args:
            most: So many tokens at most: the texts are cut at their ends, the longer one first. Where the template
                alone is longer, its last tokens stay.
        """
        text, pair = self.text, self.pair
        if most is not None:
            room = max(0, most - len(self._row([], [])))
            second = (pair or [])[: max(room // 2, room - len(text))]
            text, pair = text[: room - len(second)], second
        row = self._row(text, pair or [])
        return row if most is None or len(row) <= most else row[len(row) - most :]

    def _row(self, text: Sequence[int], pair: Sequence[int]) -> list[int]:
        template = self.pattern.template
        row, _ = template.row(text, pair, self.word)
        return [*row, *([] if template.slot("mask") else self.word), *self.behind]


def demonstrations(
    backbone: Backbone, pattern: PatternVerbalizer, labels: LabelsConfig, rows: LabelledTexts
) -> list[Demonstration]:
    """Few-shot rows as tokens, each with the first label word of its class (its description, for sentence encoders).

    Args:
        backbone: The frozen model.
        pattern: Template and label words of the task.
        labels: The classes, for their descriptions.
        rows: Few-shot training rows, never dev or test rows.
    """
    layout = backbone.layout
    if backbone.has_vocabulary:
        words = [[term.token for term in of_class[0]] for of_class in pattern.verbalizer.words]
    else:
        texts = [label.description or label.word for label in labels.labels.values()]
        words = [layout.encode_continuation(layout.after_space(text)) for text in texts]
    behind = layout.encode_continuation(SEPARATOR)
    return [
        Demonstration(text, pair, words[label], behind, pattern)
        for (text, pair), label in zip(layout.cut(rows.texts, pattern), rows.labels, strict=True)
    ]


@dataclass(frozen=True)
class Filled:
    """Demonstrations in a prompt.

    Attributes:
        tokens: Their tokens, at most as many as the prompt has vectors.
        shown: Rows that they show.
        cut: Whether texts were cut.
    """

    tokens: list[int]
    shown: list[int]
    cut: bool


def fill(rows: Sequence[Demonstration], labels: Sequence[int], vectors: int) -> Filled:
    """Chooses the demonstrations that a prompt holds.

    Rows are taken in rounds, one of each class, in the order of the sample; as many rounds as fit whole. Where not even
    one fits, one is taken, and its texts are cut to the greatest common length that fits.

    Args:
        rows: Few-shot rows.
        labels: Class index of each.
        vectors: Vectors of the prompt.

    Raises:
        UserError: Where there are fewer vectors than classes.
    """
    by_class = [[row for row, label in enumerate(labels) if label == cls] for cls in sorted(set(labels))]
    if vectors < len(by_class):
        raise UserError(
            f"Demonstrations of {len(by_class)} classes do not fit {vectors} vectors: give them one vector a class at "
            "the very least, and better a few dozen."
        )
    rounds = list(zip(*by_class, strict=False))
    for count in range(len(rounds), 0, -1):
        shown = [row for of_round in rounds[:count] for row in of_round]
        tokens = [token for row in shown for token in rows[row].tokens()]
        if len(tokens) <= vectors:
            return Filled(tokens, shown, cut=False)
    shown = list(rounds[0])
    lengths = [len(rows[row].tokens()) for row in shown]
    most = next(m for m in range(vectors, 0, -1) if sum(min(length, m) for length in lengths) <= vectors)
    return Filled([token for row in shown for token in rows[row].tokens(most)], shown, cut=True)


@dataclass(frozen=True)
class FromDemonstrations:
    """Begins each data seed's prompt with the token embeddings of its few-shot rows (see `StartMaker`).

    They stand in place of the first vectors of the prompt that is given, as many as they need. Or they stand behind
    it, in vectors of their own: those that are left over hold the same tokens again, from the beginning.

    Attributes:
        labels: The classes, for their descriptions.
        where: What to call the task in messages.
        added: Vectors behind the prompt; 0: in its place.
    """

    labels: LabelsConfig
    where: str
    added: int = 0

    def __call__(self, prompt: Tensor, rows: TrainRows) -> Starts:
        """See `StartMaker`."""
        backbone, vectors = rows.backbone, self.added or len(prompt)
        prompts, begins, longest = {}, {}, 0
        for seed, train in rows.train.items():
            written = demonstrations(backbone, rows.pattern, self.labels, train)
            filled = fill(written, train.labels, vectors)
            tokens = torch.tensor(filled.tokens, dtype=torch.long, device=backbone.embedding.device)
            # With `deep` their keys and values, which is CT-KV.
            embedded = backbone.as_prompt(backbone.embedding[tokens].detach().float()).to(prompt.device)
            if self.added:
                places = torch.arange(self.added, device=embedded.device) % len(embedded)
                prompts[seed] = torch.cat([prompt.float(), embedded[places]])
            else:
                prompts[seed] = torch.cat([embedded, prompt[len(tokens) :].float()])
            begins[seed] = Begins(len(filled.shown), len(train.labels), len(tokens), filled.cut)
            longest = max(longest, sum(len(row.tokens()) for row in written))
        if notice := _notice(begins, vectors, longest):
            backbone.on_notice(f"{self.where}: {notice}")
        return Starts(prompts, begins)


def _notice(begins: Mapping[int, Begins], vectors: int, longest: int) -> str:
    """What a user should know: rows that found no place, and texts that were cut."""
    shown = [each.demonstrations or 0 for each in begins.values()]
    of_rows = max(each.of_rows or 0 for each in begins.values())
    if min(shown) == of_rows and not any(each.cut for each in begins.values()):
        return ""
    count = f"{min(shown)}" if min(shown) == max(shown) else f"{min(shown)} to {max(shown)}"
    cut = ", with texts cut," if any(each.cut for each in begins.values()) else ""
    return (
        f"prompts begin from {count} of {of_rows} few-shot rows{cut} because there are {vectors} vectors for them; "
        f"all rows would fill up to {longest}."
    )
