"""The engine on AWS Lambda: what the service refuses, what the function fails at, what is too large for a call."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cbtool.backends.aws_lambda import service as lambda_service
from cbtool.backends.aws_lambda.answers import opened
from cbtool.backends.aws_lambda.engine import OVERHEAD_S, Lambda, dockerfile, next_step
from cbtool.backends.aws_lambda.image import HANDLER
from cbtool.backends.aws_lambda.payloads import CALL_BYTES
from cbtool.batching import Batched
from cbtool.choice import prices
from cbtool.contracts import Backend, EngineSettings
from cbtool.errors import ConfigError, NotAllowed, TaskFailed, TimeLimit, TryAgain, Unavailable, UsageError, WorkerDied
from cbtool.runner import Outcome, run_tasks
from tests.conftest import S3
from tests.inprocess import refused
from tests.lambda_front import JSON, NAME, Front, Refusal, front, settings_file
from tests.processes import until
from tests.servers import Answer, serving

HERE = "tests.backends.worker_targets:"
THROTTLED = Refusal(429, "TooManyRequestsException", "Rate Exceeded.")
DONE = Answer(200, JSON, json.dumps({"frame": '{"result": {"n": 1}}'}).encode())


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_service, "backoff_s", lambda tries: 0.001)


@pytest.fixture
def service(credentials: None) -> Iterator[Front]:
    """The service with no emulator behind it: its answers are given."""
    with serving(Front()) as one:
        assert isinstance(one, Front)
        yield one


@contextmanager
def engine(config: str, **settings: Any) -> Iterator[Lambda]:
    one = Lambda(EngineSettings(settings.pop("workers", 2), config, **settings))
    try:
        yield one
    finally:
        one.close()
        until(lambda: not any(thread.name == "cbtool-lambda" for thread in threading.enumerate()), 60)


def task(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": HERE + call, **fields}


def outcomes(backend: Backend, *tasks: dict[str, Any], retries: int = 0) -> list[Outcome]:
    return sorted(run_tasks(tasks, backend, retries=retries), key=lambda one: one.number)


# --- the service ----------------------------------------------------------------------------------------------------


def test_a_throttled_call_waits_and_costs_no_attempt(service: Front, tmp_path: Path) -> None:
    with engine(settings_file(service, tmp_path)) as backend:
        service.refusals.extend([THROTTLED] * 5)
        service.canned.append(DONE)
        (found,) = outcomes(backend, task("echo", n=1))
    assert (found.result, found.attempts) == ({"n": 1}, 1)
    assert service.invocations() == 6


def test_a_throttled_call_waits_as_long_as_the_service_says(service: Front, tmp_path: Path) -> None:
    waits: list[float] = []

    def is_given_up(wait_s: float) -> bool:
        waits.append(wait_s)
        return False

    with engine(settings_file(service, tmp_path)) as backend:
        service.refusals.append(THROTTLED._replace(headers={"Retry-After": "7"}))
        service.canned.append(DONE)
        backend._service.invoke(b"{}", is_given_up)
    assert waits == [0, 7.0, 0]


def test_a_call_that_is_throttled_for_too_long_is_given_up(
    service: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_service, "THROTTLED_S", 0.0)
    with engine(settings_file(service, tmp_path)) as backend:
        service.refusals.append(THROTTLED)
        (found,) = outcomes(backend, task("echo", n=1))
    assert isinstance(found.error, Unavailable) and "-j" in str(found.error.hint)


def test_a_cancelled_call_asks_no_more(service: Front, tmp_path: Path) -> None:
    with engine(settings_file(service, tmp_path)) as backend:
        service.refusals.extend([THROTTLED] * 100_000)
        future = backend.submit(task("echo", n=1))
        until(lambda: service.invocations() > 2)
        backend.cancel(future)
        assert isinstance(future.exception(0), TryAgain)
        until(lambda: not backend._open)
        assert len(service.refusals) > 0 and not service.canned


REFUSALS: list[tuple[Refusal, type[Exception], str]] = [
    (Refusal(403, "AccessDeniedException", "no right to lambda:InvokeFunction"), NotAllowed, "Invoke"),
    (Refusal(403, "ExpiredTokenException", "token of secret"), NotAllowed, "ExpiredToken"),
    (Refusal(403, "InvalidSignatureException", "canonical string: secret"), NotAllowed, "InvalidSignature"),
    (Refusal(404, "ResourceNotFoundException", "Function not found"), ConfigError, "not found"),
    (Refusal(400, "InvalidParameterValueException", "of that name"), ConfigError, "of that name"),
    (Refusal(502, "InvalidRuntimeException", "no such runtime"), ConfigError, "no such runtime"),
    (Refusal(409, "ResourceConflictException", "Pending"), TryAgain, "Pending"),
    (Refusal(500, "ServiceException", ""), Unavailable, "500"),
    (Refusal(503, "", ""), Unavailable, "503"),
]


def test_what_the_service_refuses_it_is_asked_once(service: Front, tmp_path: Path) -> None:
    with engine(settings_file(service, tmp_path), workers=1) as backend:
        service.refusals.extend(refusal for refusal, _, _ in REFUSALS)
        found = outcomes(backend, *(task("echo", n=n) for n in range(len(REFUSALS))))
    for one, (_, kind, said) in zip(found, REFUSALS, strict=True):
        assert type(one.error) is kind and said in str(one.error) and "secret" not in str(one.error)
    assert service.invocations() == len(REFUSALS)


def body(kind: str, message: str, **more: Any) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message, **more}).encode()


REPORT = "REPORT RequestId: 1 Memory Size: 512 MB\tMax Memory Used: 512 MB\t"
BODIES = [
    (body("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed"), WorkerDied, "emory"),
    (body("Runtime.ExitError", "RequestId: 1 Error: Runtime exited without providing a reason"), WorkerDied, "exited"),
    (body("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: exit status 3"), WorkerDied, "status 3"),
    (body("Runtime.OutOfMemory", "RequestId: 1"), WorkerDied, "out of memory"),
    (body("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 3.00 seconds"), TimeLimit, "3 s"),
    (json.dumps({"errorMessage": "2026-01-01 1 Task timed out after 900.10 seconds"}).encode(), TimeLimit, "900.1 s"),
    (b"Task timed out after 3.00 seconds", TimeLimit, "3 s"),
    (body("Runtime.ImportModuleError", "Unable to import module 'x': No module named 'cbtool'"), ConfigError, "import"),
    (body("Extension.Crash", "exit status 1"), WorkerDied, "Extension.Crash"),
    (body("KeyError", "'frame'", stackTrace=["in there\n"]), TaskFailed, "KeyError: 'frame'"),
    (b'"hello"', ConfigError, "not as cbtool's handler"),
    (b"<html>", ConfigError, "not as cbtool's handler"),
]


@pytest.mark.parametrize("is_told", [True, False], ids=["header", "no-header"])
@pytest.mark.parametrize("data, kind, said", BODIES, ids=[str(n) for n in range(len(BODIES))])
def test_what_the_function_fails_at(data: bytes, kind: type[Exception], said: str, is_told: bool) -> None:
    """The service tells by a header, the emulator does not."""
    if is_told and "not as" in said:
        kind, said = TaskFailed, data.decode()
    with pytest.raises(kind) as caught:
        opened(data, is_told, "", NAME)
    assert type(caught.value) is kind and said in f"{caught.value} {getattr(caught.value, 'hint', '')}"


def test_the_log_tells_a_sandbox_out_of_memory_and_is_kept(service: Front, tmp_path: Path) -> None:
    import base64

    log = base64.b64encode(f"what it said\n{REPORT}".encode()).decode()
    failed = body("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed")
    with engine(settings_file(service, tmp_path)) as backend:
        headers = JSON | {"X-Amz-Function-Error": "Unhandled", "X-Amz-Log-Result": log}
        service.canned.append(Answer(200, headers, failed))
        (found,) = outcomes(backend, task("echo", n=1))
    assert isinstance(found.error, WorkerDied) and str(found.error) == "the worker died: out of memory of 512 MB"
    assert found.error.facts["stderr"] == f"what it said\n{REPORT}"


def test_a_late_answer_is_dropped(service: Front, tmp_path: Path) -> None:
    with engine(settings_file(service, tmp_path)) as backend:
        service.held.clear()
        service.canned.append(DONE)
        future = backend.submit(task("echo", n=1))
        until(lambda: service.invocations() == 1)
        backend.cancel(future)
        service.held.set()
        until(lambda: not backend._open)
    assert not service.canned
    assert isinstance(future.exception(0), TryAgain)


def test_leaving_removes_what_was_stored_for_calls_that_run(s3: S3, service: Front, tmp_path: Path) -> None:
    with engine(settings_file(service, tmp_path, payloads=f"s3://{s3.bucket}/calls")) as backend:
        service.held.clear()
        service.canned.append(DONE)
        future = backend.submit(task("large", size=1, text="y" * 7_000_000))
        until(lambda: service.invocations() == 1, 60)
        (key,) = s3.keys()
        assert key.startswith("calls/cbtool-") and key.endswith(".task")
        backend.close()
        assert s3.keys() == [] and isinstance(future.exception(0), TryAgain)
        service.held.set()


# --- settings -------------------------------------------------------------------------------------------------------


def test_limits_are_the_functions(service: Front, tmp_path: Path) -> None:
    service.reserved = 7
    with engine(settings_file(service, tmp_path), workers=None) as backend:
        limits = backend.limits
    assert (limits.memory_bytes, limits.time_s, limits.concurrency) == (2**30, 60.0, 7)
    assert limits.remote and limits.price in prices.load().rows and limits.payload_bytes == CALL_BYTES


def test_limits_are_the_files_where_the_function_may_not_be_asked(service: Front, tmp_path: Path) -> None:
    service.can_ask = False
    config = settings_file(service, tmp_path, memory="2GiB", timeout_s=300, qualifier="live")
    with engine(config, workers=None) as backend:
        limits = backend.limits
    assert (limits.memory_bytes, limits.time_s, limits.concurrency) == (2**31, 300, 100)
    with engine(settings_file(service, tmp_path)) as backend:
        assert (backend.limits.memory_bytes, backend.limits.time_s) == (None, 900)


@pytest.mark.parametrize(
    "asked, said", [({"memory_bytes": 2**31}, "--memory.*1024 MiB"), ({"timeout_s": 61.0}, "--timeout.*60 s")]
)
def test_more_than_the_function_has_is_refused(
    service: Front, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Lambda(EngineSettings(2, settings_file(service, tmp_path), **asked))


def test_what_a_call_costs_is_learnt_from_those_that_met_a_warm_sandbox(service: Front, tmp_path: Path) -> None:
    with engine(settings_file(service, tmp_path)) as backend:
        backend._measure(9.0, {"wall_s": 1.0, "start_s": 3.0})
        backend._measure(9.0, {})
        assert backend.limits.overhead_s == OVERHEAD_S
        backend._measure(1.5, {"wall_s": 1.0})
        backend._measure(1.25, {"wall_s": 1.0})
        assert backend.limits.overhead_s == 0.375


@pytest.mark.parametrize(
    "text, said",
    [
        ("functon = 'x'", "cannot set 'functon'"),
        ("function = 7", "wrong type"),
        ("function = ", "Invalid value"),
        ("function = 'x'\ntimeout_s = true", "wrong type"),
        ("function = 'x'\npayloads = 'gs://b/p'", "not a place in S3"),
        ("region = 'eu-west-1'", "names no function"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, no_credentials: None, text: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        Lambda(EngineSettings(2, str(tmp_path / "bad.toml")))


def test_the_function_may_be_named_by_the_environment(
    service: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBTOOL_LAMBDA_FUNCTION", NAME)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
    backend = Lambda(EngineSettings(2))
    backend.close()
    assert backend.limits.time_s == 60 and service.log[0].path.startswith(f"/2015-03-31/functions/{NAME}/")


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def source(s3: S3) -> str:
    return s3.put("some.txt", b"a line\nanother\n")


def over(source: str, *words: str) -> list[str]:
    return ["run", source, "-n", "2", "-o", f"{source}.out/", "--backend", "lambda", *words, "--", "cat"]


def test_no_function_is_78(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CBTOOL_LAMBDA_FUNCTION", raising=False)
    assert "no function is named" in refused(78, *over(source))


def test_a_function_that_is_not_there_is_78(source: str, service: Front, tmp_path: Path) -> None:
    config = settings_file(service, tmp_path, function="other")
    assert "no such function" in refused(78, *over(source, "--engine-config", config))


def test_wrong_keys_are_77(source: str, service: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings_file(service, tmp_path)
    monkeypatch.setattr("tests.lambda_front.KEY", "ANOTHER")
    line = refused(77, *over(source, "--engine-config", config))
    assert "UnrecognizedClientException" in line and service.invocations() == 0


def test_no_keys_are_77(service: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NotAllowed, match="credentials"):
        Lambda(EngineSettings(2, settings_file(service, tmp_path)))


def test_a_service_that_is_away_is_69(source: str, service: Front, tmp_path: Path) -> None:
    config = settings_file(service, tmp_path, endpoint="http://127.0.0.1:1")
    assert "not reached" in refused(69, *over(source, "--engine-config", config))


def test_local_paths_are_refused_before_anything_is_invoked(source: str, service: Front, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("a\nb\n")
    config = settings_file(service, tmp_path)
    words = ["-n", "2", "--backend", "lambda", "--engine-config", config, "--", "cat"]
    assert "lies on this machine" in refused(2, "run", tmp_path / "here.txt", "-o", f"{source}.out/", *words)
    assert "a folder on this machine" in refused(2, "run", source, "-o", tmp_path / "out", *words)
    assert service.invocations() == 0


# --- on AWS's emulator ----------------------------------------------------------------------------------------------


def test_frames_too_large_for_a_call_go_through_s3_and_are_removed(s3: S3, tmp_path: Path) -> None:
    large = task("large", size=7_000_000, text="y" * 7_000_000)
    with front(tmp_path, 1) as one:
        config = settings_file(one, tmp_path, payloads=f"s3://{s3.bucket}/calls")
        with engine(config) as backend:
            found = outcomes(backend, large, task("echo", n=2))
    assert found[0].result == {"text": "x" * 7_000_000, "got": 7_000_000} and found[1].result == {"n": 2}
    assert s3.keys() == []


def test_frames_too_large_for_a_call_need_a_place(credentials: None, tmp_path: Path) -> None:
    with front(tmp_path, 1) as one, engine(settings_file(one, tmp_path), workers=1) as backend:
        found = outcomes(backend, task("large", size=1, text="y" * 7_000_000))
        assert one.invocations() == 0
        found += outcomes(backend, task("large", size=7_000_000, text=""))
        half = task("large", size=4_000_000, text="")
        found += outcomes(backend, {"call": "cbtool.backends.worker:perform_many", "tasks": [half, half]})
        found += outcomes(Batched(backend, 2, 2), half, half, retries=1)
    for one_of, kind in zip(found[:3], (ConfigError, ConfigError, TryAgain), strict=True):
        assert type(one_of.error) is kind and "payloads = " in str(one_of.error.hint)
    assert [(one_of.error, one_of.attempts) for one_of in found[3:]] == [(None, 1)] * 2, "each alone does"


def test_a_place_that_the_function_may_not_use(s3: S3, tmp_path: Path) -> None:
    with front(tmp_path, 1) as one:
        with engine(settings_file(one, tmp_path, payloads="s3://no-such-bucket-of-ours/calls")) as backend:
            found = outcomes(
                backend, task("large", size=1, text="y" * 7_000_000), task("large", size=7_000_000, text="")
            )
    assert ["no such bucket" in str(one_of.error) for one_of in found] == [True, True]


def warm(backend: Lambda) -> Any:
    """Have the worker started, for that is no time of a task; return its number."""
    (found,) = outcomes(backend, task("pid"), retries=9)
    return found.result


def test_the_functions_time_out_is_a_time_limit(credentials: None, tmp_path: Path) -> None:
    with front(tmp_path, 1, timeout_s=2) as one, engine(settings_file(one, tmp_path), workers=1) as backend:
        before = warm(backend)
        (found,) = outcomes(backend, task("stuck", file=str(tmp_path / "mark")))
        assert isinstance(found.error, TimeLimit) and "time-out was over (2 s)" in str(found.error)
        assert warm(backend) != before


def test_a_task_is_told_to_stop_before_the_function_is_ended(credentials: None, tmp_path: Path) -> None:
    with front(tmp_path, 1, timeout_s=3) as one, engine(settings_file(one, tmp_path), workers=1) as backend:
        before = warm(backend)
        (found,) = outcomes(backend, task("slow", seconds=60))
        assert isinstance(found.error, TimeLimit) and str(found.error).startswith("time limit of 2.")
        assert warm(backend) == before, "the runtime was ended"


def test_a_time_limit_is_kept_by_the_worker_as_well(credentials: None, tmp_path: Path) -> None:
    with front(tmp_path, 1) as one, engine(settings_file(one, tmp_path), workers=1, timeout_s=1.0) as backend:
        before = warm(backend)
        frame = backend.submit(task("slow", seconds=60)).result(50)
        assert frame["error"]["kind"] == "TimeLimit" and warm(backend) == before


def test_a_function_that_leaves_does_not_end_the_runtime(credentials: None, tmp_path: Path) -> None:
    with front(tmp_path, 1) as one, engine(settings_file(one, tmp_path), workers=1) as backend:
        found = outcomes(backend, task("pid"), task("leave"), task("wrong"), task("pid"), task("die"), task("pid"))
    errors = [str(one_of.error).partition(":")[0] for one_of in found if one_of.error]
    assert errors == ["SystemExit", "ZeroDivisionError", "the worker died"]
    assert found[0].result == found[3].result != found[5].result


def test_calls_that_find_no_lane_wait_for_one(credentials: None, tmp_path: Path) -> None:
    with front(tmp_path, 1) as one, engine(settings_file(one, tmp_path), workers=4) as backend:
        futures = [backend.submit(task("await_file", file=str(tmp_path / "go"))) for _ in range(4)]
        until(lambda: one.invocations() > 8, 60)
        (tmp_path / "go").touch()
        assert [future.result(60)["result"] for future in futures] == [{}] * 4


# --- the image ------------------------------------------------------------------------------------------------------


def test_the_image_runs_the_handler_of_the_package(tmp_path: Path) -> None:
    from importlib.metadata import version

    text = dockerfile(["raster"])
    module, _, name = HANDLER.rpartition(".")
    assert callable(getattr(import_module(module), name))
    assert f'CMD ["{HANDLER}"]' in text and f'"cbtool[lambda,raster]=={version("cbtool")}"' in text
    assert "docker build" in next_step(str(tmp_path)) and str(tmp_path) in next_step(str(tmp_path))
