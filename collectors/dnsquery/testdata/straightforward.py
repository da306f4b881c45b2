"""The straightforward way, to compare costs with: requests, prometheus_client, batches of 100.

It reads pages of 100 rows from a time on, leaves out rows that it has seen, counts, pushes each
batch to Loki and writes its state: one row costs one decoded object, four counters and one line.
"""

import datetime
import json
import os
import sys
import tempfile

import requests
from prometheus_client import Counter, Histogram

base, token, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
queries = Counter("dns_query", "queries", ["rcode", "response_type"])
by_qtype = Counter("dns_query_by_qtype", "queries", ["qtype"])
by_protocol = Counter("dns_query_by_protocol", "queries", ["protocol"])
by_client = Counter("dns_query_by_client", "queries", ["client"])
response = Histogram("dns_query_response_seconds", "seconds")
api, loki = requests.Session(), requests.Session()
state_file = os.path.join(tempfile.mkdtemp(), "state.json")
read, page, seen = 0, 1, set()


def nanoseconds(timestamp):
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    moment = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or "0")


while read < rows:
    answer = api.get(
        base + "/api/logs/query",
        params={
            "token": token, "name": "Query Logs (Sqlite)", "classPath": "QueryLogsSqlite.App",
            "pageNumber": page, "entriesPerPage": 100, "descendingOrder": "false",
        },
        timeout=30,
    )
    answer.raise_for_status()
    streams, batch = {}, 0
    for e in answer.json()["response"]["entries"]:
        key = (e["timestamp"], e["clientIpAddress"], e["protocol"], e["responseType"], e["rcode"], e["qname"], e["qtype"], e["qclass"], e["answer"])
        if key in seen:
            continue
        seen.add(key)
        batch += 1
        qname = (e["qname"] or "").rstrip(".").lower()
        queries.labels(rcode=e["rcode"], response_type=e["responseType"]).inc()
        by_qtype.labels(qtype=e["qtype"] or "none").inc()
        by_protocol.labels(protocol=e["protocol"]).inc()
        by_client.labels(client=e["clientIpAddress"]).inc()
        if "responseRtt" in e:
            response.observe(e["responseRtt"] / 1000)
        labels = {"job": "dns_query_logs", "rcode": e["rcode"], "response_type": e["responseType"]}
        stream = streams.setdefault(json.dumps(labels, sort_keys=True), {"stream": labels, "values": []})
        line = json.dumps({
            "client": e["clientIpAddress"], "qname": qname, "qtype": e["qtype"], "rcode": e["rcode"],
            "response_type": e["responseType"], "protocol": e["protocol"], "answer": e["answer"],
        })
        stream["values"].append([str(nanoseconds(e["timestamp"])), line])
        cursor = e["timestamp"]
    loki.post(base + "/loki/api/v1/push", json={"streams": list(streams.values())}, timeout=30).raise_for_status()
    with open(state_file + ".tmp", "w") as f:
        json.dump({"cursor": cursor, "page": page}, f)
    os.replace(state_file + ".tmp", state_file)
    read, page = read + batch, page + 1
print(read)
