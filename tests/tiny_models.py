"""Tiny random models of every family, which tests make for themselves; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

TOPICS = {
    "camera": ["camera", "lens", "photo", "zoom", "battery"],
    "book": ["book", "chapter", "author", "story", "page"],
    "kitchen": ["pan", "knife", "oven", "kettle", "recipe"],
    "music": ["album", "song", "guitar", "singer", "concert"],
}
FEELINGS = {
    "negative": ["bad", "awful", "poor", "boring", "broken"],
    "positive": ["good", "great", "lovely", "superb", "solid"],
}
QUESTIONS = {
    "place": ["where", "city", "country", "river"],
    "number": ["many", "much", "count", "year"],
}
FILLER = [
    "the",
    "a",
    "this",
    "that",
    "is",
    "was",
    "very",
    "really",
    "quite",
    "so",
    "and",
    "but",
    "with",
    "my",
    "of",
    "in",
    "on",
    "for",
    "it",
    "old",
    "new",
]
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *FILLER,
    *(word for group in (TOPICS, FEELINGS, QUESTIONS) for name, words in group.items() for word in (name, *words)),
    "Sentiment",
    "Type",
    ":",
    *(f"w{i}" for i in range(40)),
]


#: What tokenizers of other families put around a text: `(tokens of their own, in front, behind)`.
SPECIALS = {
    "t5": (["</s>", "<extra_id_0>"], [], ["</s>"]),
    "bart": (["<s>", "</s>", "<mask>"], ["<s>"], ["</s>"]),
    "bert": (["[MASK]"], ["[CLS]"], ["[SEP]"]),
    "roberta": (["<s>", "</s>", "<mask>"], ["<s>"], ["</s>"]),
    "sentence": ([], ["[CLS]"], ["[SEP]"]),
}


def tokenizer(kind: str = "llama") -> Any:
    """A word-level tokenizer over `WORDS`, with the special tokens of a family; Qwen's is byte-level, as it must be."""
    if kind == "qwen2":
        return _byte_level_tokenizer()
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    own, first, last = SPECIALS.get(kind, ([], [], []))
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*WORDS, *own]))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    if first or last:
        raw.post_processor = TemplateProcessing(
            single=" ".join([*first, "$A", *last]),
            special_tokens=[(word, vocabulary[word]) for word in [*first, *last]],
        )
    mask = next((word for word in own if "mask" in word.lower()), None)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **({"mask_token": mask} if mask else {}),
    )


def _byte_level_tokenizer() -> Any:
    """A byte-level tokenizer to which each of `WORDS` is one token behind a space: transformers insists for Qwen 2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    raw.train_from_iterator([f" {word}" for word in WORDS[4:]], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<|endoftext|>", eos_token="<|endoftext|>")


def make_language_model(folder: Path, kind: str = "llama", uneven: bool = False, **changes: Any) -> Path:
    """Writes a tiny random language model.

    Args:
        folder: Where to.
        kind: A model type of transformers: llama, mistral, qwen2, qwen3, gemma2, gemma3, gpt2, gpt_neox (decoder-only),
            t5, bart (encoder-decoder), bert, roberta (masked), or sentence.
        uneven: Whether norm weights are random and biases not 0, as they are in a trained model.
        **changes: Settings of the configuration (not gpt2).
    """
    torch.manual_seed(0)
    words = tokenizer(kind)
    model = _random_model(kind, words, changes)
    if uneven:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _random_model(kind: str, words: Any, changes: dict[str, Any]) -> Any:
    import transformers as tf

    vocabulary = len(words)
    if kind in SPECIALS:
        return _random_bidirectional(kind, words, changes)
    tokens = {"bos_token_id": None, "eos_token_id": None}
    if kind == "gpt2":
        return tf.GPT2LMHeadModel(
            tf.GPT2Config(
                vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3, **tokens
            )
        )
    shape = dict(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.3,
        pad_token_id=0,
        **tokens,
    )
    # A head is as wide here as in the other families; texts and prompts fit the window.
    wide = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 96}
    config_class, model_class, own = {
        "llama": (tf.LlamaConfig, tf.LlamaForCausalLM, {}),
        "mistral": (tf.MistralConfig, tf.MistralForCausalLM, {"sliding_window": None}),
        "qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM, {}),
        "qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM, {"head_dim": 8}),
        "gemma2": (tf.Gemma2Config, tf.Gemma2ForCausalLM, wide),
        "gemma3": (tf.Gemma3TextConfig, tf.Gemma3ForCausalLM, wide),
        "gpt_neox": (tf.GPTNeoXConfig, tf.GPTNeoXForCausalLM, {}),
    }[kind]
    return model_class(config_class(**{**shape, **own, **changes}))


def _random_bidirectional(kind: str, words: Any, changes: dict[str, Any]) -> Any:
    import transformers as tf

    vocabulary = len(words)
    if kind == "t5":
        t5 = dict(
            vocab_size=vocabulary,
            d_model=32,
            d_kv=8,
            d_ff=48,
            num_layers=2,
            num_heads=4,
            pad_token_id=0,
            eos_token_id=words.convert_tokens_to_ids("</s>"),
            decoder_start_token_id=0,
            initializer_factor=1.0,
        )
        return tf.T5ForConditionalGeneration(tf.T5Config(**{**t5, **changes}))
    if kind == "bart":
        start, end = words.convert_tokens_to_ids(["<s>", "</s>"])
        bart = dict(
            vocab_size=vocabulary,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_position_embeddings=128,
            init_std=0.15,
            pad_token_id=0,
            bos_token_id=start,
            eos_token_id=end,
            decoder_start_token_id=end,
            scale_embedding=True,
        )
        model = tf.BartForConditionalGeneration(tf.BartConfig(**{**bart, **changes}))
        model.final_logits_bias.normal_()
        model.generation_config.forced_bos_token_id = start  # as in the configurations of BART's checkpoints
        return model
    shape = dict(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=128,
        initializer_range=0.3,
        pad_token_id=0,
    )
    config_class, model_class = {
        "bert": (tf.BertConfig, tf.BertForMaskedLM),
        "roberta": (tf.RobertaConfig, tf.RobertaForMaskedLM),
        "sentence": (tf.BertConfig, tf.BertModel),
    }[kind]
    return model_class(config_class(**{**shape, **changes}))


def make_encoder(folder: Path) -> Path:
    """Writes a tiny random sentence encoder."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    words = tokenizer()
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
