"""Check the access to the Hub before a model is loaded, and explain a refusal."""

from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from hub.client import one_line, set_timeouts, status_code
from settings.run_settings import HubSettings
from support.errors import UserError
from support.secrets import scrub

CHECK_TIMEOUT = 10.0  # seconds; short, because the user waits for training to start


class Repository(NamedTuple):
    """A repository to push to; `id` is "namespace/name".

    `checked`: false if the Hub could not be reached; `id` may then lack the namespace.
    """

    id: str
    private: bool
    exists: bool = True
    checked: bool = True


def check_access(hub: HubSettings, output_dir: str | Path, *, create: bool = True) -> Repository:
    """Return the repository to push to; with `create`, create it if it does not exist.

    Without `hub_model_id`, the repository is named like the folder `output_dir`; without a
    namespace, it belongs to the token's user. Raises a `UserError` if there is no token, if the
    token is rejected or read-only, if the name is not valid, if the token has no write access to
    the namespace, if a repository that must be private is public, or, with `create`, if the Hub
    cannot be reached.
    """
    token = hub.hub_token or get_token()
    if not token:
        raise UserError(
            "--push_to_hub: no Hub token: expected --hub_token, the environment variable HF_TOKEN "
            "or a login. Run `hf auth login`, or set HF_TOKEN to a token with write access."
        )
    set_timeouts(CHECK_TIMEOUT)
    api = HfApi(token=token)
    name = hub.hub_model_id or Path(output_dir).resolve().name
    try:
        validate_repo_id(name)
        user = api.whoami()
        repo_id = name if "/" in name else f"{user['name']}/{name}"
        validate_repo_id(repo_id)
        _refuse_read_only_token(user, repo_id)
        if create:
            api.create_repo(repo_id, private=hub.hub_private_repo or None, exist_ok=True)
        elif not api.repo_exists(repo_id):
            return Repository(repo_id, hub.hub_private_repo, exists=False)
        # `create_repo` does not fail if another user's repository exists already.
        api.auth_check(repo_id, write=True)
        private = bool(api.model_info(repo_id).private)
        if hub.hub_private_repo and not private:
            raise UserError(
                f"--hub_private_repo: {repo_id} exists and is public. Make it private in its "
                "settings on the Hub, or choose another repository with --hub_model_id."
            )
    except UserError:
        raise
    except Exception as error:
        if not create and _is_unreachable(error):
            return Repository(name, hub.hub_private_repo, checked=False)
        # `from None`: a traceback must not show the request, which contains the token.
        raise UserError(scrub(_explain_refusal(error, name), token)) from None
    return Repository(repo_id, private)


def _refuse_read_only_token(user: dict[str, Any], repo_id: str) -> None:
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise UserError(
            f"--push_to_hub: the Hub token of {user['name']} is read-only: expected write access "
            f"to {repo_id}. Create a token with write access under Settings, Access Tokens. Then "
            "run `hf auth login`, or set HF_TOKEN."
        )


def _is_unreachable(error: Exception) -> bool:
    """Return whether an error in `check_access` is an answer neither of the Hub nor to the name."""
    return not isinstance(error, HFValidationError) and status_code(error) is None


def _explain_refusal(error: Exception, name: str) -> str:
    """Return the message for an error in `check_access`; `name` is that of the repository."""
    if isinstance(error, HFValidationError):
        return (
            f"--push_to_hub: not a repository name: got {name!r}, expected 'name' or "
            "'namespace/name' of at most 96 letters, digits, '-', '_' and '.', without '--' or "
            "'..', and with neither '-' nor '.' at either end. Choose one with --hub_model_id."
        )
    if isinstance(error, OfflineModeIsEnabled):
        return (
            "--push_to_hub: the Hub cannot be used, because HF_HUB_OFFLINE is set. Unset "
            "HF_HUB_OFFLINE, or train without --push_to_hub."
        )
    status = status_code(error)
    if status == 401:
        return (
            "--push_to_hub: the Hub rejected the token (401): it is mistyped, expired or revoked. "
            "Run `hf auth login`, or set HF_TOKEN, which takes precedence over a login."
        )
    if status in (403, 404):
        return (
            f"--push_to_hub: the token has no write access to {name!r} on the Hub ({status}). "
            "Choose another repository with --hub_model_id, or use a token with write access to it."
        )
    if status is not None:
        return (
            f"--push_to_hub: the Hub refused {name!r} with status {status} ({one_line(error)}). "
            "Try again later, or train without --push_to_hub and push the folder afterwards with "
            "`hf upload`."
        )
    return (
        f"--push_to_hub: the Hub cannot be reached ({one_line(error)}). Check the network, or "
        "train without --push_to_hub and push the folder afterwards with `hf upload`."
    )
