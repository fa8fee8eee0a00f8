"""The command line: exit codes, streams, JSON, and that the light verbs start no Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from modelrecipe import run as run_module
from modelrecipe.cli import main
from modelrecipe.cli.threads import multiplies
from modelrecipe.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "recipes" / "digits" / "digits_cnn.keras"
GOOD = """\
version: 1
vars:
  factor: {type: number, default: 0.5}
steps:
  - load: digits_cnn.keras
  - rescale: {layers: features, weights: kernel, factor: "${factor}"}
  - save: out/rescaled.keras
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "digits_cnn.keras").write_bytes(DIGITS.read_bytes())
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text("version: 1\nsteps:\n  - load: {pth: a}\n  - sav: b\n")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_names_every_verb():
    text = call("--help").stdout
    verbs = ("completion", "convert", "init", "inspect", "plan", "run", "schema", "steps", "validate")
    assert set(main.commands) == set(verbs)
    assert all(f"\n  {verb} " in text for verb in verbs)
    assert text.count("...") == 1, "a summary is cut"


@pytest.mark.usefixtures("folder")
def test_validate_tells_each_file():
    result = call("validate", "good.yaml", "bad.yaml")
    assert result.exit_code == 3
    assert result.stdout == "good.yaml: ok (3 steps)\n"
    assert result.stderr == (
        "bad.yaml:3:12: load: unknown key 'pth'; did you mean 'path'?\n"
        "  3 |   - load: {pth: a}\n"
        "    |            ^^^\n"
        "bad.yaml:4:5: unknown step 'sav'; did you mean 'save'?\n"
        "  4 |   - sav: b\n"
        "    |     ^^^\n"
    )


@pytest.mark.usefixtures("folder")
def test_validate_goes_on_after_a_missing_file():
    result = call("validate", "nowhere.yaml", "good.yaml")
    assert (result.exit_code, result.stdout) == (1, "good.yaml: ok (3 steps)\n")
    assert result.stderr == "'nowhere.yaml' does not exist\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "good.yaml"], 0),
        (["plan", "good.yaml", "--detailed-exitcode"], 10),
        (["plan", "nowhere.yaml"], 1),
        (["plan", "bad.yaml"], 3),
        (["plan", "good.yaml", "--set", "factr=2"], 2),
        (["plan", "good.yaml", "--set", "factor"], 2),
        (["plan"], 2),
        (["plan", "good.yaml", "--no-such-option"], 2),
        (["inspect", "digits_cnn.keras", "--layers", "nothing*"], 4),
        (["inspect", "digits_cnn.keras", "--layers", "{typ: Dense}"], 2),
        (["inspect", "good.yaml"], 1),
        (["steps", "nothing"], 2),
        (["no-such-verb"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int):
    assert call(*arguments).exit_code == code


@pytest.mark.usefixtures("folder")
def test_a_plan_of_an_output_that_exists_fails_unless_forced(folder: Path):
    (folder / "out").mkdir()
    (folder / "out" / "rescaled.keras").touch()
    result = call("plan", "good.yaml")
    assert result.exit_code == 1
    assert "A run would refuse:\n" in result.stdout
    assert call("plan", "good.yaml", "--force").exit_code == 0


@pytest.mark.usefixtures("folder")
def test_run_streams_without_keras_and_writes_progress_apart(folder: Path):
    result = call("run", "good.yaml")
    assert (result.exit_code, result.exception) == (0, None)
    assert "  wrote out/rescaled.keras  keras, streamed, " in result.stdout
    assert "bit-identical, 1 changed as said" in result.stdout
    assert "writing out/rescaled.keras\n" in result.stderr
    assert (folder / "out" / "rescaled.keras.lock.json").is_file()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", [("-q", "run", "good.yaml"), ("run", "good.yaml", "--quiet")])
def test_quiet_leaves_standard_error_empty(arguments: tuple[str, ...]):
    result = call(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.usefixtures("folder")
def test_set_and_out_reach_the_run(folder: Path):
    result = call("run", "good.yaml", "--set", "factor=0.25", "--out", "elsewhere")
    assert "kernel \u00d7 0.25\n" in result.stdout
    assert (folder / "elsewhere" / "rescaled.keras").is_file()
    assert not (folder / "out").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "good.yaml", "--json"],
        ["run", "good.yaml", "--json"],
        ["validate", "good.yaml", "bad.yaml", "--json"],
        ["inspect", "digits_cnn.keras", "--json"],
        ["inspect", "digits_cnn.keras", "--layers", "conv*", "--json"],
        ["steps", "--json"],
        ["steps", "load", "--json"],
        ["schema"],
        ["plan", "bad.yaml", "--json"],
        ["run", "nowhere.yaml", "--json"],
        ["inspect", "nowhere.keras", "--json"],
    ],
)
def test_json_is_json(arguments: list[str]):
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    json.loads(call(*arguments).stdout, parse_constant=refuse)


