"""Sentence embeddings: a transformers encoder and its own pooling (Reimers and Gurevych, EMNLP 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metapt_explore import hub
from metapt_explore.config import EncoderConfig
from metapt_explore.errors import UserError, first_line
from metapt_explore.storage.checkpoint import CheckpointStore, RowsCheckpoint

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.models.pooling import Pooling

#: Allowed difference between a text's embedding by itself and in a batch, as a share of the largest number.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Encoder:
    """A loaded sentence encoder.

    Attributes:
        tokenizer: Its tokenizer.
        model: The transformers model, in evaluation mode and fp32.
        config: Batch size.
        pooling: How it makes one vector of a text, and how many tokens it reads.
        device: Where it runs.
    """

    tokenizer: Any
    model: Any
    config: EncoderConfig
    pooling: Pooling
    device: str

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self.model.config.hidden_size)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts with the encoder's special tokens, cut to what it reads."""
        longest = self.pooling.tokens(self.config.max_tokens)
        rows = list(self.tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"])
        # A text that the tokenizer drops entirely still gets an embedding.
        return [row or [self.tokenizer.pad_token_id] for row in rows]

    def pooled(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Vectors of some rows, pooled as the encoder's files say, `[rows, width]`; differentiable in the weights."""
        import torch

        batch = self.tokenizer.pad({"input_ids": [list(row) for row in tokens]}, return_tensors="pt").to(self.device)
        hidden = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        pooled = self.pooling.pooled(hidden, batch["attention_mask"])
        return torch.nn.functional.normalize(pooled, dim=1) if self.pooling.normalise else pooled

    def embed(
        self,
        texts: Sequence[str],
        on_rows: Callable[[int], None] = lambda rows: None,
        record: CheckpointStore | None = None,
    ) -> np.ndarray:
        """Embeds texts; see the function `embed`."""
        import torch

        tokens = self.tokens(texts)
        # Texts of like length stand together, so that little padding is computed.
        order = sorted(range(len(texts)), key=lambda row: (len(tokens[row]), row))
        out = np.zeros((len(texts), self.width), dtype=np.float32)
        checkpoint = RowsCheckpoint(record)
        restored = checkpoint.restore()
        done = 0 if restored is None else len(restored)
        if restored is not None:
            out[order[:done]] = restored.numpy()

        def so_far() -> Tensor:
            return torch.from_numpy(out[order[:done]])

        with torch.inference_mode():
            for start in range(done, len(order), self.config.batch_size):
                rows = order[start : start + self.config.batch_size]
                try:
                    out[rows] = self.pooled([tokens[row] for row in rows]).cpu().numpy()
                    done = start + len(rows)
                    on_rows(done)
                except BaseException:
                    checkpoint.save(so_far())
                    raise
                checkpoint.save_if_due(so_far)
        return out


def check_encoder_files(config: EncoderConfig) -> Path:
    """Checks an encoder's configuration, weight files, tokenizer and pooling; none of its weights is read.

    Args:
        config: The encoder's name, and tokens of a text.

    Returns:
        Its folder.

    Raises:
        UserError: Naming the folder and the file (see `docs/models.md` for the list of checks).
    """
    return _checked(config)[0]


def _checked(config: EncoderConfig) -> tuple[Path, Any, Any, Pooling]:
    """Folder, class that loads the model, tokenizer and pooling."""
    from metapt_explore.config.families import FAMILIES
    from metapt_explore.models.folder import model_folder
    from metapt_explore.models.hf_load import check_model, load_settings, load_tokenizer, loading
    from metapt_explore.models.load import encoder_class
    from metapt_explore.models.model_checks import check_tokenizer, positions_of
    from metapt_explore.models.pooling import read_pooling

    folder = model_folder(config.name, config.revision, hub.ENCODER)
    with loading(folder, config.name):
        settings = load_settings(folder, config.name)
        pooling = read_pooling(folder, config.name)
        tokenizer = load_tokenizer(folder, config.name)
        auto_class = encoder_class(settings)
        model = check_model(auto_class, FAMILIES["sentence"].title, folder, name=config.name)
        check_tokenizer(tokenizer, model, folder, name=config.name)
        positions = positions_of(settings.get_text_config())
        if positions is not None and pooling.tokens(config.max_tokens) > positions:
            raise UserError(f"encoder.max_tokens is {config.max_tokens}, but '{config.name}' holds {positions} tokens.")
        _let_pad(tokenizer, settings, int(model.get_input_embeddings().weight.shape[0]))
        return folder, auto_class, tokenizer, pooling


def _let_pad(tokenizer: Any, settings: Any, rows: int) -> None:
    """Makes a tokenizer pad after the text, with any token of the model: padding is masked.

    Padding in front would shift the text's positions, so that its embedding would depend on the other texts of the
    batch.
    """
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= rows:
        given = getattr(settings, "pad_token_id", None)
        number = given if isinstance(given, int) and 0 <= given < min(rows, len(tokenizer)) else 0
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(number)


def load_encoder(config: EncoderConfig, device: str = "cpu") -> Encoder:
    """Loads a sentence encoder and checks that it embeds a text alike by itself and beside a longer one.

    Of an encoder-decoder only the encoder is used; a decoder-only model is pooled like any other (the mean over tokens
    where its files do not say).

    Raises:
        UserError: Where it cannot be found or loaded whole, pools in a way that cannot be computed, or holds fewer
            tokens than `config.max_tokens`.
    """
    import torch

    from metapt_explore.config.families import FAMILIES
    from metapt_explore.models.hf_load import load_model, loading

    folder, auto_class, tokenizer, pooling = _checked(config)
    title = FAMILIES["sentence"].title
    model = load_model(auto_class, title, folder, name=config.name, dtype=torch.float32)
    with loading(folder, config.name):
        if model.config.is_encoder_decoder and hasattr(model, "decoder"):
            model = model.get_encoder()
        encoder = Encoder(tokenizer, model.to(device), config, pooling, device)
    _check_embeddings(encoder, folder)
    return encoder


def _check_embeddings(encoder: Encoder, folder: Path) -> None:
    """Embeds two rows of tokens together and by themselves.

    Raises:
        UserError: Where an embedding is not finite, depends on what stands beside the text, or does not depend on the
            text.
    """
    import torch

    name = encoder.config.name
    vocabulary = int(encoder.model.get_input_embeddings().weight.shape[0])
    usual = [token for token in range(vocabulary) if token != encoder.tokenizer.pad_token_id]
    rows = [[usual[(7 * position + 3) % len(usual)] for position in range(length)] for length in (5, 3)]
    try:
        with torch.inference_mode():
            together = encoder.pooled(rows)
            alone = torch.cat([encoder.pooled([row]) for row in rows])
    except Exception as error:
        raise UserError(
            f"The model '{name}' in {folder} cannot be used as a sentence encoder ({first_line(error)})."
        ) from error
    if together.shape != (2, encoder.width) or not together.isfinite().all():
        raise UserError(
            f"The encoder '{name}' in {folder} cannot be used: its embeddings are not {encoder.width} finite numbers. "
            "Its weights and config.json do not fit each other, or are damaged."
        )
    apart = float((together - alone).abs().max() / together.abs().max().clamp(min=1e-12))
    if not apart <= TOLERANCE:
        raise UserError(
            f"The encoder '{name}' in {folder} cannot be used: it embeds a text otherwise beside a longer one than by "
            f"itself (difference {apart:.2g})."
        )
    if torch.equal(alone[0], alone[1]):
        raise UserError(f"The encoder '{name}' in {folder} cannot be used: it gives every text the same embedding.")


def embed(
    texts: Sequence[str],
    config: EncoderConfig,
    device: str = "cpu",
    *,
    on_rows: Callable[[int], None] = lambda rows: None,
    record: CheckpointStore | None = None,
) -> np.ndarray:
    """Embeds texts with a frozen sentence encoder.

    Args:
        texts: The texts; each is cut to `config.max_tokens`, or to what the encoder's files say if that is less.
        config: Encoder name and sizes.
        device: Where the encoder runs.
        on_rows: Called with the number of texts embedded so far; may raise to stop.
        record: Stores finished rows now and then and when stopped; stored rows are not computed again.

    Returns:
        fp32 `[rows, width]`; rows have length one, unless the encoder's files name pooling and no normalisation.

    Raises:
        UserError: Where the encoder cannot be found or loaded, or pools in a way that cannot be computed.
    """
    return load_encoder(config, device).embed(texts, on_rows, record)
