"""Words and pairs of words, weighted by how rare they are, and logistic regression: no model at all."""

from __future__ import annotations

from functools import partial

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.errors import UserError
from metapt_explore.fewshot.logistic_regression import LogisticRegressionHead, fit_on_dev
from metapt_explore.texts.rows import written_out
from metapt_explore.texts.words import tokens


def tfidf(inputs: BaselineInputs) -> BaselineOutcome:
    """Fits on the training texts of each data seed, also the vocabulary and its weights; dev chooses C.

    Raises:
        UserError: Where the training texts of a data seed hold no word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    outcome = BaselineOutcome({})
    test_texts = written_out(inputs.test)
    for done, (seed, train) in enumerate(inputs.train.items()):
        inputs.on_units(done / len(inputs.train))
        dev = inputs.dev[seed]
        where = f"{inputs.where}, data seed {seed}"
        # One-letter words count: "I", and most of some languages. So do emoji, and pairs of characters where a script
        # has no spaces.
        words = TfidfVectorizer(ngram_range=(1, 2), tokenizer=tokens, token_pattern=None, sublinear_tf=True)
        try:
            features = words.fit_transform(written_out(train.texts))
        except ValueError:
            raise UserError(f"{where}: the training texts hold no word for the baseline `tfidf`.") from None
        fit = partial(LogisticRegressionHead, features, train.labels, len(inputs.task.labels), where=where)
        dev_features = words.transform(written_out(dev.texts))
        head, choice = fit_on_dev(
            fit,
            dev_features,
            dev.labels,
            c_values=inputs.options["c_values"],
            select_by=inputs.select_by,
        )
        scores = head.scores(words.transform(test_texts))
        outcome.seeds[seed] = Scored(
            scores, choice["dev_accuracy"], chosen={"c": choice["c"]}, dev=head.scores(dev_features)
        )
        outcome.spent.trained_parameters = max(outcome.spent.trained_parameters, head.parameters)
    return outcome
