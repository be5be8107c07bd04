"""What the prompt engine is compared with: an unmodified transformers model, whole sequences, one row at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.config.families import FAMILIES as FACTS
from metapt_explore.models.backbone import Prepared
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.decoders import attention
from metapt_explore.models.families import family_of
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.load import backbone_class
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: fp32 rounding over two layers: allowed difference as a share of the largest number …
SHARE = 1e-4
#: … and of numbers that are small because they are differences of numbers of size 1.
FLOOR = 1e-5
#: Texts are cut to so many tokens.
MAX_TEXT_TOKENS = 12
LABELS = LabelsConfig(template="so {text} Sentiment :", labels={"negative": "negative", "positive": "positive"})

#: Tiny models by name: a kind of `tiny.make_language_model`, and settings.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    # Four heads are wider than the model; the norm's epsilon is large enough to matter.
    "llama-wide-heads": ("llama", {"head_dim": 12, "rms_norm_eps": 0.01}),
    # Rotary frequencies and lengths are scaled.
    "llama-yarn": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10_000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "llama-own-keys": ("llama", {"num_key_value_heads": 4}),  # a key head for each query head
    "llama-biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {}),
    "gemma2": ("gemma2", {}),
    "gemma3": ("gemma3", {}),
    "gpt2": ("gpt2", {}),
    "gpt_neox": ("gpt_neox", {}),
    "t5": ("t5", {}),
    # T5 v1.1 and Flan-T5: a gated MLP, an output layer of its own.
    "t5-gated": ("t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 3}),
    "bart": ("bart", {}),
    "bert": ("bert", {}),
    "roberta": ("roberta", {}),
    "sentence": ("sentence", {}),
}
#: Those that the hand-written pass is for.
FUSED = ("llama", "llama-wide-heads", "llama-yarn", "llama-own-keys", "llama-biased", "mistral", "qwen2")
PLACEMENTS: tuple[Placement, ...] = ("suffix", "prefix", "deep")
#: Where other families than decoder-only ones put the prompt.
OTHER_PLACEMENTS: dict[str, tuple[Placement, ...]] = {
    "t5": ("encoder", "decoder"),
    "t5-gated": ("encoder", "decoder"),
    "bart": ("encoder", "decoder"),
    "bert": ("prefix",),
    "roberta": ("prefix",),
    "sentence": ("prefix",),
}
#: Every family in both placements and every way of running it: `(family, placement, decoder)`.
WAYS = [
    (family, placement, decoder)
    for family in FAMILIES
    for placement in OTHER_PLACEMENTS.get(family, PLACEMENTS)
    for decoder in (("plain", "fused") if family in FUSED else ("plain",))
]


def assert_near(ours: Tensor, theirs: Tensor, share: float = SHARE, floor: float = FLOOR) -> None:
    """Fails where two tensors differ by more than a share of the largest number (and a floor)."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    difference, size = float((ours - theirs).abs().max()), float(theirs.abs().max())
    assert difference <= floor + share * size, f"they differ by {difference:.2g} where the largest is {size:.2g}"


def make_backbone(
    folder: Path, placement: Placement = "suffix", decoder: str = "fused", dtype: str = "float32", **config: Any
) -> Any:
    """A backbone over the model in a folder, not checked against it; `fused` where there is such a decoder.

    The tokenizer is made by hand: for some families AutoTokenizer ignores which one lies in the folder.
    """
    settings = ModelConfig(
        **{"name": str(folder), "dtype": dtype, "device": "cpu", "max_text_tokens": MAX_TEXT_TOKENS, **config}
    )
    kind = family_of(folder, settings)
    own_attention = {"attn_implementation": attention.register()} if kind == "causal" else {}
    auto_class = getattr(transformers, FACTS[kind].auto_class)
    model = auto_class.from_pretrained(folder, dtype=getattr(torch, dtype), **own_attention)
    words = tiny.tokenizer({"sentence": "sentence", "causal": "llama"}.get(kind, model.config.model_type))
    if kind != "causal":
        placement = placement if placement in FACTS[kind].placements else FACTS[kind].placements[0]
        return backbone_class(kind)(model, words, settings, placement=placement)
    backbone = CausalBackbone(model, words, settings, placement=placement)
    if decoder == "plain":
        backbone.fast = backbone.plain
    return backbone


