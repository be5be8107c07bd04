"""Sends an exported prompt to a hub, by huggingface_hub; the token comes from the environment only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metapt_explore import hub
from metapt_explore.errors import UserError
from metapt_explore.export.facts import PromptFacts
from metapt_explore.export.peft_format import on_hub
from metapt_explore.prompts.exported_files import PROMPT_FILE, SENT
from metapt_explore.prompts.load import find_tensor


def push_prompt(
    folder: Path, name: str, *, private: bool | None = None, on_notice: Callable[[str], None] = lambda message: None
) -> str:
    """Sends a prompt's folder to a hub.

    Only the files of a prompt are sent, whatever else lies in the folder; those of a prompt that was sent there before
    and that this one lacks are deleted.

    Args:
        folder: What `export_prompt` or `save_pretrained` wrote.
        name: ``owner/name``; the repository is made where it is missing.
        private: Whether a new repository is private; as the hub usually does when absent.
        on_notice: Told what the user should know.

    Returns:
        Address of the commit.

    Raises:
        UserError: Where the folder holds no prompt, the name is none, there is no token, or the hub refuses.

    Example:
        >>> push_prompt(Path("my-prompt"), "you/my-prompt")  # doctest: +SKIP
        'https://huggingface.co/you/my-prompt/commit/…'
    """
    from huggingface_hub import HfApi

    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. `metapt export` writes a prompt into one.")
    facts = PromptFacts.load(folder)
    find_tensor(folder / PROMPT_FILE, "prompt", "push").check_fits(facts.tokens, facts.width)
    check_can_push(name)
    if not on_hub(str(facts.model["name"])):
        on_notice(
            f"The prompt's model is a folder of this machine ({facts.model['name']}), whose path goes along in "
            "prompt.json: whoever pulls the prompt names the same model's folder there (`--model`, `model=`)."
        )
    here = [each for each in SENT if (folder / each).is_file()]
    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=here,
            delete_patterns=[each for each in SENT if each not in here],
            commit_message="A soft prompt, by metapt_explore",
        )
    except Exception as error:  # the client's errors have no common class
        raise hub.push_refused(error, name) from error
    hub.forget(name)
    return str(commit)


def check_can_push(name: str) -> None:
    """Finds out what can be known before anything is sent.

    Raises:
        UserError: Where the name is no hub name, the hub does not answer, or there is no token.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"'{name}' is no name of a hub: {error}") from None
    if name.count("/") != 1:
        raise UserError(f"'{name}' has no owner; a prompt is pushed as owner/name.")
    if offline := hub.offline_reason():
        raise UserError(f"'{name}' cannot be pushed: {offline}.")
    if not hub.has_token():
        raise UserError(f"'{name}' cannot be pushed without a token: {hub.TOKEN_HELP}.")
