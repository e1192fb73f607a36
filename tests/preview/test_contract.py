"""What both runtimes promise, proved on both."""

import itertools
import socket
import threading
import urllib.request

import pytest

from preview import Candidate, HealthCheck, LaunchFailed, PortInUse, Unhealthy, UnknownCandidate
from preview.ports import FIRST, LAST

#: However late it begins to answer, so long it answers badly.
STEADY = {"timeout_seconds": 120, "steady_seconds": 0.5}


def get(candidate: Candidate, path: str) -> str:
    with urllib.request.urlopen(candidate.url + path, timeout=10) as answer:
        return answer.read().decode()


def test_a_started_candidate_serves_with_its_environment(bench):
    candidate = bench.runtime.start(bench.spec(environment={"DATABASE_URL": "postgresql://x", "EXTRA": "1"}))
    seen = bench.environment_of(get(candidate, bench.environment_path()))
    assert candidate.state == "running"
    assert candidate.exit_code is None
    assert seen["DATABASE_URL"] == "postgresql://x"
    assert seen["EXTRA"] == "1"
    assert seen["PREVIEW_URL"] == candidate.url
    port = int(candidate.url.rpartition(":")[2])
    assert candidate.url == f"http://127.0.0.1:{port}"
    assert FIRST <= port <= LAST
    assert seen["PORT"] == (str(port) if bench.runtime.kind == "process" else "8000")


def test_an_equal_spec_keeps_the_candidate_and_more_patience_does_not_replace_it(bench):
    first = bench.runtime.start(bench.serving)
    again = bench.runtime.start(bench.spec(health=HealthCheck(timeout_seconds=121)))
    assert again == first


def test_a_different_spec_replaces_the_candidate_on_the_same_url(bench):
    first = bench.runtime.start(bench.serving)
    second = bench.runtime.start(bench.spec(environment={"EXTRA": "2"}))
    assert second.id != first.id
    assert second.url == first.url
    assert bench.environment_of(get(second, bench.environment_path()))["EXTRA"] == "2"
    assert [c.id for c in bench.runtime.list({}) if c.name == first.name] == [second.id]


def test_one_that_ends_at_once_is_told_with_code_and_log_and_without_secrets(bench):
    script = "echo connecting to $DATABASE_URL; echo no such table; exit 7"
    with pytest.raises(Unhealthy) as caught:
        # Waiting for the whole time would end this test by its time-out.
        bench.runtime.start(bench.saying(script, health=HealthCheck(timeout_seconds=600)))
    error = caught.value
    assert error.status == "exited with code 7"
    assert "exited with code 7" in error.message
    assert error.log_tail[-1] == "no such table"
    assert "pass-word" not in str((error, error.log_tail, error.hint))
    seen = bench.runtime.observe(bench.serving.name)
    assert seen is not None
    assert (seen.state, seen.exit_code) == ("exited", 7)


def test_an_error_stays_small_and_clean_whatever_the_app_says(bench):
    script = (
        "echo 'the key is MIIEvQIBADANBgkq and that is that'; printf '\\033[2J\\033]0;owned\\007hello\\n';"
        " busybox head -c 3000000 /dev/zero | busybox tr '\\0' x; echo; echo last; exit 1"
    )
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----"
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.start(bench.saying(script, environment={"KEY": key}))
    key_line, hello, long, last = caught.value.log_tail
    assert (key_line, hello, last) == ("the key is *** and that is that", "hello", "last")
    assert long == "x" * 500 + " [... cut]"
    # The log itself is whole, in pieces that nobody has to hold all at once.
    heard = list(bench.runtime.logs(bench.serving.name, tail=2))
    assert max(map(len, heard)) <= 64 * 1024
    assert heard[-1] == "last"


def test_one_that_ended_is_started_again(bench, tmp_path):
    with pytest.raises(Unhealthy):
        bench.runtime.start(bench.saying("exit 1"))
    # The same spec once more: it ends again, which shows that it was started and not only looked at.
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.start(bench.saying("exit 1"))
    assert caught.value.status == "exited with code 1"
    assert bench.runtime.start(bench.serving).state == "running"


def test_one_that_answers_badly_is_unhealthy_with_the_last_status_and_stays_for_its_log(bench):
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.start(bench.spec(health=HealthCheck(path=bench.sick(), **STEADY)))
    assert caught.value.status == "HTTP 503"
    assert bench.sick() in caught.value.message
    seen = bench.runtime.observe(bench.serving.name)
    assert seen is not None
    assert seen.state == "running"
    # With the right question the very same candidate is fine.
    assert bench.runtime.start(bench.serving).id == seen.id


def test_one_that_never_listens_is_unhealthy(bench):
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.start(bench.saying("sleep 600", health=HealthCheck(timeout_seconds=1)))
    assert caught.value.status in ("connection refused", "connection closed without an answer")


def test_a_command_that_does_not_exist_is_an_error_that_names_it(bench):
    with pytest.raises((Unhealthy, LaunchFailed)) as caught:
        bench.runtime.start(bench.spec(command=("/no/such/program",)))
    tail = getattr(caught.value, "log_tail", ())
    assert "/no/such/program" in caught.value.message + "".join(tail)


def test_a_wanted_port_is_taken_and_a_taken_one_is_named(bench):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)):
            bench.runtime.start(bench.spec(host_port=port))
        assert bench.runtime.observe(bench.serving.name) is None
    assert bench.runtime.start(bench.spec(host_port=port)).url == f"http://127.0.0.1:{port}"