def unmodified(folder: Path) -> torch.nn.Module:
    """The same model as transformers loads it, with eager attention."""
    auto_class = getattr(transformers, FACTS[family_of(folder, ModelConfig(name=str(folder)))].auto_class)
    model = auto_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    return model.eval().requires_grad_(False)


def ids_of_token(words: Any, *tokens: str) -> list[int]:
    """Ids of special tokens."""
    return [int(words.convert_tokens_to_ids(token)) for token in tokens]


def texts_of(lengths: Sequence[int]) -> list[str]:
    """Texts of these numbers of tokens, all different."""
    rng = random.Random(len(lengths))
    return [" ".join(rng.choices(tiny.WORDS[20:80], k=length)) for length in lengths]


@dataclass
class Case:
    """Texts with classes under stacked prompts, and both ways of scoring them.

    Attributes:
        backbone: The engine under test.
        texts: The rows.
        prompts: `[groups, prompt_tokens, width]`.
        batch: Which rows, under which prompts, of which classes.
        labels: Template and label words.
    """

    backbone: CausalBackbone
    texts: list[str]
    prompts: Tensor
    batch: Batch
    labels: LabelsConfig = LABELS

    @property
    def pattern(self) -> PatternVerbalizer:
        """Tokenised template and label words."""
        return self.backbone.pattern(self.labels, "test")

    def objective(self) -> PromptObjective:
        """A fresh objective over the texts."""
        return PromptObjective(self.backbone, self.backbone.bank(self.texts, self.pattern), self.pattern)

    def prepared(self) -> Prepared:
        """The batch's rows, ready for `class_scores`."""
        bank = self.backbone.bank(self.texts, self.pattern)
        return self.backbone.prepared(bank, self.batch.rows, self.pattern, prompt_tokens=self.prompts.shape[1])

    def class_scores(self) -> Tensor:
        """Scores of the batch by the engine."""
        groups = torch.tensor(self.batch.groups)
        return self.backbone.class_scores(self.prompts, groups, self.prepared(), pattern=self.pattern)

    def plain_scores(self, model: Any, prompt: Tensor, text: str) -> Tensor:
        """Scores of one text under one prompt by an unmodified model, full sequence and full head."""
        words = self.backbone.tokenizer
        if self.backbone.has_vocabulary:
            labels = [words(word, add_special_tokens=False)["input_ids"][0] for word in ("negative", "positive")]
            return self.plain_vocabulary(model, prompt, text)[0, labels]
        # A sentence encoder: similarity with the classes' words.
        row = [*ids_of_token(words, "[CLS]"), *self._ids("so", text, "Sentiment :"), *ids_of_token(words, "[SEP]")]
        whole = torch.cat([prompt, model.get_input_embeddings()(torch.tensor(row))])[None]
        vector = F.normalize(model(inputs_embeds=whole).last_hidden_state[0, len(prompt) :].mean(0), dim=0)
        described = []
        for name in ("negative", "positive"):
            ids = torch.tensor(ids_of_token(words, "[CLS]", name, "[SEP]"))
            described.append(F.normalize(model(input_ids=ids[None]).last_hidden_state[0].mean(0), dim=0))
        return 20 * torch.stack(described) @ vector

    def _ids(self, *parts: str) -> list[int]:
        """Token ids of text between pieces of the template, cut as texts are."""
        tokenizer = self.backbone.tokenizer
        return [
            token
            for part in parts
            for token in tokenizer(part, add_special_tokens=False)["input_ids"][:MAX_TEXT_TOKENS]
        ]

    def plain_vocabulary(
        self,
        model: Any,
        prompt: Tensor,
        text: str,
        behind: Sequence[int] = (),
        pieces: tuple[str, str] = ("so", "Sentiment :"),
    ) -> Tensor:
        """Logits of the whole vocabulary where the answer stands, written by hand for the template of `LABELS`.

        Args:
            model: An unmodified model.
            prompt: One prompt.
            text: One text.
            behind: The first tokens of the answer; for a masked model more masks.
            pieces: What the template puts in front of the text and behind it.

        Returns:
            `[1, vocabulary]`; for a masked model a row for each mask.
        """
        kind, words, placement = model.config.model_type, self.backbone.tokenizer, self.backbone.placement
        embed = model.get_input_embeddings()
        front, row, tail = self._ids(pieces[0]), self._ids(text), self._ids(pieces[1])
        if isinstance(self.backbone, CausalBackbone):
            if placement == "deep":
                ids = torch.tensor([[*front, *row, *tail, *behind]])
                return model(input_ids=ids, past_key_values=keys_in_front(prompt, model)).logits[0, -1:]
            before, after = embed(torch.tensor([*front, *row])), embed(torch.tensor([*tail, *behind]))
            order = [before, prompt, after] if placement == "suffix" else [prompt, before, after]
            return model(inputs_embeds=torch.cat(order)[None], use_cache=False).logits[0, -1:]
        row = [*front, *row, *tail]
        if kind in ("t5", "bart"):
            answer = ids_of_token(words, "<extra_id_0>") if kind == "t5" else []
            row = [*(ids_of_token(words, "<s>") if kind == "bart" else []), *row, *answer, *ids_of_token(words, "</s>")]
            written = [0, *answer] if kind == "t5" else ids_of_token(words, "</s>", "<s>")
            inside = model.get_encoder().embed_tokens(torch.tensor(row))
            output = model.get_decoder().embed_tokens(torch.tensor([*written, *behind]))
            if placement == "encoder":
                inside = torch.cat([prompt, inside])
            else:
                output = torch.cat([prompt, output])
            return model(inputs_embeds=inside[None], decoder_inputs_embeds=output[None], use_cache=False).logits[0, -1:]
        first, mask, last = {"bert": ("[CLS]", "[MASK]", "[SEP]"), "roberta": ("<s>", "<mask>", "</s>")}[kind]
        masks = [*ids_of_token(words, mask), *behind]
        whole = [*ids_of_token(words, first), *row, *masks, *ids_of_token(words, last)]
        logits = model(inputs_embeds=torch.cat([prompt, embed(torch.tensor(whole))])[None]).logits[0]
        return logits[-1 - len(masks) : -1]

    def plain_losses(self, model: torch.nn.Module, prompts: Tensor) -> Tensor:
        """Mean cross-entropy of each group by an unmodified model, in a loop over groups and rows."""
        losses = []
        for group, prompt in enumerate(prompts):
            own = [place for place, of in enumerate(self.batch.groups) if of == group]
            scores = [self.plain_scores(model, prompt, self.texts[self.batch.rows[place]]) for place in own]
            labels = torch.tensor([self.batch.labels[place] for place in own])
            losses.append(F.cross_entropy(torch.stack(scores), labels) if own else prompt.new_zeros(()))
        return torch.stack(losses)


