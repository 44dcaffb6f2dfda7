"""What is kept between requests."""

import threading
from collections import Counter

from mockserver.store import Store


def test_what_is_read_is_a_copy() -> None:
    store = Store()
    value = {"list": [1]}
    store.put("thing", "a", value)
    value["list"].append(2)
    read = store.get("thing", "a")
    assert read == {"list": [1]}
    read["list"].append(3)
    assert store.all("thing") == [{"list": [1]}]


def test_objects_keep_their_bytes_and_their_place_when_they_change() -> None:
    store = Store()
    store.put("thing", "a", {"n": 1}, b"bytes")
    store.put("thing", "b", {"n": 2})
    store.put("thing", "a", {"n": 3})
    assert store.content("thing", "a") == b"bytes"
    assert [each["n"] for each in store.all("thing")] == [3, 2]


def test_an_update_of_what_is_another_by_now_does_nothing() -> None:
    store = Store()
    store.put("thing", "a", {"n": 1}, b"old")
    assert store.update("thing", "a", {"n": 1}, {"n": 2}, b"new")
    assert not store.update("thing", "a", {"n": 1}, {"n": 3}, b"newer")
    assert not store.update("thing", "gone", {}, {"n": 3})
    assert (store.get("thing", "a"), store.content("thing", "a")) == ({"n": 2}, b"new")


def test_of_many_who_update_at_once_one_wins() -> None:
    store, gate, won = Store(), threading.Barrier(8), Counter[bool]()
    store.put("thing", "a", {"owner": None})

    def claim(number: int) -> None:
        gate.wait()
        won[store.update("thing", "a", {"owner": None}, {"owner": number})] += 1

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won[True] == 1


def test_one_kind_is_forgotten_alone_and_numbers_go_on() -> None:
    store = Store()
    assert store.number("thing") == 1
    store.put("thing", "a", {})
    store.put("other", "a", {})
    store.forget("thing")
    assert (store.all("thing"), store.all("other")) == ([], [{}])
    assert store.number("thing") == 2


def test_of_each_kind_the_latest_are_kept() -> None:
    store = Store(limit=3)
    for number in range(5):
        store.put("file", str(number), {"number": number})
        store.put("batch", "the same", {"number": number})
    assert [each["number"] for each in store.all("file")] == [2, 3, 4]
    assert store.all("batch") == [{"number": 4}]
