"""Servers with a data folder."""

import re
import signal
import subprocess
import tempfile

from conftest import BIN


class LiveServer:
    """mrl-server over a data folder; may be killed and started again."""

    def __init__(self, folder, *flags):
        self.folder = folder
        self.flags = [str(flag) for flag in flags]
        self.log = tempfile.TemporaryFile(mode="w+")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [BIN / "mrl-server", "--data-dir", self.folder, "--grpc-port", "0", "--http-port", "0",
             *self.flags],
            stdout=subprocess.PIPE,
            stderr=self.log,  # not a pipe: nobody reads it while the server runs
            text=True,
        )
        for line in self.process.stdout:
            if found := re.match(r"serving grpc=(\S+) http=(\S+)", line):
                self.address, self.http = found.groups()
                return
        code = self.process.wait()
        self.log.seek(0)
        raise RuntimeError(f"mrl-server ended with {code}: {self.log.read()}")

    def kill(self):
        self.process.kill()
        self._reap()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()
            self._reap()

    def _reap(self):
        self.process.wait()
        self.process.stdout.close()
