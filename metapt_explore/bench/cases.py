"""What is measured: one training step in each placement, a meta-step, a few-shot grid, scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metapt_explore.bench.peft_reference import PeftReference
from metapt_explore.config import LabelsConfig, MAMLMethod, ModelConfig, Placement, PretrainingConfig
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.folder import model_folder
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.kv_cache.banks import Bank
from metapt_explore.models.load import load_backbone
from metapt_explore.models.scoring import score_all
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.maml import MAML
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: A template whose tail is two tokens for most vocabularies.
LABELS = LabelsConfig.model_validate({"template": "{text} It was", "labels": {"bad": "bad", "good": "good"}})
INNER_LR = 0.03
#: What is measured where no model is named.
MODEL = "smollm2-135m"


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: Short name, for `--only`.
        kind: ``step``, ``meta``, ``grid`` or ``score``.
        placement: Of ours; PEFT always has the prompt first (and for ``deep`` its prefix tuning).
        prompt_tokens: P.
        text_tokens: L.
        rows: B, rows of a step (of each task's support, and of its query, for ``meta``).
        target: Ratio to reach against the full head; None where none was set.
        ceiling: Ratio of arithmetic at equal efficiency.
        cold: Whether texts are encoded within the measured time.
        groups: Tasks of a meta-step, seeds of a grid, prompts of a scoring.
        share_target: Share of the machine's matrix peak to reach.
    """

    name: str
    kind: str
    placement: Placement
    prompt_tokens: int
    text_tokens: int
    rows: int
    target: float | None = None
    ceiling: float | None = None
    cold: bool = False
    groups: int = 1
    share_target: float | None = None

    @property
    def title(self) -> str:
        """As the table writes it."""
        tail = " + 2" if self.placement == "suffix" else ""
        shape = f"P {self.prompt_tokens}{tail}, L {self.text_tokens}, B {self.rows}"
        states = "" if self.placement != "suffix" else ", cold" if self.cold else ", warm"
        what = {
            "step": f"{self.placement} step",
            "meta": f"meta-step, {self.groups} tasks × ({self.rows} + {self.rows}), {self.placement}",
            "grid": f"few-shot grid, {self.groups} seeds at once, {self.placement}",
            "score": f"scoring under {self.groups} prompts, {self.placement}",
        }[self.kind]
        return f"{what}, {shape}{states}"


CASES = (
    Case("prefix-20", "step", "prefix", 20, 48, 16, 1.5, 1.7, share_target=0.5),
    Case("prefix-100", "step", "prefix", 100, 48, 16, 2.8, 3.4, share_target=0.5),
    Case("deep-20", "step", "deep", 20, 48, 16),
    Case("deep-100", "step", "deep", 100, 48, 16),
    Case("suffix-32", "step", "suffix", 8, 32, 16, None, 5.3, share_target=0.45),
    Case("suffix-48", "step", "suffix", 8, 48, 16, 8.0, 7.3, share_target=0.45),
    Case("suffix-256", "step", "suffix", 8, 256, 16, 28.0, 33.0, share_target=0.45),
    Case("suffix-48-b64", "step", "suffix", 8, 48, 64, None, 7.3, share_target=0.5),
    Case("meta-warm", "meta", "suffix", 8, 48, 16, 7.0, 7.3, groups=4),
    Case("meta-cold", "meta", "suffix", 8, 48, 16, 2.0, 2.2, cold=True, groups=4),
    Case("grid", "grid", "suffix", 8, 48, 16, 6.0, None, groups=10),
    Case("score", "score", "suffix", 8, 48, 128, 6.0, 5.0, cold=True, groups=10),
)


@dataclass
class Sides:
    """Two ways of doing the same work.

    Attributes:
        backbone: Ours.
        ours: Ours.
        theirs: PEFT's, perhaps of fewer rows.
        ours_rows: Rows of one run of ours.
        theirs_rows: Rows of one run of theirs.
        tokens: Tokens that ours sends forward and backward through the layers in one run.
        in_turn: Ours, one group after another, where that is compared as well.
    """

    backbone: CausalBackbone
    ours: Callable[[], object]
    theirs: Callable[[], object]
    ours_rows: int
    theirs_rows: int
    tokens: int
    in_turn: Callable[[], object] | None = None