def test_stop_removes_and_may_run_twice(bench):
    candidate = bench.runtime.start(bench.serving)
    bench.runtime.stop(candidate.name)
    assert bench.runtime.observe(candidate.name) is None
    port = int(candidate.url.rpartition(":")[2])
    with socket.socket() as dial:
        assert dial.connect_ex(("127.0.0.1", port)) != 0
    bench.runtime.stop(candidate.name)


def test_one_that_sleeps_is_woken_on_its_own_url(bench):
    awake = bench.runtime.start(bench.serving)
    bench.runtime.sleep(awake.name)
    bench.runtime.sleep(awake.name)
    asleep = bench.runtime.observe(awake.name)
    assert asleep is not None
    assert (asleep.state, asleep.url) == ("exited", awake.url)
    with socket.socket() as dial:
        assert dial.connect_ex(("127.0.0.1", int(awake.url.rpartition(":")[2]))) != 0
    woken = bench.runtime.wake(awake.name, HealthCheck(), lambda: bench.serving)
    assert (woken.state, woken.url) == ("running", awake.url)
    assert get(woken, "/healthz") != ""
    assert bench.runtime.wake(awake.name, HealthCheck(), lambda: bench.serving) == woken


def test_one_that_sleeps_while_its_port_is_taken_wakes_on_another(bench):
    awake = bench.runtime.start(bench.serving)
    bench.runtime.sleep(awake.name)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(awake.url.rpartition(":")[2])))
        taken.listen()
        woken = bench.runtime.wake(awake.name, HealthCheck(), lambda: bench.serving)
    assert woken.url != awake.url
    assert get(woken, "/healthz") != ""


def test_one_that_is_gone_is_made_again_when_it_is_woken(bench):
    bench.runtime.sleep(bench.serving.name)
    assert bench.runtime.observe(bench.serving.name) is None
    assert bench.runtime.wake(bench.serving.name, HealthCheck(), lambda: bench.serving).state == "running"


def test_one_that_does_not_get_well_again_is_said_with_its_log(bench):
    bench.runtime.start(bench.serving)
    bench.runtime.sleep(bench.serving.name)
    with pytest.raises(Unhealthy) as caught:
        bench.runtime.wake(
            bench.serving.name,
            HealthCheck(path=bench.sick(), **STEADY),
            lambda: bench.serving,
        )
    assert caught.value.status == "HTTP 503"
    bench.runtime.stop(bench.serving.name)
    assert bench.runtime.observe(bench.serving.name) is None


def test_candidates_are_found_by_their_labels(bench):
    one = bench.runtime.start(bench.spec(labels={"dev.preview.name": bench.serving.name, "team": "a"}))
    assert one.labels == {"dev.preview.name": bench.serving.name, "team": "a"}
    assert bench.runtime.list({"dev.preview.name": bench.serving.name}) == (one,)
    assert bench.runtime.list({"dev.preview.name": bench.serving.name, "team": "b"}) == ()


def test_two_candidates_with_the_same_wish_get_different_ports(bench):
    one = bench.runtime.start(bench.serving)
    two = bench.runtime.start(bench.spec(name=bench.serving.name + "-two"))
    assert one.url != two.url
    assert get(one, "/healthz") != ""
    assert get(two, "/healthz") != ""


def test_logs_give_the_last_lines(bench):
    with pytest.raises(Unhealthy):
        bench.runtime.start(bench.saying("for i in 1 2 3 4 5; do echo line $i; done; printf unfinished"))
    assert list(bench.runtime.logs(bench.serving.name, tail=3)) == ["line 4", "line 5", "unfinished"]
    assert list(bench.runtime.logs(bench.serving.name, tail=3, follow=True)) == [
        "line 4",
        "line 5",
        "unfinished",
    ]


def test_logs_follow_until_the_end(bench):
    with pytest.raises(Unhealthy):
        bench.runtime.start(
            bench.saying(
                "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.2; done",
                health=HealthCheck(timeout_seconds=0.1),
            )
        )
    following = bench.runtime.logs(bench.serving.name, tail=0, follow=True)
    heard = list(itertools.islice(following, 3))
    numbers = [int(line.removeprefix("line ")) for line in heard]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    stopping = threading.Thread(target=bench.runtime.stop, args=(bench.serving.name,))
    stopping.start()
    for _ in following:  # ends by itself, because the candidate ends
        pass
    stopping.join()


def test_logs_of_nobody_are_an_error(bench):
    with pytest.raises(UnknownCandidate, match="nobody-here"):
        bench.runtime.logs("nobody-here")


def test_two_starters_of_the_same_candidate_end_with_one(bench):
    results: list[Candidate | Exception] = []

    def start() -> None:
        try:
            results.append(bench.runtime.start(bench.serving))
        except Exception as error:  # noqa: BLE001 - whatever it is, the assertion below shows it
            results.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {type(result) for result in results} == {Candidate}, results
    assert len({result.id for result in results}) == 1
    assert [c.name for c in bench.runtime.list({}) if c.name == bench.serving.name] == [bench.serving.name]


def test_no_value_of_the_environment_is_in_a_repr(bench):
    assert "pass-word" not in repr(bench.serving)
    assert "pass-word" not in repr(bench.runtime.start(bench.serving))
