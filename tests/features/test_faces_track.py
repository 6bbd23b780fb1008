import numpy as np
import pytest
from face_pictures import grey, pasted, scene

from features.faces.centerface import CenterFace
from features.faces.detect import Box, ViolaJones
from features.faces.track import CNN_S, GAP_S, Tracker

RATE = 25


class Script:
    """A detector that knows where the faces are: `faces(time_s)` gives boxes; counts the pictures it is shown."""

    lost_s = ViolaJones.lost_s

    def __init__(self, faces):
        self.faces, self.now, self.shown, self.asked, self.fine, self.known = faces, 0.0, [], [], [], []

    def __call__(self, gray, large=False):
        self.shown.append(self.now)
        self.fine += [] if large else [self.now]
        return self.faces(self.now)

    def larger(self, gray, known):
        self.known.append(known)
        return self(gray, large=True)

    def near(self, gray, box):
        self.asked.append(self.now)
        close = [b for b in self.faces(self.now) if b.apart(box) < 0.7]
        return min(close, key=box.apart, default=None)


def tracked(viola_jones, cnn=None, seconds=4.0, rate=RATE, picture=None, centerface=None):
    tracker = Tracker(viola_jones, cnn, 40, centerface)
    empty = np.zeros((240, 320), np.uint8)
    for i in range(round(seconds * rate)):
        for detector in (viola_jones, cnn, centerface):
            if detector is not None:
                detector.now = i / rate
        tracker.step(i / rate, empty if picture is None else picture(i / rate))
    return tracker


def kept(tracker):
    return [patch.time_s for patch in tracker.best().kept()]


def within(time_s, *spans):
    return any(start <= time_s < end for start, end in spans)


def test_a_moving_face_is_one_track_without_holes():
    tracker = Tracker(ViolaJones(), None, 60)
    for i in range(40):
        tracker.step(i / RATE, grey(scene(80 + 4 * i, 120)))
    track = tracker.best()
    assert len(track.kept()) == 40
    truth = 80 + 4 * RATE * np.array(track.times_s)
    assert np.abs(np.array(track.boxes)[:, 0] - truth).max() < 8


def test_patches_show_the_face_small_and_in_colour():
    tracker = Tracker(ViolaJones(), None, 60)
    tracker.step(0.0, scene(160, 120, 0.8))
    (patch,) = tracker.best().patches
    assert patch.pixels.shape[2] == 3 and max(patch.pixels.shape) <= 121
    assert patch.scale == pytest.approx(60 / tracker.best().boxes[0].side)


def test_a_short_gap_is_bridged_and_a_long_absence_left_out():
    seen = ((0.0, 1.0), (1.4, 2.0), (3.2, 4.0))
    times = kept(tracked(Script(lambda t: [Box(160, 120, 60)] if within(t, *seen) else [])))
    left_out = [i / RATE for i in range(100) if i / RATE not in times]
    assert min(left_out) == pytest.approx(2.0, abs=0.13) and max(left_out) == pytest.approx(3.2, abs=0.5)
    assert np.diff(left_out).max() < 2 / RATE
    assert 1.4 - 1.0 < GAP_S < 3.2 - 2.0


def test_the_long_and_large_face_wins():
    faces = {"short": Box(60, 60, 80), "small": Box(160, 60, 30), "main": Box(240, 160, 60)}

    def script(t):
        return [faces["main"], faces["small"]] + [faces["short"]] * within(t, (1.0, 1.5))

    best = tracked(Script(script)).best()
    assert {box.side for box in best.boxes} == {60}
    assert len(best.kept()) == 100


def test_a_large_face_that_comes_late_wins_over_many_small_ones():
    small = [Box(40 + 50 * i, 60, 24) for i in range(5)]
    best = tracked(Script(lambda t: [Box(160, 160, 90)] * (t > 1) + small), seconds=3).best()
    assert best.boxes[0].side == 90 and len(best.kept()) == pytest.approx(50, abs=25)


def test_a_single_false_alarm_is_no_face():
    tracker = tracked(Script(lambda t: [Box(160, 120, 60)] if within(t, (1.0, 1.05)) else []))
    assert tracker.best() is None and tracker.frames == 100 and 33 <= tracker.looks <= 41


def test_one_look_is_enough_for_a_still():
    assert tracked(Script(lambda t: [Box(160, 120, 60)]), seconds=1 / RATE).best() is not None


def test_a_cut_ends_the_track():
    shots = [grey(pasted(scene(seed=seed), 160, 120)) for seed in (1, 2)]
    shots[1] = 255 - shots[1]
    times = kept(tracked(Script(lambda t: [Box(160, 120, 90)]), picture=lambda t: shots[t >= 2.5]))
    assert times == [i / RATE for i in range(len(times))] and times[-1] == pytest.approx(2.48)


def test_a_flash_or_a_moving_face_is_no_cut():
    def picture(t):
        frame = grey(scene(100 + 60 * t, 120))
        return frame // 2 + 100 if within(t, (1.0, 1.1)) else frame

    assert len(kept(tracked(Script(lambda t: [Box(100 + 60 * t, 120, 90)]), seconds=2, picture=picture))) == 50


def test_the_cnn_is_asked_only_where_viola_jones_can_not_follow():
    cnn = Script(lambda t: [Box(160, 120, 60)])
    viola_jones = Script(lambda t: [Box(160, 120, 60)] if within(t, (1.0, 3.0)) else [])
    tracker = tracked(viola_jones, cnn, seconds=4)
    assert cnn.shown and not any(within(t, (1.2, 3.0)) for t in cnn.shown)
    assert np.diff([t for t in cnn.shown if t < 1.2]).min() >= CNN_S - 1e-6
    assert not viola_jones.shown and len(tracker.best().kept()) == 100