class Bench:
    """Loads the model once for each placement and text length, and builds the sides of a case.

    Args:
        model: Name of the language model.
        dtype: ``auto``, ``float32`` or ``bfloat16``.
        device: ``auto`` or a torch device.
        full_head: See `PeftReference`.
    """

    def __init__(
        self, model: str = MODEL, *, dtype: str = "auto", device: str = "auto", full_head: bool = True
    ) -> None:
        self.model, self.dtype_name, self.device_name, self.full_head = model, dtype, device, full_head
        self._backbones: dict[Placement, CausalBackbone] = {}
        self._peft: dict[tuple[int, ...], PeftReference] = {}

    def backbone(self, case: Case) -> CausalBackbone:
        """Ours, with texts cut to the case's length."""
        config = ModelConfig.model_validate({"name": self.model, "dtype": self.dtype_name, "device": self.device_name})
        if case.placement not in self._backbones:
            loaded = load_backbone(config, case.placement)
            assert isinstance(loaded, CausalBackbone)
            self._backbones[case.placement] = loaded
        backbone = self._backbones[case.placement]
        backbone.config = backbone.layout.config = config.model_copy(update={"max_text_tokens": case.text_tokens})
        backbone.forget_texts()
        return backbone

    def peft_reference(self, backbone: CausalBackbone, prompt: Tensor, pattern: PatternVerbalizer) -> PeftReference:
        """Theirs, with the same weights and prompt."""
        shape = tuple(prompt.shape)
        if shape not in self._peft:
            self._peft.clear()
            words = torch.tensor(pattern.words, device=backbone.device)
            folder = model_folder(self.model)
            self._peft[shape] = PeftReference(
                folder,
                prompt,
                words,
                dtype=backbone.dtype,
                device=backbone.device,
                full_head=self.full_head,
                deep=backbone.placement == "deep",
            )
        return self._peft[shape]

    def sides(self, case: Case) -> Sides:
        """The two ways of doing a case."""
        backbone = self.backbone(case)
        pattern = backbone.pattern(LABELS, "benchmark")
        rows = case.rows * (2 * case.groups if case.kind == "meta" else case.groups if case.kind == "grid" else 1)
        texts = random_texts(backbone, rows, case.text_tokens)
        prompt = initial_prompt(backbone, case.prompt_tokens)
        bank = backbone.bank(texts, pattern)
        ids = torch.tensor(
            [list(row) + (list(pattern.tail) if case.placement == "suffix" else []) for row in bank.token_ids]
        )
        work = _Work(case, backbone, bank, pattern, prompt, ids.to(backbone.device), texts)
        return {"step": _step, "meta": _meta, "grid": _grid, "score": _score}[case.kind](
            work, self.peft_reference(backbone, prompt, pattern)
        )


@dataclass
class _Work:
    case: Case
    backbone: CausalBackbone
    bank: Bank
    pattern: PatternVerbalizer
    prompt: Tensor
    token_ids: Tensor
    texts: list[str]

    def labels(self, rows: int) -> Tensor:
        return torch.arange(rows, device=self.backbone.device) % 2

    def fresh_bank(self) -> Bank:
        """A bank of the same texts that has encoded nothing."""
        self.backbone.forget_texts()
        return self.backbone.bank(self.texts, self.pattern)

    def tokens(self, rows: int, groups: int = 1) -> int:
        """Tokens of one forward and backward pass of ours."""
        case = self.case
        if case.placement == "deep":
            return rows * len(self.bank.token_ids[0])
        if case.placement == "prefix":
            return groups * case.prompt_tokens + rows * len(self.bank.token_ids[0])
        return rows * (case.prompt_tokens + len(self.pattern.tail))


def initial_prompt(backbone: CausalBackbone, prompt_tokens: int) -> Tensor:
    """Embeddings of common tokens as a prompt, `[prompt_tokens, width]`."""
    first = min(200, backbone.embedding.shape[0] - prompt_tokens)
    return backbone.as_prompt(backbone.embedding[first : first + prompt_tokens].float())


