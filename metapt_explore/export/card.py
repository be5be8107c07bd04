"""The model card of an exported prompt: what it is, how to use it, how good it was, what it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metapt_explore.config import StudyConfig
from metapt_explore.config.support import pretrained_at
from metapt_explore.escaping import markdown, markdown_code, one_line
from metapt_explore.export.facts import PROBE_FILE, PROMPT_FILE, PromptFacts
from metapt_explore.export.loader import loader
from metapt_explore.export.peft_format import TASK_TYPES, base_model, on_hub
from metapt_explore.starter.models import STARTER_MODELS

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

CLASSIFY = """```bash
metapt classify --prompt FOLDER < texts.txt        # a JSON object a line: label and probabilities
```"""
PEFT = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "FEATURE_EXTRACTION": "AutoModel",
}
#: What hubs call a metric, and what the record does.
METRICS = {"accuracy": "accuracy", "f1": "macro_f1"}


def model_card(facts: PromptFacts, study: StudyConfig, *, with_adapter: bool) -> str:
    """Writes the card, with the head that hubs read.

    Args:
        facts: Of the prompt.
        study: The study that made it.
        with_adapter: Whether the folder holds a PEFT adapter, too.
    """
    made, name = facts.made_by, str(facts.model["name"])
    # Hubs refuse a base model that is not on the hub, and a local path is private.
    base = base_model(name) if on_hub(name) else Path(name).name
    tuned = made["task"] is not None
    shots = made.get("shots", study.evaluation.shots)
    rows = made.get("rows")
    begun = "Made" if rows else "Pre-trained"
    what = (
        f"tuned on {rows['train']} labelled rows"
        if rows
        else f"tuned on {shots} example{'s' * (shots != 1)} a class of {markdown_code(made['task'])} "
        f"(data seed {made['data_seed']})"
        if tuned
        else "a start for few-shot prompt tuning, not tuned on any task"
    )
    own = any(len(pretrained_at(study, method)) > 1 for method in study.methods if method.name == made["method"])
    matched = f" for {shots} example{'s' * (shots != 1)} a class" if own else ""
    lines = [
        f"# Soft prompt of {markdown(one_line(made['method']))} for {markdown(one_line(base))}",
        "",
        f"{facts.tokens} vectors of {facts.width} numbers{_deep(facts)} for a frozen language model, placement "
        f"`{facts.placement}`; {what}.",
        f"{begun} by {markdown_code(made['method'])} of the study {markdown_code(made['study'])}, initialisation "
        f"seed {made['init_seed']}{matched}.",
        "",
        f"A text is read as {_template(facts.template)}; classes: {_classes(facts)}.",
        "",
        *_probe_lines(facts),
        *_starts_lines(facts),
        "## Use",
        "",
        CLASSIFY,
        "",
    ]
    if with_adapter:
        lines += [*_peft_lines(facts), ""]
    if facts.token_ids is not None:
        lines += [
            "Without metapt_explore, with transformers alone (this is all there is to it):",
            "",
            f"```python\n{loader(facts.placement).strip()}\n```",
            "",
        ]
    lines += ["## How good", "", *_scores(facts), "", "## Made with", "", *_made_with(facts)]
    head = _head(facts, base, with_adapter=with_adapter)
    return f"---\n{head.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n"


def _deep(facts: PromptFacts) -> str:
    return " (keys and values of every layer)" if facts.placement == "deep" else ""


def _head(facts: PromptFacts, base: str, *, with_adapter: bool) -> ModelCardData:
    """The card's head, which hubs read."""
    from huggingface_hub import ModelCardData

    results = _results(facts)
    return ModelCardData(
        base_model=base if on_hub(str(facts.model["name"])) else None,
        library_name="peft" if with_adapter else None,
        pipeline_tag="text-classification",
        tags=["prompt-tuning", "few-shot", "metapt"],
        model_name=f"{facts.made_by['method']} for {base}" if results else None,
        eval_results=results or None,
    )


