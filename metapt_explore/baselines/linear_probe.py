"""A classifier on embeddings or hidden states of a frozen model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from metapt_explore.baselines.heads import classify, probe_states
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.hidden_states import mean_over_tokens, text_hidden_states, text_passes
from metapt_explore.texts.rows import written_out


def linear_probe(inputs: BaselineInputs) -> BaselineOutcome:
    """Features of a sentence encoder or of the language model, and a classifier whose setting dev chooses."""
    of = inputs.options["of"]
    if of == "hidden_states":
        return probe_states(inputs, partial(text_hidden_states, inputs.backbone(), on_pass=inputs.on_pass))
    if of == "model":
        backbone = inputs.backbone()
        # Hidden states have no common scale; sentence embeddings have length 1.
        return classify(
            inputs, lambda texts: mean_hidden_states(backbone, written_out(texts), inputs.on_pass), standardised=True
        )
    encoder = load_encoder(inputs.study.encoder, inputs.device)
    return classify(inputs, lambda texts: encoder.embed(written_out(texts), lambda rows: inputs.on_pass()))


@torch.no_grad()
def mean_hidden_states(
    backbone: Backbone, texts: Sequence[str], on_pass: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Mean of a frozen language model's last hidden states over a text without template, fp32 `[rows, width]`.

    Args:
        backbone: The model; of an encoder-decoder the encoder is read.
        texts: The texts, cut to `max_text_tokens`.
        on_pass: Called after each pass; may raise to stop.
    """
    parts: dict[int, np.ndarray] = {}
    for chosen, output, rows in text_passes(backbone, texts, on_pass=on_pass):
        parts |= dict(zip(chosen, mean_over_tokens(output.last_hidden_state, rows).cpu().numpy(), strict=True))
    return np.stack([parts[row] for row in range(len(texts))])
