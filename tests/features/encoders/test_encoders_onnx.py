import numpy as np
import pytest
from media_files import write_video

from features.audio.speech import read_speech
from features.decode import video_frames
from features.encoders import onnx_graph
from features.errors import EmofuseError, WrongUse
from features.faces.crops import middle_square
from features.sets import Media, parse_spec

onnx = pytest.importorskip("onnx", reason="the extra `test` is not installed")
FLOAT = onnx.TensorProto.FLOAT


def graph(path, nodes, shapes, outputs=("y",), inputs=("x",), kind=FLOAT, weights=()):
    """Write a graph whose inputs have the given shapes; those of outputs stay open."""
    helper = onnx.helper
    taken = [helper.make_tensor_value_info(name, kind, shape) for name, shape in zip(inputs, shapes, strict=True)]
    given = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    made = helper.make_graph(nodes, "g", taken, given, list(weights))
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def node(kind, *names, **attributes):
    *inputs, output = names
    return onnx.helper.make_node(kind, inputs, [output], **attributes)


def means(path, axes=(2, 3), shape=("n", 3, 16, 16)):
    """A graph that gives the mean over some axes."""
    return graph(path, [node("ReduceMean", "x", "y", axes=list(axes), keepdims=0)], [shape])


def hearing(path, samples, hop=160, lead=(1,)):
    """A graph that gives the mean of each stretch of `hop` samples, and its negative: (N, T, 2)."""
    const = onnx.numpy_helper.from_array
    wanted = const(np.array([1, -1, hop]), "wanted")
    nodes = [
        node("Reshape", "x", "wanted", "rows"),
        node("ReduceMean", "rows", "mean", axes=[2], keepdims=1),
        node("Neg", "mean", "neg"),
        node("Concat", "mean", "neg", "y", axis=2),
    ]
    return graph(path, nodes, [(*lead, samples)], weights=[wanted])


