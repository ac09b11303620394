"""Pushes in the background, while training continues.

    pusher = start_pushing(settings.hub, output_dir, state)  # before a model is loaded
    pusher.push(folder, "Training in progress epoch 0")      # returns immediately
    url = pusher.finish(folder)                              # pushes "Training complete" and waits

A push must never harm the training. So `push` copies the files, because training may overwrite them
before they are uploaded; one thread uploads the copies in order and retries each failed push.
"""

import functools
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, get_token
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from tqdm.auto import tqdm

from hub.access import check_access
from hub.client import (
    PUSH_THREAD,
    commit_folder,
    one_line,
    retry_after,
    set_timeouts,
    status_code,
)
from hub.contents import (
    CHECKPOINT_IN_REPO,
    TEXT_FILES,
    checkpoint_files,
    copy_file,
    files_to_push,
    has_weights,
    holds_token,
    upload_command,
)
from settings.run_settings import HubSettings
from support.end_of_run import at_end_of_run
from support.errors import UserError, on_main_process
from support.secrets import scrub
from support.text import on_terminal
from support.work_folder import make_work_folder

MAX_WAITING = 3  # pushes that wait behind the current one; each has a copy on disk
PUSH_TIMEOUT = 60.0  # seconds without a byte from or to the server
LAST_TRIES = 5  # tries of one push at the end of the run, when the user waits for it
LAST_TRIES_SECONDS = 120.0  # no new try of a push after this long at the end of the run
FIRST_WAIT = 1.0  # seconds before the second try; doubled before each further try
LONGEST_WAIT = 60.0  # seconds between two tries, at most
LONGEST_RETRY_AFTER = 300.0  # the longest Retry-After to wait for at the end of the run, seconds
REFUSALS = (401, 403, 404, 413)  # HTTP statuses that a retry rarely changes


class PushFailed(UserError):
    """The last push failed; the message gives the reason and the command to push by hand."""

    status = 3  # the model is complete, on disk


@dataclass
class _Push:
    message: str
    copies: Path  # the folder of the files to push
    problem: str | None = None  # the last failure, as shown to the user
    pushed: bool = False


def start_pushing(
    hub: HubSettings, output_dir: str | Path, state: Any, *, create: bool = True
) -> "Pusher | None":
    """Check that this run may push, create the repository, and return a `Pusher` to it.

    Without `create`, nothing is written to the Hub.

    Every process calls it (`state`: accelerate's `PartialState`); only the main one gets a pusher.
    None without `--push_to_hub`. Raises a `UserError` as `hub.access.check_access` does.
    """
    if not hub.push_to_hub:
        return None
    repository = on_main_process(state, lambda: check_access(hub, output_dir, create=create))
    if not state.is_main_process:
        return None
    return Pusher(
        repository.id,
        output_dir,
        token=hub.hub_token,
        strategy=hub.hub_strategy,
        include=hub.hub_include,
        private=repository.private,
        exists=repository.exists,
        checked=repository.checked,
    )


