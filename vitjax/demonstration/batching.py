"""Requests of several users at once, answered together by one thread."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Batcher(Generic[Asked, Answer]):
    """Gathers what is asked while a batch is computed, and computes that as the next one."""

    def __init__(self, compute: Callable[[Sequence[Asked]], Sequence[Answer]], limit: int):
        """`compute` answers at most `limit` questions, in a thread beside the event loop."""
        self._compute, self._limit = compute, limit
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Returns the answer; raises what `compute` raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            questions = [asked for asked, _ in batch]
            try:
                answers = await asyncio.to_thread(self._compute, questions)
            except Exception as error:
                for _, future in batch:
                    if not future.done():  # who asked may have left
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
