"""What clusters are made from: a vector for each text, of one of five makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from metapt_explore.config.kinds import Kind, one_of
from metapt_explore.config.names import Text

if TYPE_CHECKING:
    from metapt_explore.config.model import EncoderConfig
    from metapt_explore.config.study import StudyConfig


class EmbeddingsConfig(Kind):
    """A vector for each pre-training text. Each make has a class of its own; its name alone is the short form.

    Attributes:
        runs: What it runs: the study's sentence encoder, its language model, or neither.
        called: What sentences call it.

    Example:
        >>> EmbeddingsConfig.model_validate("tfidf")
        TfidfEmbeddings(kind='tfidf', dimensions=100)
    """

    kinds: ClassVar[dict[str, type[EmbeddingsConfig]]]
    runs: ClassVar[Literal["encoder", "model", "nothing"]] = "nothing"
    called: ClassVar[str] = ""

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...

    kind: str = Field(description="where the vectors come from")

    @classmethod
    def expand(cls, given: Any) -> Any:
        """A make's name stands for its settings."""
        return {"kind": given} if isinstance(given, str) else given


class EncoderEmbeddings(EmbeddingsConfig):
    """Of the study's sentence encoder (`encoder`)."""

    title = "meaning (sentence encoder)"
    called = "the encoder"
    runs = "encoder"
    kind: Literal["encoder"]


class TfidfEmbeddings(EmbeddingsConfig):
    """Of the texts' words alone: TF-IDF, and its largest singular vectors."""

    title = "words (TF-IDF)"
    called = "TF-IDF with more dimensions"
    kind: Literal["tfidf"]
    dimensions: int = Field(100, ge=2, le=10_000, description="singular vectors; fewer where words or texts are fewer")


class ModelStatesEmbeddings(EmbeddingsConfig):
    """Of the study's language model: mean hidden states of a text, without prompt and template."""

    title = "hidden states of the language model"
    called = "the language model's states"
    runs = "model"
    kind: Literal["model_states"]
    layer: Literal["middle", "last"] = Field(
        "middle", description="which layer's states; the upper layers turn to the next word"
    )


class StaticEmbeddings(EmbeddingsConfig):
    """Of a table of token vectors, averaged over a text (model2vec; Tulkens & van Dongen, 2024); no model runs."""

    title = "meaning, quickly (static vectors of model2vec)"
    called = "static vectors"
    kind: Literal["static"]
    model: Text = Field("minishlab/potion-base-8M", description="folder or hub name of a model2vec model")


class FileEmbeddings(EmbeddingsConfig):
    """Of one's own, from a file."""

    title = "vectors of your own"
    called = "your own vectors"
    kind: Literal["file"]
    file: Text = Field(description="Parquet or .npy file with a vector for each text")
    column: Text | None = Field(
        None,
        description="Parquet: the column of lists that holds the vectors; when absent the only one, else all columns "
        "of numbers",
    )
    id: Text | None = Field(
        None, description="Parquet: a column of this file and of the texts' own that says which vector is which text's"
    )
    text: Text | None = Field(None, description="Parquet: or the column that holds the texts")

    @model_validator(mode="after")
    def _columns_of_a_table(self) -> FileEmbeddings:
        if self.id is not None and self.text is not None:
            raise ValueError("give `id` or `text`, not both: one of them says which vector is which text's")
        if self.file.lower().endswith(".npy"):
            for key in ("column", "id", "text"):
                if getattr(self, key) is not None:
                    raise ValueError(f"`{key}` names a column, and an .npy file has none: its rows are the texts' rows")
        return self


if TYPE_CHECKING:
    AnyEmbeddings = EmbeddingsConfig
else:
    AnyEmbeddings = one_of(
        EmbeddingsConfig, EncoderEmbeddings, TfidfEmbeddings, ModelStatesEmbeddings, StaticEmbeddings, FileEmbeddings
    )


def runs_encoder(study: StudyConfig) -> bool:
    """Whether anything runs the study's own encoder: clusterings, a classifier of labels, or a baseline without one."""
    embedded = study.embeddings.runs == "encoder"
    by_classifier = study.labelling is not None and study.labelling.by == "classifier"
    by_baseline = any(
        baseline.runs == "encoder" and baseline.encoder_in(study.encoder) is study.encoder
        for baseline in study.baselines
    )
    return embedded or by_classifier or by_baseline


def timed_encoder(study: StudyConfig) -> EncoderConfig:
    """The encoder whose speed stands for all: the study's, or that of a baseline where nothing runs the study's."""
    own = [each.encoder_in(study.encoder) for each in study.baselines if each.runs == "encoder"]
    return study.encoder if runs_encoder(study) or not own else own[0]
