"""PEFT's own soft prompts, made and initialised by PEFT's modules: prompt tuning, P-tuning and prefix tuning.

Lester et al., EMNLP 2021 (arXiv 2104.08691); Liu et al., 2021 (2103.10385); Li and Liang, ACL 2021 (2101.00190). PEFT
puts them in front of the whole row, which is our placement `prefix` (`encoder` in encoder-decoders, `deep` for prefix
tuning): only the module that makes the vectors is PEFT's, and our passes run the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.baselines.fine_tuning import TrainedWeights
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.baselines.model_tuning import Prepare, Trained, tune_model
from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.folder import model_folder
from metapt_explore.seeds import derived_seed

#: Settings of a PEFT configuration, of a baseline's inputs and the model.
Settings = Callable[[BaselineInputs, Backbone], dict[str, Any]]


@dataclass(frozen=True)
class Maker:
    """How PEFT makes a kind of prompt.

    Attributes:
        config: Class of its settings.
        module: Class that makes the vectors.
        settings: The settings.
        embeds: Whether the module begins from the model's token embeddings.
    """

    config: str
    module: str
    settings: Settings
    embeds: bool = False


def instruction(inputs: BaselineInputs) -> str:
    """The text that prompt tuning begins as, with the task's label words; other braces stand for themselves."""
    labels: LabelsConfig = inputs.task
    words = ", ".join(str(label.word) for label in labels.labels.values())
    return str(inputs.options["init_text"]).replace("{labels}", words)


def _from_text(inputs: BaselineInputs, backbone: Backbone) -> dict[str, Any]:
    model = inputs.study.model
    text = instruction(inputs)
    return {
        "num_virtual_tokens": inputs.options["prompt_tokens"] or _tokens(backbone, text),
        "prompt_tuning_init": "TEXT",
        "prompt_tuning_init_text": text,
        "tokenizer_name_or_path": str(model_folder(model.name, model.revision)),
        "tokenizer_kwargs": {"local_files_only": True},
    }


def _tokens(backbone: Backbone, text: str) -> int:
    count = len(backbone.tokenizer(text)["input_ids"])
    if not count:
        raise UserError("The baseline `prompt_tuning`: its `init_text` has no tokens of the model.")
    return count


def _by_network(inputs: BaselineInputs, backbone: Backbone) -> dict[str, Any]:
    options = inputs.options
    return {
        "num_virtual_tokens": options["prompt_tokens"],
        "encoder_reparameterization_type": options["network"].upper(),
        "encoder_hidden_size": options["network_width"],
    }


def _of_every_layer(inputs: BaselineInputs, backbone: Backbone) -> dict[str, Any]:
    deep: Any = backbone.deep  # type: ignore[attr-defined]
    return {
        "num_virtual_tokens": inputs.options["prompt_tokens"],
        "prefix_projection": inputs.options["projection"],
        "encoder_hidden_size": backbone.embedding.shape[1],
        "num_layers": deep.layers,
        "num_attention_heads": deep.kv_heads,
        "token_dim": deep.kv_heads * deep.head_dim,
    }


MAKERS = {
    "prompt_tuning": Maker("PromptTuningConfig", "PromptEmbedding", _from_text, embeds=True),
    "p_tuning": Maker("PromptEncoderConfig", "PromptEncoder", _by_network),
    "prefix_tuning": Maker("PrefixTuningConfig", "PrefixEncoder", _of_every_layer),
}


def prompt_tuning(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains vectors that begin as an instruction; the initialisation seed only orders the examples."""
    tokens = inputs.options["prompt_tokens"] or _tokens(inputs.backbone(), instruction(inputs))
    return tune_model(inputs, prompt_of("prompt_tuning"), prompt_tokens=tokens)


def p_tuning(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains vectors and the network behind them; the initialisation seed draws both and orders the examples."""
    return tune_model(inputs, prompt_of("p_tuning"), prompt_tokens=inputs.options["prompt_tokens"])


def prefix_tuning(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains keys and values of every layer; the initialisation seed draws them and orders the examples."""
    tokens = inputs.options["prompt_tokens"]
    return tune_model(inputs, prompt_of("prefix_tuning"), placement="deep", prompt_tokens=tokens)


def prompt_of(kind: str) -> Prepare:
    """What is trained of one of `MAKERS`: all numbers of PEFT's module."""

    def prepare(backbone: Backbone, inputs: BaselineInputs) -> Callable[[int], Trained]:
        module = make_module(kind, backbone, inputs)
        places = torch.arange(module.embedding.num_embeddings, device=backbone.device)[None]
        trained = Trained(TrainedWeights(list(module.parameters())), prompt=lambda: vectors_of(module, places))
        return lambda seed: trained

    return prepare


def vectors_of(module: Any, places: Tensor) -> Tensor:
    """The prompt that a module of PEFT makes now, fp32 `[1, prompt_tokens, width]`."""
    vectors: Tensor = module(places)
    return vectors.float()


def make_module(kind: str, backbone: Backbone, inputs: BaselineInputs) -> Any:
    """The module of PEFT that makes a prompt, initialised by PEFT, fp32.

    Args:
        kind: One of `MAKERS`.
        backbone: The model, in the placement of the kind.
        inputs: Settings, and the seeds that numbers are drawn from.

    Raises:
        UserError: Where PEFT is missing.
    """
    import peft

    maker, (seed, init_seed) = MAKERS[kind], inputs.seeds
    # One part of the model has the prompt: of encoder-decoders the encoder, as in Lester et al.
    shared = {"task_type": "CAUSAL_LM", "num_transformer_submodules": 1, "token_dim": backbone.width}
    config = getattr(peft, maker.config)(**{**shared, **maker.settings(inputs, backbone)})
    with torch.random.fork_rng([]):
        torch.manual_seed(derived_seed(seed, kind, init_seed))
        # Not the model's own layer: some multiply what they look up.
        layers = (torch.nn.Embedding.from_pretrained(backbone.embedding.detach()),) if maker.embeds else ()
        module: Any = getattr(peft, maker.module)(config, *layers)
    return module.float().to(backbone.device).requires_grad_(True)
