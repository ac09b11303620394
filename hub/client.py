"""The Hub: pushing a folder in the background, with its model card.

    pusher = hub.start_pushing(args)                     # before anything is loaded
    pusher.push(folder, "Training in progress epoch 0")  # returns at once
    url = pusher.finish(folder)                          # pushes "Training complete" and waits

A push must never hurt the training. So `push` makes a copy of the files (what is uploaded later is
what was saved then), one thread uploads the copies in order, and whatever goes wrong there is
retried there. The Hub's client gets time-outs, which it has none of by default, and leaves the
retrying of uploads to this module, which can be interrupted and knows `Retry-After`.

The token is in no message, card or file that this module writes.
"""

import atexit
import dataclasses
import functools
import glob
import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_session,
    get_token,
    hf_hub_url,
    set_client_factory,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    build_hf_headers,
    disable_progress_bars,
    enable_progress_bars,
    hf_raise_for_status,
    parse_ratelimit_headers,
    validate_repo_id,
)
from tqdm.auto import tqdm

from results.card import merge_cards
from support.errors import UserError

MAX_WAITING = 3  # pushes that wait behind the one under way; each holds a copy on disk
CHECK_TIMEOUT = 10.0  # seconds, before training: a person is waiting
PUSH_TIMEOUT = 60.0  # seconds without a byte from or to the server, while training
LAST_TRIES = 5  # of one push at the end of the run, when everybody waits for it
LAST_TRIES_SECONDS = 120.0  # no new try of a push after this long at the end of the run
FIRST_WAIT = 1.0  # seconds before the second try, then twice as long each time, up to
LONGEST_WAIT = 60.0  # seconds between two tries
LONGEST_RETRY_AFTER = 300.0  # seconds a server may ask for at the end of the run
LARGEST_TEXT = 50_000_000  # bytes; larger files are not searched for the token
THREAD_NAME = "hub-push"

# Never pushed with a model, whatever the folder holds: optimizers' and trainers' state, pickles
# (`training_args.bin` holds `hub_token`), and what is not finished.
STATE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".distcp"}
STATE_FILES = {"trainer_state.json", "checkpoint.json"}
UNFINISHED_SUFFIXES = {".tmp", ".temp", ".part", ".partial", ".incomplete", ".lock", ".swp"}
CHECKPOINT_IN_REPO = "last-checkpoint"  # the name Trainer gives it there
WEIGHTS_IN_REPO = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")


class PushFailed(UserError):
    """The last push failed. The message says why and which command pushes the folder by hand."""

    status = 3  # the model is whole, on disk


# ---------------------------------------------------------------- before training


def check_access(args) -> str:
    """Finds out before anything is loaded whether this run may push, and creates the repository.

    Args:
        args: has `hub_model_id`, `hub_token`, `hub_private_repo` (each may be None), `output_dir`.

    Returns:
        The full id of the repository, "namespace/name".

    Raises:
        UserError: no token, a token that is refused or may only read, a name that the Hub does not
            accept, a namespace that the token may not write to, a Hub that cannot be reached.
    """
    token = args.hub_token or get_token()
    if not token:
        raise UserError(
            "--push_to_hub needs a token with the right to write, and there is none: neither "
            "--hub_token, nor the environment variable HF_TOKEN, nor a login. "
            "Run `hf auth login`, or set HF_TOKEN."
        )
    _set_timeouts(CHECK_TIMEOUT)
    api = HfApi(token=token)
    name = args.hub_model_id or Path(args.output_dir).resolve().name
    try:
        user = api.whoami()
        repo_id = name if "/" in name else f"{user['name']}/{name}"
        validate_repo_id(repo_id)
        _refuse_reading_token(user, repo_id)
        api.create_repo(repo_id, private=args.hub_private_repo or None, exist_ok=True)
        # `create_repo` is content with a repository of somebody else that exists already.
        api.auth_check(repo_id, write=True)
    except UserError:
        raise
    except Exception as error:
        # `from None`: a traceback printed further up must not show the request.
        raise UserError(scrub(_explain_refusal(error, name), token)) from None
    return repo_id