class Pusher:
    """Pushes copies of a folder in the background, in order, one at a time.

    `repo_id` is "namespace/name", from `check_access`. The copies wait in the work folder of
    `output_dir`; on the same file system as the pushed folders, weights are not copied. `token`:
    None for that of HF_TOKEN or of the login. `strategy`: "every_save"; "end", with which `push`
    does nothing; or "checkpoint", which also pushes the given checkpoint as `last-checkpoint/`, so
    that a run can be resumed elsewhere. `include`: the files with text from the corpus to push, see
    `hub.contents.TEXT_FILES`. `private`, `exists`, `checked`: of the repository. A connection
    counts as hanging after `timeout` seconds without a byte. `say` is called with each line for the
    user, from any thread; by default the line goes to stderr.
    """

    def __init__(
        self,
        repo_id: str,
        output_dir: str | Path,
        token: str | None = None,
        strategy: str = "every_save",
        include: Collection[str] = (),
        private: bool = False,
        exists: bool = True,
        checked: bool = True,
        timeout: float = PUSH_TIMEOUT,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.repo_id, self.strategy = repo_id, strategy
        self.include, self.private, self.exists = include, private, exists
        self.checked = checked
        self._token = token or get_token()
        self._api = HfApi(token=self._token)
        self.url = f"{self._api.endpoint}/{repo_id}"
        self._output_dir = Path(output_dir)
        self._copies: Path | None = None  # made with the first copy
        self._say_line = say or functools.partial(tqdm.write, file=sys.stderr)
        self._changed = threading.Condition()
        self._waiting: deque[_Push] = deque()
        self._current: _Push | None = None
        self._failed: list[_Push] = []
        self._finish_began: float | None = None
        self._abandoned = False
        self._commit_url = self.url
        self._thread: threading.Thread | None = None
        self._bars_were_disabled = are_progress_bars_disabled()
        set_timeouts(timeout)

    @property
    def plan(self) -> str:
        """Return the repository, the frequency and the contents of the pushes, in words."""
        kind = "private" if self.private else "public"
        state = "" if self.exists else ", will be created"
        if not self.checked:
            state = "; the Hub cannot be reached, so name and access are not checked"
        where = f"{self.url} ({kind}{state})"
        when = "at the end" if self.strategy == "end" else "each epoch"
        what = "model, tokenizer, configuration, card, scores"
        if self.strategy == "checkpoint":
            what += ", last checkpoint"
        texts = ", ".join(name for key in sorted(self.include) for name in TEXT_FILES[key])
        what += f"; with text from the corpus: {texts}" if texts else "; no text from the corpus"
        return f"{where}, {when}: {what}"

    @property
    def idle(self) -> bool:
        """Return whether nothing is left to push."""
        return self._current is None and not self._waiting

    def push(self, folder: str | Path, message: str, checkpoint: str | Path | None = None) -> None:
        """Queue a copy of the files in `folder`; report a failure to copy, but never raise."""
        if self.strategy == "end" or self._abandoned:
            return
        try:
            self._queue(self._copy(folder, message, checkpoint))
        except OSError as error:
            self._say(f"{message!r} was not pushed: copying failed ({one_line(error)}).")

    def finish(
        self,
        folder: str | Path,
        message: str = "Training complete",
        checkpoint: str | Path | None = None,
    ) -> str:
        """Push `folder`, wait for this and all earlier pushes, and return the last commit's URL.

        Each waiting push gets several tries. Once one of them has failed for good, each later one
        gets a single try. Raises `PushFailed` if the last push failed; `folder` is unchanged.
        """
        try:
            last = self._copy(folder, message, checkpoint)
        except OSError as error:
            self.abandon(quiet=True)
            raise self._failure(folder, message, one_line(error)) from None
        self._queue(last)
        with self._changed:
            self._finish_began = time.monotonic()
            self._changed.notify_all()
        try:
            self._wait_with_progress()
        except KeyboardInterrupt:
            self.abandon()
            self._say(f"To push it, run:\n  {self._command(folder, message)}")
            raise
        self._clean_up()
        if not last.pushed:
            raise self._failure(folder, message, last.problem or "the pushing thread ended")
        for push in self._failed:
            self._say(f"{push.message!r} was not pushed. Later commits contain newer files.")
        return self._commit_url

    def abandon(self, quiet: bool = False) -> None:
        """Give up all unfinished pushes within a second, after Ctrl-C or an error."""
        if self._abandoned:
            return
        with self._changed:
            self._abandoned = True
            unfinished = [self._current] if self._current else []
            unfinished += self._waiting
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread is not None:
            # A thread that hangs in a connection ends with the process.
            self._thread.join(timeout=1)
        self._clean_up()
        if unfinished and not quiet:
            messages = ", ".join(repr(push.message) for push in unfinished)
            self._say(f"Interrupted. Not pushed to {self.url}: {messages}.")

    # --- In the training thread ---------------------------------------------------------------

    def _copy(self, folder: str | Path, message: str, checkpoint: str | Path | None) -> _Push:
        folder = Path(folder)
        # A folder that is itself the checkpoint goes to both places.
        files = [(path, path.name) for path in files_to_push(folder, self.include)]
        if not files:
            raise FileNotFoundError(f"no file to push in {folder}")
        if self.strategy == "checkpoint" and checkpoint is not None:
            checkpoint = Path(checkpoint)
            for path in checkpoint_files(checkpoint):
                name = path.relative_to(checkpoint).as_posix()
                files.append((path, f"{CHECKPOINT_IN_REPO}/{name}"))
        self._copies = make_work_folder(self._output_dir) / "push"
        self._copies.mkdir(exist_ok=True)
        copies = Path(tempfile.mkdtemp(dir=self._copies))
        try:
            for path, path_in_repo in files:
                if holds_token(path, self._token):
                    self._say(f"{path} was not pushed: it contains the Hub token.")
                else:
                    copy_file(path, copies / path_in_repo)
        except OSError:
            shutil.rmtree(copies, ignore_errors=True)
            raise
        return _Push(message, copies)

    def _queue(self, push: _Push) -> None:
        dropped = []
        with self._changed:
            self._waiting.append(push)
            while len(self._waiting) > MAX_WAITING:
                dropped.append(self._waiting.popleft())
            self._changed.notify_all()
        for old_push in dropped:
            shutil.rmtree(old_push.copies, ignore_errors=True)
            self._say(
                f"{old_push.message!r} was not pushed: more than {MAX_WAITING} pushes were "
                "waiting. The Hub is slower than the training."
            )
        if self._thread is None:
            _silence_library(PUSH_THREAD)
            # Registered after the lock of the output folder, so that this runs before the lock
            # is released: a run that fails must not leave copies.
            at_end_of_run(self.abandon)
            disable_progress_bars()  # they would be drawn over those of the training
            self._thread = threading.Thread(target=self._work, name=PUSH_THREAD, daemon=True)
            self._thread.start()

    def _wait_with_progress(self) -> None:
        """Wait until nothing is left to push; Ctrl-C interrupts within a second."""
        assert self._thread is not None  # `_queue` has started it
        began, shown = time.monotonic(), None
        while True:
            with self._changed:
                if self.idle or not self._thread.is_alive():
                    break
                push = self._current or self._waiting[0]
                num_behind = len(self._waiting) - (self._current is None)
                problem = push.problem
                self._changed.wait(timeout=1)
            line = f"Pushing to {self.url}: {push.message!r}"
            line += f", {num_behind} more waiting" if num_behind else ""
            line += f", retrying after {problem}" if problem else ""
            line = on_terminal(line)
            seconds = int(time.monotonic() - began)
            if sys.stderr.isatty():
                width = shutil.get_terminal_size().columns - 1
                print(f"\r{line} … {seconds} s".ljust(width)[:width], end="", file=sys.stderr)
            elif line != shown:
                self._say(line)
            shown = line
        if shown is not None and sys.stderr.isatty():
            print(file=sys.stderr)

    def _failure(self, folder: str | Path, message: str, problem: str) -> PushFailed:
        text = f"{self.url}: push failed ({problem})."
        if files_to_push(folder, self.include):
            complete = "The model" if has_weights(folder) else "Everything"
            text += f" {complete} in {folder} is complete. To push it, run:\n  "
            text += self._command(folder, message)
            return PushFailed(scrub(text, self._token))
        failure = PushFailed(scrub(text, self._token))
        failure.status = UserError.status  # there is no model
        return failure

    def _command(self, folder: str | Path, message: str) -> str:
        return upload_command(self.repo_id, folder, message, self.include, self._token)

    def _clean_up(self) -> None:
        if self._copies is not None:
            shutil.rmtree(self._copies, ignore_errors=True)
        if self._thread is not None and not self._bars_were_disabled:
            enable_progress_bars()

    def _say(self, line: str) -> None:
        self._say_line(on_terminal(scrub(line, self._token)))

    # --- In the pushing thread ----------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._abandoned)
                if self._abandoned:
                    return
                push = self._current = self._waiting.popleft()
            push.pushed = self._push_patiently(push)
            shutil.rmtree(push.copies, ignore_errors=True)
            with self._changed:
                if not push.pushed:
                    self._failed.append(push)
                self._current = None
                self._changed.notify_all()

    def _push_patiently(self, push: _Push) -> bool:
        """Try until the push succeeds or, at the end of the run, has used up its tries."""
        num_failures = num_last_failures = 0
        while not self._abandoned:
            finishing = self._finish_began is not None
            try:
                self._commit_url = commit_folder(self._api, self.repo_id, push.copies, push.message)
            except Exception as error:
                if self._abandoned:
                    return False
                problem = scrub(one_line(error), self._token)
                requested_wait = retry_after(error)
                refused = status_code(error) in REFUSALS
            else:
                if num_failures:
                    self._say(f"{push.message!r} was pushed after a retry.")
                return True
            if num_failures == 0:
                note = "" if finishing else " Training continues."
                self._say(f"Pushing {push.message!r} failed ({problem}). Retrying.{note}")
            with self._changed:
                push.problem = problem
            num_failures += 1
            num_last_failures += finishing
            if finishing and self._is_last_try(num_last_failures, refused, requested_wait):
                return False
            if refused and not finishing:
                wait = LONGEST_WAIT
            else:
                doublings = min((num_last_failures if finishing else num_failures) - 1, 10)
                wait = min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)
            self._pause(max(wait, requested_wait), requested_wait)
        return False

    def _is_last_try(self, num_last_failures: int, refused: bool, requested_wait: float) -> bool:
        """Return whether a push that just failed at the end of the run gets no further try."""
        assert self._finish_began is not None
        return (
            bool(self._failed)
            or num_last_failures >= (2 if refused else LAST_TRIES)
            or time.monotonic() - self._finish_began > LAST_TRIES_SECONDS
            or requested_wait > LONGEST_RETRY_AFTER
        )

    def _pause(self, seconds: float, requested_wait: float) -> None:
        """Wait between two tries.

        When the end of the run comes, only the seconds that the server asked for are waited out.
        """
        began, was_finishing = time.monotonic(), self._finish_began is not None

        def is_over() -> bool:
            at_end_of_run = self._finish_began is not None and not was_finishing
            requested = time.monotonic() - began < min(requested_wait, LONGEST_RETRY_AFTER)
            return self._abandoned or (at_end_of_run and not requested)

        with self._changed:
            while not is_over() and (left := began + seconds - time.monotonic()) > 0:
                self._changed.wait(timeout=min(left, 0.5))


def _silence_library(thread_name: str) -> None:
    """Suppress the library's warnings in a thread; `Pusher` reports each problem once."""

    def is_elsewhere(record: logging.LogRecord) -> bool:
        return record.threadName != thread_name

    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(is_elsewhere)
        at_end_of_run(handler.removeFilter, is_elsewhere)