def random_texts(backbone: CausalBackbone, rows: int, tokens: int) -> list[str]:
    """Texts of at least so many tokens; they are cut to exactly so many."""
    generator = torch.Generator().manual_seed(0)
    top = min(20_000, backbone.embedding.shape[0])
    ids = torch.randint(min(1000, top // 2), top, (rows, 3 * tokens + 8), generator=generator)
    return [backbone.tokenizer.decode(row) for row in ids]


def _step(work: _Work, peft_reference: PeftReference) -> Sides:
    rows = work.case.rows
    labels = work.labels(rows)
    objective = PromptObjective(work.backbone, work.bank, work.pattern)
    batch = Batch(range(rows), [0] * rows, labels.tolist())
    return Sides(
        work.backbone,
        lambda: objective.losses_and_gradients(work.prompt[None], batch),
        lambda: peft_reference.step(work.token_ids, labels),
        rows,
        rows,
        work.tokens(rows),
    )


def _meta(work: _Work, peft_reference: PeftReference) -> Sides:
    case, rows = work.case, work.case.rows
    labels = work.labels(rows)
    parts = [list(range(i * rows, (i + 1) * rows)) for i in range(2 * case.groups)]
    truth = [labels.tolist()] * case.groups
    episode = Episode(list(range(case.groups)), parts[: case.groups], parts[case.groups :], truth, truth)
    config = PretrainingConfig(
        meta_batch_size=case.groups, support_size=rows, query_size=rows, inner_lr=INNER_LR, steps=1
    )
    method = MAMLMethod(name="bench", kind="metapt", clustering="bench")
    learner = MAML(PretrainingTask({}, config, method, 0, 0))
    objective = PromptObjective(work.backbone, work.bank, work.pattern)
    objective.losses = lambda prompts, *_, **__: torch.zeros(len(prompts))  # type: ignore[method-assign]  # diagnostics

    def ours() -> object:
        if case.cold:
            objective.bank = work.fresh_bank()
        return learner.gradient({"prompt": work.prompt}, episode, objective)

    sets = [(work.token_ids[part], labels) for part in parts]
    total = 2 * rows * case.groups
    return Sides(
        work.backbone,
        ours,
        lambda: peft_reference.meta_step(sets[: case.groups], sets[case.groups :], INNER_LR),
        total,
        total,
        work.tokens(total),
    )


def _grid(work: _Work, peft_reference: PeftReference) -> Sides:
    """A tuning step of every seed; theirs is one seed's step, as all seeds cost the same."""
    case, rows = work.case, work.case.rows
    labels = work.labels(rows)
    objective = PromptObjective(work.backbone, work.bank, work.pattern)
    prompts = work.prompt.expand(case.groups, -1, -1)
    everyone = range(rows * case.groups)
    batch = Batch(everyone, [row // rows for row in everyone], labels.tolist() * case.groups)
    single = [Batch(list(everyone)[i * rows : (i + 1) * rows], [0] * rows, labels.tolist()) for i in range(case.groups)]

    def in_turn() -> None:
        for part in single:
            objective.losses_and_gradients(work.prompt[None], part)

    return Sides(
        work.backbone,
        lambda: objective.losses_and_gradients(prompts, batch),
        lambda: peft_reference.step(work.token_ids[:rows], labels),
        rows * case.groups,
        rows,
        work.tokens(rows * case.groups),
        in_turn,
    )


def _score(work: _Work, peft_reference: PeftReference) -> Sides:
    """Rows under several prompts, texts not yet encoded; theirs is a quarter of the rows under one prompt."""
    case = work.case
    prompts = work.prompt.expand(case.groups, -1, -1)
    few = work.token_ids[: max(1, case.rows // 4)]

    def theirs() -> Tensor:
        with torch.no_grad():
            return peft_reference.scores(few)

    # Forward only, and each text once: half of what a training pass over these tokens would do.
    encoded = case.rows * case.text_tokens
    return Sides(
        work.backbone,
        lambda: score_all(work.backbone, prompts, work.fresh_bank(), pattern=work.pattern),
        theirs,
        case.rows * case.groups,
        len(few),
        (encoded + work.tokens(case.rows * case.groups)) // 2,
    )
