"""Where a soft prompt begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from metapt_explore.config.kinds import Kind, one_of
from metapt_explore.config.names import Text
from metapt_explore.errors import did_you_mean

#: Keys that may stand beside a source.
_DETAILS = ("tensor", "revision")


class InitConfig(Kind):
    """Where a soft prompt begins. Each kind has a class of its own.

    In YAML it is a name (``init: random``, ``vocabulary``, ``labels``, ``demonstrations``) or a mapping with one
    source, from which `kind` follows:

    - ``init: {text: "Is this review good or bad?"}``
    - ``init: {file: mine.safetensors, tensor: prompt}``
    - ``init: {peft: adapters/mine}``
    - ``init: {hub: owner/name}``
    - ``init: {artifact: 3fa9c2}``

    Attributes:
        source: The key that says what the prompt is made of; empty where the kind says all.
        of_few_shot_rows: Whether tuning makes it, of each data seed's training rows.

    Example:
        >>> InitConfig.model_validate("labels").kind, InitConfig.model_validate({"text": "good or bad"}).kind
        ('labels', 'text')
    """

    kinds: ClassVar[dict[str, type[InitConfig]]]
    source: ClassVar[str] = ""
    of_few_shot_rows: ClassVar[bool] = False

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...

    kind: str = Field(description="what it is made of")

    @classmethod
    def expand(cls, given: Any) -> Any:
        """A name as a mapping, and a mapping with its kind.

        Raises:
            ValueError: Where there is no such name, or the mapping does not have exactly one source.
        """
        plain = [tag for tag, kind in cls.kinds.items() if not kind.source]
        sources = [tag for tag, kind in cls.kinds.items() if kind.source]
        if isinstance(given, InitConfig):
            return given
        if isinstance(given, str):
            if given in sources:
                raise ValueError(f"'{given}' needs to be told which: write `init: {{{given}: ...}}`")
            if given not in plain:
                raise ValueError(f"there is no init '{given}'. {did_you_mean(given, [*plain, *sources])}")
            return {"kind": given}
        if not isinstance(given, dict):
            raise ValueError(f"give a name ({', '.join(plain)}) or a mapping such as {{text: ...}}")
        for key in given:
            if key in plain:
                raise ValueError(f"'{key}' has no settings: write `init: {key}`")
            if key not in ("kind", *_DETAILS, *sources):
                raise ValueError(f"unknown key '{key}'. {did_you_mean(str(key), [*sources, *_DETAILS])}")
        present = [key for key in sources if given.get(key) is not None]
        kind = given.get("kind", present[0] if len(present) == 1 else None)
        if kind in plain and present:
            raise ValueError(f"'{kind}' has no settings (found {' and '.join(present)}): write `init: {kind}`")
        if kind is None or (kind in sources and present != [kind]):
            *others, last = sources
            named = " and ".join(present) or "none of them"
            raise ValueError(f"give exactly one of {', '.join(others)} and {last} (found {named})")
        return {**given, "kind": kind}

    @property
    def short(self) -> str | dict[str, str]:
        """The form it has in YAML.

        Example:
            >>> InitConfig(kind="vocabulary").short, InitConfig(kind="text", text="good or bad").short
            ('vocabulary', {'text': 'good or bad'})
        """
        if not self.source:
            return self.kind
        return {key: value for key, value in self if key != "kind" and value is not None}


class _SourceInit(InitConfig):
    @field_validator("text", "file", "tensor", "peft", "hub", "revision", "artifact", check_fields=False)
    @classmethod
    def _not_blank(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is blank")
        return value


class RandomInit(InitConfig):
    """Random vectors on the scale of the model's embeddings."""

    title = "random vectors"
    kind: Literal["random"]


class VocabularyInit(InitConfig):
    """Embeddings of common tokens."""

    title = "common tokens"
    kind: Literal["vocabulary"]


class LabelsInit(InitConfig):
    """Embeddings of the label words, then of common tokens."""

    title = "the label words"
    kind: Literal["labels"]


class DemonstrationsInit(InitConfig):
    """Embeddings of the few-shot rows, written out with their label words; vectors left over are common tokens."""

    title = "the few-shot rows"
    of_few_shot_rows = True
    kind: Literal["demonstrations"]


class TextInit(_SourceInit):
    """Embeddings of a text's tokens."""

    title = "a text"
    source = "text"
    kind: Literal["text"]
    text: Text = Field(description="its tokens' embeddings, repeated or cut to the prompt's length")


class FileInit(_SourceInit):
    """A stored prompt."""

    title = "a file"
    source = "file"
    kind: Literal["file"]
    file: Text = Field(description="a .safetensors file with a tensor [length, width]")
    tensor: Text | None = Field(
        None, description="the tensor's name in the file; when absent the only one, or `prompt` where there are several"
    )


class PeftInit(_SourceInit):
    """A PEFT adapter."""

    title = "a PEFT adapter"
    source = "peft"
    kind: Literal["peft"]
    peft: Text = Field(description="folder or hub name of a PEFT prompt tuning adapter")


class HubInit(_SourceInit):
    """A prompt that was pushed to a hub."""

    title = "a prompt on a hub"
    source = "hub"
    kind: Literal["hub"]
    hub: Text = Field(description="name of a prompt that `metapt push` or `push_to_hub` sent to a hub, `owner/name`")
    revision: Text | None = Field(None, description="commit, tag or branch; the main branch when absent")


class ArtifactInit(_SourceInit):
    """A prompt of this workspace."""

    title = "a prompt of this workspace"
    source = "artifact"
    kind: Literal["artifact"]
    artifact: Text = Field(description="id of a prompt of this workspace, or the beginning of one")

    @field_validator("artifact", mode="before")
    @classmethod
    def _an_id_is_text(cls, value: Any) -> Any:
        # YAML has dropped leading zeros by now, so that the number cannot be turned back into the id.
        if isinstance(value, int | float):
            raise ValueError('YAML reads this id as a number: put it in quotes, as in {artifact: "123456"}')
        return value


if TYPE_CHECKING:
    AnyInit = InitConfig
else:
    AnyInit = one_of(
        InitConfig,
        RandomInit,
        VocabularyInit,
        LabelsInit,
        DemonstrationsInit,
        TextInit,
        FileInit,
        PeftInit,
        HubInit,
        ArtifactInit,
    )
