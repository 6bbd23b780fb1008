import numpy as np
import pytest
import torch
from media_files import write_video
from tiny_checkpoints import IMAGE, VIDEO
from transformers import AutoImageProcessor, AutoModel

from features.decode import video_frames
from features.encoders import vision
from features.errors import ClipFailure, WrongUse
from features.faces import crops
from features.sets import Media, parse_spec


def spec(folder, **params):
    return parse_spec(f"vision:model={folder}" + "".join(f",{name}={value}" for name, value in params.items())).params


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """`film(frames)`: a video of smooth pictures, wider than high."""
    folder = tmp_path_factory.mktemp("films")

    def file(frames, height=48):
        path = folder / f"{frames}-{height}.mp4"
        if not path.exists():
            y, x = np.mgrid[:height, : 2 * height]
            shade = [127 + 120 * np.sin((x + 5 * i) / 9) * np.cos(y / (5 + i)) for i in range(frames)]
            write_video(path, [np.stack([s, s[::-1], 255 - s], -1).astype(np.uint8) for s in shade], rate=10)
        return path

    return file


def direct(folder, pictures, **options):
    """Vectors by plain calls of transformers."""
    processor, model = AutoImageProcessor.from_pretrained(folder, backend="pil"), AutoModel.from_pretrained(folder)
    kind = model.config.model_type
    values = processor(pictures, return_tensors="pt", **options)["pixel_values"]
    with torch.inference_mode():
        output = (model.vision_model if kind == "clip" else model).eval()(pixel_values=values)
    if kind in ("vit", "dinov2"):
        return output.last_hidden_state[:, 0].numpy()
    return (output.last_hidden_state.mean(1) if kind == "videomae" else output.pooler_output).numpy()


@pytest.mark.parametrize("kind", IMAGE)
def test_frames_give_what_transformers_gives(kind, checkpoint, film):
    folder, media = checkpoint(kind), [Media(film(7)), Media(film(3, 64))]
    params = spec(folder, of="frames", fps=0)
    found = dict(vision.extract_many(media, params))
    for number, one in enumerate(media):
        times, pictures = zip(*video_frames(one), strict=True)
        np.testing.assert_allclose(found[number].values, direct(folder, list(pictures)), atol=1e-5)
        np.testing.assert_allclose(found[number].time_s, times)
        assert found[number].values.shape[1:] == vision.SET.shape(params)


@pytest.mark.parametrize("kind", [*IMAGE, *VIDEO])
def test_faces_are_our_crops_in_the_models_own_normalisation(kind, checkpoint, film):
    folder, media = checkpoint(kind), Media(film(7))
    found = vision.extract(media, spec(folder, detector="none", fps=0))
    given = {**crops.SET.params, "size": 32, "colour": True, "detector": "none"}
    faces = list(crops.extract(media, given).values)
    if kind == "videomae":
        faces += [faces[-1]] * 9
    expected = direct(folder, faces, do_resize=False, do_center_crop=False)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_videomae_takes_blocks_of_16_frames(checkpoint, film):
    folder, media = checkpoint("videomae"), Media(film(20))
    found = vision.extract(media, spec(folder, of="frames", fps=0))
    pictures = [picture for _, picture in video_frames(media)]
    expected = [direct(folder, pictures[at : at + 16])[0] for at in (0, 4)]
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    np.testing.assert_allclose(found.time_s, [0.75, 1.15], atol=1e-6)


@pytest.mark.parametrize(("pictures", "starts"), [(1, [0]), (16, [0]), (17, [0, 1]), (32, [0, 16]), (40, [0, 16, 24])])
def test_blocks_cover_the_clip(pictures, starts):
    assert vision.block_starts(pictures, 16) == starts


@pytest.mark.parametrize(("pool", "width"), [("mean", 16), ("mean+std", 32)])
def test_pooled_it_is_one_vector(pool, width, checkpoint, film):
    folder, media = checkpoint("dinov2"), Media(film(7))
    steps = vision.extract(media, spec(folder, of="frames", fps=0)).values
    found = vision.extract(media, spec(folder, of="frames", fps=0, pool=pool))
    expected = np.concatenate([steps.mean(0), steps.std(0)])[None, :width]
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


def test_fps_thins_out(checkpoint, film):
    found = vision.extract(Media(film(20)), spec(checkpoint("vit"), of="frames"))
    np.testing.assert_allclose(found.time_s, np.arange(10) / 5, atol=1e-6)


def test_a_clip_without_a_face_costs_itself_only(checkpoint, film, tmp_path):
    params = spec(checkpoint("vit"), detector="viola_jones")
    (tmp_path / "x.mp4").write_bytes(b"nothing")
    found = dict(vision.extract_many([Media(film(7)), Media(tmp_path / "x.mp4")], params))
    assert [found[n].status for n in (0, 1)] == ["no_face", "unreadable"]
    with pytest.raises(ClipFailure, match="no_face"):
        vision.extract(Media(film(7)), params)


def test_parameters_that_can_not_be_meant(checkpoint):
    for params, told in (
        ({"of": "hands"}, r"Unknown kind of pictures 'hands': known are faces, frames"),
        ({"pool": "max"}, r"Unknown pooling 'max': known are mean, mean\+std, none"),
        ({"fps": -1}, r"expected fps of 0 \(every frame\) or more"),
        ({"detector": "x"}, r"Unknown face detector 'x'"),
    ):
        with pytest.raises(WrongUse, match=told):
            vision.SET.shape(spec(checkpoint("vit"), **params))
    with pytest.raises(WrongUse, match=r"expected a vision model \(clip, .*says model_type 'wavlm'; others"):
        vision.SET.shape(spec(checkpoint("wavlm")))


def test_random_weights_try_a_recipe(film):
    assert vision.extract(Media(film(7)), spec("random", of="frames", pool="mean")).values.shape == (1, 16)
