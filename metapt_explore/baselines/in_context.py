"""In-context learning: the training rows, written out with their label words, stand in front of each text.

Brown et al., NeurIPS 2020 (arXiv 2005.14165); calibration by texts that say nothing: Zhao et al., ICML 2021 (arXiv
2102.09690). Nothing is trained. The examples are a prompt of real tokens, so that their keys and values are computed
once for all rows of a pass, as those of a soft prompt that stands first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.baselines.zero_shot import calibrated_scores, content_free
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import DevMetrics, LabelledTexts, dev_metrics, measure
from metapt_explore.fewshot.selection import choose
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.kv_cache.text import TokenBank
from metapt_explore.models.model_checks import positions_of
from metapt_explore.models.scoring import score_all
from metapt_explore.seeds import stream
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer


class OrderPoint(DevMetrics):
    """Dev scores of one order of examples.

    Attributes:
        step: The same number as `order`: of equals the first order is chosen.
        order: Which of the orders.
        shots_per_class: Examples of each class that fit.
    """

    step: int
    order: int
    shots_per_class: int


def in_context(inputs: BaselineInputs) -> BaselineOutcome:
    """Scores rows that follow examples; where several orders are asked for, dev chooses one.

    Examples and orders are drawn from the study's seed, the initialisation seed and the data seed.

    Raises:
        UserError: Where not even one example of each class fits, or the model cannot hold so many tokens.
    """
    prefix = prefix_view(inputs.backbone())
    pattern = prefix.pattern(inputs.task, inputs.where, whole_vocabulary=inputs.whole_vocabulary)
    calibrated = partial(calibrated_scores, how=inputs.options["calibration"], blanks=content_free(inputs))
    score = partial(scores_after, backbone=prefix, pattern=pattern, on_pass=inputs.on_pass)
    outcome, orders = BaselineOutcome({}, verbalizer=pattern.verbalizer), inputs.options["orders"]
    inputs.restore(outcome)
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        dev = inputs.dev[seed]
        points: list[OrderPoint] = []
        prompts: list[list[int]] = []
        dev_of_order: list[Tensor] = []
        demonstrations = demonstration_tokens(prefix, pattern, train, separator=inputs.options["separator"])
        for order in range(orders):
            inputs.on_units((done + order / (orders + 1)) / len(inputs.train))
            shown = draw(demonstrations, train.labels, inputs, seed=seed, order=order)
            tokens = [token for row in shown for token in demonstrations[row]]
            check_fits(prefix, pattern, len(tokens), where=inputs.where)
            prompts.append([*prefix.layout.special_before, *tokens])
            scores = calibrated(partial(score, prompt=prompts[-1]), dev.texts)
            dev_of_order.append(scores)
            shots = len(shown) // len(set(train.labels))
            dev_scores = dev_metrics(measure(scores, dev.labels, pattern.verbalizer))
            points.append({"step": order, "order": order, "shots_per_class": shots, **dev_scores})
        best = choose(points, inputs.select_by)
        scores = calibrated(partial(score, prompt=prompts[best["order"]]), inputs.test)
        chosen: dict[str, float] = {"order": best["order"], "shots_per_class": best["shots_per_class"]}
        outcome.seeds[seed] = Scored(scores, best["dev_accuracy"], chosen=chosen, dev=dev_of_order[best["order"]])
        blank_rows = len(content_free(inputs)) if inputs.options["calibration"] == "content_free" else 0
        outcome.spent.forward_rows += orders * len(dev.texts) + len(inputs.test) + blank_rows * (orders + 1)
        inputs.keep(outcome)
    return outcome


def prefix_view(backbone: Backbone) -> Backbone:
    """The same decoder-only model with the prompt in front of the text, whatever the study's placement."""
    view = copy.copy(backbone)
    view.__dict__.pop("banks", None)
    view.placement, view.shares_text, view.caches_texts = "prefix", False, False
    view.layout = backbone.layout_class(backbone.tokenizer, backbone.config, "prefix")
    return view


