#!/usr/bin/python3
"""A stand-in for the two services that an instance calls: its metadata (IMDSv2 only) and the AWS API.

  endpoint.py FOLDER ADDRESS:PORT [ADDRESS:PORT...]

Every request to a service is written to FOLDER/calls as a line of JSON.  FOLDER/metadata.json contains the metadata by
path; it is read at each request, so a test can change it.  FOLDER/secrets.json contains the secrets to return.
"""
import http.server
import json
import os
import sys
import threading
import urllib.parse

FOLDER = sys.argv[1]
TOKEN = "a-token-of-imds-v2"


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text, kind="text/plain"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def do_PUT(self):
        if self.path == "/latest/api/token" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
            self.answer(200, TOKEN)
        else:
            self.answer(400, "")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:  # version 1 is closed
            self.answer(401, "")
            return
        found = read("metadata.json").get(self.path.removeprefix("/latest/"))
        self.answer(404, "") if found is None else self.answer(200, found)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        scope = self.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")
        target = self.headers.get("X-Amz-Target")
        if target:
            action, fields = target.split(".")[1], json.loads(body)
        else:
            fields = dict(urllib.parse.parse_qsl(body))
            action = fields.pop("Action")
        with open(os.path.join(FOLDER, "calls"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"service": scope[3], "region": scope[2], "action": action, "fields": fields,
                                   "session": self.headers["X-Amz-Security-Token"]}) + "\n")
        secrets = read("secrets.json")
        if action == "GetSecretValue" and fields["SecretId"] in secrets:
            self.answer(200, json.dumps({"SecretString": secrets[fields["SecretId"]]}))
        elif action == "GetParameter" and fields["Name"] in secrets:
            self.answer(200, json.dumps({"Parameter": {"Value": secrets[fields["Name"]]}}))
        elif target:
            self.answer(400, json.dumps({"__type": "ResourceNotFoundException"}))
        else:
            self.answer(200, f"<{action}Response/>", "text/xml")


def main():
    for address in sys.argv[2:]:
        host, port = address.rsplit(":", 1)
        server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=server.serve_forever).start()


main()
