"""Where a soft prompt begins: the menu of starts."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.names import Text
from metapt_explore.config.task import Strict
from metapt_explore.errors import did_you_mean

#: Starts that need nothing more than their name.
Plain = Literal["random", "vocabulary", "labels"]
#: Starts that come from something; each is the name of the field that says what.
Source = Literal["text", "file", "peft", "artifact"]

PLAIN: tuple[str, ...] = get_args(Plain)
SOURCES: tuple[str, ...] = get_args(Source)


class InitConfig(Strict):
    """Where a soft prompt begins.

    In YAML it is a name (``init: random``, ``vocabulary`` or ``labels``) or a mapping with one source,
    from which `kind` follows:

    - ``init: {text: "Is this review good or bad?"}``
    - ``init: {file: mine.safetensors, tensor: prompt}``
    - ``init: {peft: adapters/mine}``
    - ``init: {artifact: 3fa9c2}``

    Example:
        >>> InitConfig.model_validate("labels").kind, InitConfig.model_validate({"text": "good or bad"}).kind
        ('labels', 'text')
    """

    kind: Literal[Plain, Source] = Field(description="what it is made of; written short, as `init: labels`")
    text: Text | None = Field(None, description="its tokens' embeddings, repeated or cut to the prompt's length")
    file: Text | None = Field(None, description="a .safetensors file with a tensor [length, width]")
    tensor: Text | None = Field(
        None, description="the tensor's name in the file; when absent the only one, or `prompt` where there are several"
    )
    peft: Text | None = Field(None, description="folder or hub name of a PEFT prompt tuning adapter")
    artifact: Text | None = Field(None, description="id of a prompt of this workspace, or the beginning of one")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        if isinstance(given, InitConfig):
            return given
        if isinstance(given, str):
            if given in SOURCES:
                raise ValueError(f"'{given}' needs to be told which: write `init: {{{given}: ...}}`")
            if given not in PLAIN:
                raise ValueError(f"there is no init '{given}'. {did_you_mean(given, [*PLAIN, *SOURCES])}")
            return {"kind": given}
        if not isinstance(given, dict):
            raise ValueError(f"give a name ({', '.join(PLAIN)}) or a mapping such as {{text: ...}}")
        for key in given:
            if key in PLAIN:
                raise ValueError(f"'{key}' has no settings: write `init: {key}`")
            if key not in cls.model_fields:
                raise ValueError(f"unknown key '{key}'. {did_you_mean(str(key), [*SOURCES, 'tensor'])}")
        if "kind" in given:
            return given
        found = [key for key in SOURCES if given.get(key) is not None]
        if len(found) != 1:
            raise ValueError(_exactly_one(found))
        return {**given, "kind": found[0]}

    @field_validator("artifact", mode="before")
    @classmethod
    def _an_id_is_text(cls, value: Any) -> Any:
        # YAML has dropped leading zeros by now, so that the number cannot be turned back into the id.
        if isinstance(value, int | float):
            raise ValueError('YAML reads this id as a number: put it in quotes, as in {artifact: "123456"}')
        return value

    @field_validator("text", "file", "tensor", "peft", "artifact")
    @classmethod
    def _not_blank(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is blank")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> InitConfig:
        found = [key for key in SOURCES if getattr(self, key) is not None]
        if self.kind in PLAIN and found:
            raise ValueError(f"'{self.kind}' has no settings (found {' and '.join(found)}): write `init: {self.kind}`")
        if self.kind in SOURCES and found != [self.kind]:
            raise ValueError(_exactly_one(found))
        if self.tensor is not None and self.kind != "file":
            raise ValueError("`tensor` goes with `file`, and only with it")
        return self

    @property
    def short(self) -> str | dict[str, str]:
        """The form it has in YAML.

        Example:
            >>> InitConfig(kind="vocabulary").short, InitConfig(kind="text", text="good or bad").short
            ('vocabulary', {'text': 'good or bad'})
        """
        if self.kind in PLAIN:
            return self.kind
        return {key: getattr(self, key) for key in (*SOURCES, "tensor") if getattr(self, key) is not None}


def _exactly_one(found: list[str]) -> str:
    return f"give exactly one of text, file, peft and artifact (found {' and '.join(found) or 'none of them'})"
