"""The sentences of a comparison: verdict, what would settle it, caveats."""

from __future__ import annotations

from collections.abc import Sequence

from metapt_explore.fewshot.samples import listed
from metapt_explore.statistics import numbers
from metapt_explore.statistics.resampling import SignFlip
from metapt_explore.statistics.verdict import (
    MAX_NAMED_PAIRS,
    MAX_SHARED_ROWS,
    MIN_SEEDS_FOR_VERDICT,
    NAMED_SHARED_ROWS,
    SEEDS_FOR_FIRM_VERDICT,
    Evidence,
    Verdict,
)


def points(share: float) -> str:
    """A share of 1 in points.

    Example:
        >>> points(0.0214), points(0.01), points(0.0004)
        ('2.1 points', '1 point', '0.04 points')
    """
    value = 100 * share
    text = numbers.number(value, 1 if abs(value) >= 0.1 or value == 0 else 2)
    text = text.removesuffix(".0")
    return f"{text} point" if text in ("1", "−1") else f"{text} points"


def verdict_sentence(evidence: Evidence, verdict: Verdict) -> str:
    """The verdict with its figures, and what is missing."""
    return " ".join(filter(None, [_verdict(evidence, verdict), _incomplete(evidence)]))


def _verdict(evidence: Evidence, verdict: Verdict) -> str:
    estimate = evidence.estimate
    gap = abs(estimate.mean)
    where = f"{evidence.name} over {_number(len(evidence.tasks), 'task')}"
    if gap < 5e-6:
        gap_words = f"{evidence.method} and {evidence.baseline} are level in {where}"
    else:
        side = "ahead of" if estimate.mean > 0 else "behind"
        gap_words = f"{evidence.method} is {points(gap)} {side} {evidence.baseline} in {where}"
    wins, ties, losses = evidence.counts
    tail = f"ahead in {wins} of {_number(evidence.pairs, 'pair')} of seeds, level in {ties}, behind in {losses}"
    if verdict == "nothing learned" and evidence.guess is not None:
        method, baseline = (
            f"{name} ({100 * mean:.1f} %)"
            for name, mean in zip((evidence.method, evidence.baseline), evidence.means, strict=True)
        )
        return (
            f"Nothing learned: {method} and {baseline} are no better than guessing in {where}. Naming the most "
            f"frequent class scores {100 * evidence.guess.level:.1f} %, and up to "
            f"{100 * evidence.guess.highest:.1f} % is luck with so few test rows ({tail})."
        )
    if estimate.no_spread:
        return (
            f"Cannot tell: {gap_words}, but the seeds show no spread ({tail}), and without one nothing can be tested."
        )
    if estimate.low is None or estimate.high is None or estimate.p is None:
        return f"Cannot tell: {gap_words}, but that is {_seeds(evidence)}, which has no spread to judge it by."
    interval = (
        f"{100 * evidence.confidence:g} % interval {numbers.interval(estimate.low, estimate.high)}, "
        f"p {_p(estimate.p)}; {tail}"
    )
    if verdict in ("helped", "hurt"):
        return f"{verdict.capitalize()}: {gap_words} ({interval})."
    if verdict == "no difference":
        sure = (
            " A difference is there, but a smaller one than matters." if estimate.low > 0 or estimate.high < 0 else ""
        )
        return f"No difference of {points(evidence.margin)} or more: {gap_words} ({interval}).{sure}"
    independent = estimate.design.independent
    if independent < MIN_SEEDS_FOR_VERDICT:
        verb = "decides" if independent == 1 else "decide"
        return f"Cannot tell: {gap_words} ({interval}), but {_seeds(evidence)} {verb} nothing."
    if evidence.shared > MAX_SHARED_ROWS:
        return (
            f"Cannot tell: {gap_words} ({interval}), but the samples of the data seeds share "
            f"{100 * evidence.shared:.0f} % of their rows."
        )
    if evidence.differing < MIN_SEEDS_FOR_VERDICT and (estimate.low > 0 or estimate.high < 0):
        return (
            f"Cannot tell: {gap_words} ({interval}), but they differ under {evidence.differing} independent seeds only "
            "and are level under the others."
        )
    return f"Cannot tell: {gap_words}, and both no difference and one that matters fit ({interval})."


def _incomplete(evidence: Evidence) -> str:
    """Says plainly that the comparison is one of a part of the scores."""
    if not evidence.left_out:
        return ""
    return f"Not all scores are there; only what both methods have is compared: {' '.join(evidence.left_out)}"


