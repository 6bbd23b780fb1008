"""Which files are media, by their suffixes, and where these are unknown by what opens them."""

from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path

from features.progress import say
from features.walk import Walk, walk

VIDEO, AUDIO, IMAGES = frozenset({"video"}), frozenset({"audio"}), frozenset({"image"})
_SUFFIXES = {
    "video": """avi mp4 mkv mov mpg mpeg mpe m1v m2v mp4v flv f4v webm m4v wmv asf 3gp 3g2 3gpp mts m2ts m2t ts vob ogv
        ogm mxf dv divx xvid rm rmvb qt mjpeg mjpg h264 264 h265 265 hevc nut amv gif""",
    "audio": """wav wave flac mp3 mp2 mpga ogg oga opus spx m4a m4b aac ac3 eac3 dts aiff aif aifc wma mka weba au snd
        caf amr 3ga ape wv tta voc w64 rf64 sph""",
    "image": """jpg jpeg jpe jfif jif pjpeg png apng bmp dib tif tiff webp pgm ppm pbm pnm gif heic heif avif jp2 j2k
        jpx jpf""",
}
_KINDS: dict[str, set[str]] = defaultdict(set)
for _kind, _suffixes in _SUFFIXES.items():
    for _suffix in _suffixes.split():
        _KINDS[f".{_suffix}"].add(_kind)
# Not worth opening: text, tables, arrays, archives, programs.
_NO_MEDIA = """txt csv tsv xml json jsonl yaml yml md rst html htm pdf doc docx xls xlsx ods rtf ini cfg toml log lst py
    ipynb pyc sh bat m mat r c h cpp js css npy npz pkl pickle h5 hdf5 parquet arrow feather pt pth onnx safetensors db
    sqlite zip tar gz tgz bz2 xz 7z rar iso srt vtt ass sub textgrid eaf lab trs pts bak tmp part crdownload url lnk exe
    dll so md5 sha256 license"""
_OTHER = frozenset(f".{suffix}" for suffix in _NO_MEDIA.split())
_TRIED = 3  # files of an unknown suffix; where none of them is media, the others aren't tried


def media_below(root: Path, kinds: Collection[str], expected: str, *, tell: bool = True) -> list[Path]:
    """The media files of these kinds below `root` (features.walk), sorted; what is passed over is counted and named.

    What a suffix doesn't tell, Pillow and FFmpeg do. No such folder is an error that says what was `expected`.
    """
    found = walk(root, expected)
    chosen = set(_of_kinds(found.files, kinds))
    if tell:
        _tell(root, found, chosen, kinds)
    return [path for path in found.files if path in chosen]


def is_media(path: Path, kinds: Collection[str]) -> bool:
    """Whether one file is of these kinds."""
    return bool(_of_kinds([path], kinds))


def _of_kinds(files: Collection[Path], kinds: Collection[str]) -> list[Path]:
    wanted, chosen = set(kinds), []
    unknown: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        suffix = path.suffix.lower()
        if suffix not in _KINDS and suffix not in _OTHER:
            unknown[suffix].append(path)
        elif _KINDS.get(suffix, set()) & wanted:
            chosen.append(path)
    for paths in unknown.values():
        from features.decode.kinds import kind_of

        if any(kind_of(path) for path in paths[:_TRIED]):
            chosen += [path for path in paths if kind_of(path) in wanted]
    return chosen


def _tell(root: Path, found: Walk, chosen: Collection[Path], kinds: Collection[str]) -> None:
    left = Counter(path.suffix.lower() or "without a suffix" for path in found.files if path not in chosen)
    told = [f"{count} {suffix}" for suffix, count in sorted(left.items(), key=lambda item: (-item[1], item[0]))]
    files = [f"no {' or '.join(sorted(kinds))} by name or content: {', '.join(told)}"] if told else []
    if said := [*files, *found.passed_over()]:
        say(f"{root}: passed over: {'; '.join(said)}")
