"""Stand-ins for gcloud, xpk, docker and Slurm, and for the TPU hosts that gcloud reaches by ssh.

They note how they were called, and do what a test has told them: a machine goes through states, a
command fails, a run ends with an exit code. What `vidtx launch` sends to a host is run there by
bash, with stand-ins for systemd, pip and uv.
"""

import os
import shlex
import shutil
import subprocess

# In bash, which starts ten times faster than Python. Words of a call end with 1F, calls with 1E.
CLOUD = r"""
base=BASE
program="${0##*/}"
{ printf '%s\x1f' "$program" "$@"; printf '\x1e'; } >> "$base/calls"
line="$program $*"
if [ "$program" = sbatch ]; then cat > "$base/sbatch.sh"; echo 1234; exit; fi
shopt -s nullglob
for file in "$base"/failures/*; do
  { read -r times; read -r pattern; } < "$file"
  if [ "$times" -gt 0 ] && [[ "$line" =~ $pattern ]]; then
    printf '%s\n' "$((times - 1))" "$pattern" > "$file"
    echo "ERROR: it has failed" >&2
    exit 1
  fi
done
case "$line" in
  *buckets*) echo US-WEST4 ;;
  *"yaml(state)"*) echo "state: Quota exceeded" ;;
  *describe*)
    mapfile -t states < "$base/states"
    case "${states[0]}" in
      ABSENT) echo "ERROR: NOT_FOUND" >&2; exit 1 ;;
      FAILED|SUSPENDED|PREEMPTED) ;;  # until it is deleted
      *) if [ "${#states[@]}" -gt 1 ]; then printf '%s\n' "${states[@]:1}" > "$base/states"; fi ;;
    esac
    echo "${states[0]}" ;;
  *"tpus "*" create "*|*"tpus "*" delete "*) sed -i 1d "$base/states" ;;
  *"tpu-vm ssh"*)
    script="${!#}"
    host="$base/$5"
    mkdir -p "$host"
    cd "$host" || exit 255
    HOME="$host" PATH="$base/host:$PATH" exec bash -c "${script#--command=}" ;;
esac
"""

# One unit, whose state is in files of the home folder; it runs to its end within systemd-run. Of an
# ExecStopPost nothing is run: a unit that remains after its exit would wait for a stop with that.
SYSTEMCTL = """
case "$1" in
  show)
    case "$3" in
      --property=LoadState) [ -e "$HOME/unit" ] && echo loaded || echo not-found ;;
      --property=SubState) [ -e "$HOME/running" ] && echo running || echo dead ;;
      --property=MainPID) echo 0 ;;
      --property=ExecMainCode) cut -d' ' -f1 "$HOME/unit" ;;
      --property=ExecMainStatus) cut -d' ' -f2 "$HOME/unit" ;;
    esac ;;
  *) rm -f "$HOME/unit" ;;
esac
"""
SYSTEMD_RUN = """
printf '%s\\n' "$@" > "$HOME/systemd-run"
while [ "${1#-}" != "$1" ]; do shift; done
code=0
"$@" >> "$HOME/vidtx.log" 2>&1 || code=$?
reboots="$(cat ../reboots)"
if [ "$reboots" -gt 0 ]; then echo $((reboots - 1)) > ../reboots; exit; fi
if [ "$code" -gt 128 ]; then echo "2 $((code - 128))"; else echo "1 $code"; fi > "$HOME/unit"
"""
# The environment's Python, with vidtx in it.
PYTHON = """
if [ "$1" = -c ]; then echo "0.1.0 0.10.2"; exit; fi
echo "trained with: $*"
code="$(head -n 1 ../codes)"
if [ "$(wc -l < ../codes)" -gt 1 ]; then sed -i 1d ../codes; fi
exit "$code"
"""
PIP = 'mkdir -p uv/bin && cp "$(command -v fake-uv)" uv/bin/uv'
UV = """
printf '%s\\n' "$*" >> "$HOME/uv-calls"
mkdir -p vidtx-env/bin && cp "$(command -v fake-python)" vidtx-env/bin/python
"""


TOOLS = ("bash", "cat", "cp", "cut", "date", "head", "hostname", "id", "mkdir", "rm", "sed",
         "sleep", "tail", "timeout", "touch", "wc")  # fmt: skip


class Fakes:
    """Stand-ins in a folder of their own, first on PATH."""

    def __init__(self, base, monkeypatch, programs=("gcloud", "xpk", "docker", "sbatch", "python")):
        self.base = base
        (base / "bin").mkdir(parents=True)
        for folder in ("host", "tools", "failures"):
            (base / folder).mkdir()
        # Nothing else is on PATH, lest a real gcloud be asked.
        for name in TOOLS:
            (base / "tools" / name).symlink_to(shutil.which(name))
        for name in programs:
            self.install(base / "bin" / name, CLOUD.replace("BASE", shlex.quote(str(base))))
        for name, text in (
            ("systemctl", SYSTEMCTL),
            ("systemd-run", SYSTEMD_RUN),
            ("sudo", '"$@"'),
            ("python3", PIP),
            ("fake-uv", UV),
            ("fake-python", PYTHON),
        ):
            self.install(base / "host" / name, text)
        self.states("ABSENT", "READY")
        self.ends_with(0)
        self.forgets_units(0)
        monkeypatch.setenv("PATH", os.pathsep.join([str(base / "bin"), str(base / "tools")]))

    def install(self, path, text):
        """A program of bash."""
        path.write_text(f"#!{self.base / 'tools' / 'bash'}\n{text}\n")
        path.chmod(0o755)

    def states(self, *states):
        """What the machine's state is, question by question, the last one from then on.

        ABSENT is left by creating it; FAILED, SUSPENDED and PREEMPTED by deleting it.
        """
        (self.base / "states").write_text("".join(f"{state}\n" for state in states))

    def ends_with(self, *codes):
        """Exit codes of the run, start by start."""
        (self.base / "codes").write_text("".join(f"{code}\n" for code in codes))

    def forgets_units(self, times):
        """Machines are started again so often, each time when a run has begun."""
        (self.base / "reboots").write_text(str(times))

    def failing(self, **patterns):
        """Which commands fail, as NAME=(pattern of their line, times)."""
        for name, (pattern, times) in patterns.items():
            (self.base / "failures" / name).write_text(f"{times}\n{pattern}\n")

    @property
    def calls(self):
        """Commands so far, each a list of words."""
        path = self.base / "calls"
        calls = path.read_text().split("\x1e")[:-1] if path.exists() else []
        return [call.split("\x1f")[:-1] for call in calls]

    def forget(self):
        """What has been called and done so far; returns the calls."""
        calls = self.calls
        (self.base / "calls").unlink()
        for host in self.base.glob("*/vidtx.log"):
            shutil.rmtree(host.parent)
        return calls

    @property
    def changes(self):
        """Of these, those that do not only ask; each as its verb and what it is about."""
        verbs = ("create", "delete", "scp", "ssh", "build", "push", "sbatch", "wheel")
        found = []
        for words in self.calls:
            verb = next((word for word in words if word in verbs), None)
            if verb == "ssh":
                script = words[-1]
                kinds = {
                    "uv/bin/uv": "install",
                    "systemd-run": "start",
                    "tail": "follow",
                    "systemctl stop": "stop",
                }
                verb = next((kind for sign, kind in kinds.items() if sign in script), None)
            if verb:
                found.append(verb)
        return found

    def run_script(self, text):
        """Runs a printed script by bash, as a person would."""
        return subprocess.run(["bash", "-s"], input=text, capture_output=True, text=True)