def start_pushing(args) -> "Pusher":
    """A `Pusher` to the repository that the arguments name, which may be written to."""
    args.hub_model_id = check_access(args)
    return Pusher(args.hub_model_id, args.output_dir, args.hub_token, args.hub_strategy)


def _refuse_reading_token(user: dict, repo_id: str) -> None:
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise UserError(
            f"The Hub token of {user['name']} may only read, so this run could not push to "
            f"{repo_id}. Make one with the right to write under Settings, Access Tokens, and run "
            "`hf auth login` or set HF_TOKEN."
        )


def _explain_refusal(error: Exception, name: str) -> str:
    """One message for what `check_access` ran into."""
    if isinstance(error, HFValidationError):
        return (
            f"{name!r} is no name for a repository on the Hub ({error}). Name one with "
            "--hub_model_id: letters, digits, '-', '_' and '.', 96 at most, optionally with a "
            "namespace in front, as in 'me/my-model'."
        )
    if isinstance(error, OfflineModeIsEnabled):
        return "--push_to_hub needs the Hub, but HF_HUB_OFFLINE is set. Unset one of the two."
    status = _status(error)
    if status == 401:
        return (
            "The Hub does not accept the token (401): it is mistyped, expired or revoked. "
            "Run `hf auth login`, or set HF_TOKEN. HF_TOKEN wins over a login."
        )
    if status in (403, 404):
        return (
            f"The token may not write to {name!r} on the Hub ({status}). Choose another repository "
            "with --hub_model_id, or use a token that may write there."
        )
    if status is not None:
        return f"The Hub refused {name!r} ({status}): {_one_line(error)}"
    return (
        f"--push_to_hub: the Hub cannot be reached ({_one_line(error)}). Check the network, or "
        "train without --push_to_hub and push the folder afterwards with `hf upload`."
    )


# ---------------------------------------------------------------- the Hub's client


def _set_timeouts(seconds: float) -> None:
    """Makes every request of the Hub's client end, and those of a push fail at the first error.

    The client waits for ever by default, and its own retries (five of a request, any `Retry-After`
    slept through) can be neither shortened nor interrupted.
    """
    client = get_session()
    client_class, hooks = type(client), client.event_hooks

    def new_client():
        impatient = client_class(event_hooks=hooks, follow_redirects=True, timeout=None)
        impatient.send = functools.partial(_send_in_time, impatient.send, seconds)
        return impatient

    set_client_factory(new_client)


def _send_in_time(send: Callable, seconds: float, request, **kwargs):
    """Sends a request with time-outs; in a push, errors become ones the library does not retry."""
    # Set on the request, because the library overrules the client's own, with None, here and there.
    asked_for = request.extensions.get("timeout", {})
    kinds = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {kind: asked_for.get(kind) or seconds for kind in kinds}
    if threading.current_thread().name != THREAD_NAME:
        return send(request, **kwargs)
    try:
        response = send(request, **kwargs)
    except Exception as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    if response.status_code in (408, 429) or response.status_code >= 500:
        hf_raise_for_status(response)
    return response


def _causes(error: BaseException):
    while error is not None:
        yield error
        error = error.__cause__


def _response(error: BaseException):
    """The HTTP response behind an error, or None: uploads of large files wrap theirs."""
    for cause in _causes(error):
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            return cause.response
    return None


def _status(error: BaseException) -> int | None:
    response = _response(error)
    return None if response is None else response.status_code


def _retry_after(error: BaseException) -> float:
    """Seconds that the server asked to wait, 0 if it did not say."""
    response = _response(error)
    if response is None:
        return 0.0
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    limit = parse_ratelimit_headers(response.headers)  # what the Hub itself sends with a 429
    return float(limit.reset_in_seconds) if limit and not limit.remaining else 0.0


