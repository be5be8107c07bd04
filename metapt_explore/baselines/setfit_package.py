"""The package `setfit` as its users run it: `SetFitModel`, `Trainer` and its own defaults (Tunstall et al., 2022).

Dev chooses among learning rates where there are several; the package itself chooses nothing. The encoder is loaded by
sentence-transformers, and reads as many tokens of a text as the study's encoder does.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metapt_explore.baselines.fine_tuning import RatePoint
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.clusters.embed import check_encoder_files
from metapt_explore.errors import UserError
from metapt_explore.fewshot.logistic_regression import NEVER
from metapt_explore.fewshot.scoring import dev_metrics, measure
from metapt_explore.fewshot.selection import choose
from metapt_explore.models.hf_load import loading
from metapt_explore.models.pooling import read_pooling
from metapt_explore.seeds import derived_seed
from metapt_explore.texts.rows import written_out


def setfit_package(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains a fresh encoder with each learning rate on each data seed's rows; dev chooses the rate.

    Raises:
        UserError: Where the encoder cannot be loaded, the rows of a data seed are all of one class, or training leaves
            embeddings that are not numbers.
    """
    outcome = BaselineOutcome({})
    inputs.restore(outcome)
    rates = inputs.options["learning_rates"]
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        where = f"{inputs.where}, data seed {seed}"
        if len(set(train.labels)) < 2:
            raise UserError(f"{where}: the training rows are all of one class; SetFit needs two.")
        points: list[RatePoint] = []
        best: tuple[RatePoint, Tensor, Tensor] | None = None
        for index, rate in enumerate(rates):
            on_share = partial(_tell, inputs, before=done + index / len(rates), part=1 / len(rates))
            with _diverging(where, rate):
                run = _train(inputs, seed, rate, on_share=on_share)
                on_dev = run.scores(written_out(inputs.dev[seed].texts))
            point: RatePoint = {
                "learning_rate": rate,
                "step": run.steps,
                "train_loss": run.loss,
                **dev_metrics(measure(on_dev, inputs.dev[seed].labels)),
            }
            points.append(point)
            if best is None or choose([best[0], point], inputs.select_by) is point:
                with _diverging(where, rate):
                    best = point, on_dev, run.scores(written_out(inputs.test))
                outcome.spent.forward_rows += len(inputs.test)
            outcome.spent.row_passes += run.row_passes
            outcome.spent.forward_rows += len(train.texts) + len(inputs.dev[seed].texts)
            outcome.spent.trained_parameters = run.parameters
        assert best is not None
        chosen, on_dev, on_test = best
        settings = {"learning_rate": chosen["learning_rate"], "step": chosen["step"]}
        outcome.seeds[seed] = Scored(on_test, chosen["dev_accuracy"], chosen=settings, dev=on_dev)
        outcome.curves += [{"data_seed": seed, **point} for point in points]
        inputs.keep(outcome)
    return outcome


@contextmanager
def _diverging(where: str, rate: float) -> Iterator[None]:
    """Names the learning rate where scikit-learn refuses embeddings that training has left as no numbers."""
    try:
        yield
    except ValueError as error:
        if not any(word in str(error) for word in ("NaN", "infinity")):
            raise
        raise UserError(
            f"{where}: the embeddings are not numbers any more after training with learning rate {rate:g}; lower the "
            "baseline's `learning_rates`, or name an `encoder` whose files are fp32 if these are fp16."
        ) from error


def _tell(inputs: BaselineInputs, share: float, *, before: float, part: float) -> None:
    inputs.on_units((before + share * part) / len(inputs.train))


