"""Odd terminals, targets, paths and machines: one line, and nothing that was there is replaced."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.cli import unforeseen
from iqlearn_jax.cli.text import pairs, table
from iqlearn_jax.data.save import save
from iqlearn_jax.disk import other_kind, written_whole
from iqlearn_jax.errors import InputError, printable
from iqlearn_jax.report.page import write_report
from tests.common import ROOT
from tests.data.made_up import arrays_of, make_demos
from tests.report.synthetic import write_run

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e"


def run(*arguments, code="", **env):
    command = ["-c", code, *arguments] if code else ["-m", "iqlearn_jax.cli", *map(str, arguments)]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        env=os.environ | env,
    )


# What nobody foresaw --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/x/y"), "/x/y: Permission denied"),
        (OSError(36, "File name too long", "a" * 300), "File name too long"),
        (MemoryError(), "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"), "out of memory"),
        (RuntimeError("Unable to initialize backend 'cuda': no"), "JAX_PLATFORMS is"),
        (SystemExit(0), "unforeseen SystemExit: something called exit(0)"),
        (SystemExit("bye"), "something called exit('bye')"),
        (KeyError("x\ny" * 1000), "unforeseen KeyError"),
        (RecursionError("deep"), "unforeseen RecursionError: deep"),
    ],
)
def test_what_nobody_foresaw_is_a_line_and_a_file(error, words, monkeypatch, tmp_path, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cli, "_run_command", fail)
    assert cli.main(["train", "--secret"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and words in said
    logs = list(tmp_path.glob("iqlearn-*.log"))
    assert len(logs) == ("unforeseen" in words or "exit" in words)
    if logs:
        assert str(logs[0]) in said
        story = logs[0].read_text()
        assert "iqlearn train --secret" in story and type(error).__name__ in story and "jax " in story
        assert stat.S_IMODE(logs[0].stat().st_mode) == 0o600


def test_without_room_for_the_file_the_story_is_printed(monkeypatch, capsys):
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_ for _ in ()).throw(OSError(28, "full")))
    line = str(unforeseen.as_input_error(ValueError("odd"), ["list"]))
    assert "the lines above" in line
    assert "ValueError: odd" in capsys.readouterr().err


# Targets and sources that are no files --------------------------------------------------------------------


def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, kind in (
        (Path("/dev/null"), "a device"),
        (tmp_path / "pipe", "a pipe"),
        (tmp_path / "folder", "a fol"),
    ):
        with pytest.raises(InputError, match=f"is {kind}"), written_whole(path):
            pass
    assert other_kind("/dev/null") == "a device"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_a_device_as_a_target_stays(refused, tmp_path):
    save(tmp_path / "a.npz", make_demos())
    assert "/dev/null is a device" in refused("demos", "convert", tmp_path / "a.npz", "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_target_that_cannot_be_written(refused, tmp_path, trained):
    (tmp_path / "file").write_text("")
    below, long = tmp_path / "file" / "out", tmp_path / ("a" * 300)
    for out in (below, long):
        assert refused("report", trained.folder, f"--out={out}")
        assert refused("policy", "export", f"--workdir={trained.folder}", f"--out={out}.npz")
        assert refused("train", "--config=cartpole:offline", f"--workdir={out}")


@pytest.mark.parametrize(
    "command", [["demos", "inspect"], ["demos", "convert"], ["policy", "inspect"], ["reward", "inspect"]]
)
def test_a_pipe_is_not_waited_for(command, refused, tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    target = [tmp_path / "out.npz"] if "convert" in command else []
    assert "it is a pipe" in refused(*command, tmp_path / "pipe.npz", *target)


@pytest.mark.parametrize("field", ["observations", "actions"])
def test_arrays_without_numbers(field, refused, tmp_path):
    arrays = arrays_of(make_demos(discrete=False))
    arrays |= {name: np.zeros((8, 0), np.float32) for name in arrays if field in name}
    np.savez(tmp_path / "a.npz", **arrays)
    assert f"{field}: expected at least one number in each step" in refused(
        "demos", "validate", tmp_path / "a.npz"
    )


@pytest.mark.parametrize("value", [-1, 16, 64])
def test_states_that_a_table_does_not_have(value, refused, tmp_path):
    track = np.arange(6, dtype=np.int32)
    track[3] = value
    ends = np.arange(5) == 4
    fields = {"observations": track[:-1], "next_observations": track[1:], "actions": np.zeros(5, np.int32)}
    fields |= {"rewards": np.zeros(5, np.float32), "terminals": ends, "truncations": ends & False}
    np.savez(tmp_path / "a.npz", **fields)
    line = refused("demos", "validate", tmp_path / "a.npz", "--env=Gridworld-4x4")
    assert f"observations[3]: expected 0..15 of Gridworld-4x4, found {value}" in line


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("--config.temperature=1e400", "config.temperature is inf"),
        ("--config.updates=1000000000000000000000", "int32 or float32 can hold"),
        ("--config.updates=1e21", "config.updates is 1e+21; expected int"),
        ("--config.gamma={[]}", "config.gamma is '{[]}'; expected float"),
        ("--config.env.kwargs={[]}", "expected a dictionary"),
        ("--config.hidden=" + "(" * 300 + ")" * 300, "config.hidden is"),
        ("--config.env.wrappers=(1,)", "expected names"),
        ("--config.grid.alpha=(1e400,)", "config.grid.alpha is (inf,)"),
    ],
)
def test_values_that_nothing_can_hold(setting, words, refused, tmp_path):
    line = refused("train", "--config=cartpole:offline", f"--workdir={tmp_path / 'new'}", setting)
    assert words in line
    assert not (tmp_path / "new").exists()


# Terminals ------------------------------------------------------------------------------------------------


def test_control_characters_are_written_out(tmp_path, capsys):
    save(tmp_path / "a.npz", make_demos())
    demos = make_demos()
    demos.metadata.update(env=ESCAPE, policy={"name": ESCAPE}, conversion=[{"source": ESCAPE}])
    save(tmp_path / "a.npz", demos)
    assert cli.main(["demos", "inspect", str(tmp_path / "a.npz")]) == 0
    assert cli.main(["demos", "inspect", str(tmp_path / ESCAPE.replace("/", ""))]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err, pairs([("a", ESCAPE)]), table(("a",), [(ESCAPE,)])):
        assert "\\x1b]0;owned\\x07" in text and "\\u202e" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert printable("plain ± text\n") == "plain ± text\n"


def test_a_terminal_that_knows_ascii_only():
    done = run("list", "keys", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0 and done.stderr == ""
    assert "\\u03c4" in done.stdout  # τ


def test_a_dollar_in_the_name_of_a_folder(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("a$b_{", "c$d^")]
    page = write_report(folders, tmp_path / "out")
    assert page.exists() and list((tmp_path / "out" / "figures").glob("*.png"))


# Machines -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_platform_that_is_not_there(demos, tmp_path):
    done = run(
        "train",
        "--config=cartpole:offline",
        f"--demos={demos}",
        f"--workdir={tmp_path / 'new'}",
        JAX_PLATFORMS="tpu",
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: JAX_PLATFORMS is 'tpu'")
    assert "Traceback" not in done.stderr


def test_a_second_sigterm_ends_native_code(tmp_path):
    """No Python runs while it hashes, so no handler of Python's gets a turn."""
    code = (
        "import hashlib; from iqlearn_jax.training.console import interruptible\n"
        "with interruptible():\n"
        "    print('hashing', flush=True); hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "hashing\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert process.poll() is None  # the first one waits for the chunk
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == -signal.SIGTERM
        finally:
            process.kill()


# Code that a folder names ---------------------------------------------------------------------------------


def foreign(trained, folder, module):
    """A copy of a folder whose configuration names a module, as somebody else's would."""
    shutil.copytree(trained, folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"imports": [str(module)]}))
    return folder


