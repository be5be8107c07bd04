"""Models, adapters and data sets by their hub name: downloaded, or found in the hub's cache on this machine.

The hub's client repeats failing requests for half a minute, some without any time limit. So the hub is probed
first, for a few seconds: if it does not answer, only the cache is used, and errors name what it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal

from metapt_explore.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo

#: Time limit of the probe, the lookup of the hub's address included.
PROBE_TIMEOUT_S = 4.0
#: Seconds for which an answer of the probe is reused: a study asks for several names in a row.
PROBE_VALID_S = 60.0
#: Names that a message lists at most.
MAX_LISTED = 8


@dataclass(frozen=True)
class RepoKind:
    """Kind of a repository on the hub.

    Attributes:
        title: What users call it.
        repo_type: What the hub calls it.
        marker: A file that every repository of the kind holds, if there is one.
        alternative: What can be given in place of a hub name, a sentence.
    """

    title: str
    repo_type: Literal["model", "dataset"]
    marker: str | None
    alternative: str


MODEL = RepoKind("model", "model", "config.json", "Or give a model's folder.")
ENCODER = RepoKind("encoder", "model", "config.json", "Or give an encoder's folder.")
STATIC = RepoKind("static model", "model", "config.json", "Or give the folder of a model2vec model.")
CLASSIFIER = RepoKind("classifier", "model", "config.json", "Or give a classifier's folder.")
DATA_SET = RepoKind("data set", "dataset", None, "Or use `file:` with a local file.")
ADAPTER = RepoKind("PEFT adapter", "model", "adapter_config.json", "Or give the adapter's folder.")
PROMPT = RepoKind("prompt", "model", None, "Or give the folder of a saved prompt.")

#: How somebody logs in; there is no argument for a token anywhere.
TOKEN_HELP = "set the environment variable HF_TOKEN to one that may write, or log in with `hf auth login`"

_probed: dict[str, tuple[float, bool]] = {}
#: Folders of names and revisions that this process asked for.
_snapshots: dict[tuple[str | None, ...], Path] = {}


def has_token() -> bool:
    """Whether a token is there for the hub's client: in the environment, or where `hf auth login` put it."""
    from huggingface_hub import get_token

    return get_token() is not None


def offline_reason() -> str | None:
    """Why the hub cannot be used; None if it answers.

    Returns within about `PROBE_TIMEOUT_S`; with ``HF_HUB_OFFLINE`` at once and without an attempt.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, so the hub is not asked"
    return None if _answers(constants.ENDPOINT) else f"the hub ({constants.ENDPOINT}) cannot be reached"


def _answers(endpoint: str) -> bool:
    asked, answer = _probed.get(endpoint, (float("-inf"), False))
    if time.monotonic() - asked < PROBE_VALID_S:
        return answer
    answers: list[bool] = []
    # In a thread, because looking up an address has no time limit.
    thread = Thread(target=lambda: answers.append(_probe(endpoint)), daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT_S)
    _probed[endpoint] = (time.monotonic(), answers == [True])
    return answers == [True]


def _probe(endpoint: str) -> bool:
    import huggingface_hub

    try:
        response = huggingface_hub.get_session().head(endpoint, timeout=PROBE_TIMEOUT_S)
    except Exception:  # for any reason
        return False
    return bool(response.status_code < 500)


def snapshot(
    name: str,
    kind: RepoKind,
    *,
    patterns: Sequence[str],
    starters: Callable[[], Iterable[str]],
    revision: str | None = None,
) -> Path:
    """Finds the files of a model or adapter, and downloads them if the hub answers.

    A process asks once for each name and revision: a branch that moves must not change a model during a study.

    Args:
        name: Hub name, such as ``google/t5-v1_1-base``.
        kind: Kind of the repository.
        patterns: Files to download.
        starters: Lists starters of the kind that are set up, for the message.
        revision: Commit, tag or branch; the main branch when absent.

    Returns:
        A folder of the hub's local cache.

    Raises:
        UserError: If the name is no hub name, the hub has no such repository or revision or keeps it gated, or the
            hub cannot be reached and its cache holds no copy. Names what is available on this machine.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise unavailable(name, kind, why="it is neither a folder nor a valid hub name", starters=starters()) from None
    key = (constants.ENDPOINT, constants.HF_HUB_CACHE, kind.repo_type, name, revision, *patterns)
    if (known := _snapshots.get(key)) is not None and known.is_dir():
        return known
    offline = offline_reason()
    try:
        folder = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns),
                etag_timeout=PROBE_TIMEOUT_S,
                local_files_only=offline is not None,
            )
        )
    except LocalEntryNotFoundError as error:
        why = offline or f"the hub stopped answering ({_first_line(error.__cause__ or error)})"
        why = f"there is no such folder, {why}, and {_cached_state(name, kind, revision)}"
        raise unavailable(name, kind, why=why, starters=starters()) from None
    except Exception as error:  # the client's errors have no common class
        raise unavailable(name, kind, why=error_reason(error, name, revision), starters=starters()) from None
    if kind.marker is not None and not (folder / kind.marker).exists():
        why = f"{offline}, and its copy in the hub's cache" if offline else "its repository"
        raise unavailable(name, kind, why=f"{why} has no {kind.marker}", starters=starters())
    _snapshots[key] = folder
    return folder


