"""The verdict of a comparison and its sentences: what a reader who skips the figures should take home."""

from __future__ import annotations

from collections.abc import Sequence

from metapt_explore.fewshot.samples import listed
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
    number = 100 * share
    text = f"{number:.1f}" if abs(number) >= 0.1 or number == 0 else f"{number:.2f}"
    text = text.removesuffix(".0")
    return f"{text} point" if text in ("1", "-1") else f"{text} points"


def verdict_sentence(found: Evidence, verdict: Verdict) -> str:
    """The verdict with its figures, and what is missing."""
    return " ".join(filter(None, [_verdict(found, verdict), _incomplete(found)]))


def _verdict(found: Evidence, verdict: Verdict) -> str:
    estimate = found.estimate
    gap = abs(estimate.mean)
    where = f"{found.name} over {_number(len(found.tasks), 'task')}"
    if gap < 5e-6:
        said = f"{found.method} and {found.baseline} are level in {where}"
    else:
        side = "ahead of" if estimate.mean > 0 else "behind"
        said = f"{found.method} is {points(gap)} {side} {found.baseline} in {where}"
    wins, ties, losses = found.counts
    tail = f"ahead in {wins} of {_number(found.pairs, 'pair')} of seeds, level in {ties}, behind in {losses}"
    if verdict == "nothing learned" and found.guess is not None:
        own, other = (f"{100 * mean:.1f} %" for mean in found.means)
        return (
            f"Nothing learned: {found.method} ({own}) and {found.baseline} ({other}) are no better than guessing in "
            f"{where}. Naming the most frequent class scores {100 * found.guess.level:.1f} %, and up to "
            f"{100 * found.guess.highest:.1f} % is luck with so few test rows ({tail})."
        )
    if estimate.no_spread:
        return f"Cannot tell: {said}, but the seeds show no spread ({tail}), and without one nothing can be tested."
    if estimate.low is None or estimate.high is None or estimate.p is None:
        return f"Cannot tell: {said}, but that is {_seeds(found)}, which has no spread to judge it by."
    interval = (
        f"{100 * found.confidence:g} % interval {100 * estimate.low:+.1f} to {100 * estimate.high:+.1f}, "
        f"p {_p(estimate.p)}; {tail}"
    )
    if verdict in ("helped", "hurt"):
        return f"{verdict.capitalize()}: {said} ({interval})."
    if verdict == "no difference":
        sure = (
            " A difference is there, but a smaller one than matters." if estimate.low > 0 or estimate.high < 0 else ""
        )
        return f"No difference of {points(found.margin)} or more: {said} ({interval}).{sure}"
    few = estimate.design.independent
    if few < MIN_SEEDS_FOR_VERDICT:
        return f"Cannot tell: {said} ({interval}), but {_seeds(found)} {'decides' if few == 1 else 'decide'} nothing."
    if found.shared > MAX_SHARED_ROWS:
        return (
            f"Cannot tell: {said} ({interval}), but the samples of the data seeds share {100 * found.shared:.0f} % of "
            "their rows."
        )
    if found.differing < MIN_SEEDS_FOR_VERDICT and (estimate.low > 0 or estimate.high < 0):
        return (
            f"Cannot tell: {said} ({interval}), but they differ under {found.differing} independent seeds only and are "
            "level under the others."
        )
    return f"Cannot tell: {said}, and both no difference and one that matters fit ({interval})."


def _incomplete(found: Evidence) -> str:
    """Says plainly that the comparison is one of a part of the scores."""
    if not found.left_out:
        return ""
    return f"Not all scores are there; only what both methods have is compared: {' '.join(found.left_out)}"


def settling_sentence(found: Evidence, verdict: Verdict, observed: int | None, one_point: int | None) -> str:
    """What would settle it, or what settled it."""
    estimate = found.estimate
    if verdict == "nothing learned":
        return (
            "More seeds do not settle it: what guesses cannot be compared. See whether texts, words and tuning (steps, "
            "learning rates) suit the tasks, or take more test rows."
        )
    if estimate.no_spread:
        return "More seeds may not settle it: see whether the two methods compute the same thing."
    few = estimate.design.independent < MIN_SEEDS_FOR_VERDICT
    if verdict == "cannot tell" and found.shared > MAX_SHARED_ROWS and not few:
        return "It takes samples that have few rows in common: more labelled rows to draw from, or fewer shots."
    if verdict in ("helped", "hurt"):
        if estimate.design.independent < SEEDS_FOR_FIRM_VERDICT:
            more = f"with {SEEDS_FOR_FIRM_VERDICT} or more of each it would stand firmer"
            return f"Settled at this level, on few seeds; {more}."
        return "Settled at this level; other texts, models and tasks are another question."
    if verdict == "no difference":
        return f"Settled within {points(found.margin)} either way; a smaller margin would take more pairs of seeds."
    first = ""
    if few:
        first = f"It takes at least {MIN_SEEDS_FOR_VERDICT} {_scarce(found)} before anything can be said"
        if observed is None and one_point is None:
            return f"{first}; how many more is unknown, as the spread is."
        first += ". "
    parts = []
    if observed is not None:
        parts.append(
            f"{_pairs_for(found, observed)} to see a difference as large as this one ({points(abs(estimate.mean))})"
        )
    if one_point is not None and one_point != observed:
        parts.append(f"{_pairs_for(found, one_point)} to see one of 1 point")
    if not parts:
        return f"{first}No number of pairs within reach would show so small a difference."
    own = "" if estimate.design.kind == "paired" else " Count pairs that share no seed."
    if estimate.design.independent == 1:
        own += f" What other {_scarce(found)} would add to the spread is not known and not in these numbers."
    return f"{first}Four times out of five it takes {', and '.join(parts)}.{own}"


