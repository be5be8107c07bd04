"""The language model of a study: its family, where the prompt stands, and what answers depend on."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from metapt_explore.config import Family, ModelConfig, Placement, StudyConfig
from metapt_explore.config.families import FAMILIES
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.families import family_of, placement_of

#: Version of how rows are laid out and read by models that are not decoder-only; decoder-only models never changed.
READING = 2
#: Settings that answers depend on where somebody gives them.
GIVEN = ("family", "sentinel", "device_map", "quantised")

#: Models that some study of this process holds: a notebook's second study does not load what its first has.
_IN_MEMORY: WeakValueDictionary[tuple[str, str, int, str], Backbone] = WeakValueDictionary()
#: Notices given while each was loaded.
_NOTICES: WeakKeyDictionary[Backbone, list[str]] = WeakKeyDictionary()
#: Their settings as they were loaded: a task may have texts of its own length for a while.
_LOADED_AS: WeakKeyDictionary[Backbone, ModelConfig] = WeakKeyDictionary()
#: Which study asked for it last.
_HELD_BY: WeakKeyDictionary[Backbone, weakref.ref[StudyModel]] = WeakKeyDictionary()


class StudyModel:
    """What a study knows of its language model; read, and loaded, when it is first asked for.

    Args:
        config: The study.
        notice: Told what a user should know while the model is loaded.
    """

    def __init__(self, config: StudyConfig, notice: Callable[[str], None]) -> None:
        self._config, self._notice = config, notice
        self._backbone: Backbone | None = None
        #: Device of the machines that compute for this process, and what the number format `auto` is there.
        self._workers: tuple[str, str | None] | None = None

    def computed_by(self, device: str, dtype: str | None) -> None:
        """Lets ids be those of other machines: this process hands out all that runs a model, and loads none.

        Args:
            device: Where models run there.
            dtype: What the number format `auto` is there; as it is here when None.
        """
        self._workers = (device, dtype)
        for known in ("device", "identity"):
            self.__dict__.pop(known, None)

    @property
    def runs_elsewhere(self) -> bool:
        """Whether only other machines may run it, see `computed_by`."""
        return self._workers is not None

    @cached_property
    def family(self) -> Family:
        """The model's family, read from its files."""
        from metapt_explore.models.folder import model_folder

        model = self._config.model
        return family_of(model_folder(model.name, model.revision), model)

    @cached_property
    def placement(self) -> Placement:
        """Where the prompt stands: what the study says, else the family's first."""
        return placement_of(self.family, self._config.prompt.placement, self._config.model.name)

    @property
    def backbone(self) -> Backbone:
        """The frozen language model; the same one for studies of one process that ask for it alike.

        The study that asks has the model to itself: texts and limits of another study are cleared, so that passes are
        cut and counted as in a process of its own.
        """
        return self.reading(None)

    def reading(self, text_limit: int | None) -> Backbone:
        """The language model, with texts cut to so many tokens until it is asked for again.

        Args:
            text_limit: A task's own; `model.max_text_tokens` when None.
        """
        if self._backbone is None:
            self._backbone = self._load()
        backbone = self._backbone
        config = _LOADED_AS[backbone]
        if text_limit is not None:
            config = config.model_copy(update={"max_text_tokens": self._within(text_limit)})
        backbone.config = backbone.layout.config = config
        holder = _HELD_BY.get(backbone)
        if holder is None or holder() is not self:
            _HELD_BY[backbone] = weakref.ref(self)
            backbone.rows_limit = self._config.model.rows_per_pass
            backbone.forget_texts()
            backbone.on_notice = self._notice
        return backbone

    def _load(self) -> Backbone:
        if self._workers is not None:
            raise UserError(
                f"The language model is not loaded here: the study's workers compute it, on '{self._workers[0]}'."
            )
        from metapt_explore.models.load import load_backbone

        length = self._config.prompt.length
        key = self._config.model.model_dump_json(), self.placement, length, str(self.identity["model"])
        backbone = _IN_MEMORY.get(key)
        if backbone is None:
            notices: list[str] = []
            backbone = load_backbone(self._config.model, self.placement, on_notice=notices.append, prompt_tokens=length)
            _IN_MEMORY[key], _NOTICES[backbone], _LOADED_AS[backbone] = backbone, notices, backbone.config
        for message in _NOTICES[backbone]:
            self._notice(message)
        return backbone

    def _within(self, text_limit: int) -> int:
        """A limit that is no longer than a sentence encoder was made for."""
        from metapt_explore.models.folder import model_folder
        from metapt_explore.models.pooling import read_pooling

        if FAMILIES[self.family].has_vocabulary:
            return text_limit
        model = self._config.model
        return read_pooling(model_folder(model.name, model.revision), model.name).tokens(text_limit)

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._backbone is not None

    @cached_property
    def device(self) -> str:
        """Where it runs."""
        from metapt_explore.models.device import resolve_device

        return resolve_device(self._config.model.device) if self._workers is None else self._workers[0]

    def auto_dtype(self, *, float16: bool = False) -> str:
        """What the number format `auto` is where the study is computed.

        Args:
            float16: As for `device.resolve_dtype`.
        """
        from metapt_explore.models.device import resolve_dtype

        there = None if self._workers is None else self._workers[1]
        return there or str(resolve_dtype("auto", self.device, float16=float16)).removeprefix("torch.")

    @property
    def _pooling(self) -> str | None:
        """How a sentence encoder pools, where that is not the mean: its file is not among those that are hashed."""
        from metapt_explore.models.folder import model_folder
        from metapt_explore.models.pooling import read_pooling

        model = self._config.model
        if FAMILIES[self.family].has_vocabulary:
            return None
        return read_pooling(model_folder(model.name, model.revision), model.name).unusual.get("pooling")

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the answer of a stage with the language model depends on."""
        from metapt_explore.models.folder import content_hash, model_folder

        model, facts = self._config.model, FAMILIES[self.family]
        return {
            "model": content_hash(model_folder(model.name, model.revision)),
            "dtype": model.dtype if model.dtype != "auto" else self.auto_dtype(float16=facts.large),
            "device": self.device.split(":")[0],
            "max_text_tokens": model.max_text_tokens,
            "rows_per_pass": model.rows_per_pass,
            "pass_memory_gib": model.pass_memory_gib,
            # How its files are read, where that is not left to them; how its weights lie, where not as one piece.
            **{key: value for key in GIVEN if (value := getattr(model, key)) is not None},
            # Raised whenever rows of these families are laid out or read in another way than before.
            **({"reading": READING} if not facts.left_to_right else {}),
            **({"pooling": pooling} if (pooling := self._pooling) else {}),
        }
