"""The check of access before training, against a local Hub."""

import math
import time

import pytest
from huggingface_hub import constants

from hub import access
from hub.access import check_access
from settings.run_settings import HubSettings
from support.errors import UserError
from tests.helpers.hub_server import READ_TOKEN, TOKEN
from tests.helpers.pushes import stable_message


def test_check_access_creates_the_repository_under_the_users_name(server, folder):
    assert check_access(HubSettings(), folder).id == "tester/output"
    assert check_access(HubSettings(), folder).id == "tester/output"  # it exists now
    assert not server.repos["model", "tester/output"].private


def test_check_access_takes_names_with_and_without_a_namespace(server, folder):
    private = HubSettings(hub_model_id="mine", hub_private_repo=True)
    assert check_access(private, folder) == ("tester/mine", True, True, True)
    assert server.repos["model", "tester/mine"].private
    public = check_access(HubSettings(hub_model_id="friends/ours"), folder)
    assert public == ("friends/ours", False, True, True)


def test_a_public_repository_does_not_count_as_a_private_one(server, folder, snapshot):
    server.create("tester/ours")
    assert not check_access(HubSettings(hub_model_id="ours"), folder).private
    with pytest.raises(UserError) as error:
        check_access(HubSettings(hub_model_id="ours", hub_private_repo=True), folder)
    assert stable_message(error.value, server, folder) == snapshot


def test_the_visibility_is_that_of_the_repository_not_of_the_flag(server, folder):
    server.create("tester/hidden", private=True)
    assert check_access(HubSettings(hub_model_id="hidden"), folder).private


def test_the_flag_takes_precedence_over_the_token_of_the_environment(server, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrongwrong")
    assert check_access(HubSettings(hub_token=TOKEN), folder).id == "tester/output"


REFUSED = {
    "unknown token": {"hub_token": "hf_unknownunknownunknown"},
    "read-only token": {"hub_token": READ_TOKEN},
    "another user": {"hub_model_id": "somebody/else"},
    "another user's repository": {"hub_model_id": "somebody/existing"},
    "organization to read": {"hub_model_id": "strangers/x"},
    "space in the name": {"hub_model_id": "no such name"},
    "two slashes": {"hub_model_id": "a/b/c"},
    "dot at the end": {"hub_model_id": "ends-with-."},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_push_that_cannot_work_is_refused_before_training(server, folder, case, snapshot):
    server.create("somebody/existing")
    with pytest.raises(UserError) as error:
        check_access(HubSettings(**REFUSED[case]), folder)
    assert stable_message(error.value, server, folder) == snapshot
    assert "hf_" not in str(error.value).replace("hf_token", "")
    # Otherwise a traceback would show the request.
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_a_missing_token_is_reported(server, folder, monkeypatch, snapshot):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError) as error:
        check_access(HubSettings(), folder)
    assert str(error.value) == snapshot
    assert not server.requests


def test_offline_mode_is_reported(server, folder, monkeypatch, snapshot):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        check_access(HubSettings(), folder)
    assert str(error.value) == snapshot
    assert not server.requests


FAULTS = {
    "hangs": {"hang": True},
    "cut": {"cut": True},
    "500": {"status": 500},
    "429": {"status": 429},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("request_", ["GET /api/whoami", "POST /api/repos/create"])
def test_a_hub_that_does_not_answer_is_reported_in_time(
    server, folder, fault, request_, monkeypatch, snapshot
):
    monkeypatch.setattr(access, "CHECK_TIMEOUT", 0.3)
    server.fail(request_, times=math.inf, **FAULTS[fault])
    began = time.monotonic()
    with pytest.raises(UserError) as error:
        check_access(HubSettings(), folder)
    assert time.monotonic() - began < 5
    assert stable_message(error.value, server, folder) == snapshot


def test_a_hub_that_is_gone_is_reported(server, folder, snapshot):
    server.close()
    with pytest.raises(UserError) as error:
        check_access(HubSettings(), folder)
    assert stable_message(error.value, server, folder) == snapshot


def test_a_plan_needs_no_hub(server, folder, monkeypatch):
    """Without creating anything, a Hub that cannot be reached is no error; a bad name is one."""
    hub = HubSettings(hub_model_id="friends/ours", hub_private_repo=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert check_access(hub, folder, create=False) == ("friends/ours", True, True, False)
    for name in ("no such name", "a/b/c"):
        with pytest.raises(UserError, match="not a repository name"):
            check_access(HubSettings(hub_model_id=name), folder, create=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match="rejected the token"):
        check_access(HubSettings(hub_token="hf_unknownunknownunknown"), folder, create=False)