def caveats(found: Evidence, flips: SignFlip, broadcast: str | None, at_chance: Sequence[str] = ()) -> list[str]:
    """What to keep in mind, in plain words.

    Args:
        found: What was found.
        flips: The permutation test.
        broadcast: The method that has no initialisation seed while the other has.
        at_chance: Tasks on which neither method is above guessing.
    """
    design, said = found.estimate.design, []
    for group in found.merged:
        said.append(
            f"Data seeds {listed([str(seed) for seed in group])} have the same training rows and count as one few-shot "
            "sample."
        )
    if found.shared >= NAMED_SHARED_ROWS and design.data_seeds > 1:
        said.append(
            f"The few-shot samples of two data seeds share {100 * found.shared:.0f} % of their training rows (mean "
            "over tasks): test and interval take account of it, permutation and bootstrap do not."
        )
    if at_chance and not found.at_chance:
        said.append(
            f"Neither method is above guessing on {listed(list(at_chance))}: nothing can be said of a difference "
            "there, and it makes the mean over tasks smaller."
        )
    if found.idle:
        said.append(found.idle)
    if 1 < design.independent < SEEDS_FOR_FIRM_VERDICT:
        said.append(
            f"Only {_seeds(found)}: the interval trusts that differences are about normally distributed, which so few "
            f"cannot show. Take {SEEDS_FOR_FIRM_VERDICT} or more."
        )
    if design.kind == "crossed":
        said.append(
            f"{design.init_seeds} initialisation seeds × {design.data_seeds} data seeds make {design.pairs} pairs, but "
            "pairs that share a seed are not independent; test and interval take account of it."
        )
    if design.kind == "mixed":
        said.append(
            f"{design.pairs} pairs are made of {design.init_seeds} initialisation seeds and {design.data_seeds} data "
            "seeds: some seeds stand in several pairs, which are not independent; test and interval count whole seeds."
        )
    if design.init_seeds == 1:
        said.append(
            "One initialisation seed: the figures are about this one start and pre-training, not about the method."
        )
    if design.data_seeds == 1:
        said.append("One data seed: the figures are about this one few-shot sample.")
    if broadcast is not None:
        said.append(
            f"{broadcast} has no initialisation seed: its score of a data seed stands against every initialisation of "
            "the other."
        )
    if flips.smallest is not None and flips.smallest > 1 - found.confidence:
        said.append(
            f"The permutation test flips {flips.units} units and cannot give a p below {flips.smallest:.2g}, whatever "
            "the data."
        )
    elif flips.p is not None and found.estimate.p is not None and not found.at_chance:
        level = 1 - found.confidence
        if (flips.p < level) != (found.estimate.p < level):
            said.append(
                f"The t test (p {_p(found.estimate.p)}) and the permutation test (p {_p(flips.p)}) fall on different "
                f"sides of {level:.2g}: the result is a close call."
            )
    return said


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _scarce(found: Evidence) -> str:
    """The kind of seed there are fewest of."""
    design = found.estimate.design
    if design.kind == "paired":
        return "pairs of seeds"
    if design.init_seeds and (not design.data_seeds or design.init_seeds <= design.data_seeds):
        return "initialisation seeds"
    return "data seeds"


def _seeds(found: Evidence) -> str:
    count = found.estimate.design.independent
    return f"{count} {_scarce(found)}" if count != 1 else _single(found)


def _single(found: Evidence) -> str:
    return {"pairs of seeds": "1 pair of seeds", "initialisation seeds": "1 initialisation seed"}.get(
        _scarce(found), "1 data seed"
    )


def _pairs_for(found: Evidence, needed: int) -> str:
    """Pairs in all, and how many more where pairs are independent, so that they can be counted.

    More than anyone will compute is said as such: the exact number would look like knowledge.
    """
    if needed > MAX_NAMED_PAIRS:
        return f"over {MAX_NAMED_PAIRS:,} pairs"
    if found.estimate.design.kind != "paired":
        return f"about {needed} pairs"
    more = needed - found.pairs
    return f"about {needed} pairs ({more} more)" if more > 0 else f"about {needed} pairs (they are there)"
