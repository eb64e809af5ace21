"""Commands on chunks, in this process; `tests/cli/test_run.py` has them in workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cbtool import ledger
from cbtool.asked import Options
from cbtool.chunk import Chunk
from cbtool.errors import ConfigError, StaleError, TaskFailed, UsageError
from cbtool.session import make_plan
from cbtool.stagers import command
from cbtool.stagers.scratch import scratch_folder

LINES = "".join(f"{n} line of text\n" for n in range(20_000))

Stage = Callable[..., dict[str, Any]]


@pytest.fixture
def chunk(tmp_path: Path) -> Chunk:
    """The second of two chunks of a text."""
    (tmp_path / "some.txt").write_text(LINES)
    second: Chunk = make_plan([str(tmp_path / "some.txt")], Options(chunks=2))[1]
    return second


@pytest.fixture
def content(chunk: Chunk) -> str:
    ((start, length),) = chunk.sources[0].ranges
    return LINES[start : start + length]


@pytest.fixture
def stage(chunk: Chunk, tmp_path: Path) -> Stage:
    def run(*words: str, **fields: Any) -> dict[str, Any]:
        (tmp_path / "scratch").mkdir(exist_ok=True)
        task = {
            "chunk": chunk.to_line(),
            "command": list(words),
            "destination": str(tmp_path / "out"),
            "scratch": str(tmp_path / "scratch" / "cbtool-"),
        }
        try:
            return command.stage({**task, **fields})
        finally:
            assert list((tmp_path / "scratch").iterdir()) == []

    return run


def made(tmp_path: Path) -> dict[str, str]:
    top = tmp_path / "out"
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


def test_stdin_is_the_chunk_and_stdout_the_output(stage: Stage, content: str, tmp_path: Path) -> None:
    assert stage("cat", ext=".copy")["outputs"] == ["some-00001.copy"]
    assert made(tmp_path) == {"some-00001.copy": content}


def test_a_named_chunk_is_a_file_and_stdin_is_empty(stage: Stage, content: str, tmp_path: Path) -> None:
    stage("cat; cat {in}; basename {in}")
    assert made(tmp_path) == {"some-00001": content + "some-00001.txt\n"}


def test_a_named_output_is_a_file_and_stdout_is_kept_aside(stage: Stage, content: str, tmp_path: Path) -> None:
    assert stage("cp /dev/stdin {out}; echo done", ext=".x")["stderr"] == "done\n"
    assert made(tmp_path) == {"some-00001.x": content}


def test_an_output_folder_is_committed_with_its_proof(stage: Stage, tmp_path: Path) -> None:
    done = stage("mkdir {outdir}/b; echo 1 > {outdir}/a; echo 2 > {outdir}/b/c; wc -l")
    assert done["outputs"] == ["some-00001/"]
    assert made(tmp_path) == {ledger.proof("some-00001/"): "", "some-00001/a": "1\n", "some-00001/b/c": "2\n"}


def test_only_tokens_are_replaced(stage: Stage, content: str, tmp_path: Path) -> None:
    stage("awk", '{print $1} END {print "{stem} {chunk} {name} {other} {}"}')
    numbers = "".join(line.split()[0] + "\n" for line in content.splitlines())
    assert made(tmp_path)["some-00001"] == numbers + "some-00001 1 some-00001.txt {other} {}\n"


def test_variables_of_the_shell_are_the_shells(stage: Stage, tmp_path: Path) -> None:
    stage("out=mine; name=me; cat > /dev/null; echo ${out} ${name} {chunk}")
    assert made(tmp_path)["some-00001"] == "mine me 1\n"


def test_several_words_meet_no_shell(stage: Stage, tmp_path: Path) -> None:
    stage("printf", "%s\\n", "a  b", "$HOME;|*", "'\"")
    assert made(tmp_path)["some-00001"] == "a  b\n$HOME;|*\n'\"\n"


def test_one_word_fails_where_any_command_of_a_pipe_does(stage: Stage) -> None:
    with pytest.raises(TaskFailed, match="exit status 3"):
        stage("(exit 3) | cat")


def test_the_environment_says_the_same(stage: Stage, content: str, tmp_path: Path) -> None:
    stage('echo "$CBTOOL_STEM $CBTOOL_CHUNK $CBTOOL_NAME $CBTOOL_CORE"; basename $CBTOOL_IN; wc -c < ${CBTOOL_IN}')
    said = made(tmp_path)["some-00001"].splitlines()
    assert said[0].startswith("some-00001 1 some-00001.txt ")
    assert said[1:] == ["some-00001.txt", str(len(content))]


def test_the_environment_alone_may_name_the_output(stage: Stage, tmp_path: Path) -> None:
    stage("wc -l > $CBTOOL_OUT; echo aside")
    assert made(tmp_path)["some-00001"].strip().isdigit()


def test_a_command_may_stop_reading_early(stage: Stage, content: str, tmp_path: Path) -> None:
    stage("head", "-n", "1")
    assert made(tmp_path)["some-00001"] == content.splitlines(keepends=True)[0]


def test_a_command_may_read_nothing(stage: Stage, tmp_path: Path) -> None:
    stage("echo", "hello")
    assert made(tmp_path)["some-00001"] == "hello\n"


def test_output_and_stderr_larger_than_any_pipe(stage: Stage, tmp_path: Path) -> None:
    done = stage("yes out | head -c 5000000; yes err | head -c 5000000 >&2; exit 0")
    assert len(made(tmp_path)["some-00001"]) == 5_000_000
    assert len(done["stderr"]) == command.KEPT_CHARACTERS


def test_a_failing_command_leaves_nothing_but_what_it_said(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="^exit status 7: the reason$") as caught:
        stage("cat; echo first >&2; echo the reason >&2; exit 7")
    assert caught.value.facts == {"exit_status": 7, "stderr": "first\nthe reason\n"}
    assert made(tmp_path) == {}


def test_the_end_of_a_long_complaint_is_kept(stage: Stage) -> None:
    with pytest.raises(TaskFailed) as caught:
        stage("seq 100000 >&2; exit 1")
    said = str(caught.value.facts["stderr"])
    assert len(said) == 64 * 1024 and said.endswith("99999\n100000\n")


def test_other_statuses_may_be_good(stage: Stage, tmp_path: Path) -> None:
    assert stage("grep", "-c", "no such thing", ok=[0, 1])["status"] == 1
    assert made(tmp_path)["some-00001"] == "0\n"


def test_a_command_killed_by_a_signal(stage: Stage) -> None:
    with pytest.raises(TaskFailed, match="killed by SIGKILL") as caught:
        stage("kill -9 $$")
    assert caught.value.hint and "memory" in caught.value.hint


def test_what_a_command_leaves_running_is_ended(stage: Stage, tmp_path: Path) -> None:
    from tests.processes import alive, until

    stage(f"sleep 300 > /dev/null 2>&1 & echo $! > {tmp_path}/left")
    left = int((tmp_path / "left").read_text())
    until(lambda: not alive([left]))


def test_a_slow_process_substitution_is_waited_for(stage: Stage, content: str, tmp_path: Path) -> None:
    stage("tee >(sleep 0.3; wc -c > {out}) > /dev/null")
    assert int(made(tmp_path)["some-00001"]) == len(content)


def test_a_command_that_is_not_there(stage: Stage) -> None:
    with pytest.raises(UsageError, match="no-such-command: cannot be run"):
        stage("no-such-command", "-x")


def test_an_output_that_was_not_written(stage: Stage) -> None:
    with pytest.raises(TaskFailed, match="wrote no some-00001"):
        stage("true {out}")


def test_a_changed_source_is_no_end_of_the_chunk(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(LINES.replace("line", "LINE"))
    with pytest.raises(StaleError):
        stage("cat")
    assert made(tmp_path) == {}


def test_a_name_that_is_taken_is_not_written_twice(stage: Stage, tmp_path: Path) -> None:
    assert stage("cat")["created"] is True
    assert stage("echo", "other")["created"] is False
    assert "other\n" != made(tmp_path)["some-00001"]


def test_scratch_needs_a_path_that_a_shell_can_take(tmp_path: Path) -> None:
    (tmp_path / "my scratch").mkdir()
    with pytest.raises(ConfigError, match="safe characters"), scratch_folder(str(tmp_path / "my scratch" / "cbtool-")):
        raise AssertionError