def _one_line(error: BaseException) -> str:
    """What went wrong, in one line: no request number, no signed part of an address."""
    http_errors = (cause for cause in _causes(error) if isinstance(cause, HfHubHTTPError))
    told = next(http_errors, None) or list(_causes(error))[-1]
    text = " ".join(str(told).split()).partition(" For more information")[0]
    text = re.sub(r"\(Request ID: [^)]*\)|\?[^\s'\"]+", "", text).strip()
    return f"{type(told).__name__}: {text}"[:300] if text else type(told).__name__


def scrub(text: str, token: str | None = None) -> str:
    """`text` with the token, and anything that looks like one, made unreadable."""
    if token:
        text = text.replace(token, "***")
    text = re.sub(r"(--(?:hub[_-])?token)([= ]+)('[^']*'|\"[^\"]*\"|\S+)", r"\1\2***", text)
    return re.sub(r"\bhf_[A-Za-z0-9]{10,}", "***", text)


# ---------------------------------------------------------------- what is pushed


def files_to_push(folder: str | Path) -> list[Path]:
    """The files of a model in `folder`: what stands at its top and is neither state nor unfinished.

    Both training scripts' folders give the same list, whatever else they keep there.
    """
    return [
        path
        for path in sorted(Path(folder).glob("*"))
        if _is_finished(path) and path.suffix not in STATE_SUFFIXES and path.name not in STATE_FILES
    ]


def _is_finished(path: Path) -> bool:
    return (
        path.is_file()
        and not path.is_symlink()
        and not path.name.startswith((".", "~"))
        and not path.name.endswith("~")
        and path.suffix not in UNFINISHED_SUFFIXES
    )


def _checkpoint_files(checkpoint: Path) -> list[Path]:
    """Every finished file of a checkpoint, optimizer state included, except `training_args.bin`,
    a pickle that holds the token and that resuming does not need."""
    return [
        path
        for path in sorted(checkpoint.rglob("*"))
        if _is_finished(path)
        and path.name != "training_args.bin"
        and not any(part.startswith(".") for part in path.relative_to(checkpoint).parts)
    ]