def forget(name: str) -> None:
    """Asks anew for a name that this process has written to."""
    for key in [key for key in _snapshots if name in key]:
        del _snapshots[key]


def error_reason(error: Exception, name: str, revision: str | None) -> str:
    """The hub's answer about a name, in words.

    Args:
        error: What the hub's client raised.
        name: The name that was asked for.
        revision: The revision that was asked for.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return f"it is gated; accept its terms on {constants.ENDPOINT}/{name} and log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such repository, or it is private and you are not logged in (`hf auth login`)"
    if isinstance(error, RevisionNotFoundError):
        return f"its repository has no revision '{revision}'"
    return f"the hub says: {_first_line(error)}"


def push_refused(error: Exception, name: str) -> UserError:
    """The error for a name that a prompt cannot be pushed to.

    Args:
        error: What the hub's client raised.
        name: The name.
    """
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        why = f"the hub does not take the token: {TOKEN_HELP}"
    elif status == 403:
        why = f"the token may not write to '{name.partition('/')[0]}' ({_first_line(error)}): {TOKEN_HELP}"
    else:
        why = error_reason(error, name, None)
    return UserError(f"'{name}' could not be pushed: {why}.")


def unavailable(
    name: str,
    kind: RepoKind,
    *,
    why: str,
    starters: Iterable[str],
    usable: Callable[[CachedRepoInfo], bool] | None = None,
) -> UserError:
    """The error for a name that cannot be loaded: the reason, and what is available on this machine.

    Args:
        name: The name.
        kind: Kind of the repository.
        why: The reason, without a full stop.
        starters: Names of starters that are set up.
        usable: Which repositories of the hub's cache to list; those that hold the kind's marker when absent.
    """
    set_up, cached = sorted(starters), [repo.repo_id for repo in cached_repositories(kind, usable)]
    listed = []
    if set_up:
        listed.append(f"starter {kind.title}s: {_some(set_up)}")
    if cached:
        listed.append(f"in the hub's cache: {_some(cached)}")
    close = get_close_matches(name, [*set_up, *cached], n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    available = f"Available here: {'; '.join(listed)}." if listed else f"No {kind.title} is available here by name yet."
    # No prompt, adapter or table of vectors is a starter.
    setup = " `metapt setup` brings the starters." if not set_up and kind not in (ADAPTER, PROMPT, STATIC) else ""
    return UserError(f"Cannot load the {kind.title} '{name}': {why}.{hint} {available}{setup} {kind.alternative}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{', '.join(names[:MAX_LISTED])}{more}"


def cached_repositories(kind: RepoKind, usable: Callable[[CachedRepoInfo], bool] | None = None) -> list[CachedRepoInfo]:
    """Repositories of a kind in the hub's local cache, by name.

    Args:
        kind: Kind of the repositories.
        usable: Which of them to return; those that hold the kind's marker when absent.
    """
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    def has_marker(repo: CachedRepoInfo) -> bool:
        names = {file.file_name for revision in repo.revisions for file in revision.files}
        return kind.marker is None or kind.marker in names

    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except (CacheNotFound, ValueError, OSError):
        return []
    fitting = [repo for repo in repos if repo.repo_type == kind.repo_type and (usable or has_marker)(repo)]
    return sorted(fitting, key=lambda repo: repo.repo_id)


def _cached_state(name: str, kind: RepoKind, revision: str | None) -> str:
    """What the cache holds of a repository in place of the revision, in words."""
    repo = next((repo for repo in cached_repositories(kind, lambda repo: repo.repo_id == name)), None)
    if repo is None:
        return "its cache on this machine holds no copy"
    cached = sorted(", ".join(sorted(each.refs)) or each.commit_hash[:12] for each in repo.revisions)
    refs = {each.commit_hash for each in repo.revisions} | {ref for each in repo.revisions for ref in each.refs}
    if (revision or "main") in refs:
        return "its copy in the cache on this machine is incomplete"
    return f"its cache on this machine holds no copy of revision '{revision or 'main'}' (but of: {_some(cached)})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