def test_a_foreign_folder_runs_no_code(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    module = tmp_path / "theirs_of_damage.py"
    module.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    folder = foreign(trained.folder, tmp_path / "foreign", module)
    assert cli.main(["evaluate", f"--workdir={folder}", "--episodes=1"]) == 0
    said = capsys.readouterr().err
    assert f"names {module}, code that was not run" in said and f"--import={module}" in said
    assert cli.main(["train", f"--workdir={folder}", "--resume"]) == 2
    assert f"if you trust it: --import={module}" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert cli.main(["evaluate", f"--workdir={folder}", "--episodes=1", f"--import={module}"]) == 0
    assert (tmp_path / "ran").exists()
    sys.modules.pop(module.stem)


def test_what_this_account_trained_needs_no_option_again(monkeypatch, tmp_path):
    from iqlearn_jax.runs.trust import import_trusted, seal_of

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    module = tmp_path / "mine_of_damage.py"
    module.write_text("count = globals().get('count', 0) + 1")
    names = [str(module)]
    assert seal_of(names) == {}  # not imported here: nothing to vouch for
    from iqlearn_jax.config.files import import_modules

    import_modules(names)
    seal = seal_of(names)
    assert stat.S_IMODE((tmp_path / "state" / "iqlearn_jax" / "seal.key").stat().st_mode) == 0o600
    sys.modules.pop(module.stem)
    import_trusted(names, [{}, seal], tmp_path)
    assert sys.modules.pop(module.stem).count == 1
    for entries, state in (([{}], "state"), ([seal], "elsewhere"), ([{"imports_seal": "0" * 64}], "state")):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / state))
        import_trusted(names, entries, tmp_path)
        assert module.stem not in sys.modules
    for modules in ([3], 3, {}, "mine"):
        with pytest.raises(InputError, match="expected names of modules"):
            import_trusted(modules, [], tmp_path)