def _stage(source: Path, target: Path) -> None:
    """Puts a copy of `source` at `target`, which later changes of `source` do not reach.

    Weights are hard-linked, which takes neither time nor space: safetensors writes a new inode each
    time it saves. Every other file may be rewritten in place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".safetensors":
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)


def _holds_token(path: Path, token: str | None) -> bool:
    """Whether a file of text, or a small pickle, holds the token; tensors cannot."""
    if not token or path.suffix == ".safetensors" or path.stat().st_size > LARGEST_TEXT:
        return False
    return token.encode() in path.read_bytes()


def _is_replaced(path_in_repo: str, with_checkpoint: bool) -> bool:
    """Whether a file that is in the repository but not in this push would be read by mistake:
    weights in another number of shards, files of an older checkpoint."""
    return bool(WEIGHTS_IN_REPO.fullmatch(path_in_repo)) or (
        with_checkpoint and path_in_repo.startswith(f"{CHECKPOINT_IN_REPO}/")
    )


def _upload(api: HfApi, repo_id: str, staged: Path, message: str) -> str:
    """Makes one commit of everything under `staged`. Returns its URL.

    Safe to repeat: what arrived already is not sent again, and if nothing is left to change
    (the commit was made, its answer lost), the URL is that of the newest commit.
    """
    remote_paths = api.list_repo_files(repo_id)
    if "README.md" in remote_paths and (staged / "README.md").exists():
        _keep_edits_on_the_hub(api, repo_id, staged / "README.md")
    additions = [
        CommitOperationAdd(path.relative_to(staged).as_posix(), str(path))
        for path in sorted(staged.rglob("*"))
        if path.is_file()
    ]
    # One at a time: several at once go to a thread pool, which the interpreter waits for on exit,
    # so that Ctrl-C would have to sit out a hanging connection.
    for addition in additions:
        api.preupload_lfs_files(repo_id, [addition])
    new_paths = {addition.path_in_repo for addition in additions}
    with_checkpoint = (staged / CHECKPOINT_IN_REPO).is_dir()
    deletions = [
        CommitOperationDelete(path)
        for path in remote_paths
        if path not in new_paths and _is_replaced(path, with_checkpoint)
    ]
    commit = api.create_commit(repo_id, deletions + additions, commit_message=message)
    return commit.commit_url


def _keep_edits_on_the_hub(api: HfApi, repo_id: str, card: Path) -> None:
    """Takes what a person wrote into the card on the Hub over into the card to be pushed."""
    headers = build_hf_headers(token=api.token)
    response = get_session().get(hf_hub_url(repo_id, "README.md"), headers=headers)
    hf_raise_for_status(response)
    new = card.read_text(encoding="utf-8")
    try:
        merged = merge_cards(new, response.text)
    except Exception:  # metadata that cannot be read: there is nothing to keep it in
        return
    if merged != new:
        card.write_text(merged, encoding="utf-8")


def upload_command(repo_id: str, folder: str | Path, message: str) -> str:
    """The command that pushes by hand what `Pusher` would push."""
    pushed = files_to_push(folder)
    left_out = [path for path in sorted(Path(folder).glob("*")) if path not in pushed]
    command = ["hf", "upload", repo_id, str(folder), ".", "--commit-message", message]
    for path in left_out:
        if path.name not in (".cache", ".git"):  # the command leaves these out itself
            command += ["--exclude", glob.escape(path.name) + ("/*" if path.is_dir() else "")]
    return shlex.join(command)


# ---------------------------------------------------------------- pushing in the background


@dataclasses.dataclass
class _Push:
    message: str
    staged: Path
    problem: str | None = None  # the last failure, as told to the user
    pushed: bool = False


class Pusher:
    """Pushes copies of a folder in the background, in order, one at a time.

    Args:
        repo_id: "namespace/name", from `check_access`.
        output_dir: where the copies wait, in a hidden folder that is gone after the run. On the
            same file system as the folders pushed, weights need no copy.
        token: the Hub token; None for HF_TOKEN's or the login's.
        strategy: "every_save", "end" (`push` does nothing) or "checkpoint" (also pushes the
            checkpoint given, as `last-checkpoint/`, with which a run can be resumed elsewhere).
        timeout: seconds without a byte after which a connection counts as hanging.
        say: called with each line for the user, from any thread; by default it goes to stderr.
    """

    def __init__(
        self,
        repo_id: str,
        output_dir: str | Path,
        token: str | None = None,
        strategy: str = "every_save",
        timeout: float = PUSH_TIMEOUT,
        say: Callable[[str], None] | None = None,
    ):
        self.repo_id, self.strategy = repo_id, strategy
        self._token = token or get_token()
        self._api = HfApi(token=self._token)
        self.url = f"{self._api.endpoint}/{repo_id}"
        self._waiting_room = Path(output_dir) / ".push"
        self._say_line = say or functools.partial(tqdm.write, file=sys.stderr)
        self._changed = threading.Condition()
        self._waiting: deque[_Push] = deque()
        self._under_way: _Push | None = None
        self._failed: list[_Push] = []
        self._finish_began: float | None = None
        self._abandoned = False
        self._commit_url: str | None = None
        self._thread: threading.Thread | None = None
        self._bars_were_disabled = are_progress_bars_disabled()
        shutil.rmtree(self._waiting_room, ignore_errors=True)  # of a run that was killed
        _set_timeouts(timeout)
        atexit.register(self.abandon)  # a script that fails leaves no copies behind

    def push(self, folder: str | Path, message: str, checkpoint: str | Path | None = None) -> None:
        """Queues what `folder` holds now. Costs a copy of its small files, raises nothing."""
        if self.strategy == "end" or self._abandoned:
            return
        try:
            self._queue(self._staged(folder, message, checkpoint))
        except OSError as error:
            self._say(f"Not pushed: {message!r}: no copy could be made ({_one_line(error)}).")

    def finish(
        self,
        folder: str | Path,
        message: str = "Training complete",
        checkpoint: str | Path | None = None,
    ) -> str:
        """Pushes `folder` and waits for this and all earlier pushes, with a line on progress.

        Each push still waiting gets several tries; once one of them has failed for good, those
        after it get one last try each.

        Returns:
            The URL of the last commit.

        Raises:
            PushFailed: the last push failed. `folder` is untouched.
        """
        try:
            last = self._staged(folder, message, checkpoint)
        except OSError as error:
            self.abandon(quiet=True)
            raise self._failure(folder, message, _one_line(error)) from None
        self._queue(last)
        with self._changed:
            self._finish_began = time.monotonic()
            self._changed.notify_all()
        try:
            self._wait_with_progress()
        except KeyboardInterrupt:
            self.abandon()
            self._say(f"To push it:\n  {upload_command(self.repo_id, folder, message)}")
            raise
        self._clean_up()
        if not last.pushed:
            raise self._failure(folder, message, last.problem or "the pushing thread ended")
        for push in self._failed:
            self._say(
                f"Not pushed on its own: {push.message!r}. Later commits hold its successors."
            )
        return self._commit_url

    def abandon(self, quiet: bool = False) -> None:
        """Gives up what is not pushed yet, within a second: for Ctrl-C and for errors."""
        if self._abandoned:
            return
        with self._changed:
            self._abandoned = True
            lost = [self._under_way] if self._under_way else []
            lost += self._waiting
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread is not None:
            # A thread that sits in a hanging connection is left to die with the process.
            self._thread.join(timeout=1)
        self._clean_up()
        if lost and not quiet:
            messages = ", ".join(repr(push.message) for push in lost)
            self._say(f"Interrupted: not pushed to {self.url}: {messages}.")

    # -- in the training thread

    def _staged(self, folder, message: str, checkpoint) -> _Push:
        folder = Path(folder)
        sources = {path: path.name for path in files_to_push(folder)}
        if not sources:
            raise FileNotFoundError(f"{folder} holds nothing to push")
        if self.strategy == "checkpoint" and checkpoint is not None:
            checkpoint = Path(checkpoint)
            for path in _checkpoint_files(checkpoint):
                sources[path] = f"{CHECKPOINT_IN_REPO}/{path.relative_to(checkpoint).as_posix()}"
        self._waiting_room.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=self._waiting_room))
        try:
            for path, path_in_repo in sources.items():
                if _holds_token(path, self._token):
                    self._say(f"{path} holds the Hub token and was therefore not pushed.")
                else:
                    _stage(path, staged / path_in_repo)
        except OSError:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        return _Push(message, staged)

    def _queue(self, push: _Push) -> None:
        dropped = []
        with self._changed:
            self._waiting.append(push)
            while len(self._waiting) > MAX_WAITING:
                dropped.append(self._waiting.popleft())
            self._changed.notify_all()
        for old in dropped:
            shutil.rmtree(old.staged, ignore_errors=True)
            self._say(
                f"Not pushed: {old.message!r}: the Hub is slower than the training, and more than "
                f"{MAX_WAITING} pushes were waiting."
            )
        if self._thread is None:
            disable_progress_bars()  # they would be drawn across the training's own
            _silence_library(THREAD_NAME)
            self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            self._thread.start()

    def _wait_with_progress(self) -> None:
        """Until nothing is left to push. Ctrl-C gets through: no wait is longer than a second."""
        began, shown = time.monotonic(), None
        while True:
            with self._changed:
                if (self._under_way is None and not self._waiting) or not self._thread.is_alive():
                    break
                push = self._under_way or self._waiting[0]
                behind = len(self._waiting) - (self._under_way is None)
                problem = push.problem
                self._changed.wait(timeout=1)
            line = f"Pushing to {self.url}: {push.message!r}"
            line += f", {behind} more" if behind else ""
            line += f", again after {problem}" if problem else ""
            seconds = int(time.monotonic() - began)
            if sys.stderr.isatty():
                width = shutil.get_terminal_size().columns - 1
                print(f"\r{line} … {seconds} s".ljust(width)[:width], end="", file=sys.stderr)
            elif line != shown:
                self._say(line)
            shown = line
        if shown is not None and sys.stderr.isatty():
            print(file=sys.stderr)

    def _failure(self, folder, message: str, problem: str) -> PushFailed:
        return PushFailed(
            scrub(
                f"The model is whole in {folder}, but it could not be pushed to {self.url}: "
                f"{problem}. To push it:\n  {upload_command(self.repo_id, folder, message)}",
                self._token,
            )
        )

    def _clean_up(self) -> None:
        atexit.unregister(self.abandon)
        shutil.rmtree(self._waiting_room, ignore_errors=True)
        if self._thread is not None and not self._bars_were_disabled:
            enable_progress_bars()

    def _say(self, line: str) -> None:
        self._say_line(scrub(line, self._token))

    # -- in the pushing thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._abandoned)
                if self._abandoned:
                    return
                push = self._under_way = self._waiting.popleft()
            push.pushed = self._push_patiently(push)
            shutil.rmtree(push.staged, ignore_errors=True)
            with self._changed:
                if not push.pushed:
                    self._failed.append(push)
                self._under_way = None
                self._changed.notify_all()

    def _push_patiently(self, push: _Push) -> bool:
        """Tries until it worked, or the run has come to its end and its tries are used up."""
        failures = last_failures = 0
        while not self._abandoned:
            finishing = self._finish_began is not None
            try:
                self._commit_url = _upload(self._api, self.repo_id, push.staged, push.message)
            except Exception as error:
                if self._abandoned:
                    return False
                problem = scrub(_one_line(error), self._token)
                retry_after = _retry_after(error)
                stubborn = _status(error) in (401, 403, 404, 413)
            else:
                if failures:
                    self._say(f"Pushed after all: {push.message!r}.")
                return True
            if failures == 0:
                aside = "" if finishing else "Training goes on. "
                self._say(f"Pushing {push.message!r} failed ({problem}). {aside}It is tried again.")
            with self._changed:
                push.problem = problem
            failures += 1
            last_failures += finishing
            if finishing and self._used_up(last_failures, stubborn, retry_after):
                return False
            if stubborn and not finishing:
                wait = LONGEST_WAIT
            else:
                doublings = min((last_failures if finishing else failures) - 1, 10)
                wait = min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)
            self._pause(max(wait, retry_after), retry_after)
        return False

    def _used_up(self, last_failures: int, stubborn: bool, retry_after: float) -> bool:
        """Whether a push that just failed at the end of the run gets no further try."""
        return (
            bool(self._failed)
            or last_failures >= (2 if stubborn else LAST_TRIES)
            or time.monotonic() - self._finish_began > LAST_TRIES_SECONDS
            or retry_after > LONGEST_RETRY_AFTER
        )

    def _pause(self, seconds: float, retry_after: float) -> None:
        """Waits between two tries; the end of the run cuts it short, unless the server has asked
        for the wait."""
        began, was_finishing = time.monotonic(), self._finish_began is not None

        def over() -> bool:
            end_of_run = self._finish_began is not None and not was_finishing
            asked_for = time.monotonic() - began < min(retry_after, LONGEST_RETRY_AFTER)
            return self._abandoned or (end_of_run and not asked_for)

        with self._changed:
            while not over() and (left := began + seconds - time.monotonic()) > 0:
                self._changed.wait(timeout=min(left, 0.5))


def _silence_library(thread_name: str) -> None:
    """Keeps the library's own warnings about the pushes off the screen: `Pusher` tells them once,
    in words, instead of once a try across the progress bar."""
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(lambda record: record.threadName != thread_name)