@pytest.mark.usefixtures("folder")
def test_errors_as_json():
    result = call("plan", "bad.yaml", "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.stderr, error["exit_code"], error["message"]) == ("", 3, "2 problems")
    assert [problem["line"] for problem in error["problems"]] == [3, 4]
    single = json.loads(call("plan", "nowhere.yaml", "--json").stdout)["error"]
    assert (single["error"], single["message"]) == ("FileError", "'nowhere.yaml' does not exist")


@pytest.mark.usefixtures("folder")
def test_colour_is_for_terminals_and_forced_pipes(monkeypatch: pytest.MonkeyPatch):
    assert "\x1b[" not in call("plan", "good.yaml").output
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in call("plan", "good.yaml").stdout
    assert "\x1b[" in call("plan", "bad.yaml").stderr
    assert "\x1b[" not in call("--no-color", "plan", "good.yaml").output
    assert "\x1b[" not in call("plan", "bad.yaml", "--no-color").output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in call("plan", "good.yaml").output


@pytest.mark.usefixtures("folder")
def test_inspect_lists_selected_layers_with_their_own_index():
    lines = call("inspect", "digits_cnn.keras", "--layers", "{type: Conv2D, last: 1}").stdout.splitlines()
    assert lines[-3:] == [
        " #  layer  type    output            params",
        " 6  conv2  Conv2D  (None, 4, 4, 32)   4,640",
        "  1 layer of 14 selected by {type: Conv2D, last: 1}",
    ]


@pytest.mark.usefixtures("folder")
def test_init_writes_once_and_the_recipe_plans(folder: Path):
    assert call("init", "digits_cnn.keras", "-o", "new.yaml").exit_code == 0
    text = (folder / "new.yaml").read_text()
    assert call("validate", "new.yaml").stdout == "new.yaml: ok (5 steps)\n"
    assert call("plan", "new.yaml").exit_code == 0
    assert call("plan", "new.yaml", "--set", "units=3").exit_code == 0
    again = call("init", "digits_cnn.keras", "-o", "new.yaml")
    assert (again.exit_code, again.stderr) == (1, "'new.yaml' exists; name another file\n")
    assert (folder / "new.yaml").read_text() == text


@pytest.mark.usefixtures("folder")
def test_schema_is_written_and_checked(folder: Path):
    assert call("schema", "--output", "s.json").exit_code == 0
    assert call("schema", "--check", "s.json").stderr == "s.json: up to date\n"
    (folder / "s.json").write_text("{}")
    stale = call("schema", "--check", "s.json")
    assert (stale.exit_code, stale.stderr) == (
        1,
        "'s.json' is not the schema of this version; write it anew with 'modelrecipe schema --output s.json'\n",
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str):
    assert "_MODELRECIPE_COMPLETE" in call("completion", shell).stdout


def test_completion_asks_for_a_shell_it_does_not_know(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    result = call("completion")
    assert (result.exit_code, result.stderr) == (2, "the shell is not known from SHELL; name one of bash, zsh, fish\n")


def test_words_of_steps_are_completed():
    steps = main.commands["steps"]
    context = click.Context(steps)
    assert [item.value for item in steps.params[0].shell_complete(context, "re")] == [
        "replace",
        "remove",
        "rename",
        "rescale",
        "regularize",
    ]


@pytest.mark.usefixtures("folder")
def test_an_interrupted_run_says_what_was_written(monkeypatch: pytest.MonkeyPatch, folder: Path):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def interrupted_late(*_: object, **__: object) -> None:
        (folder / "out").mkdir()
        (folder / "out" / "rescaled.keras").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "run_recipe", interrupted)
    result = call("run", "good.yaml")
    assert (result.exit_code, result.stderr) == (130, "interrupted; nothing was written\n")
    monkeypatch.setattr(run_module, "run_recipe", interrupted_late)
    result = call("run", "good.yaml")
    assert (result.exit_code, result.stderr) == (130, "interrupted; before that, 'out/rescaled.keras' was written\n")


@pytest.mark.usefixtures("folder")
def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(run_module, "run_recipe", broken)
    result = call("run", "good.yaml")
    said = "internal error: ZeroDivisionError: a b; please report it (MODELRECIPE_DEBUG=1 shows where)\n"
    assert (result.exit_code, result.stderr) == (1, said)
    monkeypatch.setenv("MODELRECIPE_DEBUG", "1")
    assert "Traceback (most recent call last):" in call("run", "good.yaml").stderr


LIGHT = [
    ["--help"],
    ["--version"],
    ["steps"],
    ["steps", "replace"],
    ["schema"],
    ["validate", "good.yaml"],
    ["plan", "good.yaml"],
    ["inspect", "digits_cnn.keras"],
    ["init", "digits_cnn.keras"],
]
_SCRIPT = """
import sys
from modelrecipe.cli import main
for arguments in {arguments!r}:
    main(arguments, standalone_mode=False)
heavy = [name for name in ("tensorflow", "keras", "torch", "jax") if name in sys.modules]
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""


def test_light_verbs_import_no_keras(folder: Path):
    script = _SCRIPT.format(arguments=LIGHT)
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_imports_neither_numpy_nor_rich_nor_jsonschema(folder: Path):
    script = (
        "import sys\nfrom modelrecipe.cli import main\nmain(['--help'], standalone_mode=False)\n"
        "sys.exit(' '.join(n for n in ('numpy', 'rich', 'jsonschema', 'h5py') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not list threads")
@pytest.mark.parametrize("arguments", [["plan", "good.yaml"], ["inspect", "digits_cnn.keras"]], ids=str)
def test_verbs_that_read_headers_start_no_threads_and_need_neither_numpy_nor_h5py_nor_jsonschema(
    folder: Path, arguments: list[str]
):
    script = (
        "import os, sys\nfrom modelrecipe.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "found = [name for name in ('jsonschema', 'rich.text', 'h5py', 'numpy') if name in sys.modules]\n"
        "import numpy\n"
        "sys.exit(' '.join([*found, str(len(os.listdir('/proc/self/task')))]))"
    )
    clean = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip().splitlines()[-1] == "1"


def test_products_of_matrices_keep_their_threads(tmp_path: Path):
    def multiplied(steps: str) -> bool:
        return multiplies(read_recipe(f"version: 1\nsteps:\n  - load: a.keras\n{steps}", tmp_path / "recipe.yaml"))

    assert multiplied("  - merge_lora: {layers: {type: Dense}}\n")
    assert not multiplied("  - rescale: {layers: {type: Dense}, factor: 2}\n")


def test_a_reader_that_goes_away_is_no_error(folder: Path):
    command = f"{sys.executable} -m modelrecipe schema | head -c 10"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ('{\n  "$sche', "")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["plan", "--json"], "missing argument 'RECIPE'", "see 'modelrecipe plan --help'"),
        (["plan", "good.yaml", "--json", "--froce"], "no such option '--froce'", "did you mean '--force'?"),
        (["plan", "good.yaml", "--json", "--strange"], "no such option '--strange'", "see 'modelrecipe plan --help'"),
        (["no-such-verb", "--json"], "no such command 'no-such-verb'", "see 'modelrecipe --help'"),
        (["--strange", "plan", "--json"], "no such option '--strange'", "see 'modelrecipe --help'"),
    ],
)
def test_a_wrong_command_line_is_json_too(arguments: list[str], message: str, hint: str):
    result = CliRunner().invoke(main, arguments, prog_name="modelrecipe")
    assert (result.exit_code, result.stderr) == (2, "")
    error = json.loads(result.stdout)["error"]
    assert (error["error"], error["message"], error["hint"], error["exit_code"]) == ("UsageError", message, hint, 2)


@pytest.mark.usefixtures("folder")
def test_a_value_given_twice_is_refused():
    result = call("plan", "good.yaml", "--set", "factor=1", "--set", "factor=2")
    assert (result.exit_code, result.stderr) == (2, "--set gives 'factor' two values, '1' and '2'; leave one out\n")


@pytest.mark.parametrize("arguments", ["steps", "schema", "run good.yaml", "plan good.yaml --json"])
def test_a_closed_standard_output_is_told_before_anything_is_done(folder: Path, arguments: str):
    command = f"{sys.executable} -m modelrecipe {arguments} >&-"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    said = "standard output is closed; send it to a file, or to /dev/null\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert not (folder / "out").exists()


def test_a_closed_standard_error_is_no_hindrance(folder: Path):
    command = f"{sys.executable} -m modelrecipe run good.yaml 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1][:8]) == (0, "Done in ")


def write_steps(folder: Path, *steps: str) -> None:
    (folder / "r.yaml").write_text("version: 1\nsteps:\n" + "".join(f"  - {step}\n" for step in steps))


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_recipe_that_writes_nothing_says_so(folder: Path, verb: str):
    note = "note: no 'save' step is carried out, so nothing is written\n"
    write_steps(folder, "load: digits_cnn.keras", "freeze: conv1")
    result = call(verb, "r.yaml")
    assert result.exit_code == 0
    assert result.stderr.startswith(note)
    assert call(verb, "r.yaml", "-q").stderr == ""
    assert (call("validate", "r.yaml").stdout, call("validate", "r.yaml").stderr) == (
        "r.yaml: ok (2 steps)\n",
        f"r.yaml: {note}",
    )


def test_an_edit_behind_the_last_save_is_told(folder: Path):
    write_steps(folder, "load: digits_cnn.keras", "save: out/m.keras", "freeze: conv1")
    assert (
        call("plan", "r.yaml").stderr
        == "note: 'freeze' in r.yaml:5 stands after the last 'save', so it is not written\n"
    )
    write_steps(folder, "load: digits_cnn.keras", "save: out/m.keras", "check: {finite: true}")
    assert call("plan", "r.yaml").stderr == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("steps: [include: nowhere.yaml]", 1),
        ("steps: [load: nowhere.keras]", 1),
        ("steps: [load: r.yaml]", 1),
        ("steps: [include: latin.yaml]", 3),
        ("imports: [not_there_at_all]\nsteps: [load: digits_cnn.keras]", 3),
        ("steps: [load: {application: {name: VGG16, weights: null, input_shape: [3, 3]}}]", 3),
    ],
)
def test_a_missing_file_exits_with_1_and_a_wrong_recipe_with_3(folder: Path, text: str, code: int):
    (folder / "latin.yaml").write_bytes(b"name: gr\xf6sse\n")
    (folder / "r.yaml").write_text(f"version: 1\n{text}\n")
    assert call("run", "r.yaml").exit_code == code


@pytest.mark.usefixtures("folder")
def test_a_missing_file_of_values_exits_with_1():
    result = call("plan", "good.yaml", "--vars", "nowhere.yaml")
    assert (result.exit_code, result.stderr) == (1, "'nowhere.yaml' does not exist\n")


def test_a_recipe_in_the_place_of_a_model_is_told(folder: Path):
    write_steps(folder, "load: good.yaml")
    assert call("plan", "r.yaml", "-q").stderr == (
        "r.yaml:3:11: load.path: 'good.yaml' is a recipe, not a model; a recipe takes its steps in with"
        " 'include: good.yaml'\n"
        "  3 |   - load: good.yaml\n"
        "    |           ^^^^^^^^^\n"
    )