def demonstration_tokens(
    backbone: Backbone, pattern: PatternVerbalizer, train: LabelledTexts, *, separator: str
) -> list[list[int]]:
    """Tokens of every training row with its class's first label word and the separator."""
    layout = backbone.layout
    first = len(layout.special_before)
    after_word = layout.encode_continuation(separator)
    demonstrations = []
    for (ids, _), label in zip(layout.rows(train.texts, pattern), train.labels, strict=True):
        word = [term.token for term in pattern.verbalizer.words[label][0]]
        demonstrations.append([*ids[first:], *word, *after_word])
    return demonstrations


def draw(
    demonstrations: Sequence[Sequence[int]], labels: Sequence[int], inputs: BaselineInputs, *, seed: int, order: int
) -> list[int]:
    """Training rows to show, in their order: as many of each class as fit, drawn and shuffled.

    Args:
        demonstrations: Tokens of each training row.
        labels: Class index of each.
        inputs: `max_prompt_tokens`, `shots_per_class` and seeds.
        seed: Data seed.
        order: Which of the orders.

    Raises:
        UserError: Where one example of each class does not fit.
    """
    generator = stream(inputs.seeds[0], "in_context", inputs.seeds[1], seed, order)
    shuffled = [int(row) for row in generator.permutation(len(labels))]
    by_class = [[row for row in shuffled if labels[row] == label] for label in sorted(set(labels))]
    most = min(len(rows) for rows in by_class)
    room = inputs.options["max_prompt_tokens"]
    for shots in range(min(most, inputs.options["shots_per_class"] or most), 0, -1):
        shown = {row for rows in by_class for row in rows[:shots]}
        if sum(len(demonstrations[row]) for row in shown) <= room:
            return [row for row in shuffled if row in shown]
    raise UserError(
        f"{inputs.where}: one example of each class is longer than max_prompt_tokens ({room}) of the baseline; "
        "raise it, or lower model.max_text_tokens."
    )


def check_fits(backbone: Backbone, pattern: PatternVerbalizer, tokens: int, *, where: str) -> None:
    """Refuses examples that do not fit the model together with the longest text.

    Raises:
        UserError: With the number of tokens that it holds.
    """
    settings = backbone.model.config.get_text_config()
    longest = (
        backbone.config.max_text_tokens
        + len(pattern.before)
        + len(pattern.tail)
        + len(backbone.layout.special_before)
        + 1
    )
    window = getattr(settings, "sliding_window", None) if getattr(settings, "use_sliding_window", True) else None
    limits = [limit for limit in (positions_of(settings), window) if limit]
    if limits and tokens + longest > min(limits):
        raise UserError(
            f"{where}: examples of {tokens} tokens and texts of {longest} are more than "
            f"'{backbone.config.name}' holds ({min(limits)}); set max_prompt_tokens of the baseline to at most "
            f"{min(limits) - longest}."
        )


@torch.no_grad()
def scores_after(
    texts: Sequence[TextInput],
    *,
    backbone: Backbone,
    pattern: PatternVerbalizer,
    prompt: Sequence[int],
    on_pass: Callable[[], None] = lambda: None,
) -> Tensor:
    """Scores of texts that follow the same tokens, `[rows, columns]`.

    Args:
        texts: The texts.
        backbone: What `prefix_view` returned.
        pattern: Template and label words.
        prompt: Token ids in front of every text.
        on_pass: Called after each pass; may raise to stop.
    """
    first = len(backbone.layout.special_before)
    # Special tokens before a text stand once, before the examples.
    rows = [(ids[first:], position - first) for ids, position in backbone.layout.rows(texts, pattern)]
    bank = TokenBank([ids for ids, _ in rows], backbone.device, [position for _, position in rows])
    # A pass holds the examples' keys and values once for each row.
    longest = len(prompt) + max(len(ids) for ids, _ in rows)
    limit = max(1, int(backbone.pass_bytes / (longest * backbone.memory.kv_bytes_per_token)))
    view = copy.copy(backbone)
    view.rows_limit = min(limit, backbone.rows_limit or limit)
    vectors = backbone.embedding[torch.tensor(list(prompt), device=backbone.device)]
    return score_all(view, vectors[None].float(), bank, pattern=pattern, on_pass=on_pass)[0]
