"""An sshd of the test on the loopback, with keys made on the spot, for another user account."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from .conftest import SOURCE

SSHD = os.environ.get("NAPARI_LANDMARK_SSHD") or shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


def reason_without():
    """Why there can be no server; empty where there can."""
    if SSHD is None:
        return "no sshd is installed (openssh-server)"
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return "only root can make another user account and start sshd for it"
    if shutil.which("useradd") is None or shutil.which("ssh") is None or shutil.which("sftp") is None:
        return "useradd, ssh or sftp is missing"
    return ""


class SshServer:
    """Server that can be cut off and started again; `config` is the client's configuration file for the host `lab`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = f"nlm{secrets.token_hex(4)}"
        self.home = Path("/tmp") / self.user
        subprocess.run(["useradd", "-m", "-d", self.home, "-s", "/bin/sh", self.user], check=True)
        subprocess.run(["usermod", "-p", "*", self.user], check=True)
        if not any(entry.pw_name == "sshd" for entry in pwd.getpwall()):
            subprocess.run(["useradd", "-r", "-s", "/usr/sbin/nologin", "sshd"], check=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host", "client"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            subprocess.run(key, check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        keys = Path("/etc/ssh") / f"{self.user}.keys"
        keys.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "client.pub", keys)
        keys.chmod(0o644)
        self._keys = keys
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nAuthorizedKeysFile {keys}\n"
            "PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n"
            f"AllowUsers {self.user}\nSubsystem sftp internal-sftp\nMaxStartups 50\n"
        )
        self.known = folder / "known_hosts"
        self.trust()
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"Host lab\n  HostName 127.0.0.1\n  Port {self.port}\n  User {self.user}\n"
            f"  IdentityFile {folder}/client\n  IdentitiesOnly yes\n  UserKnownHostsFile {self.known}\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )
        self.process: subprocess.Popen | None = None
        self.start()

    def program(self, *words: str) -> str:
        """Command that runs a script with an interpreter that the account may run; pytest skips without one."""
        path = os.pathsep.join([SOURCE, sysconfig.get_path("purelib")])
        for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
            command = ["env", "OMP_NUM_THREADS=1", f"PYTHONPATH={path}", python]
            tried = subprocess.run(
                ["runuser", "-u", self.user, "--", *command, "-c", "import torch, napari_landmark"]
            )
            if tried.returncode == 0:
                return shlex.join([*command, *words])
        pytest.skip("another user account may run no Python here that has the package")

    def trust(self, key: str | None = None) -> None:
        """Make the key of the server, or another one, the known one."""
        key = key or (self.folder / "host.pub").read_text()
        self.known.write_text(f"[127.0.0.1]:{self.port} {' '.join(key.split()[:2])}\n")

    def start(self) -> None:
        """Listen."""
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.folder / "sshd_config"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def cut(self) -> None:
        """Stop listening, and cut all connections; processes that were started through them go on."""
        sessions = self._sessions()
        self.process.kill()
        self.process.wait()
        for pid in sessions:
            with_suppressed(os.kill, pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """Processes of the account."""
        import psutil

        return [p.pid for p in psutil.process_iter(["username"]) if p.info["username"] == self.user]

    def remove(self) -> None:
        """Stop everything, and remove the account."""
        self.cut()
        for pid in self.pids():
            with_suppressed(os.kill, pid, signal.SIGKILL)
        time.sleep(0.2)
        subprocess.run(["userdel", "-r", "-f", self.user], capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self._keys.unlink(missing_ok=True)

    def _sessions(self) -> list[int]:
        """The server's own processes for its connections."""
        import psutil

        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []
        return [child.pid for child in children if child.name().startswith("sshd")]


def with_suppressed(call, *arguments):
    with contextlib.suppress(OSError):
        call(*arguments)
