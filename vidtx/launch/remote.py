"""Scripts for TPU VMs: installing vidtx, starting a run that outlives its session, following it.

The run is a transient unit of systemd, ``vidtx``, on each host: nothing of it hangs on a
connection, it gets SIGTERM and time to save its state when the machine is shut down, and its exit
code can be asked for afterwards. Each host's output is in ``vidtx.log`` of the home folder. What
the unit runs is ``vidtx-run.sh`` there, which ends when the log has been copied: whoever sees that
the unit has ended may delete the machine.
"""

import pathlib
import re
import shlex

__all__ = ["FOLLOW", "STATUS", "STOP", "install", "requirement", "start", "wheel_of"]

LOG = "vidtx.log"
_ENVIRONMENT = "vidtx-env"
_WRAPPER = "vidtx-run.sh"
_COPYING = 120  # seconds at most, for the log
_VERSION = re.compile(r"^__version__ = \"([^\"]+)\"", re.MULTILINE)
_UNLESS_UNDER_WAY = """if [ "$(systemctl show vidtx --property=SubState --value)" = running ]; then
  echo "$(hostname): the run is under way"
  exit 0
fi
"""


def install(requirement: str) -> str:
    """Makes an environment with vidtx, or brings it up to date.

    Args:
      requirement: as pip has it, such as ``vidtx[tpu,gcs]`` or ``./vidtx-0.1.0….whl[tpu,gcs]``.
    """
    # The machines' own Python is 3.10 or belongs to the system; uv brings one.
    return f"""set -eu
{_UNLESS_UNDER_WAY}python3 -m pip install --quiet --upgrade --target=uv uv
uv/bin/uv venv --quiet --allow-existing --python=3.12 {_ENVIRONMENT}
uv/bin/uv pip install --quiet --python={_ENVIRONMENT} --reinstall-package=vidtx "{requirement}"
{_ENVIRONMENT}/bin/python -c "import jax, vidtx; print(vidtx.__version__, jax.__version__)"
"""


def start(words: list[str], log_folder: str) -> str:
    """Starts a run, unless it is under way.

    Args:
      words: arguments for ``python``.
      log_folder: in a bucket, where the log is copied to when the run ends.
    """
    # A file, as systemd would replace each $NAME of a command; bash reads it as it runs it, and so
    # it is only written when the unit has ended.
    return f"""set -eu
{_UNLESS_UNDER_WAY}sudo systemctl stop vidtx 2>/dev/null || true
sudo systemctl reset-failed vidtx 2>/dev/null || true
cat > {_WRAPPER} <<'END_OF_RUN'
{_wrapper(words, log_folder)}END_OF_RUN
sudo systemd-run --quiet --unit=vidtx --remain-after-exit \\
  --uid="$(id -u)" --gid="$(id -g)" --setenv=HOME="$HOME" --setenv=PATH="$PATH" \\
  --working-directory="$HOME" \\
  --property=KillMode=mixed --property=TimeoutStopSec=300 \\
  --property=StandardOutput="append:$HOME/{LOG}" \\
  --property=StandardError="append:$HOME/{LOG}" \\
  "$(command -v bash)" "$HOME/{_WRAPPER}"
echo "$(hostname): started"
"""


def _wrapper(words: list[str], log_folder: str) -> str:
    """Runs Python to its end, copies the log, and ends with Python's exit code.

    systemd's own ExecStopPost would be too late: after a clean exit, a unit that remains is only
    stopped when somebody stops it, and after another one its exit code is told before.
    """
    # Stopping the unit signals this shell alone, whose wait a signal cuts short.
    return f"""told=
"$HOME/{_ENVIRONMENT}/bin/python" -u {shlex.join(words)} &
run=$!
trap 'told=1; kill -TERM "$run" 2>/dev/null' TERM
wait "$run"
code=$?
while [ -n "$told" ]; do
  told=
  wait "$run"
  again=$?
  [ "$again" = 127 ] || code=$again
done
timeout {_COPYING} gcloud storage cp --quiet "$HOME/{LOG}" \\
  {shlex.quote(log_folder)}/"$(hostname)-$(date +%Y%m%dT%H%M%S).log" || true
exit "$code"
"""


# Shows the log until the run ends.
FOLLOW = f"""pid="$(systemctl show vidtx --property=MainPID --value)"
if [ "$pid" != 0 ]; then
  tail --lines=50 --follow=name --retry --pid="$pid" {LOG}
else
  tail --lines=50 {LOG}
fi
"""

STOP = "sudo systemctl stop vidtx"

# Prints one line: ``vidtx: running``, ``vidtx: ended CODE`` (128 + signal where one killed it), or
# ``vidtx: absent`` where the machine has been started again since, which forgets transient units.
STATUS = """show() { systemctl show vidtx --property="$1" --value; }
if [ "$(show LoadState)" = not-found ]; then
  echo "vidtx: absent"
else
  case "$(show ExecMainCode)" in
    0) echo "vidtx: running" ;;
    1) echo "vidtx: ended $(show ExecMainStatus)" ;;
    *) echo "vidtx: ended $((128 + $(show ExecMainStatus)))" ;;
  esac
fi
"""


def requirement(package: str) -> str:
    """What pip is to install, with what a TPU and a bucket need.

    Args:
      package: a path such as ``./vidtx-0.1.0-py3-none-any.whl``, or a name such as ``vidtx`` or
        ``vidtx==0.1.0``.
    """
    if package.startswith("./"):
        return f"{package}[tpu,gcs]"
    return package.replace("vidtx", "vidtx[tpu,gcs]", 1)


def wheel_of(sources: pathlib.Path) -> pathlib.Path | None:
    """The wheel that ``pip wheel`` makes of a folder with the sources of vidtx, in ``dist/``.

    None where the folder holds something else.
    """
    version = sources / "vidtx" / "_version.py"
    found = _VERSION.search(version.read_text()) if version.is_file() else None
    return pathlib.Path("dist", f"vidtx-{found[1]}-py3-none-any.whl") if found else None