def _results(facts: PromptFacts) -> list[EvalResult]:
    """Scores in the format of hubs: test rows and label words only, since hubs know no probe."""
    from huggingface_hub import EvalResult

    made = facts.made_by
    if made.get("accuracy") is None or facts.scored_rows != "test" or facts.probe is not None:
        return []
    return [
        EvalResult(
            task_type="text-classification",
            dataset_name=f"{made['task']} (few-shot, data seed {made['data_seed']})",
            dataset_type=str(made["task"]),
            metric_type=metric,
            metric_value=round(float(made[column]), 4),
        )
        for metric, column in METRICS.items()
        if made.get(column) is not None
    ]


def _template(template: str) -> str:
    return markdown_code(template.replace("\n", "⏎"))


def _classes(facts: PromptFacts) -> str:
    classes = []
    for name, label in facts.labels.items():
        words = label.get("words") or [label.get("description", "")]
        classes.append(f"{markdown(name)} ({', '.join(map(markdown_code, words))})")
    return ", ".join(classes)


def _probe_lines(facts: PromptFacts) -> list[str]:
    if facts.probe is None:
        return []
    words, probe = facts.probe["words"], facts.probe["probe"]
    return [
        f"Beside the label words a probe (logistic regression on the frozen model's states, `{PROBE_FILE}`) has a say: "
        f"log-probabilities count {words:g} to {probe:g}. `metapt classify` reads both; whatever else is shown here "
        "reads the words alone.",
        "",
    ]


def _starts_lines(facts: PromptFacts) -> list[str]:
    starts = facts.made_by.get("starts")
    if not starts:
        return []
    return [
        f"It was pre-trained with {starts} starts: start k is this prompt plus row k of the tensor `offsets` beside it "
        f"(`{PROMPT_FILE}`). In the study each data seed began from a mixture of them that its few-shot rows chose; "
        "whatever else is shown here, a PEFT adapter too, is the common prompt alone.",
        "",
    ]


def _peft_lines(facts: PromptFacts) -> list[str]:
    auto, name = PEFT[TASK_TYPES[facts.family, facts.placement]], str(facts.model["name"])
    return [
        "With PEFT:",
        "",
        "```python",
        "from peft import PeftModel",
        f"from transformers import {auto}",
        "",
        f'base = {auto}.from_pretrained("{base_model(name) if on_hub(name) else "MODEL"}")',
        'model = PeftModel.from_pretrained(base, "FOLDER")',
        "```",
    ]


def _scores(facts: PromptFacts) -> list[str]:
    made = facts.made_by
    if made.get("rows"):
        if made.get("dev_accuracy") is None:
            return ["It has no score: all rows were trained on, and nothing was chosen."]
        return [
            f"Accuracy {100 * made['dev_accuracy']:.1f} % on {made['rows']['dev']} dev rows, by which learning rate "
            "and step were chosen: the accuracy on other rows is probably lower. No test row was looked at."
        ]
    if made.get("accuracy") is None:
        return ["It has no score of its own: scores belong to prompts that were tuned on a task."]
    return [
        f"Accuracy {100 * made['accuracy']:.1f} % on the study's {facts.scored_rows} rows of "
        f"{markdown_code(made['task'])} "
        f"({100 * made['start_accuracy']:.1f} % before tuning), for this one pair of seeds. Other seeds give other "
        "scores: see the study's report for their spread, and do not choose a prompt by its test score."
        + (
            f" These scores are calibrated (`{facts.calibration}`), which `metapt classify` does by default and the "
            "lines above do not."
            if facts.calibration != "none"
            else ""
        )
        + (
            " The score after tuning is of words and probe together, the one before of the words alone."
            if facts.probe is not None
            else ""
        ),
    ]


def _made_with(facts: PromptFacts) -> list[str]:
    versions = facts.manifest.get("versions", {})
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = [
        f"{markdown(listed) or 'versions unknown'}; artifact {markdown_code(facts.made_by['artifact'])}; model files "
        f"{markdown(facts.model_hash[:16])}."
    ]
    name = str(facts.model["name"])
    if title := STARTER_MODELS.get(name):
        lines.append(f"{markdown_code(name)} is {title}: with the hub's own weights predictions differ a little.")
    if not on_hub(str(facts.model["name"])):
        lines.append(
            "The model is a folder of the machine that made this. Before the prompt is pushed to a hub, write the "
            "model's name there as `base_model` into the head of this card, as `base_model` and `model.name` into "
            "`prompt.json`, and as `base_model_name_or_path` into `adapter_config.json` where there is one."
        )
    return lines
