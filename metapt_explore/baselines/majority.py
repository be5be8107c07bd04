"""The commonest class of the training rows, for every text."""

from __future__ import annotations

import numpy as np
import torch

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.fewshot.scoring import measure


def majority(inputs: BaselineInputs) -> BaselineOutcome:
    """Predicts the commonest class of each data seed's training rows; of equally common ones the task's first.

    Its probabilities are the shares of the classes, with one more row of each so that none is zero.
    """
    classes = len(inputs.task.labels)
    scored = {}
    for seed, train in inputs.train.items():
        counts = np.bincount(train.labels, minlength=classes) + 1.0
        logs = torch.tensor(np.log(counts / counts.sum()), dtype=torch.float32)
        dev = inputs.dev[seed]
        on_dev = logs.expand(len(dev.labels), -1)
        accuracy = measure(on_dev, dev.labels)["accuracy"]
        scored[seed] = Scored(logs.expand(len(inputs.test), -1), accuracy, dev=on_dev)
    return BaselineOutcome(scored)
