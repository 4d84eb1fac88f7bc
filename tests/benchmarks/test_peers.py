"""Peers and the floor answer rightly, or are refused; the OpenFGA peer speaks the server's protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from benchmarks.compare import measure_helpdesk, measure_named, measure_shape
from benchmarks.peers import HAND, named
from benchmarks.peers.openfga import BATCH_COUNT, WRITE_COUNT, OpenFgaPeer
from benchmarks.scenarios import SHAPES, Scenario, WrongAnswer
from benchmarks.scenarios.helpdesk import helpdesk_loop

import fgacore


def small(shape: str) -> Scenario:
    return SHAPES[shape](2_000, batch_count=60, cold_batches=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_floor_and_hand_written_peers_are_compared_and_timed(shape: str) -> None:
    rows = measure_shape(small(shape), rounds=1)
    assert len(rows) == 8
    for times in rows.values():
        assert {"floor", "fgacore"} <= times.keys()
        assert all(time > 0 for time in times.values())
    assert rows["single, strings"].keys() == {"floor", "fgacore", *HAND}


def test_the_headline_has_a_peer_by_hand() -> None:
    rows = measure_helpdesk(helpdesk_loop(8_000, step_count=2), rounds=1)
    assert all(times.keys() == {"fgacore", "by hand, closure"} for times in rows.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_named_engines_that_are_installed_answer_rightly(shape: str) -> None:
    rows = measure_named(small(shape), named(), seconds=0.01)
    assert rows.keys() == named().keys()


class Forgetful:
    """A peer that grants nothing."""

    def __init__(self, scenario: Scenario) -> None:
        pass

    def check(self, subject: str, relation: str, object: str) -> bool:
        return False

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        return [False] * len(objects)


def test_a_peer_that_answers_wrongly_is_not_timed() -> None:
    with pytest.raises(WrongAnswer, match="forgetful"):
        measure_named(small("direct"), {"forgetful": Forgetful})


class FakeOpenFga(BaseHTTPRequestHandler):
    """The five calls that the peer makes, over an engine of ours, with the server's default bounds."""

    stores: dict[str, fgacore.Engine]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, _, *path = self.path.split("/")  # "", "stores", store, call
        answer: dict[str, Any] = {}
        if not path:
            self.stores["S1"] = fgacore.open(":memory:")
            return self.answer({"id": "S1"})
        engine = self.stores[path[0]]
        if path[1] == "authorization-models":
            return self.answer({"authorization_model_id": engine.write_model(body)})
        if path[1] == "write":
            keys = body["writes"]["tuple_keys"]
            if len(keys) > WRITE_COUNT:
                return self.answer({"code": "exceeded_entity_limit"}, 400)
            engine.write([self.triple(key) for key in keys])
        elif path[1] == "check":
            answer = {"allowed": engine.check(*self.triple(body["tuple_key"]))}
        elif path[1] == "batch-check":
            if len(body["checks"]) > BATCH_COUNT:
                return self.answer({"code": "validation_error"}, 400)
            result = {each["correlation_id"]: {"allowed": engine.check(*self.triple(each["tuple_key"]))} for each in body["checks"]}
            answer = {"result": result}
        return self.answer(answer)

    def do_DELETE(self) -> None:
        del self.stores[self.path.rpartition("/")[2]]
        self.send_response(204)
        self.end_headers()

    @staticmethod
    def triple(key: dict[str, str]) -> tuple[str, str, str]:
        return key["user"], key["relation"], key["object"]

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def openfga() -> Iterator[str]:
    FakeOpenFga.stores = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeOpenFga) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_openfga_peer_speaks_the_protocol_and_leaves_no_store(openfga: str) -> None:
    scenario = SHAPES["groups"](300, batch_count=2 * BATCH_COUNT + 7)
    scenario = replace(scenario, questions=scenario.questions[:20], answers=scenario.answers[:20])
    rows = measure_named(scenario, {"OpenFGA server": lambda scenario: OpenFgaPeer(scenario, openfga)}, seconds=0.01)
    assert rows["OpenFGA server"]["batch"] > 0
    assert FakeOpenFga.stores == {}


def test_openfga_peer_says_what_the_server_refused(openfga: str) -> None:
    peer = OpenFgaPeer(SHAPES["direct"](60, batch_count=4), openfga)
    with pytest.raises(RuntimeError, match="400"):
        peer._send("POST", "/stores/S1/batch-check", {"checks": [{}] * (BATCH_COUNT + 1)})
    peer.close()
