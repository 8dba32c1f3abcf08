"""Times nvCOMP's GDeflate on the tiles of a tile stream, as `ds bench gpu` times ours.

Usage: python3 nvcomp.py LIBRARY STREAM CONTENT OUT.json 32,256,...  (CONTENT is what STREAM holds)

LIBRARY is libnvcomp.so of the PyPI package nvidia-libnvcomp-cu13 (6.0). Needs PyTorch with CUDA, for memory and
events. Every tile has a copy of its input; everything is decoded over poison, and compared, before it is timed;
loads are drawn by the same generator as in src/commands/bench/gpu.rs, so that both decode the same tiles.
"""

import ctypes
import json
import struct
import sys

import torch

TILE = 65536


class Options(ctypes.Structure):
    _fields_ = [("backend", ctypes.c_int), ("reserved", ctypes.c_char * 60)]


def tiles_of(stream):
    count = struct.unpack_from("<H", stream, 2)[0]
    table = struct.unpack_from(f"<{count}I", stream, 8)
    base = 8 + 4 * count
    starts = [0] + list(table[1:])
    ends = starts[1:] + [starts[-1] + table[0]]
    return [stream[base + a : base + b] for a, b in zip(starts, ends)]


def draw(count, kinds):
    state = 0x9E3779B97F4A7C15
    out = []
    while len(out) < count:
        order = list(range(kinds))
        for i in range(kinds - 1, 0, -1):
            state = (state * 6364136223846793005 + 1) % 2**64
            j = (state >> 33) % (i + 1)
            order[i], order[j] = order[j], order[i]
        out += order
    return out[:count]


class Nvcomp:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.options = Options(0, b"")

    def temp_bytes(self, count):
        size = ctypes.c_size_t()
        call = self.library.nvcompBatchedGdeflateDecompressGetTempSize
        status = call(
            ctypes.c_size_t(count), ctypes.c_size_t(TILE), self.options, ctypes.byref(size),
            ctypes.c_size_t(count * TILE), ctypes.c_void_p(0),
        )
        assert status == 0, f"temp size: status {status}"
        return size.value

    def decompress(self, load, stream):
        pointer = lambda t: ctypes.c_void_p(t.data_ptr() if t is not None and t.numel() else 0)
        status = self.library.nvcompBatchedGdeflateDecompressAsync(
            pointer(load.sources), pointer(load.source_bytes), pointer(load.room), pointer(load.actual),
            ctypes.c_size_t(load.count), pointer(load.temp), ctypes.c_size_t(load.temp.numel()),
            pointer(load.targets), self.options, pointer(load.statuses), ctypes.c_void_p(stream),
        )
        assert status == 0, f"decompress: status {status}"


class Load:
    def __init__(self, nvcomp, tiles, which, largest_first):
        if largest_first:
            which = sorted(which, key=lambda i: -len(tiles[i]))
        self.which = which
        self.count = len(which)
        offsets, end = [], 0
        for i in which:
            offsets.append(end)
            end += (len(tiles[i]) + 7) // 8 * 8
        host = bytearray(end)
        for i, offset in zip(which, offsets):
            host[offset : offset + len(tiles[i])] = tiles[i]
        self.input = torch.frombuffer(host, dtype=torch.uint8).cuda()
        self.output = torch.empty(self.count * TILE, dtype=torch.uint8, device="cuda")
        numbers = lambda values: torch.tensor(values, dtype=torch.int64).cuda()
        self.sources = numbers([self.input.data_ptr() + o for o in offsets])
        self.source_bytes = numbers([len(tiles[i]) for i in which])
        self.room = numbers([TILE] * self.count)
        self.actual = numbers([0] * self.count)
        self.targets = numbers([self.output.data_ptr() + n * TILE for n in range(self.count)])
        self.statuses = torch.full((self.count,), -1, dtype=torch.int32, device="cuda")
        self.temp = torch.empty(max(nvcomp.temp_bytes(self.count), 8), dtype=torch.uint8, device="cuda")

    def check(self, content):
        assert bool((self.statuses == 0).all()), "a tile's status is not success"
        rows = self.output.view(self.count, TILE)
        for first in range(0, self.count, 2048):
            index = torch.tensor(self.which[first : first + 2048]).cuda()
            assert bool((rows[first : first + 2048] == content[index]).all()), "wrong bytes"


def time_ms(nvcomp, load, repetitions=11):
    stream = torch.cuda.current_stream().cuda_stream
    warm = 3 if load.count >= 4096 else 25
    times = []
    for turn in range(warm + repetitions):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        nvcomp.decompress(load, stream)
        end.record()
        end.synchronize()
        if turn >= warm:
            times.append(begin.elapsed_time(end))
    return sorted(times)


def main():
    library, path, content_path, out = sys.argv[1:5]
    counts = [int(n) for n in sys.argv[5].split(",")]
    tiles = tiles_of(open(path, "rb").read())
    content = torch.frombuffer(bytearray(open(content_path, "rb").read()), dtype=torch.uint8)
    assert content.numel() == len(tiles) * TILE, "the content is not a whole number of tiles"
    content = content.cuda().view(len(tiles), TILE)
    nvcomp = Nvcomp(library)
    rows = []
    for count in counts:
        which = draw(count, len(tiles))
        for order in ("unsorted", "sorted"):
            load = Load(nvcomp, tiles, which, order == "sorted")
            load.output.fill_(0xA5)
            nvcomp.decompress(load, torch.cuda.current_stream().cuda_stream)
            torch.cuda.synchronize()
            load.check(content)
            times = time_ms(nvcomp, load)
            ms = times[len(times) // 2]
            gb_s = count * TILE / ms / 1e6
            print(f"nvcomp {count:6} {order:9} {ms:9.3f} ms {gb_s:8.2f} GB/s", flush=True)
            rows.append({"kernel": "nvcomp", "tiles": count, "order": order, "ms": ms, "gb_s": gb_s})
            del load
    json.dump({"device": torch.cuda.get_device_name(), "rows": rows}, open(out, "w"), indent=1)


main()
