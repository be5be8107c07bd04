"""Which texts of a file a study's model reads the beginning of only."""

from __future__ import annotations

from metapt_explore.config import StudyConfig
from metapt_explore.datacheck.rows import Rows
from metapt_explore.models.text_lengths import MANY, cut_share, format_cut
from metapt_explore.results.cut_texts import BEGINNING_ONLY, tokenizer_and_limit
from metapt_explore.texts.finding import Finding


def check_cut(rows: Rows, study: StudyConfig) -> list[Finding]:
    """The share of texts that are cut; a warning where it is large. The study's model is not loaded, its tokenizer is.

    Args:
        rows: The rows.
        study: A study that will read them.

    Raises:
        UserError: Where the study's model has no tokenizer here.
    """
    tokenizer, limit = tokenizer_and_limit(study)
    texts = [text for place, text in enumerate(rows.texts) if not rows.blank(place)]
    cut = cut_share(texts, tokenizer, limit, rows.raw.path.name)
    if cut is None or not cut.share:
        return []
    if cut.share > MANY:
        return [Finding("warning", "cut", format_cut(cut), BEGINNING_ONLY)]
    return [Finding("note", "cut", format_cut(cut))]
