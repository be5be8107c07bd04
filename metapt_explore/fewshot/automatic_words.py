"""Label words chosen by the model: words that it says more often about one class than about the others.

PETAL: Schick, Schmid & Schütze, "Automatically Identifying Words That Can Serve as Labels for Few-Shot Text
Classification", COLING 2020 (arXiv 2010.13641), its likelihood ratio with balanced classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.scoring import answer_states
from metapt_explore.verbalizers.pattern import space_writer

#: Candidates are the tokens that the model finds likeliest on average, so many of them, as in the paper's code.
LIKELIEST = 10_000
#: Letters of a word, at least.
SHORTEST = 3


def with_automatic_words(
    labels: LabelsConfig, backbone: Backbone, rows: LabelledTexts, *, words_per_class: int, where: str
) -> LabelsConfig:
    """Replaces label words by ones chosen on labelled rows, which are read without a prompt.

    Reading them without a prompt gives every method that is compared the same words.

    Args:
        labels: Template and classes; their words are not looked at.
        backbone: The frozen model.
        rows: Few-shot training rows, never dev or test rows.
        words_per_class: Words to choose for each class.
        where: What to call the configuration in messages.

    Raises:
        UserError: Where the model has no vocabulary to choose from, or it is too small.
    """
    if not backbone.has_vocabulary:
        raise UserError(
            f"{where}: automatic label words need a language model; a sentence encoder has no words to choose from. "
            "Use `verbalizer: {read: words}`, `prototypes` or `mixed`."
        )
    pattern = backbone.pattern(labels, where)
    bank = backbone.bank(rows.texts, pattern)
    none = torch.zeros(1, 0, backbone.width, device=backbone.device)
    with torch.no_grad():
        hidden = answer_states(backbone, none, bank, pattern=pattern)[0]
        logs = torch.cat(
            [
                backbone.head.vocabulary(part.to(backbone.device, backbone.dtype)).cpu()
                for part in torch.split(hidden, 8)
            ]
        )
    spaced = backbone.layout.spaced(labels.template)
    words = word_tokens(backbone.tokenizer, spaced=spaced, vocabulary=logs.shape[1])
    chosen = likeliest_words(
        logs.log_softmax(-1), rows.labels, list(words), count=len(labels.labels), per_class=words_per_class
    )
    replaced = {
        name: label.model_copy(update={"words": [words[token] for token in tokens]})
        for (name, label), tokens in zip(labels.labels.items(), chosen, strict=True)
    }
    return labels.model_copy(update={"labels": replaced})


def word_tokens(tokenizer: object, *, spaced: bool, vocabulary: int) -> dict[int, str]:
    """Tokens that are whole words: written out and tokenised again they are themselves.

    Args:
        tokenizer: A transformers tokenizer.
        spaced: Whether label words follow a space.
        vocabulary: Number of the model's output tokens.
    """
    known = sorted(token for token in tokenizer.get_vocab().values() if token < vocabulary)  # type: ignore[attr-defined]
    written = [text.strip() for text in tokenizer.batch_decode([[token] for token in known])]  # type: ignore[attr-defined]
    likely = [
        (token, text)
        for token, text in zip(known, written, strict=True)
        if len(text) >= SHORTEST and text.isalpha() and text == text.lower()
    ]
    if not likely:
        return {}
    after_space = space_writer(tokenizer)
    texts = [after_space(text) if spaced else text for _, text in likely]
    back = tokenizer(texts, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    return {token: text for (token, text), ids in zip(likely, back, strict=True) if list(ids) == [token]}


def likeliest_words(
    log_probabilities: Tensor, classes: Sequence[int], candidates: Sequence[int], *, count: int, per_class: int
) -> list[list[int]]:
    """Chooses tokens by likelihood ratio.

    A token's score for a class is the mean log-odds over the rows of the class minus the mean over the others. Classes
    choose in turns, so that a token which suits two goes to the one that it suits more at that turn.

    Args:
        log_probabilities: `[rows, vocabulary]`.
        classes: Class index of each row.
        candidates: Tokens to choose from.
        count: Number of classes.
        per_class: Tokens for each class.

    Raises:
        UserError: Where there are fewer candidates than words to choose.

    Example:
        >>> odds = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]).log()
        >>> likeliest_words(odds, [0, 1], [0, 1, 2], count=2, per_class=1)
        [[0], [1]]
    """
    if len(candidates) < count * per_class:
        raise UserError(
            f"The model's vocabulary holds {len(candidates)} whole words, too few for {per_class} automatic ones for "
            f"each of {count} classes; lower verbalizer.automatic_words."
        )
    logs = log_probabilities[:, list(candidates)].double()
    likeliest = logs.mean(0).argsort(descending=True, stable=True)[: max(LIKELIEST, count * per_class)]
    logs = logs[:, likeliest]
    odds = logs - torch.log1p(-logs.exp().clamp(max=1 - 1e-9))
    members = torch.tensor(list(classes))
    scores = torch.stack([odds[members == cls].mean(0) - odds[members != cls].mean(0) for cls in range(count)])
    chosen: list[list[int]] = [[] for _ in range(count)]
    for _ in range(per_class):
        open_classes = set(range(count))
        while open_classes:
            # The clearest choice first.
            waiting = sorted(open_classes)
            row, token = divmod(int(scores[waiting].argmax()), scores.shape[1])
            chosen[waiting[row]].append(int(candidates[int(likeliest[token])]))
            scores[:, token] = float("-inf")
            open_classes.remove(waiting[row])
    return chosen
