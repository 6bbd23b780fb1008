import pytest

from features.sets import why_no_bundle


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("faces:fps=5", None),
        ("mine", "the imported set 'mine', which can't be computed from new media"),
        (
            "speech:model=hubert,pool=mean",
            "the encoder set 'speech:model=hubert,pool=mean', whose weights no bundle holds",
        ),
        ("onnx:model=fer.onnx", "the encoder set 'onnx:model=fer.onnx', whose weights no bundle holds"),
    ],
)
def test_what_no_bundle_can_compute_is_told(spec, why):
    assert why_no_bundle(spec) == why
