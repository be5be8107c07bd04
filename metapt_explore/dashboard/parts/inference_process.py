"""A process that keeps a model loaded and answers sentences: pages never load a model themselves."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

from metapt_explore.errors import UserError

#: Seconds that loading the model, and an answer, may take.
ANSWER_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class TunedPrompts:
    """The prompts that read a sentence: of all methods of a study, tuned on a task with a pair of seeds.

    Attributes:
        folder: The workspace.
        study: The study.
        task: The task whose template and words are read.
        init_seed: Initialisation seed.
        data_seed: Data seed.
        shots: Examples a class that they were tuned on; the study's own number when absent.
        evaluations: Ids of the evaluations that hold the prompts; where others are there, the model is loaded anew.
    """

    folder: str
    study: str
    task: str
    init_seed: int
    data_seed: int
    evaluations: tuple[str, ...] = ()
    shots: int | None = None

    @property
    def arguments(self) -> list[str]:
        """Arguments of `metapt try`."""
        seeds = ["--init-seed", str(self.init_seed), "--data-seed", str(self.data_seed)]
        shots = [] if self.shots is None else ["--shots", str(self.shots)]
        return [self.study, "--task", self.task, *seeds, *shots, "--workspace", self.folder]


class _InferenceProcess:
    """One `metapt try` process."""

    def __init__(self, prompts: TunedPrompts) -> None:
        self.prompts = prompts
        self._errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 (as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "metapt_explore", "try", *prompts.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.left_out: dict[str, str] = self.line()["left_out"]

    def _listen(self) -> None:
        """Collects lines, and an empty one at the end, in a thread: pipes have no portable timeout."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def line(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            UserError: If it ends or takes too long; the message is its last line.
        """
        try:
            line = self._lines.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            line = ""
        if not line:
            self.close()
            self._errors.seek(0)
            last_lines = self._errors.read().decode(errors="replace").strip().splitlines()
            raise UserError(last_lines[-1] if last_lines else "The model did not answer in time.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, sentence: str) -> dict[str, Any]:
        """Probabilities of a sentence, by method and class."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(sentence) + "\n")
            self.process.stdin.flush()
        except OSError:
            self.close()
            raise UserError("The process that answers has ended; ask again.") from None
        return self.line()

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()


_lock = threading.Lock()
#: One at a time: a model fills memory.
_current: list[_InferenceProcess] = []


def ask(prompts: TunedPrompts, sentence: str) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Probabilities of a sentence under every method's prompt.

    Args:
        prompts: Whose prompts.
        sentence: What is read.

    Returns:
        Method to class to probability; and why other methods cannot answer.

    Raises:
        UserError: Where no prompt was tuned so, or the model cannot be loaded.
    """
    with _lock:
        if not _current or _current[0].prompts != prompts or _current[0].process.poll() is not None:
            for old in _current:
                old.close()
            _current.clear()
            _current.append(_InferenceProcess(prompts))
        return _current[0].ask(sentence), _current[0].left_out
