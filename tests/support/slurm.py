"""A real SLURM cluster of one node on loopback, from Debian's packages, in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import getpwuid

import pytest

from support.projects import REPOSITORY

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch")
SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
MISSING = [program for program in PROGRAMS if not shutil.which(program, path=SBIN)]

needs_slurm = pytest.mark.skipif(bool(MISSING), reason=f"SLURM is not installed here: no {', '.join(MISSING)}")
PROFILE = ("--workflow-profile", str(REPOSITORY / "workflow" / "profiles" / "slurm"))
RESULTS = "results/**/*.*"

CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdTimeout=5
KillWait=1
ReturnToService=2
NodeName=node NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=1-00:00:00 State=UP
"""


class Cluster:
    """One node; `environment` is what lets `sbatch` and the others find it."""

    def __init__(self, folder: Path, cpus: int = 2, memory: int = 4000) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        settings = {"user": getpwuid(os.getuid()).pw_name, "host": socket.gethostname(), "cpus": cpus, "memory": memory}
        ports = {"controller": _free_port(), "daemon": _free_port()}
        (folder / "slurm.conf").write_text(CONF.format(folder=folder, **settings, **ports))

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        key, socket_ = self.folder / "munge.key", self.folder / "munge.socket"
        subprocess.run([_program("mungekey"), "--create", f"--keyfile={key}"], check=True)
        files = [f"--{name}-file={self.folder / name}" for name in ("pid", "log", "seed")]
        self._spawn("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_}", *files)
        _wait(socket_.exists, "munged")
        self._spawn("slurmctld", "-D", "-i")
        self.start_node()

    def start_node(self) -> None:
        """Start the node's daemon."""
        self._spawn("slurmd", "-D", "-N", "node")
        _wait(lambda: self.command("sinfo", "--noheader", "--format=%T") in ("idle", "mixed"), "slurmd", 60)

    def kill_node(self) -> None:
        """Kill the node's daemon and all that runs on the node, as a power cut does."""
        daemon = self._running.pop("slurmd")
        daemon.kill()
        daemon.wait()
        self._kill_jobs()

    def _kill_jobs(self) -> None:
        for process in self._on_the_node():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _on_the_node(self) -> Iterator[int]:
        """SLURM's keepers of jobs, which have the daemon's folder, and the jobs, which have its environment."""
        mine = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                keeper = (entry / "comm").read_text().strip() == "slurmstepd"
                environment = (entry / "environ").read_bytes().split(b"\0")
                job = mine in environment and any(each.startswith(b"SLURM_JOB_ID=") for each in environment)
                if job or (keeper and (entry / "cwd").readlink() == self.folder):
                    yield int(entry.name)

    def jobs(self, name: str, state: str) -> list[str]:
        """The numbers of the workflow's jobs of this name in the state."""
        asked = ("squeue", "--noheader", f"--name=segchips-{name}", f"--states={state}", "--format=%i")
        return self.command(*asked).split()

    def times(self, number: str) -> tuple[str, str]:
        """When a job has started and ended."""
        job = dict(each.partition("=")[::2] for each in self.command("scontrol", "show", "job", number).split())
        return job["StartTime"], job["EndTime"]

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        self.command("scancel", f"--user={getpwuid(os.getuid()).pw_name}")
        for process in reversed(self._running.values()):
            process.terminate()
            process.wait()
        self._kill_jobs()

    def command(self, *arguments: str) -> str:
        """What one of SLURM's commands prints; nothing where it fails."""
        environment = os.environ | self.environment
        return subprocess.run(arguments, env=environment, text=True, capture_output=True).stdout.strip()

    def _spawn(self, program: str, *arguments: str) -> None:
        log = (self.folder / f"{program}.out").open("ab")
        environment = os.environ | self.environment
        command = [_program(program), *arguments]
        self._running[program] = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that runs until the block ends."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _program(name: str) -> str:
    path = shutil.which(name, path=SBIN)
    assert path, f"{name} is not installed"
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(ready: Callable[[], bool], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} does not start"
        time.sleep(0.1)
