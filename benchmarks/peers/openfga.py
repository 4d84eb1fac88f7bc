"""An OpenFGA server, asked over HTTP with nothing but the standard library: one kept connection, BatchCheck in the server's own default size.

Give its URL (`--openfga http://127.0.0.1:8080`, or FGACORE_OPENFGA_URL). It makes a store of its own, and deletes it when it is closed.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any

from benchmarks.scenarios import Scenario
from fgacore.language import parse, to_json

__all__ = ["OpenFgaPeer"]

WRITE_COUNT = 100  # tuples in one Write, and
BATCH_COUNT = 50  # checks in one BatchCheck: the server's defaults; it refuses more


class OpenFgaPeer:
    def __init__(self, scenario: Scenario, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = connect(parts.netloc, timeout=120)
        self.prefix = parts.path.rstrip("/")
        self.store = self._send("POST", "/stores", {"name": f"fgacore-benchmark-{scenario.name}"})["id"]
        self.model = self._send("POST", f"/stores/{self.store}/authorization-models", to_json(parse(scenario.model)))["authorization_model_id"]
        for start in range(0, len(scenario.tuples), WRITE_COUNT):
            keys = [_key(*triple) for triple in scenario.tuples[start : start + WRITE_COUNT]]
            self._send("POST", f"/stores/{self.store}/write", {"writes": {"tuple_keys": keys}, "authorization_model_id": self.model})

    def check(self, subject: str, relation: str, object: str) -> bool:
        body = {"tuple_key": _key(subject, relation, object), "authorization_model_id": self.model}
        return bool(self._send("POST", f"/stores/{self.store}/check", body).get("allowed", False))

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        answers: list[bool] = []
        for start in range(0, len(objects), BATCH_COUNT):
            some = objects[start : start + BATCH_COUNT]
            checks = [{"tuple_key": _key(subject, relation, object), "correlation_id": str(index)} for index, object in enumerate(some)]
            result = self._send("POST", f"/stores/{self.store}/batch-check", {"checks": checks, "authorization_model_id": self.model})["result"]
            answers += [bool(result[str(index)].get("allowed", False)) for index in range(len(some))]
        return answers

    def close(self) -> None:
        self._send("DELETE", f"/stores/{self.store}", None)
        self.connection.close()

    def _send(self, method: str, path: str, body: Any) -> dict[str, Any]:
        text = None if body is None else json.dumps(body)
        self.connection.request(method, self.prefix + path, text, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"OpenFGA: {method} {path}: {response.status} {answer.decode(errors='replace')[:500]}")
        return dict(json.loads(answer)) if answer else {}


def _key(subject: str, relation: str, object: str) -> dict[str, str]:
    return {"user": subject, "relation": relation, "object": object}
