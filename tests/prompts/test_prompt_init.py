"""Prompt starts: where the vectors come from, and what they depend on."""

from __future__ import annotations

import pytest
import tiny
import torch

from metapt_explore.config import InitConfig, LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.prompts.init import COMMONEST, InitSources, initial_prompt, label_words

EMBEDDING = torch.randn(COMMONEST + 500, 16, generator=torch.Generator().manual_seed(0)) * 0.3 + 0.1
RANDOM, VOCABULARY, LABELS = (InitConfig(kind=kind) for kind in ("random", "vocabulary", "labels"))


class Letters:
    """A tokenizer: each letter is a token, a is 0; a space is none."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"piece {token}" for token in ids]

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(letter) - ord("a") for letter in text if letter != " "]}


#: Row i is [i, 10 i].
COUNTED = torch.arange(26.0)[:, None] * torch.tensor([1.0, 10.0])


def test_a_vocabulary_start_is_made_of_common_tokens() -> None:
    start = initial_prompt(VOCABULARY, 40, InitSources(EMBEDDING), seed=1, init_seed=0)
    for vector in start:
        (index,) = (vector == EMBEDDING).all(dim=1).nonzero()[0]
        assert index < COMMONEST


def test_a_random_start_has_the_scale_of_the_embeddings() -> None:
    """Off that scale prompt tuning hardly learns, which is the known trap of a standard normal start."""
    start = initial_prompt(RANDOM, 500, InitSources(EMBEDDING), seed=1, init_seed=0)
    assert float(start.std()) == pytest.approx(float(EMBEDDING.std()), rel=0.05)
    assert float(start.mean()) == pytest.approx(float(EMBEDDING.mean()), abs=0.02)


@pytest.mark.parametrize("kind", [VOCABULARY, RANDOM, LABELS], ids=lambda start: start.kind)
def test_a_start_depends_on_the_seeds_only(kind: InitConfig) -> None:
    def made(seed: int, init_seed: int) -> torch.Tensor:
        return initial_prompt(
            kind, 8, InitSources(EMBEDDING, tokenizer=Letters(), label_words=["a"]), seed=seed, init_seed=init_seed
        )

    assert torch.equal(made(1, 0), made(1, 0))
    assert not torch.equal(made(1, 0), made(1, 1))
    assert not torch.equal(made(1, 0), made(2, 0))


def test_the_draws_of_random_and_vocabulary_are_pinned() -> None:
    """Changed draws would silently change the scores of every study, under unchanged ids."""
    counting = torch.arange(6000.0)[:, None]
    assert initial_prompt(VOCABULARY, 4, InitSources(counting), seed=7, init_seed=0).flatten().tolist() == [
        2596,
        1533,
        3492,
        4944,
    ]
    random = initial_prompt(RANDOM, 2, InitSources(counting), seed=7, init_seed=0).flatten()
    torch.testing.assert_close(random, torch.tensor([2369.400390625, 5886.119140625]))


def test_label_words_come_first_and_the_rest_is_sampled() -> None:
    """`c` is row 2; `bd` is two tokens, rows 1 and 3, whose mean is row 2, too; `z` is row 25."""
    words = [" c", " bd", " z"]
    start = initial_prompt(LABELS, 6, InitSources(COUNTED, tokenizer=Letters(), label_words=words), seed=0, init_seed=0)
    assert start[:3].tolist() == [[2, 20], [2, 20], [25, 250]]
    assert all(any(torch.equal(row, other) for other in COUNTED) for row in start[3:])
    other = initial_prompt(LABELS, 6, InitSources(COUNTED, tokenizer=Letters(), label_words=words), seed=0, init_seed=1)
    assert torch.equal(start[:3], other[:3]) and not torch.equal(start[3:], other[3:])


def test_more_label_words_than_rows_are_left_out_and_said() -> None:
    notices: list[str] = []
    words = [" a", " b", " c"]
    start = initial_prompt(
        LABELS,
        2,
        InitSources(COUNTED, tokenizer=Letters(), label_words=words),
        seed=0,
        init_seed=0,
        on_notice=notices.append,
    )
    assert start.tolist() == [[0, 0], [1, 10]]
    assert notices == ["The initial prompt holds 2 of 3 label words, because prompt.length is 2; left out: 'c'."]


def test_label_words_are_the_tokens_that_the_pattern_reads() -> None:
    """With a space in front, unless the template ends in one."""
    labels = {"no": {"value": "0", "word": "bad"}, "yes": {"value": "1", "word": "good"}}
    assert label_words(LabelsConfig.model_validate({"template": "{text} It is", "labels": labels})) == [" bad", " good"]
    assert label_words(LabelsConfig.model_validate({"template": "{text}\n", "labels": labels})) == ["bad", "good"]


@pytest.mark.parametrize(
    ("length", "rows", "cut"), [(3, [1, 0, 3], False), (7, [1, 0, 3, 1, 0, 3, 1], False), (2, [1, 0], True)]
)
def test_a_text_is_repeated_or_cut(length: int, rows: list[int], cut: bool) -> None:
    notices: list[str] = []
    text = InitConfig(kind="text", text="b a d")
    start = initial_prompt(
        text, length, InitSources(COUNTED, tokenizer=Letters()), seed=0, init_seed=0, on_notice=notices.append
    )
    assert start[:, 0].tolist() == rows and start.dtype == torch.float32
    assert torch.equal(
        start, initial_prompt(text, length, InitSources(COUNTED, tokenizer=Letters()), seed=5, init_seed=6)
    )
    assert [("3 tokens long" in notice and "set it to 3" in notice) for notice in notices] == [True] * cut


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_text_start_is_that_of_peft(tmp_path_factory: pytest.TempPathFactory) -> None:
    """PEFT's own rows for `prompt_tuning_init="TEXT"`, repeated and cut."""
    from peft import PromptTuningConfig, TaskType, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny.make_language_model(tmp_path_factory.mktemp("model"))
    words, text = AutoTokenizer.from_pretrained(folder), "the camera was superb"
    for length in (3, 4, 10):
        model = AutoModelForCausalLM.from_pretrained(folder)
        config = PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=length,
            prompt_tuning_init="TEXT",
            prompt_tuning_init_text=text,
            tokenizer_name_or_path=str(folder),
        )
        theirs = get_peft_model(model, config).prompt_encoder["default"].embedding.weight.detach()
        embedding = model.get_input_embeddings().weight.detach()
        ours = initial_prompt(
            InitConfig(kind="text", text=text), length, InitSources(embedding, tokenizer=words), seed=0, init_seed=0
        )
        assert torch.equal(ours, theirs)


def test_a_given_prompt_is_taken_as_it_is() -> None:
    stored = InitConfig(kind="file", file="mine.safetensors")
    given = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    start = initial_prompt(stored, 2, InitSources(COUNTED.bfloat16(), stored=given), seed=0, init_seed=0)
    assert torch.equal(start, given) and start is not given and start.dtype == torch.float32
    with pytest.raises(UserError, match=r"must be a tensor \[3, 2\]; found \[2, 2\]"):
        initial_prompt(stored, 3, InitSources(COUNTED, stored=given), seed=0, init_seed=0)


def test_a_word_without_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="'  ' has no tokens"):
        initial_prompt(LABELS, 2, InitSources(COUNTED, tokenizer=Letters(), label_words=["  "]), seed=0, init_seed=0)
