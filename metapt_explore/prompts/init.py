"""The initial vectors of a soft prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import InitConfig, LabelsConfig
from metapt_explore.config.init import DemonstrationsInit, LabelsInit, RandomInit, TextInit, VocabularyInit
from metapt_explore.errors import UserError
from metapt_explore.seeds import torch_stream

#: `vocabulary` samples from the first token ids, which are the commonest pieces
#: (Lester et al., EMNLP 2021, sample from the 5,000 commonest).
COMMONEST = 5_000
#: Placeholders of a vocabulary, which no text holds.
_UNUSED = re.compile(r"[\[<]unused|<unk_\d")


def label_words(labels: LabelsConfig) -> list[str]:
    """The label words as they are written behind the template, with the space in front that belongs to them.

    Example:
        >>> label_words(LabelsConfig(labels={"0": "bad", "1": "good"}))
        [' bad', ' good']
    """
    # As in `PatternVerbalizer`: no space where the template itself ends in one.
    space = "" if labels.template[-1:].isspace() else " "
    return [f"{space}{label.word}" for label in labels.labels.values()]


@dataclass(frozen=True)
class InitSources:
    """What an initial prompt can be made of.

    Attributes:
        embedding: The model's input embeddings, `[vocabulary, width]`.
        tokenizer: The model's tokenizer (labels, text).
        label_words: The label words, see the function of that name (labels).
        stored: A stored prompt, `[length, width]` (file, peft, artifact).
        as_prompt: Makes a prompt of token vectors (`Backbone.as_prompt`): with ``deep`` their keys and values.
        usual: The model's own vectors of the kind that a prompt has, `[vectors, width]`; `embedding` when None.
    """

    embedding: Tensor
    tokenizer: Any = None
    label_words: Sequence[str] = ()
    stored: Tensor | None = None
    as_prompt: Callable[[Tensor], Tensor] = lambda vectors: vectors
    usual: Tensor | None = None


def initial_prompt(
    init: InitConfig,
    length: int,
    sources: InitSources,
    *,
    seed: int,
    init_seed: int,
    on_notice: Callable[[str], None] = lambda message: None,
) -> Tensor:
    """Makes an initial prompt.

    Every method with the same `init_seed` begins from the same prompt. Only ``random``, ``vocabulary`` and the
    sampled rows of ``labels`` differ between initialisation seeds; every other kind is the same for all.

    ========================== =====================================================================
    kind                       the prompt's vectors
    ========================== =====================================================================
    random                     normal, with the mean and standard deviation of the model's embeddings
                               (vectors off that scale are a known trap)
    vocabulary                 embeddings of tokens drawn among the 5,000 commonest
    labels                     embeddings of the label words, the rest as for ``vocabulary``; a word of
                               several tokens is the mean of their embeddings
    demonstrations             as for ``vocabulary``; tuning puts each data seed's few-shot rows in front
                               (`fewshot/demonstrations.py`)
    text                       embeddings of the text's tokens (no special tokens), repeated from its
                               beginning or cut
    file, peft, artifact       the stored prompt
    ========================== =====================================================================

    A deep prompt begins as the keys and values that the model computes for these vectors, so that it does what a
    prompt of them in front of the text does; ``random`` draws each number as it varies over common tokens.

    Source: Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021 (random,
    sampled vocabulary, class labels); ``text`` repeats and cuts as PEFT's ``prompt_tuning_init="TEXT"``.

    Args:
        init: Kind of initialisation.
        length: Prompt tokens.
        sources: What the prompt is made of.
        seed: The study seed.
        init_seed: The initialisation seed.
        on_notice: Called with what a user should know: words or text that do not fit the prompt.

    Returns:
        fp32 `[length, width of the placement's prompts]` on the device of the embeddings.

    Raises:
        UserError: Where a text or word has no tokens, or the stored prompt has another shape.

    Example:
        >>> sources = InitSources(torch.eye(8))
        >>> initial_prompt(InitConfig(kind="vocabulary"), 4, sources, seed=0, init_seed=0).shape
        torch.Size([4, 8])
    """
    embedding = sources.embedding
    generator = torch_stream(seed, "prompt_start", _stream(init), init_seed)
    usual = embedding if sources.usual is None else sources.usual
    if isinstance(init, RandomInit):
        noise = torch.randn(length, usual.shape[1], generator=generator).to(embedding.device)
        values = usual.float()
        if sources.usual is not None:  # layers and heads differ in scale
            return noise * values.std(dim=0) + values.mean(dim=0)
        return noise * values.std() + values.mean()
    if isinstance(init, VocabularyInit | DemonstrationsInit):
        return sources.as_prompt(_sampled(length, sources, generator))
    if isinstance(init, LabelsInit):
        words = _label_rows(length, sources, on_notice)
        return sources.as_prompt(torch.cat([words, _sampled(length - len(words), sources, generator)]))
    if isinstance(init, TextInit):
        return sources.as_prompt(_text_rows(init.text, length, sources, on_notice=on_notice))
    expected, stored = (length, usual.shape[1]), sources.stored
    if stored is None or tuple(stored.shape) != expected:
        shape = "nothing" if stored is None else list(stored.shape)
        raise UserError(f"The initial prompt of `{init.kind}` must be a tensor {list(expected)}; found {shape}.")
    return stored.to(embedding.device, torch.float32, copy=True)


def _stream(init: InitConfig) -> str:
    """Name of the random stream; vectors that demonstrations leave free are those of ``vocabulary``."""
    return "vocabulary" if isinstance(init, DemonstrationsInit) else init.kind


def _sampled(rows: int, sources: InitSources, generator: torch.Generator) -> Tensor:
    embedding, tokenizer = sources.embedding, sources.tokenizer
    top = min(COMMONEST, len(embedding))
    pieces = tokenizer.convert_ids_to_tokens(list(range(top))) if tokenizer is not None else [""] * top
    # BERT's first thousand tokens are placeholders, whose vectors were never trained.
    used = torch.tensor([token for token, piece in enumerate(pieces) if not _UNUSED.match(str(piece))])
    tokens = used[torch.randint(0, len(used), (rows,), generator=generator)]
    return embedding[tokens.to(embedding.device)].float().clone()


def _label_rows(length: int, sources: InitSources, on_notice: Callable[[str], None]) -> Tensor:
    """The first `length` label words, one row each."""
    words = sources.label_words
    if len(words) > length:
        left_out = ", ".join(f"'{word.strip()}'" for word in words[length:])
        on_notice(
            f"The initial prompt holds {length} of {len(words)} label words, because prompt.length is {length}; "
            f"left out: {left_out}."
        )
    rows = [sources.embedding[_token_ids(word, sources)].float().mean(dim=0) for word in words[:length]]
    return torch.stack(rows)


def _text_rows(text: str, length: int, sources: InitSources, *, on_notice: Callable[[str], None]) -> Tensor:
    ids = _token_ids(text, sources)
    if len(ids) > length:
        on_notice(
            f"The text of the initial prompt is {len(ids)} tokens long and was cut to the first {length}, because "
            f"prompt.length is {length}; set it to {len(ids)} to keep the whole text."
        )
    return sources.embedding[ids[torch.arange(length, device=ids.device) % len(ids)]].float().clone()


def _token_ids(text: str, sources: InitSources) -> Tensor:
    ids = sources.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise UserError(f"The initial prompt's text or label word '{text}' has no tokens for this model.")
    return torch.tensor(ids, device=sources.embedding.device)
