"""Names on the hub, with a hub that is not there, one that refuses, and a cache made by hand."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import huggingface_hub
import pytest
import tiny
from huggingface_hub import constants

from metapt_explore import hub
from metapt_explore.config import ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.models.folder import model_folder
from metapt_explore.models.load import load_backbone
from metapt_explore.prompts.load import find_adapter
from metapt_explore.starter.models import STARTER_MODELS, starter_folder

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache and no starters; the hub is asked unless a test says otherwise."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("METAPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hub, "_probed", {})
    return tmp_path / "hub"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub whose port is closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    return endpoint


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], list[str]]]:
    """Starts a hub that answers its front page, and everything else with one status and error code."""
    servers = []

    def start(status: int, code: str) -> list[str]:
        asked: list[str] = []

        class Answer(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(200 if self.path == "/" and status != 503 else status)

            def do_GET(self) -> None:
                self.answer(status)

            def answer(self, status: int) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def put(cache: Path, name: str, commits: dict[str, str | None], marker: str = "config.json") -> None:
    """Puts a repository into a cache: its commits, and the ref that leads to each."""
    folder = cache / "--".join(["models", *name.split("/")])
    for commit, ref in commits.items():
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (folder / "blobs").mkdir(exist_ok=True)
        (snapshot / marker).write_text("{}", encoding="utf-8")
        if ref is not None:
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / ref).write_text(commit, encoding="utf-8")


def said(name: str, revision: str | None = None, kind: hub.RepoKind = hub.MODEL) -> str:
    with pytest.raises(UserError) as caught:
        model_folder(name, revision, kind)
    return str(caught.value)


def test_an_unreachable_hub_is_said_without_a_second_attempt(
    closed: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client would try six times, with pauses that grow."""
    asked = []
    session = huggingface_hub.get_session

    def counting() -> object:
        asked.append(1)
        return session()

    monkeypatch.setattr(huggingface_hub, "get_session", counting)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: pytest.fail("it waits"))
    assert f"there is no such folder, the hub ({closed}) cannot be reached, and its cache" in said("nobody/nothing")
    said("nobody/something")
    assert len(asked) == 1


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an address is looked up without end: the probe has no limit of its own there."""
    end = Event()

    def endless(endpoint: str) -> bool:
        end.wait()
        return True

    monkeypatch.setattr(hub, "PROBE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(hub, "_probe", endless)
    assert "cannot be reached" in said("nobody/nothing")
    end.set()


def test_offline_means_no_attempt(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_probe", lambda endpoint: pytest.fail("the hub was asked"))
    message = said("nobody/nothing")
    assert "HF_HUB_OFFLINE is set, so the hub is not asked" in message and "holds no copy" in message


def test_what_is_available_here_is_named(closed: str, cache: Path, tmp_path: Path) -> None:
    empty = said("nobody/nothing")
    assert "No model is available here by name yet. `metapt setup` brings the starters." in empty
    for name in STARTER_MODELS:
        starter_folder(name).mkdir(parents=True)
        (starter_folder(name) / "config.json").touch()
    for index in range(10):
        put(cache, f"some/model-{index}", {OLD: "main"})
    put(cache, "some/adapter", {OLD: "main"}, "adapter_config.json")
    put(cache, "some/garbage", {OLD: "main"}, "README.md")
    eight = ", ".join(f"some/model-{index}" for index in range(8))
    cached = f"in the hub's cache: {eight} and 2 more. Or give"
    assert f"Available here: starter models: minilm, smollm2-135m; {cached} a model's folder." in said("nobody/nothing")
    encoder = said("nobody/nothing", kind=hub.ENCODER)
    assert "Cannot load the encoder" in encoder and f"starter encoders: minilm; {cached} an encoder's" in encoder
    with pytest.raises(UserError, match=r"prompt.init: Cannot load the PEFT adapter .* cache: some/adapter\. Or give"):
        find_adapter("nobody/nothing", "prompt.init")
    assert "Did you mean 'smollm2-135m'?" in said("smolm2-135m")


def test_a_revision_in_the_cache_is_found_and_no_other(closed: str, cache: Path) -> None:
    put(cache, "some/model", {OLD: "v1", NEW: "main"})
    for revision, commit in ((None, NEW), ("main", NEW), ("v1", OLD), (OLD, OLD)):
        assert model_folder("some/model", revision).name == commit
    assert "no copy of revision 'v2' (but of: main, v1)" in said("some/model", "v2")
    assert f"no copy of revision '{'c' * 40}'" in said("some/model", "c" * 40)
    put(cache, "some/pinned", {OLD: None})
    assert model_folder("some/pinned", OLD).name == OLD
    assert f"no copy of revision 'main' (but of: {OLD[:12]})" in said("some/pinned")


def test_a_branch_that_moves_on_does_not_change_a_model_meanwhile(closed: str, cache: Path) -> None:
    put(cache, "some/model", {OLD: "main"})
    assert model_folder("some/model").name == OLD
    put(cache, "some/model", {NEW: "main"})
    assert model_folder("some/model").name == OLD, "this process has begun with it"
    hub._snapshots.clear()
    assert model_folder("some/model").name == NEW


def test_a_cached_model_is_loaded_at_its_pinned_revision(closed: str, cache: Path) -> None:
    put(cache, "some/model", {OLD: None, NEW: "main"})
    tiny.make_language_model(cache / "models--some--model" / "snapshots" / OLD)
    backbone = load_backbone(ModelConfig(name="some/model", revision=OLD, dtype="float32", device="cpu"))
    assert backbone.width == 32
    with pytest.raises(UserError, match="cannot be loaded"):
        load_backbone(ModelConfig(name="some/model", dtype="float32", device="cpu"))


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (404, "RepoNotFound", "the hub has no such repository, or it is private"),
        (403, "GatedRepo", "it is gated; accept its terms on http"),
        (404, "RevisionNotFound", "its repository has no revision 'v9'"),
        (503, "", "cannot be reached, and its cache on this machine holds no copy"),
    ],
)
def test_refusals_are_told_apart(
    status: int, code: str, sentence: str, answering: Callable[[int, str], list[str]]
) -> None:
    asked = answering(status, code)
    message = said("some/model", "v9")
    assert sentence in message and "Available" not in message.split(sentence)[0]
    assert ("cannot be reached" in message) == (status == 503)
    assert asked[0] == "/" and (status == 503 or "/api/models/some/model/revision/v9" in asked)


def test_what_is_no_hub_name_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_probe", lambda endpoint: pytest.fail("the hub was asked"))
    assert "neither a folder nor a valid hub name" in said("models/of/mine")


def test_a_repository_without_a_model_is_refused(closed: str, cache: Path) -> None:
    put(cache, "some/dataset", {OLD: "main"}, "README.md")
    assert "has no config.json" in said("some/dataset")
