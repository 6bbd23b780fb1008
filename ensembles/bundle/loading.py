"""The models of a bundle: loaded, and checked to fit each other and what they read."""

from collections.abc import Mapping
from typing import cast

from ensembles.bundle.bundle import CONTENTS, Bundle
from ensembles.bundle.parts import BundleMember
from ensembles.bundle.plugged import check_plugins
from ensembles.bundle.weights import Weights
from features.errors import EmofuseError
from features.schema import shown
from features.sets import get_set, parse_spec
from models.family import Backbone, Model
from models.io import Saved, load_saved
from models.registry import get_family


def load_models(
    bundle: Bundle, device: str, weights: Weights
) -> tuple[list[Model], dict[str, Model], dict[str, Backbone]]:
    """The bundle's members in order, its encoders and its backbones by name; `weights` are what feature sets read.

    Errors: EmofuseError for a model that can't be loaded, that is another one than bundle.json says, or that reads what
    the bundle doesn't have; a feature set of another version than the training's.
    """
    check_plugins(bundle.plugins, bundle.folder)
    _check_extractors(bundle)
    weights.check(list(bundle.feature_versions))
    # Bundles of the first release call a backbone's family by its entry, so it is not compared.
    backbones = {name: load_saved(bundle.files / one.folder, device) for name, one in bundle.backbones.items()}
    for name, backbone in bundle.backbones.items():
        _check_backbone(bundle, name, backbone.images, backbones[name], weights)
    found: dict[str, Saved] = {}
    for member in (*bundle.members, *bundle.encoders.values()):
        if member.folder not in found:
            found[member.folder] = _load(bundle, member.folder, member.family, device)
        _check_inputs(bundle, member, found[member.folder], backbones, weights)
    wanted = bundle.ensemble.outputs
    kind = "dimensions" if bundle.ensemble.over_time else "classes"
    for member in bundle.members:
        given = getattr(found[member.folder].description, kind)
        if given != wanted:
            raise _unfit(bundle, f"the {kind} {shown(wanted)} of {member.entry}", shown(given))
    return (
        [found[member.folder].model for member in bundle.members],
        {name: found[encoder.folder].model for name, encoder in bundle.encoders.items()},
        {name: cast(Backbone, saved.model) for name, saved in backbones.items()},
    )


def _load(bundle: Bundle, folder: str, family: str, device: str) -> Saved:
    saved = load_saved(bundle.files / folder, device)
    if saved.description.family != family:
        raise _unfit(bundle, f"a model of the family {family} in {folder}", f"one of {saved.description.family}")
    return saved


def _check_extractors(bundle: Bundle) -> None:
    for spec, version in bundle.feature_versions.items():
        installed = get_set(parse_spec(spec).name).version
        if installed != version:
            raise EmofuseError(
                f"{bundle.folder}: its members were trained on version {version} of the feature set {spec!r}, but "
                f"this emofuse has version {installed}; use the release that exported it, or train and export again."
            )


def _check_backbone(bundle: Bundle, name: str, images: str, saved: Saved, weights: Weights) -> None:
    if get_family(saved.description.family).stage != "backbone":
        raise _unfit(bundle, f"a backbone as {name}", f"a model of {saved.description.family}")
    (shape,) = saved.reads.values()
    _check_shape(bundle, f"images for {name}", shape, images, _set_shape(bundle, images, weights))


def _check_inputs(
    bundle: Bundle, member: BundleMember, saved: Saved, backbones: Mapping[str, Saved], weights: Weights
) -> None:
    if set(member.inputs) != set(saved.reads):
        raise _unfit(bundle, f"the inputs {', '.join(saved.reads)} of {member.entry}", shown(list(member.inputs)))
    for slot, spec in member.inputs.items():
        if spec in bundle.encoders:
            continue  # how wide a clip's vector is, the first clip tells
        name, dot, layer = spec.partition(".")
        given = _layer_shape(bundle, spec, layer, backbones[name]) if dot and name in backbones else None
        expected = saved.reads[slot]
        _check_shape(bundle, f"{slot} of {member.entry}", expected, spec, given or _set_shape(bundle, spec, weights))


def _check_shape(bundle: Bundle, what: str, shape: tuple[int, ...], spec: str, given: tuple[int, ...]) -> None:
    if shape != given:
        raise _unfit(bundle, f"{what} in steps of shape {shape}", f"{spec}, whose steps have the shape {given}")


def _layer_shape(bundle: Bundle, spec: str, layer: str, saved: Saved) -> tuple[int, ...]:
    backbone, name = cast(Backbone, saved.model), layer.partition(":")[0]
    if name not in backbone.layers:
        raise _unfit(bundle, f"a layer of {', '.join(backbone.layers)}", spec)
    width, columns = backbone.width(name), bundle.selections.get(spec)
    if columns is None:
        return (width,)
    if max(columns, default=width) >= width:
        raise _unfit(bundle, f"a selection of the {width} numbers of {spec}", f"number {max(columns, default='none')}")
    return (len(columns),)


def _set_shape(bundle: Bundle, spec: str, weights: Weights) -> tuple[int, ...]:
    if spec in bundle.imported:
        return tuple(bundle.imported[spec].shape)
    if spec not in bundle.feature_versions:
        known = shown([*bundle.feature_versions, *bundle.encoders, *bundle.imported])
        raise _unfit(bundle, f"inputs among what the bundle computes ({known})", spec)
    located = weights.located(spec)
    return tuple(get_set(located.name).shape(located.params))


def _unfit(bundle: Bundle, expected: str, came: str) -> EmofuseError:
    return EmofuseError(f"{bundle.folder / CONTENTS}: expected {expected}, but got {came}; export it again.")
