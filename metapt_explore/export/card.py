"""The model card of an exported prompt: what it is, how to use it, how good it was, what it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.config import StudyConfig
from metapt_explore.config.support import pretrained_at
from metapt_explore.escaping import markdown, markdown_code, one_line
from metapt_explore.export.facts import PromptFacts
from metapt_explore.export.peft_format import TASK_TYPES, base_model, on_hub
from metapt_explore.prompts.exported_files import PIPELINE_FILE, PROBE_FILE, PROMPT_FILE
from metapt_explore.starter.models import STARTER_MODELS

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

CLASSIFY = """```bash
metapt classify --prompt FOLDER < texts.txt        # a JSON object a line: label and probabilities
```"""
STANDALONE = f"""With transformers alone, by `{PIPELINE_FILE}` (it needs torch and safetensors, too). It is code: look
at it before you run it, as at all code that comes from a hub.

```python
from prompt_pipeline import load_prompt

classify = load_prompt("FOLDER")  # a pipeline of transformers; model="…" where the language model lies elsewhere
classify(["a text", "another"])
```"""
PEFT = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "FEATURE_EXTRACTION": "AutoModel",
}
#: What hubs call a metric, what the record does, and which split it is of.
METRICS = (
    ("accuracy", "Accuracy", "accuracy", "test"),
    ("f1", "Macro F1", "macro_f1", "test"),
    ("accuracy", "Accuracy", "dev_accuracy", "validation"),
)


def model_card(facts: PromptFacts, study: StudyConfig | None, *, with_adapter: bool) -> str:
    """Writes the card, with the head that hubs read.

    Args:
        facts: Of the prompt.
        study: The study that made it; None for an estimator's prompt.
        with_adapter: Whether the folder holds a PEFT adapter, too.
    """
    made, name = facts.made_by, str(facts.model["name"])
    # Hubs refuse a base model that is not on the hub, and a local path is private.
    base = base_model(name) if on_hub(name) else Path(name).name
    tuned = made["task"] is not None
    shots = made.get("shots") or (study.evaluation.shots if study else "all")
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
    methods = [method for method in study.methods if method.name == made["method"]] if study else []
    own = any(len(pretrained_at(study, method)) > 1 for method in methods if study)
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
        lines += [STANDALONE, ""]
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
    """Scores in the format of hubs: on dev and on test rows as they were recorded, none where there are none.

    Scores on other rows that a study chose to look at are no results. An estimator's are those on its dev rows, and on
    rows that its user scored it on, unless it was trained on some of them.
    """
    from huggingface_hub import EvalResult

    made = facts.made_by
    if made.get("rows"):
        scored = made.get("scored") or {}
        values = {"dev_accuracy": made.get("dev_accuracy")}
        if scored and not scored.get("trained_on"):
            values["accuracy"] = scored["accuracy"]
        named = {"test": "rows that its user scored it on", "validation": "dev rows that its user gave"}
        dataset = "rows of its user"
    else:
        values = {column: made.get(column) for _, _, column, _ in METRICS}
        if facts.scored_rows != "test":
            values = {}
        seed = f"few-shot, data seed {made['data_seed']}"
        named = {"test": f"{made['task']} ({seed})", "validation": f"{made['task']}, dev rows ({seed})"}
        dataset = str(made["task"])
    beside = "" if facts.probe is None else " of label words and probe"
    return [
        EvalResult(
            task_type="text-classification",
            dataset_name=named[split],
            dataset_type=dataset,
            dataset_split=split,
            metric_type=metric,
            metric_name=f"{title}{beside}",
            metric_value=round(float(value), 4),
        )
        for metric, title, column, split in METRICS
        if (value := values.get(column)) is not None
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
        f"log-probabilities count {words:g} to {probe:g}. `metapt classify` and `{PIPELINE_FILE}` read both; "
        "PEFT reads the words alone.",
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
        return _scores_of_estimator(made)
    if made.get("accuracy") is None:
        return ["It has no score of its own: scores belong to prompts that were tuned on a task."]
    dev = made.get("dev_accuracy")
    return [
        f"Accuracy {100 * made['accuracy']:.1f} % on the study's {facts.scored_rows} rows of "
        f"{markdown_code(made['task'])} "
        f"({100 * made['start_accuracy']:.1f} % before tuning"
        f"{'' if dev is None else f'; {100 * dev:.1f} % on dev rows'}), for this one pair of seeds. Other seeds give "
        "other scores: see the study's report for their spread, and do not choose a prompt by its test score."
        + (
            f" These scores are calibrated (`{facts.calibration}`), which `metapt classify` does by default and "
            "nothing else here does."
            if facts.calibration != "none"
            else ""
        )
        + (
            " The score after tuning is of words and probe together, the one before of the words alone."
            if facts.probe is not None
            else ""
        ),
    ]


def _scores_of_estimator(made: dict[str, Any]) -> list[str]:
    """What its dev rows say, and rows that its user scored it on."""
    said, scored = [], made.get("scored")
    if made.get("dev_accuracy") is not None:
        said.append(
            f"Accuracy {100 * made['dev_accuracy']:.1f} % on {made['rows']['dev']} dev rows, by which learning rate "
            "and step were chosen: the accuracy on other rows is probably lower."
        )
    if scored:
        trained_on = scored.get("trained_on")
        seen = {None: "whether it was trained on some of them is not known", 0: "it was trained on none of them"}
        said.append(
            f"Accuracy {100 * scored['accuracy']:.1f} % on {scored['rows']} rows that its user scored it on "
            f"(`score`); {seen.get(trained_on, f'it was trained on {trained_on} of them, so this says little')}."
        )
    elif said:
        said.append("No test row was looked at.")
    else:
        said.append("It has no score: all rows were trained on, and nothing was chosen.")
    return [" ".join(said)]


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
