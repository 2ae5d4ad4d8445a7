"""raw_http: HTTP as bytes on a socket, for tests of requests that no HTTP library would send."""
import json
import socket
import time

HOST = b"Host: localhost\r\n"


class Reply:
    """One answer; `closed` is true if the server closed the connection after it."""

    def __init__(self, raw, closed):
        self.raw, self.closed = raw, closed
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/1.1 ") else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]


class Socket:
    def __init__(self, port, timeout=10.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False once the server accepts no more data."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read(self, silence=0.3, first=None):
        """Reads until the server closes or is silent for `silence` seconds (before the first byte: `first` seconds)."""
        raw, closed = b"", False
        self.socket.settimeout(first or silence)
        while True:
            try:
                piece = self.socket.recv(1 << 20)
            except socket.timeout:
                break
            except OSError:
                closed = True
                break
            if not piece:
                closed = True
                break
            raw += piece
            self.socket.settimeout(silence)
        return Reply(raw, closed)

    def closed_within(self, seconds):
        """Waits until the server closes the connection; .last holds what it sent before."""
        end = time.monotonic() + seconds
        raw = b""
        while time.monotonic() < end:
            reply = self.read(0.2)
            raw += reply.raw
            if reply.closed:
                self.last = Reply(raw, True)
                return True
        self.last = Reply(raw, False)
        return False


def ask(port, request, silence=0.3):
    """The answer to a request, with enough patience for a busy machine."""
    with Socket(port) as s:
        s.send(request)
        return s.read(silence, 20)


def post(path, body, headers=b""):
    return (b"POST " + path + b" HTTP/1.1\r\n" + HOST + headers + b"Content-Length: %d\r\n\r\n" % len(body)) + body


def get(path, headers=b""):
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"
