"""Classifies texts with an exported prompt, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from metapt_explore.errors import UserError, library_errors
from metapt_explore.export.facts import PromptFacts
from metapt_explore.prompts.exported_files import PROBE_FILE, PROMPT_FILE
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone

Calibration = Literal["none", "batch_mean", "content_free"]
CONTENT_FREE = ("N/A", "nothing", "...")


@dataclass(frozen=True)
class Prediction:
    """The prediction for a text.

    Attributes:
        label: The most probable class; None for a blank text.
        probabilities: Of each class.
    """

    label: str | None
    probabilities: dict[str, float]


class Classifier:
    """An exported prompt with its model.

    Args:
        folder: What `export_prompt` wrote.
        calibration: ``none``; ``content_free``: takes off what the model says of texts that say nothing;
            ``batch_mean``: takes off what it says of each batch on average, for classes that are about equally common;
            what the study did when absent.
        model: Another name or folder of the same model, where it lies elsewhere on this machine.
        device: Where the model runs.
        dtype: Its number format.
        backbone: The model, where it is in memory; the three above are not looked at then.

    Raises:
        UserError: Where the folder holds no prompt, or the model cannot be found or is another one; or where scores are
            to be calibrated that come of a probe as well.

    Example:
        >>> classifier = Classifier(Path("exported"))  # doctest: +SKIP
        >>> [found.label for found in classifier.classify(["what a film", "never again"])]  # doctest: +SKIP
        ['positive', 'negative']
    """

    def __init__(
        self,
        folder: Path,
        calibration: Calibration | None = None,
        *,
        model: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        backbone: Backbone | None = None,
    ) -> None:
        from metapt_explore.models.folder import content_hash, model_folder
        from metapt_explore.models.load import load_backbone
        from metapt_explore.prompts.load import find_tensor

        self.facts = PromptFacts.load(folder)
        changes: dict[str, Any] = {"device": device, "dtype": dtype, **({"name": model} if model else {})}
        config = self.facts.model_config(**changes) if backbone is None else backbone.config
        self.notes: list[str] = []
        if content_hash(model_folder(config.name, config.revision)) != self.facts.model_hash:
            self.notes.append(f"The files of the model '{config.name}' are not those that the prompt was made for.")
        stored = find_tensor(folder / PROMPT_FILE, "prompt", "prompt")
        stored.check_fits(self.facts.tokens, self.facts.width)
        stored.read()  # before loading the model, which is slow
        self.backbone = backbone or load_backbone(
            config, self.facts.placement, on_notice=self.notes.append, prompt_tokens=self.facts.tokens
        )
        stored.check_fits(self.facts.tokens, self.backbone.width)
        self.prompt = stored.read(self.backbone.usual_vectors).to(self.backbone.device)
        labels = self.facts.labels_config
        self.pattern = self.backbone.pattern(
            labels, str(folder), whole_vocabulary=self.facts.decode == "whole_vocabulary"
        )
        self.classes = list(labels.labels)
        calibration = calibration or cast(Calibration, self.facts.calibration)
        if self.facts.decode == "whole_vocabulary" and calibration != "none":
            raise UserError(
                "Calibration goes with label words that compete with one another, not with `decode: whole_vocabulary`."
            )
        if self.facts.probe is not None and calibration != "none":
            raise UserError("Calibration goes with label words alone; these are read beside a probe.")
        self.calibration: str = calibration
        self._weights, self._probe = _probe(folder, self.facts)
        self._nothing: Any = None

    def classify(self, texts: Iterable[TextInput], batch: int = 64) -> Iterator[Prediction]:
        """Classifies texts one after the other.

        Args:
            texts: Texts, or pairs of texts; a blank one gets no label.
            batch: How many are looked at together.

        Yields:
            One prediction a text, in their order.
        """
        stream = iter(texts)
        while rows := list(islice(stream, batch)):
            yield from self._batch(rows)

    def _batch(self, rows: list[TextInput]) -> Iterator[Prediction]:
        filled = [row for row in rows if (row if isinstance(row, str) else " ".join(row)).strip()]
        probabilities = iter(self._probabilities(filled)) if filled else iter(())
        for row in rows:
            if not (row if isinstance(row, str) else " ".join(row)).strip():
                yield Prediction(None, {})
                continue
            shares = dict(zip(self.classes, next(probabilities), strict=False))
            yield Prediction(max(shares, key=lambda name: shares[name]), shares)

    def _probabilities(self, rows: list[TextInput]) -> list[list[float]]:
        from metapt_explore.models.scoring import calibrated

        scores = self._scores(rows)
        if self.calibration == "batch_mean":
            scores = calibrated(scores, scores)
        elif self.calibration == "content_free":
            if self._nothing is None:
                pairs = self.pattern.template.slot("text_pair") is not None
                self._nothing = self._scores([(text, text) if pairs else text for text in CONTENT_FREE])
            scores = calibrated(scores, self._nothing)
        if self.facts.decode == "whole_vocabulary":
            # Already log-probabilities.
            return [row[: len(self.classes)] for row in self.pattern.verbalizer.for_loss(scores).exp().tolist()]
        shares: list[list[float]] = scores.softmax(-1).tolist()
        return shares

    def _scores(self, rows: list[TextInput]) -> Any:
        from metapt_explore.models.scoring import score_all

        bank = self.backbone.bank(rows, self.pattern)
        scores = score_all(self.backbone, self.prompt[None], bank, pattern=self.pattern)[0]
        self.backbone.forget(rows, self.pattern)  # a stream may be endless
        if self._probe is None:
            return scores
        from metapt_explore.fewshot.probe_ensemble import pooled
        from metapt_explore.models.hidden_states import text_hidden_states

        return pooled(scores, self._probe.scores(text_hidden_states(self.backbone, rows)), self._weights)


def _probe(folder: Path, facts: PromptFacts) -> tuple[Any, Any]:
    """Weights and probe of an exported prompt; None where classes are read by label words alone."""
    if facts.probe is None:
        return None, None
    import torch
    from safetensors.torch import load_file

    from metapt_explore.fewshot.linear_probe import LinearProbe
    from metapt_explore.fewshot.probe_ensemble import EnsembleWeights

    file = folder / PROBE_FILE
    with library_errors(lambda reason: f"{file} is missing or damaged ({reason}); `metapt export` writes it."):
        weights, probe = EnsembleWeights(**facts.probe), LinearProbe.from_tensors(load_file(file))
        views, classes, width = probe.coefficients.shape
        shapes = {"mean": (views, width), "scale": (views, width), "intercepts": (views, classes)}
        if classes != len(facts.labels) or any(getattr(probe, key).shape != shape for key, shape in shapes.items()):
            raise ValueError("its tensors do not fit each other or the classes of prompt.json")
        numbers = (*probe.tensors().values(), torch.tensor([weights.words, weights.probe]))
        if not all(values.is_floating_point() and values.isfinite().all() for values in numbers):
            raise ValueError("it must hold finite numbers only")
        return weights, probe