def settling_sentence(evidence: Evidence, verdict: Verdict, *, observed: int | None, one_point: int | None) -> str:
    """What would settle it, or what settled it."""
    estimate = evidence.estimate
    if verdict == "nothing learned":
        return (
            "More seeds do not settle it: what guesses cannot be compared. See whether texts, words and tuning (steps, "
            "learning rates) suit the tasks, or take more test rows."
        )
    if estimate.no_spread:
        return "More seeds may not settle it: see whether the two methods compute the same thing."
    few = estimate.design.independent < MIN_SEEDS_FOR_VERDICT
    if verdict == "cannot tell" and evidence.shared > MAX_SHARED_ROWS and not few:
        return "It takes samples that have few rows in common: more labelled rows to draw from, or fewer shots."
    if verdict in ("helped", "hurt"):
        if estimate.design.independent < SEEDS_FOR_FIRM_VERDICT:
            more = f"with {SEEDS_FOR_FIRM_VERDICT} or more of each it would stand firmer"
            return f"Settled at this level, on few seeds; {more}."
        return "Settled at this level; other texts, models and tasks are another question."
    if verdict == "no difference":
        return f"Settled within {points(evidence.margin)} either way; a smaller margin would take more pairs of seeds."
    first = ""
    if few:
        first = f"It takes at least {MIN_SEEDS_FOR_VERDICT} {_scarce(evidence)} before anything can be said"
        if observed is None and one_point is None:
            return f"{first}; how many more is unknown, as the spread is."
        first += ". "
    parts = []
    if observed is not None:
        parts.append(
            f"{_pairs_for(evidence, observed)} to see a difference as large as this one ({points(abs(estimate.mean))})"
        )
    if one_point is not None and one_point != observed:
        parts.append(f"{_pairs_for(evidence, one_point)} to see one of 1 point")
    if not parts:
        return f"{first}No number of pairs within reach would show so small a difference."
    note = "" if estimate.design.kind == "paired" else " Count pairs that share no seed."
    if estimate.design.independent == 1:
        note += f" What other {_scarce(evidence)} would add to the spread is not known and not in these numbers."
    return f"{first}Four times out of five it takes {', and '.join(parts)}.{note}"


def caveats(evidence: Evidence, *, flips: SignFlip, broadcast: str | None, at_chance: Sequence[str] = ()) -> list[str]:
    """What to keep in mind, in plain words.

    Args:
        evidence: What was found.
        flips: The permutation test.
        broadcast: The method that has no initialisation seed while the other has.
        at_chance: Tasks on which neither method is above guessing.
    """
    design, sentences = evidence.estimate.design, []
    for group in evidence.merged:
        sentences.append(
            f"Data seeds {listed([str(seed) for seed in group])} have the same training rows and count as one few-shot "
            "sample."
        )
    if evidence.shared >= NAMED_SHARED_ROWS and design.data_seeds > 1:
        sentences.append(
            f"The few-shot samples of two data seeds share {100 * evidence.shared:.0f} % of their training rows (mean "
            "over tasks): test and interval allow for that, permutation and bootstrap do not."
        )
    if at_chance and not evidence.at_chance:
        sentences.append(
            f"Neither method is above guessing on {listed(list(at_chance))}: nothing can be said of a difference "
            "there, and it makes the mean over tasks smaller."
        )
    if evidence.idle:
        sentences.append(evidence.idle)
    if 1 < design.independent < SEEDS_FOR_FIRM_VERDICT:
        sentences.append(
            f"Only {_seeds(evidence)}: the interval trusts that differences are about normally distributed, which so "
            f"few cannot show. Take {SEEDS_FOR_FIRM_VERDICT} or more."
        )
    if design.kind == "crossed":
        sentences.append(
            f"{design.init_seeds} initialisation seeds × {design.data_seeds} data seeds make {design.pairs} pairs, but "
            "pairs that share a seed are not independent; test and interval allow for that."
        )
    if design.kind == "mixed":
        sentences.append(
            f"{design.pairs} pairs are made of {design.init_seeds} initialisation seeds and {design.data_seeds} data "
            "seeds: some seeds stand in several pairs, which are not independent; test and interval count whole seeds."
        )
    if design.init_seeds == 1:
        sentences.append(
            "One initialisation seed: the figures are about this one start and pre-training, not about the method."
        )
    if design.data_seeds == 1:
        sentences.append("One data seed: the figures are about this one few-shot sample.")
    if broadcast is not None:
        sentences.append(
            f"{broadcast} has no initialisation seed: its score of a data seed stands against every initialisation of "
            "the other."
        )
    if flips.smallest is not None and flips.smallest > 1 - evidence.confidence:
        sentences.append(
            f"The permutation test flips {flips.units} units and cannot give a p below {flips.smallest:.2g}, whatever "
            "the data."
        )
    elif flips.p is not None and evidence.estimate.p is not None and not evidence.at_chance:
        level = 1 - evidence.confidence
        if (flips.p < level) != (evidence.estimate.p < level):
            sentences.append(
                f"The t test (p {_p(evidence.estimate.p)}) and the permutation test (p {_p(flips.p)}) fall on "
                f"different sides of {level:.2g}: the result is a close call."
            )
    return sentences


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _scarce(evidence: Evidence) -> str:
    """The kind of seed there are fewest of."""
    design = evidence.estimate.design
    if design.kind == "paired":
        return "pairs of seeds"
    if design.init_seeds and (not design.data_seeds or design.init_seeds <= design.data_seeds):
        return "initialisation seeds"
    return "data seeds"


def _seeds(evidence: Evidence) -> str:
    count = evidence.estimate.design.independent
    return f"{count} {_scarce(evidence)}" if count != 1 else _single(evidence)


def _single(evidence: Evidence) -> str:
    return {"pairs of seeds": "1 pair of seeds", "initialisation seeds": "1 initialisation seed"}.get(
        _scarce(evidence), "1 data seed"
    )


def _pairs_for(evidence: Evidence, needed: int) -> str:
    """Pairs in all, and how many more where pairs are independent, so that they can be counted.

    More than anyone will compute is said as such: the exact number would look like knowledge.
    """
    if needed > MAX_NAMED_PAIRS:
        return f"over {MAX_NAMED_PAIRS:,} pairs"
    if evidence.estimate.design.kind != "paired":
        return f"about {needed} pairs"
    more = needed - evidence.pairs
    return f"about {needed} pairs ({more} more)" if more > 0 else f"about {needed} pairs (they are there)"
