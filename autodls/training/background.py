"""What a GPU need not wait for: weights are drawn before their turn, and files written after it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Background:
    """Jobs that are done one after the other, beside whoever asks for them; without a pool at once."""

    def __init__(self, pool: Executor | None) -> None:
        self._pool = pool
        self._begun: deque[Future[None]] = deque()

    def add(self, job: Callable[[], None]) -> None:
        """Do `job` when those before it are done; raises what one of them raised."""
        if self._pool is None:
            job()
            return
        while self._begun and self._begun[0].done():
            self._begun.popleft().result()
        self._begun.append(self._pool.submit(job))

    def wait(self) -> None:
        """Until all is done; raises what a job raised."""
        while self._begun:
            self._begun.popleft().result()


@contextmanager
def background(beside: bool) -> Iterator[Background]:
    """A thread for jobs, if they are to be done `beside`; at the end all are done, and a failure is raised."""
    if not beside:
        yield Background(None)
        return
    with ThreadPoolExecutor(1) as pool:
        jobs = Background(pool)
        yield jobs
        jobs.wait()


def made_ahead(make: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Callable[[], Result]]:
    """For each of `items` a call that gives `make` of it, begun `ahead` items before its turn, or when it is called.

    >>> [made() for made in made_ahead(abs, [-1, -2, -3], ahead=2)]
    [1, 2, 3]
    """
    if ahead == 0:
        yield from (lambda item=item: make(item) for item in items)  # type: ignore[misc]
        return
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        for item in items:
            begun.append(pool.submit(make, item))
            if len(begun) > ahead:
                yield begun.popleft().result
        while begun:
            yield begun.popleft().result
