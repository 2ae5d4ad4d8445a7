"""machine: a virtual machine that is controlled over its second serial line; see vm_common.sh.

In the guest a shell reads commands (base64, one per line) and replies with their output and exit status.
"""
import base64
import os
import socket
import subprocess
import time


# All time limits are multiplied by this, for a busy machine.
PATIENCE = float(os.environ.get("EVALX_VM_PATIENCE", "1"))


class Failure(Exception):
    """A check of the machine failed."""


class Machine:
    """Can be started and stopped any number of times with the same disk.  Each start is a boot."""

    def __init__(self, command, folder, ports, log):
        """ports: guest port -> port of this machine that leads there."""
        self.command, self.folder, self.ports, self.log = command, folder, ports, log
        self.process = self.line = None
        self.rest = self.unsaid = b""
        self.boots = 0

    def start(self, seconds=240):
        control = os.path.join(self.folder, "control")
        if os.path.exists(control):
            os.unlink(control)
        self.boots += 1
        console = os.path.join(self.folder, f"console{self.boots}")
        self.process = subprocess.Popen(
            [*self.command,
             "-drive", f"file={self.folder}/disk.img,if=virtio,format=raw,cache=unsafe",
             "-drive", f"file={self.folder}/files.img,if=virtio,format=raw,readonly=on",
             # No network in either direction except the forwarded ports.
             "-netdev", "user,id=net,restrict=on" + "".join(
                 f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items()),
             "-device", "virtio-net-pci,netdev=net,romfile=",
             "-chardev", f"socket,id=control,path={control},server=on,wait=off",
             "-serial", f"file:{console}", "-serial", "chardev:control"],
            stdin=subprocess.DEVNULL)
        begin = time.monotonic()
        self.line = self._connect(control)
        self._read_until(b"@@ready", seconds)
        return time.monotonic() - begin

    def _connect(self, control):
        for _ in range(200):
            try:
                line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                line.connect(control)
                return line
            except OSError:
                line.close()
                if self.process.poll() is not None:
                    raise Failure(f"the machine ended with {self.process.returncode}") from None
                time.sleep(0.05)
        raise Failure("the machine does not open its serial line")

    def _read_until(self, mark, seconds):
        """The output before the line that begins with the mark, and the rest of that line."""
        end = time.monotonic() + seconds * PATIENCE
        while True:
            at = self.rest.find(mark)
            if at >= 0 and b"\n" in self.rest[at:]:
                before, (word, self.rest) = self.rest[:at], self.rest[at:].split(b"\n", 1)
                return before.decode(errors="replace"), word[len(mark):].decode().strip()
            left = end - time.monotonic()
            if left <= 0:
                said = self.rest[-2000:].decode(errors="replace")
                raise Failure(f"nothing after {seconds * PATIENCE:.0f} s; so far: {said}")
            self.line.settimeout(left)
            try:
                came = self.line.recv(65536)
            except TimeoutError:
                continue
            self._tell(came)
            if not came:
                raise Failure(f"the machine went away; its last words: {self.rest[-2000:].decode(errors='replace')}")
            self.rest += came

    def _tell(self, came):
        """Logs whole lines as they arrive, because a command may take minutes."""
        *lines, self.unsaid = (self.unsaid + came).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip("\r")
            if text and not text.startswith("@@"):
                self.log(text)

    def send(self, script):
        self.log(f"guest# {script}")
        self.line.sendall(base64.b64encode(script.encode()) + b"\n")

    def run(self, script, seconds=120):
        """The exit status and the output of a shell script."""
        self.send(script)
        output, status = self._read_until(b"@@exit", seconds)
        return int(status), output.replace("\r", "").strip("\n")

    def sh(self, script, seconds=120):
        """The output of a script that must succeed."""
        status, output = self.run(script, seconds)
        if status != 0:
            raise Failure(f"exit status {status}: {script}\n{output}")
        return output

    def wait_end(self, seconds=240):
        """Waits until the guest ends (qemu exits on a reboot)."""
        try:
            self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(f"the machine still runs after {seconds * PATIENCE:.0f} s") from None
        finally:
            self.line.close()
        self.rest = self.unsaid = b""
        self.process = None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