def test_a_picture_without_a_face_is_searched_less_often_with_time():
    viola_jones = Script(lambda t: [Box(160, 120, 60)] if t > 4 else [])
    tracker = tracked(viola_jones, seconds=6, rate=50)
    waits = np.diff([t for t in viola_jones.shown if t <= 4])
    assert waits[0] == pytest.approx(0.2, abs=0.03) and waits[-1] == pytest.approx(0.5, abs=0.1)
    assert len(waits) < 12
    assert min(kept(tracker)) < 4.5


def test_a_better_face_is_searched_for_among_large_ones_alone():
    asked = []

    class Asked(Script):
        def __call__(self, gray, large=False):
            asked.append(large)
            return super().__call__(gray)

    tracked(Asked(lambda t: [Box(160, 120, 60)]), seconds=3)
    assert asked[0] is False and all(asked[1:]) and len(asked) == 3


def test_centerface_is_told_which_face_the_better_one_must_beat():
    box, other = Box(160, 120, 60), Box(60, 60, 80)
    centerface = Script(lambda t: [box] if t < 1.5 else [box, other])
    tracked(Script(lambda t: []), seconds=4, centerface=centerface)
    assert len(centerface.fine) == 1 and len(centerface.shown) == 4
    assert [known.side for known in centerface.known] == [60, 60, 80]


def test_the_cnn_is_asked_ever_less_about_a_clip_without_a_face():
    cnn = Script(lambda t: [])
    tracked(Script(lambda t: []), cnn, seconds=60, rate=10)
    assert 5 <= len(cnn.shown) <= 7 and np.all(np.diff(np.diff(cnn.shown)) > 0)


def test_the_cnn_alone():
    cnn = Script(lambda t: [Box(160, 120, 60)])
    assert len(tracked(None, cnn, seconds=2).best().kept()) == 50


def test_centerface_searches_and_sees_what_viola_jones_does_not():
    turned = (1.0, 3.0)
    centerface = Script(lambda t: [Box(160, 120, 60)])
    viola_jones = Script(lambda t: [] if within(t, turned) else [Box(160, 120, 60)])
    tracker = tracked(viola_jones, seconds=4, centerface=centerface)
    assert not viola_jones.shown and len(centerface.shown) <= 5 and len(tracker.best().kept()) == 100
    assert all(within(t, (0.9, 3.1)) for t in centerface.asked) and 7 <= len(centerface.asked) <= 9
    assert {box.side for box in tracker.best().boxes} == {60}


@pytest.mark.parametrize("since_s", [0.0, 0.3, 1.5])
def test_viola_jones_searches_in_every_second_picture_in_which_centerface_finds_nothing(since_s):
    viola_jones, centerface = Script(lambda t: [Box(160, 120, 60)] if t >= since_s else []), Script(lambda t: [])
    centerface.lost_s = CenterFace.lost_s
    kept = tracked(viola_jones, seconds=6, centerface=centerface).best().kept()
    assert kept[0].time_s <= 2 * since_s + 0.5 and kept[-1].time_s == pytest.approx(5.96)
    assert viola_jones.shown == centerface.shown[::2] and 5 <= len(centerface.shown) <= 8


@pytest.mark.parametrize(
    ("pixels_per_s", "least", "most"),
    [(100, 15, 17), (0, 7, 10)],  # of 17 looks
)
def test_centerface_looks_less_often_around_a_face_that_hardly_moves(pixels_per_s, least, most):
    centerface = Script(lambda t: [Box(60 + pixels_per_s * t, 120, 60)])
    tracker = tracked(Script(lambda t: []), seconds=2, centerface=centerface)
    assert least <= len(centerface.asked) <= most
    track = tracker.best()
    assert len(track.kept()) == 50 and track.sightings >= 16, "one after a rest stands for two"


def test_centerface_looks_less_often_around_small_faces_and_lost_ones():
    centerface = Script(lambda t: [Box(60 + 100 * t, 160, 60), Box(60, 60, 30)])
    tracked(Script(lambda t: []), seconds=2, centerface=centerface)
    assert 20 <= len(centerface.asked) <= 26
    gone = Script(lambda t: [Box(160, 120, 60)] if t < 1 else [])
    tracked(Script(lambda t: []), seconds=2, centerface=gone)
    assert len([t for t in gone.asked if t >= 1]) <= 4, "it is lost after 0.75 s, seven looks"


def test_centerface_is_asked_ever_less_about_a_clip_without_a_face():
    centerface = Script(lambda t: [])
    centerface.lost_s = CenterFace.lost_s
    tracked(Script(lambda t: []), seconds=12, centerface=centerface)
    assert 12 <= len(centerface.shown) <= 15
    assert centerface.fine == pytest.approx([0, 1.8, 5.2, 11.6], abs=0.5)


def test_a_cut_is_searched_for_small_faces_at_once():
    shots = [grey(pasted(scene(seed=seed), 160, 120)) for seed in (1, 2)]
    shots[1] = 255 - shots[1]
    centerface = Script(lambda t: [])
    tracked(Script(lambda t: []), picture=lambda t: shots[t >= 2.48], centerface=centerface)
    assert any(t == pytest.approx(2.48, abs=0.01) for t in centerface.fine)


def test_frames_that_are_not_wanted_leave_no_patch():
    tracker = Tracker(ViolaJones(), None, 60)
    for i in range(10):
        tracker.step(i / RATE, grey(scene(160, 120)), keep=i % 2 == 0)
    assert [patch.time_s for patch in tracker.best().kept()] == [i / RATE for i in range(0, 10, 2)]
