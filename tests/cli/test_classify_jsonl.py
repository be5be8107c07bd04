"""JSON Lines into `metapt classify` and out of it, for texts and for pairs; the model is pretended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from metapt_explore.cli.classify import ClassifyOptions, classify_lines
from metapt_explore.errors import UserError
from metapt_explore.export import classify
from metapt_explore.export.classify import Prediction
from metapt_explore.texts.rows import TextInput

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def classified(lines: list[str], template: str = "{text}\nTopic:", **options: Any) -> list[dict[str, Any]]:
        class Pretended:
            """Its label is what it was given."""

            notes: tuple[str, ...] = ()
            facts = SimpleNamespace(template=template)

            def __init__(self, *_: Any, **__: Any) -> None:
                pass

            def classify(self, texts: Iterable[TextInput], batch: int) -> Iterator[Prediction]:
                for text in texts:
                    yield Prediction(json.dumps(text), {"yes": 0.25, "no": 0.75})

        monkeypatch.setattr(classify, "Classifier", Pretended)
        classify_lines(lines, None, ClassifyOptions(jsonl=True, **options))  # type: ignore[arg-type]
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return classified


PAIR = "{text}\nQuestion: {text_pair}\nAnswer:"


def test_an_object_comes_back_with_what_was_found(run: Run) -> None:
    rows = [{"id": 7, "text": "größer\tals", "label": "mine"}, {"id": 8, "text": None}]
    out = run([json.dumps(row) + "\n" for row in rows] + ["\n"])
    shares = {"yes": 0.25, "no": 0.75}
    assert out == [
        {**rows[0], "prediction": json.dumps("größer\tals"), "probabilities": shares},
        {**rows[1], "prediction": '""', "probabilities": shares},
    ], "its own label stays, a missing text is blank"
    assert run([json.dumps({"id": "a1", "review": "a good film"})])[0]["prediction"] == '"a good film"'


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"text": "It rains.", "text_pair": "Is it wet?"}, {}),
        ({"question": "Is it wet?", "passage": "It rains."}, {}),
        ({"a": "It rains.", "b": "Is it wet?"}, {"text": "a", "text_pair": "b"}),
    ],
)
def test_both_texts_of_a_pair_are_read(run: Run, row: dict[str, str], options: dict[str, str]) -> None:
    (out,) = run([json.dumps(row)], PAIR, **options)
    assert json.loads(out["prediction"]) == ["It rains.", "Is it wet?"]


def test_a_line_that_cannot_be_read_is_named(run: Run) -> None:
    for lines, message in (
        (['{"text": "a"}', "plain text"], "line 2 is no JSON"),
        (["[1]"], "line 1: a JSON object is expected"),
        (['{"text": "a"}', '{"txt": "a"}'], "line 2 has no 'text'. Did you mean 'txt'"),
        (['{"text": 7}'], "line 1: 'text' is no text"),
    ):
        with pytest.raises(UserError) as error:
            run(lines)
        assert message in str(error.value)
    with pytest.raises(UserError, match=r"has no 'text_pair'.*--text-pair"):
        run(['{"text": "a"}'], PAIR)
