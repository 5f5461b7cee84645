"""What runs on the hosts: the unit, its signals and exit code, its log, what is installed."""

import pytest

from tests.launch.lines import TPU_VM


def test_the_unit_outlives_the_session_and_is_told_to_save(fakes, command):
    command(*TPU_VM)
    given = (fakes.base / "one" / "systemd-run").read_text().splitlines()
    home = fakes.base / "one"
    assert given[:3] == ["--quiet", "--unit=vidtx", "--remain-after-exit"]
    assert {"--property=KillMode=mixed", "--property=TimeoutStopSec=300"} <= set(given)
    assert f"--property=StandardOutput=append:{home}/vidtx.log" in given
    installed = (home / "uv-calls").read_text()
    assert "--reinstall-package=vidtx vidtx[tpu,gcs]==0.1.0\n" in installed


@pytest.mark.parametrize("code", [0, 1])
def test_the_log_is_in_the_bucket_before_the_machine_is_deleted(fakes, command, code):
    fakes.ends_with(code)
    command(*TPU_VM, "--delete", "--workdir=gs://bucket/the runs/one", code=code)
    verbs = [next((w for w in words if w in ("cp", "delete")), None) for words in fakes.calls]
    assert [verb for verb in verbs if verb] == ["cp", "delete"]
    *_, log, target = fakes.calls[verbs.index("cp")]
    assert log == str(fakes.base / "one" / "vidtx.log")
    assert target.startswith("gs://bucket/the runs/one.logs/")


def test_a_run_that_is_told_to_stop_saves_and_keeps_its_exit_code(fakes, command):
    host = fakes.base / "host"
    asked = """if [ "$1" = -c ]; then exit; fi
trap 'sleep 0.2; echo saved; exit 4' TERM
touch under-way
while :; do sleep 0.05; done"""
    fakes.install(host / "fake-python", asked)
    # As systemd does with KillMode=mixed, it signals the unit's main process alone.
    stopped = """while [ "${1#-}" != "$1" ]; do shift; done
"$@" > "$HOME/vidtx.log" 2>&1 & main=$!
until [ -e under-way ]; do sleep 0.05; done
kill -TERM "$main"
wait "$main"
echo "1 $?" > "$HOME/unit" """
    fakes.install(host / "systemd-run", stopped)
    command(*TPU_VM, "--restarts=0", code=4)
    assert (fakes.base / "one" / "unit").read_text().split() == ["1", "4"]
    assert "saved" in (fakes.base / "one" / "vidtx.log").read_text()
    assert any("cp" in words for words in fakes.calls)


def test_sources_and_a_config_of_ones_own_go_to_every_host(fakes, command, tmp_path):
    (tmp_path / "vidtx" / "vidtx").mkdir(parents=True)
    (tmp_path / "vidtx" / "vidtx" / "_version.py").write_text('"""."""\n\n__version__ = "9.8.7"\n')
    config = tmp_path / "mine.py"
    config.write_text(
        "from experiments.motions import get_config  # noqa\n\ndef get_config(a=None):"
        "\n    from experiments.motions import get_config\n    return get_config()\n"
    )
    line = [f"--package={tmp_path / 'vidtx'}", f"--config={config}:x"]
    command(*TPU_VM, *line)
    (copied,) = [words for words in fakes.calls if "scp" in words]
    assert copied[5:8] == ["dist/vidtx-9.8.7-py3-none-any.whl", str(config), "one:"]
    assert (
        "./vidtx-9.8.7-py3-none-any.whl[tpu,gcs]" in (fakes.base / "one" / "uv-calls").read_text()
    )
    assert "--config=mine.py:x " in (fakes.base / "one" / "vidtx.log").read_text()
    assert fakes.calls[1][:4] == ["python", "-m", "pip", "wheel"]


def test_a_dollar_reaches_the_run(fakes, command):
    command(*TPU_VM, "--config.optimizer.freeze=('head/.*|$HOME',)")
    given = (fakes.base / "one" / "systemd-run").read_text()
    assert "freeze" not in given  # systemd would replace it
    log = (fakes.base / "one" / "vidtx.log").read_text()
    assert "--config.optimizer.freeze=('head/.*|$HOME',)\n" in log
