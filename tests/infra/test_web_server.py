import http.client
import socket
import time
import urllib.error
import urllib.request

import pytest

from infra.web_server import CLAIMED_BYTES, Fault, serve
from schemas.errors import UserError

FAULTS = {kind.name.lower(): kind for kind in Fault}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site" / "pictures").mkdir(parents=True)
    (tmp_path / "site" / "pictures" / "a b.png").write_bytes(b"0123456789")
    (tmp_path / "site" / "cut_off").mkdir()
    (tmp_path / "site" / "cut_off" / "x.jpg").write_bytes(b"0123456789")
    (tmp_path / "secret").write_text("not served")
    return tmp_path / "site"


@pytest.fixture
def server(folder):
    with serve(folder, faults=FAULTS) as server:
        yield server


def fetch(server, path, timeout=5.0):
    return urllib.request.urlopen(f"{server.url}/{path}", timeout=timeout)


def status_of(server, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(server, path)
    return caught.value.code


def test_a_file_comes_with_its_type_and_all_its_bytes(server):
    with fetch(server, "pictures/a%20b.png") as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.read() == b"0123456789"


@pytest.mark.parametrize("path", ["nothing.jpg", "pictures", "../secret", "%2e%2e/secret"])
def test_what_is_no_file_of_the_folder_is_a_404(server, path):
    assert status_of(server, path) == 404


def test_forbidden_is_a_403(server):
    assert status_of(server, "forbidden/x.jpg") == 403


def test_a_stalled_answer_runs_into_the_clients_timeout(server):
    with pytest.raises(TimeoutError):
        fetch(server, "stall/x.jpg", timeout=0.2)


def test_hanging_up_is_a_connection_without_an_answer(server):
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(server, "hang_up/x.jpg")


def test_a_web_page_says_it_is_one_and_garbage_says_it_is_a_picture(server):
    with fetch(server, "web_page/x.jpg") as page, fetch(server, "garbage/x.jpg") as garbage:
        assert page.headers["Content-Type"] == "text/html"
        assert garbage.headers["Content-Type"] == "image/jpeg"


def test_a_cut_off_file_is_shorter_than_it_claims(server):
    with fetch(server, "cut_off/x.jpg") as answer, pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_an_oversized_answer_claims_its_size_before_its_body(server):
    with fetch(server, "oversized/x.jpg") as answer:
        assert int(answer.headers["Content-Length"]) == CLAIMED_BYTES


def test_it_listens_on_this_machine_only_and_frees_its_port(folder):
    with serve(folder) as first:
        assert first.server_address[0] == "127.0.0.1"
        port = first.server_port
        with pytest.raises(UserError, match=f"127.0.0.1:{port}"), serve(folder, port=port):
            pass
    with serve(folder, port=port) as second:
        assert second.server_port == port


def test_it_ends_at_once_although_an_answer_is_stalled(folder):
    with (
        serve(folder, faults=FAULTS) as server,
        socket.create_connection((server.server_name, server.server_port)) as client,
    ):
        client.sendall(b"GET /stall/x.jpg HTTP/1.0\r\n\r\n")
        time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 1
