"""What went over the socket as it was spelt, read when somebody asks: most of it is never asked for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from typing_extensions import override

from mockserver.answers import Frame


class Spelt(Mapping[str, str]):
    """Headers as they were spelt; without those that HTTP itself needs."""

    __slots__ = ("_head",)

    def __init__(self, head: str) -> None:
        self._head = head

    def _read(self) -> dict[str, str]:
        lines = self._head.split("\r\n")[1:-4]  # before them the status, after them date, length and the end
        return dict(line.split(": ", 1) for line in lines)

    @override
    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    @override
    def __len__(self) -> int:
        return len(self._read())


class Chunks(Sequence[Frame]):
    """The frames of a stream, none of them empty, as a chunked body.

    `raw` is what goes over the socket, `size` how many bytes of it are the frames.
    """

    __slots__ = ("_count", "raw", "size")

    def __init__(self, frames: Sequence[bytes]) -> None:
        # without a function for each: there are many
        self.raw = b"".join([b"%x\r\n%b\r\n" % (len(data), data) for data in frames]) + b"0\r\n\r\n"
        self.size = sum(map(len, frames))
        self._count = len(frames)

    def _read(self) -> tuple[Frame, ...]:
        frames: list[Frame] = []
        at = 0
        while len(frames) < self._count:
            begin = self.raw.index(b"\r\n", at) + 2
            end = begin + int(self.raw[at : begin - 2], 16)
            frames.append(Frame(self.raw[begin:end]))
            at = end + 2
        return tuple(frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    @override
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        return self._read()[index]

    @override
    def __iter__(self) -> Iterator[Frame]:
        return iter(self._read())

    @override
    def __len__(self) -> int:
        return self._count