def keys_in_front(prompt: Tensor, model: Any) -> Any:
    """A deep prompt `[prompt_tokens, width]` as transformers' cache: of each layer the keys, then the values."""
    cache, layers = transformers.DynamicCache(config=model.config), model.config.num_hidden_layers
    for layer, numbers in enumerate(prompt.chunk(layers, dim=1)):
        key, value = (half.unflatten(1, (-1, head_dim(model))).transpose(0, 1)[None] for half in numbers.chunk(2, 1))
        cache.update(key, value, layer)
    return cache


def head_dim(model: Any) -> int:
    """Width of a head."""
    return int(getattr(model.config, "head_dim", None) or model.config.hidden_size // model.config.num_attention_heads)


def make_case(
    backbone: CausalBackbone, lengths: Sequence[int], groups: int, rows: int, prompt_tokens: int = 3, seed: int = 0
) -> Case:
    """A random case: prompts at the scale of the vocabulary, rows that may repeat, groups that may be empty."""
    generator = torch.Generator().manual_seed(seed)
    scale = float(backbone.embedding.float().std())
    prompts = scale * torch.randn(groups, prompt_tokens, backbone.width, generator=generator)

    def draw(number: int) -> list[int]:
        return torch.randint(0, number, (rows,), generator=generator).tolist()

    return Case(backbone, texts_of(lengths), prompts, Batch(draw(len(lengths)), draw(groups), draw(2)))
