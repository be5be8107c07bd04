"""Where a soft prompt begins."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import InitConfig, LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.seeds import torch_stream

#: Vocabulary starts are sampled from the first token ids, which are the commonest pieces
#: (Lester et al., EMNLP 2021, sample from the 5,000 commonest).
COMMONEST = 5_000
#: Pieces that stand in a vocabulary and in no text.
_UNUSED = re.compile(r"[\[<]unused|<unk_\d")


def label_words(labels: LabelsConfig) -> list[str]:
    """The label words as they are written behind the template, with the space in front that belongs to them.

    Example:
        >>> label_words(LabelsConfig(labels={"0": "bad", "1": "good"}))
        [' bad', ' good']
    """
    # As the pattern does: where the template itself ends in a space, the word has none of its own.
    space = "" if labels.template[-1:].isspace() else " "
    return [f"{space}{label.word}" for label in labels.labels.values()]


def initial_prompt(
    init: InitConfig,
    length: int,
    embedding: Tensor,
    seed: int,
    init_seed: int,
    *,
    tokenizer: Any = None,
    label_words: Sequence[str] = (),
    given: Tensor | None = None,
    on_notice: Callable[[str], None] = lambda message: None,
) -> Tensor:
    """Makes a prompt to start from.

    Every method with the same `init_seed` begins from the same start. Only ``random``, ``vocabulary`` and
    the sampled rows of ``labels`` differ between initialisation seeds; every other start is the same for all.

    ========================== =====================================================================
    kind                       the prompt's vectors
    ========================== =====================================================================
    random                     normal, with the mean and standard deviation of the model's embeddings
                               (a start off that scale is a known trap)
    vocabulary                 embeddings of tokens drawn among the 5,000 commonest
    labels                     embeddings of the label words, the rest as for ``vocabulary``; a word of
                               several tokens is the mean of their embeddings
    text                       embeddings of the text's tokens (no special tokens), repeated from its
                               beginning or cut
    file, peft, artifact       `given`
    ========================== =====================================================================

    Source: Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021 (random,
    sampled vocabulary, class labels); the text start repeats and cuts as PEFT's ``prompt_tuning_init="TEXT"``.

    Args:
        init: Which start.
        length: Prompt tokens.
        embedding: The model's input embeddings, `[vocabulary, width]`.
        seed: The study seed.
        init_seed: The initialisation seed.
        tokenizer: The model's tokenizer (labels, text).
        label_words: The label words, see the function of that name (labels).
        given: The stored prompt, `[length, width]` (file, peft, artifact).
        on_notice: Called with what a user should know: words or text that do not fit the prompt.

    Returns:
        fp32 `[length, width]` on the device of the embeddings.

    Raises:
        UserError: Where a text or word has no tokens, or the stored prompt has another shape.

    Example:
        >>> initial_prompt(InitConfig(kind="vocabulary"), 4, torch.eye(8), seed=0, init_seed=0).shape
        torch.Size([4, 8])
    """
    generator = torch_stream(seed, "prompt_start", init.kind, init_seed)
    if init.kind == "random":
        noise = torch.randn(length, embedding.shape[1], generator=generator).to(embedding.device)
        values = embedding.float()
        return noise * values.std() + values.mean()
    if init.kind == "vocabulary":
        return _sampled(length, embedding, generator, tokenizer)
    if init.kind == "labels":
        words = _words(label_words, length, embedding, tokenizer, on_notice)
        return torch.cat([words, _sampled(length - len(words), embedding, generator, tokenizer)])
    if init.kind == "text":
        return _text(init.text or "", length, embedding, tokenizer, on_notice)
    expected = (length, embedding.shape[1])
    if given is None or tuple(given.shape) != expected:
        found = "nothing" if given is None else list(given.shape)
        raise UserError(f"The start '{init.kind}' must be a tensor {list(expected)}; found {found}.")
    return given.to(embedding.device, torch.float32, copy=True)


def _sampled(rows: int, embedding: Tensor, generator: torch.Generator, tokenizer: Any) -> Tensor:
    top = min(COMMONEST, len(embedding))
    pieces = tokenizer.convert_ids_to_tokens(list(range(top))) if tokenizer is not None else [""] * top
    # BERT keeps its first thousand places free; nothing was ever learned for them.
    used = torch.tensor([place for place, piece in enumerate(pieces) if not _UNUSED.match(str(piece))])
    tokens = used[torch.randint(0, len(used), (rows,), generator=generator)]
    return embedding[tokens.to(embedding.device)].float().clone()


def _words(
    words: Sequence[str], length: int, embedding: Tensor, tokenizer: Any, on_notice: Callable[[str], None]
) -> Tensor:
    """The first `length` words, one row each."""
    if len(words) > length:
        left_out = ", ".join(f"'{word.strip()}'" for word in words[length:])
        on_notice(
            f"The start holds {length} of {len(words)} label words, because prompt.length is {length}; "
            f"left out: {left_out}."
        )
    rows = [embedding[_ids(tokenizer, word, embedding)].float().mean(dim=0) for word in words[:length]]
    return torch.stack(rows)


def _text(text: str, length: int, embedding: Tensor, tokenizer: Any, on_notice: Callable[[str], None]) -> Tensor:
    ids = _ids(tokenizer, text, embedding)
    if len(ids) > length:
        on_notice(
            f"The start's text is {len(ids)} tokens long and was cut to the first {length}, because prompt.length is "
            f"{length}; set it to {len(ids)} to keep the whole text."
        )
    return embedding[ids[torch.arange(length, device=ids.device) % len(ids)]].float().clone()


def _ids(tokenizer: Any, text: str, embedding: Tensor) -> Tensor:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise UserError(f"The start's text or label word '{text}' has no tokens for this model; choose another.")
    return torch.tensor(ids, device=embedding.device)
