"""Context-aware prompt tuning: examples stand in front of the text, and their vectors are moved a little.

Blau et al., 2024 (arXiv 2410.17222), by PEFT's ``CPT``: vectors of label words stay as they are, the others move by at
most an epsilon, and the examples' own labels are in the loss, earlier ones with less weight. At step 0 this is
`in_context` with the same examples. As in PEFT a row's loss and those of the examples count alike, one for each label;
the row's is read as all baselines read it (`verbalizer.decode`), the examples' over the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.baselines.fine_tuning import TrainedWeights
from metapt_explore.baselines.in_context import check_fits, draw
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.baselines.model_tuning import Trained, tune_model
from metapt_explore.models.backbone import Backbone
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: PEFT's types of tokens; each example's are 4 higher than those of the one before. 0 is none of them.
TEMPLATE, TEXT, ANSWER_TEMPLATE, LABEL = 1, 2, 3, 4
TYPES = 4


@dataclass(frozen=True)
class Context:
    """Examples as tokens.

    Attributes:
        tokens: Their tokens, behind those that the model begins every text with.
        types: PEFT's type of each.
    """

    tokens: list[int]
    types: list[int]

    @property
    def label_places(self) -> list[int]:
        """Where tokens of label words stand."""
        return [place for place, of_type in enumerate(self.types) if of_type and of_type % TYPES == 0]


def cpt(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains how examples' vectors are moved; the initialisation seed draws the examples and orders the rows."""
    return tune_model(inputs, prepare)


def prepare(backbone: Backbone, inputs: BaselineInputs) -> Callable[[int], Trained]:
    """Given a copy of the model, returns what is trained on a data seed (see `model_tuning.Prepare`)."""
    pattern = backbone.pattern(inputs.task, inputs.where, whole_vocabulary=inputs.whole_vocabulary)
    first = tuple(backbone.layout.special_before)
    rows_limit = backbone.rows_limit
    # Special tokens stand once, before the examples.
    backbone.layout.special_before = ()

    def of_seed(seed: int) -> Trained:
        context = context_of(backbone, pattern, inputs, first=first, seed=seed)
        check_fits(backbone, pattern, len(context.tokens), where=inputs.where)
        # A pass holds the examples' keys and values once for each row.
        longest = len(context.tokens) + inputs.study.model.max_text_tokens + len(pattern.template.tail)
        fit = max(1, int(backbone.pass_bytes / (longest * backbone.memory.kv_bytes_per_token)))
        backbone.rows_limit = min(fit, rows_limit or fit)
        module = make_module(backbone, context, inputs.options)
        places = torch.arange(len(context.tokens), device=backbone.device)
        labels, share = context.label_places, 1 / (len(context.label_places) + 1)

        def prompt() -> Tensor:
            vectors: Tensor = module(places)
            return vectors[None]

        return Trained(
            TrainedWeights([module.delta_embedding.weight]),
            prompt,
            extra_loss=lambda: share * context_loss(backbone, prompt(), context, decay=inputs.options["decay"]),
            rows_share=share,
            extra_rows=1 if labels else 0,
            of_one_seed=True,
        )

    return of_seed


def context_of(
    backbone: Backbone, pattern: PatternVerbalizer, inputs: BaselineInputs, *, first: Sequence[int], seed: int
) -> Context:
    """The examples of a data seed: those that `in_context` shows with the same settings.

    Args:
        backbone: The model; its layout adds no special tokens.
        pattern: Template and label words.
        inputs: Examples, settings and seeds.
        first: Special tokens in front of them all.
        seed: Data seed.

    Raises:
        UserError: Where one example of each class does not fit.
    """
    train, layout = inputs.train[seed], backbone.layout
    behind = layout.encode_continuation(inputs.options["separator"])
    written: list[Context] = []
    for (text, pair), label in zip(layout.cut(train.texts, pattern), train.labels, strict=True):
        tokens, _ = pattern.template.row(text, pair, ())
        # The same row with a mark in place of each token of a text.
        marked, _ = pattern.template.row([-1] * len(text), None if pair is None else [-1] * len(pair), ())
        last = max((place for place, token in enumerate(marked) if token == -1), default=-1)
        types = [
            TEXT if token == -1 else TEMPLATE if place < last else ANSWER_TEMPLATE for place, token in enumerate(marked)
        ]
        word = [term.token for term in pattern.verbalizer.words[label][0]]
        written.append(Context([*tokens, *word, *behind], [*types, *[LABEL] * len(word), *[0] * len(behind)]))
    shown = draw([each.tokens for each in written], train.labels, inputs, seed=seed, order=0)
    whole = Context(list(first), [0] * len(first))
    for number, row in enumerate(shown):
        whole.tokens.extend(written[row].tokens)
        whole.types.extend(of_type + TYPES * number if of_type else 0 for of_type in written[row].types)
    return whole


def make_module(backbone: Backbone, context: Context, options: dict[str, Any]) -> Any:
    """PEFT's module that holds the examples' vectors and how they are moved, fp32.

    Args:
        backbone: The model.
        context: The examples.
        options: `text_epsilon` and `template_epsilon`; both are for vectors of 2,048 numbers, as in PEFT, and shrink
            with the root of their number.
    """
    import peft

    config = peft.CPTConfig(
        task_type="CAUSAL_LM",
        cpt_token_ids=context.tokens,
        cpt_mask=[1] * len(context.tokens),
        cpt_tokens_type_mask=context.types,
        opt_projection_epsilon=options["text_epsilon"],
        opt_projection_format_epsilon=options["template_epsilon"],
    )
    config.token_dim = backbone.width
    # Not the model's own layer: some multiply what they look up.
    make: Any = peft.CPTEmbedding
    return make(config, torch.nn.Embedding.from_pretrained(backbone.embedding.detach())).to(backbone.device)


def context_loss(backbone: Backbone, prompt: Tensor, context: Context, *, decay: float) -> Tensor:
    """Sum of the cross-entropies of the examples' label words, each given what stands before it.

    Args:
        backbone: A decoder-only model.
        prompt: The examples' vectors, `[1, tokens, width]`.
        context: The examples.
        decay: The last example's weight; each one before counts so much less.
    """
    labels = context.label_places
    base: Any = backbone.plain.base  # type: ignore[attr-defined]
    hidden = base(inputs_embeds=prompt.to(backbone.dtype), use_cache=False).last_hidden_state[0]
    before = torch.tensor(labels, device=backbone.device) - 1
    truth = torch.tensor([context.tokens[place] for place in labels], device=backbone.device)
    losses = F.cross_entropy(backbone.head.vocabulary(hidden[before]), truth, reduction="none")
    last = max(context.types[place] for place in labels)
    ages = torch.tensor([(last - context.types[place]) // TYPES + 1 for place in labels], device=backbone.device)
    return (losses * decay**ages).sum()
