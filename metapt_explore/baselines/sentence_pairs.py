"""Zero-shot by a classifier of text pairs: each text is scored with a sentence about each class.

NLI: the class whose sentence the text entails most (Yin, Hay and Roth, EMNLP 2019, arXiv 1909.00161); scores are the
logits of entailment, as transformers' ``zero-shot-classification`` compares them where one class is right. Reranker: a
cross-encoder's score of text and sentence (Nogueira and Cho, 2019, 1901.04085). No row is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metapt_explore import hub
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.baselines.zero_shot import calibrated_scores, content_free
from metapt_explore.config import EncoderConfig
from metapt_explore.config.classifier_baselines import class_sentences
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import measure
from metapt_explore.models.folder import model_folder
from metapt_explore.models.hf_load import check_model, load_model, load_settings, load_tokenizer, loading
from metapt_explore.models.model_checks import check_tokenizer, positions_of
from metapt_explore.texts.rows import TextInput, written_out

TITLE = "sequence classification"


def nli(inputs: BaselineInputs) -> BaselineOutcome:
    """Scores texts by how much they entail a sentence about each class."""
    return _zero_shot(inputs, "nli")


def reranker(inputs: BaselineInputs) -> BaselineOutcome:
    """Scores texts by how well a reranker finds that a sentence about each class goes with them."""
    return _zero_shot(inputs, "reranker")


def _zero_shot(inputs: BaselineInputs, kind: str) -> BaselineOutcome:
    classifier = load_classifier(inputs.study.encoder, inputs.device, kind=kind)
    about = class_sentences(inputs.options["hypothesis"], inputs.task)
    for name, sentence in zip(inputs.task.labels, about, strict=True):
        tokens, most = classifier.tokens(sentence), classifier.config.max_tokens
        if tokens >= most:
            raise UserError(
                f"{inputs.where}, baseline `{kind}`: the sentence about the class '{name}' has {tokens} tokens, "
                f"special ones counted, and `max_tokens: {most}` leaves none for the text. Raise `max_tokens`, or "
                "shorten `hypothesis` or the description of the class."
            )
    score = partial(classifier.scores, sentences=about, on_pass=inputs.on_pass)
    how, blanks = inputs.options["calibration"], content_free(inputs)
    outcome = BaselineOutcome({})
    test = calibrated_scores(score, inputs.test, how=how, blanks=blanks)
    for done, (seed, dev) in enumerate(inputs.dev.items()):
        inputs.on_units((1 + done) / (1 + len(inputs.dev)))
        on_dev = calibrated_scores(score, dev.texts, how=how, blanks=blanks)
        outcome.seeds[seed] = Scored(test, measure(on_dev, dev.labels)["accuracy"], dev=on_dev)
    rows = len(inputs.test) + sum(len(dev.texts) for dev in inputs.dev.values())
    rows += len(blanks) * (1 + len(inputs.dev)) if how == "content_free" else 0
    outcome.spent.forward_rows = rows * len(about)
    return outcome


@dataclass(frozen=True)
class PairClassifier:
    """A loaded classifier of text pairs.

    Attributes:
        model: The transformers model, in evaluation mode and fp32.
        tokenizer: Its tokenizer.
        output: Which of its outputs is the score.
        config: Tokens of a pair (longer texts are cut, the sentence never is: it must leave a token for the text), and
            pairs that are run together.
        device: Where it runs.
    """

    model: Any
    tokenizer: Any
    output: int
    config: EncoderConfig
    device: str

    @torch.no_grad()
    def scores(
        self,
        texts: Sequence[TextInput],
        *,
        sentences: Sequence[str],
        on_pass: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Scores of each text with each sentence, fp32 `[texts, sentences]`, on the CPU.

        Args:
            texts: The texts; a pair is one text of two lines.
            sentences: A sentence about each class.
            on_pass: Called after each pass; may raise to stop.
        """
        written = written_out(texts)
        pairs = [(text, sentence) for text in written for sentence in sentences]
        encoded = [self._encoded(*pair) for pair in pairs]
        order = sorted(range(len(pairs)), key=lambda pair: (len(encoded[pair]["input_ids"]), pair))
        out, batch_size = torch.empty(len(pairs)), self.config.batch_size
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            batch = self.tokenizer.pad([encoded[pair] for pair in chosen], return_tensors="pt").to(self.device)
            out[chosen] = self.model(**batch).logits[:, self.output].float().cpu()
            on_pass()
        return out.view(len(written), len(sentences))

    def tokens(self, sentence: str) -> int:
        """How many tokens of a pair are not its text's: those of the sentence, and the special ones."""
        alone = self.tokenizer(sentence, add_special_tokens=False, verbose=False)["input_ids"]
        return len(alone) + int(self.tokenizer.num_special_tokens_to_add(pair=True))

    def _encoded(self, text: str, sentence: str) -> dict[str, list[int]]:
        cut = self.tokenizer(text, sentence, truncation="only_first", max_length=self.config.max_tokens)
        return dict(cut)


