"""What the proxy replaces, for the benchmark. It costs what that one costs: a
single-threaded http.server (HTTP/1.0, so a connection for each request), a TLS
context made for each request, no verification, answers decoded and encoded."""
import http.server
import json
import ssl
import sys
import urllib.request

UPSTREAM = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        request = urllib.request.Request(UPSTREAM + self.path)
        for name, value in self.headers.items():
            if name.lower() not in ("host", "content-length"):
                request.add_header(name, value)
        with urllib.request.urlopen(request, context=context) as answer:
            status, headers, body = answer.getcode(), answer.headers, answer.read()
        if "/api/routing/settings/searchGateway" in self.path:
            data = json.loads(body)
            for row in data.get("rows", []):
                if isinstance(row.get("monitor_disable"), bool):
                    row["monitor_disable"] = str(row["monitor_disable"]).lower()
                if isinstance(row.get("priority"), (int, float)):
                    row["priority"] = str(row["priority"])
            body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