def spec(model, **params):
    return parse_spec(f"onnx:model={model}" + "".join(f",{name}={value}" for name, value in params.items())).params


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(6)]
    return write_video(tmp_path_factory.mktemp("films") / "film.mp4", pictures, rate=10)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("0-255", lambda x: x),
        ("0-1", lambda x: x / 255),
        ("-1-1", lambda x: x / 127.5 - 1),
        ("imagenet", lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
@pytest.mark.parametrize(("shape", "axes"), [(("n", 3, 16, 16), (2, 3)), ((1, 16, 16, 3), (1, 2))])
def test_frames_in_the_graphs_own_range_and_layout(scale, expected, shape, axes, film, tmp_path):
    params = spec(means(tmp_path / "g.onnx", axes, shape), of="frames", range=scale, fps=0)
    found = onnx_graph.extract(Media(film), params)
    pictures = [middle_square(picture, 16) for _, picture in video_frames(Media(film))]
    wanted = [expected(picture.mean((0, 1), dtype=np.float64)) for picture in pictures]
    np.testing.assert_allclose(found.values, wanted, atol=1e-4)
    assert onnx_graph.SET.shape(params) == (3,) and len(found.time_s) == 6


def test_grey_pictures_of_a_size_that_is_asked_for(film, tmp_path):
    file = means(tmp_path / "g.onnx", shape=("n", 1, "h", "w"))
    with pytest.raises(WrongUse, match="may have any size: say which with size=PIXELS"):
        onnx_graph.SET.shape(spec(file, of="frames"))
    found = onnx_graph.extract(Media(film), spec(file, of="frames", size=24, range="0-255", fps=0, pool="mean+std"))
    grey = [middle_square(p, 24).mean((0, 1)) @ [0.299, 0.587, 0.114] for _, p in video_frames(Media(film))]
    np.testing.assert_allclose(found.values, [[np.mean(grey), np.std(grey)]], atol=1e-2)


def test_faces_are_our_crops(film, tmp_path):
    params = spec(means(tmp_path / "g.onnx"), detector="none", range="0-255", fps=0)
    found = onnx_graph.extract(Media(film), params)
    wanted = [middle_square(picture, 16).mean((0, 1)) for _, picture in video_frames(Media(film))]
    np.testing.assert_allclose(found.values, wanted, atol=1e-3)


@pytest.mark.parametrize("lead", [(), (1,), ("n", 1)])
def test_sound_in_steps_of_the_graph(lead, speech, tmp_path):
    params = spec(hearing(tmp_path / "g.onnx", "s", lead=lead), of="speech", window=1)
    found = onnx_graph.extract(Media(speech(2.3)), params)
    wanted = read_speech(Media(speech(2.3))).reshape(-1, 160).mean(1)
    np.testing.assert_allclose(found.values, np.stack([wanted, -wanted], 1), atol=1e-6)
    np.testing.assert_allclose(found.time_s, 0.005 + 0.01 * np.arange(230), atol=1e-6)


def test_sound_of_a_fixed_length_is_filled_up_and_what_is_of_zeros_dropped(speech, tmp_path):
    params = spec(hearing(tmp_path / "g.onnx", 8000), of="speech")
    found = onnx_graph.extract(Media(speech(1.4)), params)
    wanted = read_speech(Media(speech(1.4))).reshape(-1, 160).mean(1)
    np.testing.assert_allclose(found.values[:, 0], wanted, atol=1e-6)
    assert onnx_graph.extract(Media(speech(1.4)), {**params, "pool": "mean"}).values.shape == (1, 2)


def test_a_vector_for_a_whole_clip_of_sound(speech, tmp_path):
    file = means(tmp_path / "g.onnx", axes=(2,), shape=(1, 1, "s"))
    found = onnx_graph.extract(Media(speech(1.4)), spec(file, of="speech"))
    np.testing.assert_allclose(found.values, [[read_speech(Media(speech(1.4))).mean()]], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "params", "told"),
    [
        (lambda p: means(p, (1,), ("n", 9)), {}, r"expected an input of pictures, .* but 'x' has the shape \(any, 9\)"),
        (lambda p: means(p, shape=("n", 3, 16, 8)), {}, r"expected an input of square pictures, but 'x' has the shape"),
        (means, {"size": 32}, r"expected an input of square pictures of 32 pixels, but"),
        (lambda p: means(p, shape=(4, 3, 16, 16)), {}, r"expected an input of one or any number of pictures at once"),
        (lambda p: means(p, axes=(3,)), {}, r"expected one vector for each picture, but got an output of shape"),
        (means, {"of": "speech"}, r"expected an input of sound, \(S,\), \(N, S\) or \(N, 1, S\), but 'x' has"),
        (means, {"output": "z"}, r"Unknown output of .*g.onnx 'z': known are y"),
        (means, {"input": "z"}, r"Unknown input of .*g.onnx 'z': known are x"),
        (means, {"range": "0-2"}, r"Unknown range of pictures '0-2': known are -1-1, 0-1, 0-255, imagenet"),
        (means, {"of": "hands"}, r"Unknown kind of input 'hands': known are faces, frames, speech"),
        (means, {"rate": 1}, r"expected a rate of 4000 to 96000 Hz, but got 1"),
        (
            lambda p: graph(p, [node("Abs", "x", "y"), node("Neg", "x", "z")], [("n", 3, 8, 8)], ("y", "z")),
            {},
            r"expected one output, but the graph has y, z; choose with output=NAME",
        ),
        (
            lambda p: graph(p, [node("Add", "x", "b", "y")], [("n", 3, 8, 8)] * 2, inputs=("x", "b")),
            {"input": "x"},
            r"expected a graph with one input, but beside 'x' it needs \['b'\]",
        ),
        (
            lambda p: graph(p, [node("Cast", "x", "y", to=1)], [("n", 3, 8, 8)], kind=onnx.TensorProto.INT64),
            {},
            r"expected an input of floats, but 'x' is a tensor\(int64\)",
        ),
    ],
)
def test_graphs_that_do_not_fit_are_told_in_a_sentence(make, params, told, tmp_path):
    with pytest.raises(WrongUse, match=told):
        onnx_graph.SET.shape(spec(make(tmp_path / "g.onnx"), **params))


def test_what_is_no_graph(tmp_path):
    (tmp_path / "g.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(EmofuseError, match=r"g.onnx: expected an ONNX graph, but it can't be loaded \("):
        onnx_graph.SET.shape(spec(tmp_path / "g.onnx"))
    with pytest.raises(EmofuseError, match="expected an ONNX file as its model, but there is none at"):
        onnx_graph.SET.shape(spec(tmp_path / "h.onnx"))
    with pytest.raises(WrongUse, match=r"Feature set 'onnx' needs its model: write onnx:model=FILE.onnx"):
        onnx_graph.SET.shape(spec(""))


def test_another_graph_is_another_key(tmp_path):
    one = onnx_graph.SET.concrete(spec(means(tmp_path / "a.onnx")))
    assert one == onnx_graph.SET.concrete(spec(means(tmp_path / "b.onnx"))) | {"model": one["model"]}
    (tmp_path / "a.onnx.data").write_bytes(b"weights")
    assert onnx_graph.SET.concrete(spec(tmp_path / "a.onnx"))["model"] != one["model"]