def check_classifier_files(config: EncoderConfig, *, kind: str) -> tuple[Path, Any, int]:
    """Checks a classifier's configuration, weight files, tokenizer and outputs; none of its weights is read.

    Args:
        config: Its name, and tokens of a pair.
        kind: ``nli`` or ``reranker``.

    Returns:
        Its folder, its tokenizer, and which of its outputs is the score.

    Raises:
        UserError: Naming the folder and what is wrong.
    """
    import transformers

    name = config.name
    folder = model_folder(name, config.revision, hub.CLASSIFIER)
    with loading(folder, name):
        settings = load_settings(folder, name)
        output = score_output(settings, name, kind=kind)
        tokenizer = load_tokenizer(folder, name)
        model = check_model(transformers.AutoModelForSequenceClassification, TITLE, folder, name=name)
        check_tokenizer(tokenizer, model, folder, name=name)
    positions = positions_of(settings.get_text_config())
    if positions is not None and config.max_tokens > positions:
        raise UserError(f"`max_tokens` is {config.max_tokens}, but '{name}' holds {positions} tokens.")
    if tokenizer.pad_token_id is None:
        raise UserError(f"The tokenizer of '{name}' has no padding token, which texts of several lengths need.")
    tokenizer.padding_side = "right"
    return folder, tokenizer, output


def score_output(settings: Any, name: str, *, kind: str) -> int:
    """Which output of a model is the score of a pair: that of entailment, or a reranker's only one.

    Args:
        settings: The model's configuration.
        name: What to call it.
        kind: ``nli`` or ``reranker``.

    Raises:
        UserError: Where the configuration names no entailment, or a reranker has several outputs.
    """
    labels = {int(index): str(label) for index, label in settings.id2label.items()}
    listed = ", ".join(labels[index] for index in sorted(labels))
    if kind == "reranker":
        if len(labels) != 1:
            raise UserError(
                f"'{name}' has {len(labels)} outputs ({listed}); a reranker has one. For a model of natural language "
                "inference use the baseline `nli`."
            )
        return 0
    of_entailment = [index for index, label in labels.items() if label.lower().startswith("entail")]
    if len(of_entailment) != 1:
        raise UserError(
            f"'{name}' is no model of natural language inference: `id2label` in its config.json names no entailment "
            f"(but {listed}). Use another model, or enter there what the outputs mean."
        )
    return of_entailment[0]


def load_classifier(config: EncoderConfig, device: str, *, kind: str) -> PairClassifier:
    """Loads a classifier of text pairs; its code is transformers' own, its weights are safetensors.

    Args:
        config: Its name and sizes.
        device: Where it runs.
        kind: ``nli`` or ``reranker``.

    Raises:
        UserError: Where it cannot be found, loaded or used.
    """
    import transformers

    folder, tokenizer, output = check_classifier_files(config, kind=kind)
    auto_class = transformers.AutoModelForSequenceClassification
    model = load_model(auto_class, TITLE, folder, name=config.name, dtype=torch.float32)
    return PairClassifier(model.to(device), tokenizer, output, config, device)
