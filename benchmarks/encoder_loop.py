"""A speech encoder in the program's processes beside a plain loop of transformers' calls; see extraction.py."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from features.cores import cores
from features.sets import FeatureArray, Media, get_set, parse_spec
from features.workers.clip_processes import run_all

CLIPS, AT_ONCE, RATE, SHORTEST_S, LONGEST_S = 32, 16, 16_000, 1.0, 3.0
# For what batches bring by themselves.
FEW = 8


def base_checkpoint(folder: Path) -> Path:
    """A random wav2vec 2.0 of base size (95 million weights), in its official layout."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return folder


def sounds(folder: Path) -> list[Path]:
    """Files of noise whose lengths are drawn evenly."""
    rng = np.random.default_rng(0)
    files = []
    for n, seconds in enumerate(rng.uniform(SHORTEST_S, LONGEST_S, CLIPS)):
        files.append(folder / f"{n:03d}.wav")
        soundfile.write(files[-1], rng.normal(size=round(RATE * seconds)).astype(np.float32) / 8, RATE)
    return files


def plain(model: Path, files: Sequence[Path], threads: int | None = None) -> tuple[float, float]:
    """Seconds and CPU seconds of the loop that anyone would write, on as many threads as torch takes by itself."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModel

    reader, net = AutoFeatureExtractor.from_pretrained(model), AutoModel.from_pretrained(model).eval()

    def vector(file: Path) -> np.ndarray:
        signal, rate = soundfile.read(file, dtype="float32")
        with torch.inference_mode():
            return net(**reader(signal, sampling_rate=rate, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    vector(files[0])
    started, cpu_s = time.perf_counter(), time.process_time()
    for file in files:
        vector(file)
    spent = time.perf_counter() - started, time.process_time() - cpu_s
    torch.set_num_threads(before)
    return spent


def batch(model: Path, precision: str, files: Sequence[Path]) -> float:
    """Take files through the set `speech` at once; the CPU seconds that it took."""
    started = time.process_time()
    params = parse_spec(f"speech:model={model},pool=mean,precision={precision}").params
    many = get_set("speech").extract_many
    assert many is not None
    found = list(many([Media(file) for file in files], params))
    assert len(found) == len(files)
    return time.process_time() - started


def pool_s(model: Path, precision: str, files: Sequence[Path], workers: int, at_once: int) -> tuple[float, float]:
    """Seconds and CPU seconds of all files in warm processes, `at_once` files for each task."""
    batches = [tuple(files[at : at + at_once]) for at in range(0, len(files), at_once)]
    warm = [tuple(files[:1])] * (2 * workers)
    started, cpu_s = 0.0, 0.0
    for done, (_, spent) in enumerate(run_all(partial(batch, model, precision), [*warm, *batches], workers), start=1):
        if done == len(warm):
            started = time.perf_counter()
        elif done > len(warm):
            cpu_s += spent
    return time.perf_counter() - started, cpu_s


def arithmetic(model: Path, files: Sequence[Path]) -> float:
    """The GFLOP that the network takes for all files, counted by torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModel

    net = AutoModel.from_pretrained(model).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for file in files:
            net(torch.zeros(1, soundfile.info(file).frames))
    return counter.get_total_flops() / 1e9


def peak_gflops() -> float:
    """GFLOP per second of CPU of a large product of float32 matrices, on one thread."""
    import torch

    threads, side, best = torch.get_num_threads(), 2048, float("inf")
    torch.set_num_threads(1)
    a = torch.randn(side, side)
    for _ in range(5):
        started = time.process_time()
        torch.mm(a, a)
        best = min(best, time.process_time() - started)
    torch.set_num_threads(threads)
    return 2 * side**3 / best / 1e9


def apart(model: Path, files: Sequence[Path], precision: str) -> None:
    """Print how far layers lie from what transformers gives for each clip alone, and in which precision they are."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModel

    reader, net = AutoFeatureExtractor.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    params = parse_spec(f"speech:model={model},layers=all,precision={precision}").params
    many = get_set("speech").extract_many
    assert many is not None
    found = dict(many([Media(file) for file in files], params))
    ours, exact = [], []
    for number, file in enumerate(files):
        signal, rate = soundfile.read(file, dtype="float32")
        with torch.inference_mode():
            states = net(**reader(signal, sampling_rate=rate, return_tensors="pt"), output_hidden_states=True)
        exact.append(np.stack([state[0].numpy() for state in states.hidden_states], axis=1))
        one = found[number]
        assert isinstance(one, FeatureArray)
        ours.append(one.values)
    x, y = np.concatenate(ours), np.concatenate(exact)  # (T, L, F)
    cosines = (x * y).sum(2) / np.linalg.norm(x, axis=2) / np.linalg.norm(y, axis=2)
    for layer in sorted({0, 1, y.shape[1] // 2, y.shape[1] - 1}):
        off = 100 * (x[:, layer] - y[:, layer]) / y[:, layer].std()
        print(
            f"{precision} ({one.computed}), layer {layer}: root mean square apart {np.sqrt((off**2).mean()):.3g} % of "
            f"the deviation, at most {np.abs(off).max():.3g} %, cosine of a step at least {cosines[:, layer].min():.6f}"
        )


def encoders(model: Path, files: Sequence[Path], turns: int, precisions: Sequence[str]) -> None:
    """Print clips per second of both, and their ratio, turn by turn, and how near the network's arithmetic is."""
    workers, gflop = cores(), arithmetic(model, files)
    for _ in range(turns):
        loop_s, loop_cpu_s = plain(model, files)
        _, alone_cpu_s = plain(model, files, 1)
        print(
            f"plain loop {len(files) / loop_s:.2f} clips/s ({loop_cpu_s:.1f} s of CPU); on one thread "
            f"{alone_cpu_s:.1f} s of CPU, {gflop / alone_cpu_s:.0f} GFLOP per second of it, where a product of large "
            f"matrices takes {peak_gflops():.0f}"
        )
        for precision in precisions:
            ours_s, cpu_s = pool_s(model, precision, files, workers, AT_ONCE)
            print(
                f"   {precision}, {workers} processes: {len(files) / ours_s:.2f} clips/s, ratio {loop_s / ours_s:.2f}; "
                f"{cpu_s:.1f} s of CPU, ratio {alone_cpu_s / cpu_s:.2f}, {gflop / cpu_s:.0f} GFLOP per second of it"
            )
    for precision in precisions:
        apart(model, files[:FEW], precision)
    (_, alone_s), (_, together_s) = (pool_s(model, precisions[0], files[:FEW], 1, at_once) for at_once in (1, FEW))
    print(f"{FEW} clips on one thread: {alone_s:.1f} s of CPU clip by clip, {together_s:.1f} s in batches")