@dataclass(frozen=True)
class _Run:
    """A model that the package has trained.

    Attributes:
        model: The `SetFitModel`.
        classes: Number of classes of the task.
        steps: Steps of its encoder's training.
        loss: Mean loss of them.
        row_passes: Rows forward and backward.
    """

    model: Any
    classes: int
    steps: int
    loss: float
    row_passes: int

    @property
    def parameters(self) -> int:
        """How many numbers were trained; the pooler is no part of an embedding."""
        head, body = self.model.model_head, self.model.model_body
        of_body = sum(each.numel() for name, each in body.named_parameters() if "pooler" not in name)
        return int(of_body + head.coef_.size + head.intercept_.size)

    def scores(self, texts: Sequence[str]) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`."""
        with _own_random_state():
            said = self.model.predict_proba(list(texts), as_numpy=True, show_progress_bar=False)
        probabilities = np.full((len(texts), self.classes), NEVER)
        probabilities[:, self.model.model_head.classes_] = said
        return torch.from_numpy(np.log(probabilities.clip(min=NEVER))).float()


def _train(inputs: BaselineInputs, seed: int, rate: float, *, on_share: Callable[[float], None]) -> _Run:
    """One training by the package's `Trainer`."""
    from datasets import Dataset
    from setfit import Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    options, train = inputs.options, inputs.train[seed]
    study_seed, init_seed = inputs.seeds
    with _quiet(inputs.device), _own_random_state(), TemporaryDirectory() as folder:
        model = load_setfit(inputs)
        rows = Dataset.from_dict({"text": written_out(train.texts), "label": list(train.labels)})
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=options["batch_size"],
            num_epochs=options["epochs"],
            num_iterations=options["pairs_per_text"],
            body_learning_rate=rate,
            seed=derived_seed(study_seed, "setfit_package", init_seed, seed) % 2**32,
            save_strategy="no",
            report_to="none",
            show_progress_bar=False,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        for noisy in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(noisy)
        trainer.add_callback(_told(on_share, inputs.on_pass))
        inner = trainer.st_trainer
        inner.args.dataloader_pin_memory = inputs.device != "cpu"  # else a warning
        inner.args._n_gpu = min(inner.args.n_gpu, 1)  # it would share each batch among all GPUs
        trainer.train()
        pairs = len(inner.train_dataset) * options["epochs"]
        losses = [entry["train_loss"] for entry in inner.state.log_history if "train_loss" in entry]
        return _Run(model, len(inputs.task.labels), int(inner.state.global_step), float(losses[-1]), 2 * pairs)


def load_setfit(inputs: BaselineInputs) -> Any:
    """A `SetFitModel` as the package makes it from a folder; a pickled head that may lie there is not opened.

    Raises:
        UserError: Where the encoder cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel
    from sklearn.linear_model import LogisticRegression

    config = inputs.study.encoder
    folder = check_encoder_files(config)
    safe = {"use_safetensors": True}
    with loading(folder, config.name):
        body = SentenceTransformer(str(folder), device=inputs.device, model_kwargs=safe, local_files_only=True)
    body.max_seq_length = read_pooling(folder, config.name).tokens(config.max_tokens)
    return SetFitModel(model_body=body, model_head=LogisticRegression())


def _told(on_share: Callable[[float], None], on_pass: Callable[[], None]) -> Any:
    """A callback of the package's trainer that tells the share of the steps; what it is told may raise to stop."""
    from transformers.trainer_callback import TrainerCallback

    class Told(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            on_pass()
            on_share(state.global_step / state.max_steps)

    return Told()


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Puts the random states back that the package seeds for the whole process."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _quiet(device: str) -> Iterator[None]:
    """Without the package's own log and progress bars, and on the study's device: its trainer takes any GPU it sees."""
    import datasets
    import setfit

    before, asked = setfit.logging.get_verbosity(), os.environ.get("ACCELERATE_USE_CPU")
    bars = datasets.utils.logging.is_progress_bar_enabled()
    setfit.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    try:
        yield
    finally:
        setfit.logging.set_verbosity(before)
        if bars:
            datasets.enable_progress_bars()
        if device == "cpu":
            os.environ.pop("ACCELERATE_USE_CPU")
            if asked is not None:
                os.environ["ACCELERATE_USE_CPU"] = asked
