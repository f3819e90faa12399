"""Uses a server as Celery and Django do: broker, result backend, cache, sessions.

usage: check.py HOST PORT      Flushes databases 13, 14 and 15.
"""

import os
import subprocess
import sys
import traceback
from pathlib import Path

HOST, PORT = sys.argv[1], int(sys.argv[2])
URL = f"redis://{HOST}:{PORT}"
BROKER, BACKEND, CACHE = f"{URL}/13", f"{URL}/14", f"{URL}/15"
DEADLINE_SECONDS = 10
HERE = Path(__file__).resolve().parent

os.environ.update(BROKER=BROKER, BACKEND=BACKEND)

import django
import redis
from celery import group
from django.conf import settings

from tasks import add, fail, flaky

settings.configure(
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
    SECRET_KEY="only here",
    USE_TZ=True,
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import cache


def main():
    for url in (BROKER, BACKEND, CACHE):
        redis.Redis.from_url(url).flushdb()
    failed = 0
    worker = start_worker()
    try:
        for check in CHECKS:
            name = f"{check.__module__.replace('__main__', 'frameworks')}: {check.__name__.replace('_', ' ')}"
            try:
                check()
                print(f"PASS {name}")
            except Exception:
                failed += 1
                print(f"FAIL {name}")
                print("".join(f"     {line}\n" for line in traceback.format_exc().splitlines()[-8:]), end="")
    finally:
        worker.terminate()
        worker.wait()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


def start_worker():
    words = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "threads", "--concurrency", "2"]
    words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return subprocess.Popen(
        words, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


# Celery


def celery_runs_a_task():
    assert add.delay(2, 3).get(timeout=DEADLINE_SECONDS) == 5


def celery_runs_many_tasks():
    results = [add.delay(number, 1) for number in range(100)]
    assert [result.get(timeout=DEADLINE_SECONDS) for result in results] == list(range(1, 101))


def celery_runs_a_group():
    results = group(add.s(number, number) for number in range(10)).apply_async()
    assert results.get(timeout=DEADLINE_SECONDS) == [2 * number for number in range(10)]


def celery_hands_on_errors():
    result = fail.delay()
    try:
        result.get(timeout=DEADLINE_SECONDS)
    except ValueError as error:
        assert str(error) == "on purpose"
    else:
        raise AssertionError("the task failed and get() did not")


def celery_retries_a_task():
    assert flaky.delay().get(timeout=DEADLINE_SECONDS) == 2


def celery_runs_a_delayed_task():
    assert add.apply_async((1, 1), countdown=1).get(timeout=DEADLINE_SECONDS) == 2


def celery_forgets_results():
    result = add.delay(1, 1)
    result.get(timeout=DEADLINE_SECONDS)
    result.forget()
    assert redis.Redis.from_url(BACKEND).exists(f"celery-task-meta-{result.id}") == 0


# Django


def django_caches_values():
    cache.set("key", {"a": [1, 2, 3]}, timeout=100)
    assert cache.get("key") == {"a": [1, 2, 3]}
    assert cache.get("missing", "default") == "default"
    assert cache.add("key", 1) is False and cache.add("new", 1) is True
    assert "key" in cache and cache.delete("key") and "key" not in cache


def django_caches_many_values():
    values = {f"key{number}": number for number in range(100)}
    assert cache.set_many(values, timeout=100) == []
    assert cache.get_many([*values, "missing"]) == values
    cache.delete_many(values)
    assert cache.get_many(values) == {}


def django_counts():
    cache.set("count", 1)
    assert cache.incr("count", 5) == 6 and cache.decr("count") == 5
    try:
        cache.incr("uncounted")
    except ValueError:
        pass
    else:
        raise AssertionError("a missing key was counted")


def django_touches_and_expires():
    cache.set("short", 1, timeout=100)
    assert cache.touch("short", timeout=200)
    assert 100 < redis.Redis.from_url(CACHE).ttl(cache.make_key("short")) <= 200
    assert cache.touch("short", timeout=0) and cache.get("short") is None


def django_keeps_sessions():
    session = SessionStore()
    session["user"] = 42
    session.save()
    again = SessionStore(session_key=session.session_key)
    assert again["user"] == 42
    again.delete()
    assert "user" not in SessionStore(session_key=session.session_key)


def django_clears_the_cache():
    cache.set("key", 1)
    cache.clear()
    assert cache.get("key") is None


CHECKS = [check for name, check in list(globals().items()) if name.startswith(("celery_", "django_"))]

if __name__ == "__main__":
    sys.exit(main())
