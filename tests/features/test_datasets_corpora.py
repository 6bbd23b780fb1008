from itertools import product

import pytest
from clip_folders import split_groups, touch

from features.clips import check_clips, hash_media
from features.datasets import get_adapter, read_dataset
from features.datasets.iemocap import parse_classes
from features.errors import EmofuseError, WrongUse

NEW = ("cremad", "emodb", "enterface", "iemocap", "meld", "savee", "sfew")


def usable(table):
    check_clips(hash_media(table))
    return table


@pytest.mark.parametrize("name", NEW)
def test_corpora_say_where_to_get_them_and_what_is_expected(name, tmp_path):
    adapter = get_adapter(name)
    assert adapter.access and adapter.root.startswith("the folder with")
    with pytest.raises(EmofuseError, match=r"no such folder.*expected|expected .*but"):
        read_dataset(name, tmp_path / "none")
    with pytest.raises(EmofuseError, match="expected"):
        read_dataset(name, touch(tmp_path, "a/holiday.mp4", "a/holiday.wav", "a/holiday.png"))


def cremad(root, actors=(1001, 1002, 1064, 1076)):
    stems = [f"{a}_{s}_{e}" for a in actors for s, e in product(("MTI", "TIE"), ("ANG_XX", "SAD_XX", "NEU_XX"))]
    stems.append("1064_IEO_DIS_MD")
    touch(root, *(f"VideoFlash/{s}.flv" for s in stems), *(f"AudioMP3/{s}.mp3" for s in stems))
    return touch(root, *(f"AudioWAV/{s}.wav" for s in stems), "VideoDemographics.csv")


def test_cremad_leaves_out_what_is_known_to_be_bad(tmp_path, capsys):
    table = usable(read_dataset("cremad", cremad(tmp_path)))
    clip = table.by_id("1001_MTI_ANG_XX")
    assert (clip.path, clip.label, clip.group_id) == ("VideoFlash/1001_MTI_ANG_XX.flv", "anger", "speaker_1001")
    assert len(table) == 25 - 4
    said = capsys.readouterr().err
    assert "CREMA-D has 7442 clips, here are 25" in said
    assert "known to be bad (its video and mp3 are broken): 3 (1064_" in said
    assert "known to be bad (in every format): 1 (1076_MTI_SAD_XX)" in said
    sound = read_dataset("cremad", tmp_path, media="audio")
    assert len(sound) == 25 - 1 and all(clip.path.endswith(".wav") for clip in sound.clips)
    assert sum(map(len, split_groups(table).values())) == 4


def test_cremad_with_the_emotion_that_most_named(tmp_path, capsys):
    root = cremad(tmp_path, (1001, 1002))
    with pytest.raises(EmofuseError, match=r"expected CREMA-D's processedResults/summaryTable.csv for voted labels"):
        read_dataset("cremad", root, label="face")
    folder = tmp_path / "processedResults"
    folder.mkdir()
    rows = [
        "1,1001_MTI_ANG_XX,N,50,D,60,A:D,55:55",
        "2,1001_TIE_SAD_XX,S,50,S,60,S,70",
        "3,1002_TIE_NEU_XX,N,1,N,1,H,1",
    ]
    header = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"'
    (folder / "summaryTable.csv").write_text("\n".join([header, *rows]) + "\n")
    capsys.readouterr()

    def labels(label):
        return {clip.clip_id: clip.label for clip in read_dataset("cremad", root, label=label).clips}

    assert labels("both") == {"1001_TIE_SAD_XX": "sad", "1002_TIE_NEU_XX": "happy"}
    assert "left out, no label or a tie: 10 (1001_MTI_ANG_XX" in capsys.readouterr().err
    assert labels("face")["1001_MTI_ANG_XX"] == "disgust" and labels("voice")["1001_MTI_ANG_XX"] == "neutral"
    (folder / "summaryTable.csv").write_text("FileName,FaceVote\nx,A\n")
    with pytest.raises(EmofuseError, match="expected CREMA-D's column 'VoiceVote'"):
        labels("voice")


def test_cremad_without_git_lfs(tmp_path, capsys):
    root = cremad(tmp_path)
    stub = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (root / "VideoFlash/1001_MTI_ANG_XX.flv").write_text(stub)
    assert len(read_dataset("cremad", root)) == 20
    assert "text stubs of Git LFS (run `git lfs pull`): 1 (1001_MTI_ANG_XX)" in capsys.readouterr().err
    for path in root.rglob("*.flv"):
        path.write_text(stub)
    with pytest.raises(EmofuseError, match="of 25 clips of CREMA-D none can be used"):
        read_dataset("cremad", root)


@pytest.mark.parametrize(
    "layout", ["AudioVisualClip/{who}/{stem}.avi", "AudioData/{who}/{stem}.wav", "{who}_{stem}.wav"]
)
def test_savee_in_its_layouts(tmp_path, layout):
    names = [
        layout.format(who=w, stem=s) for w in ("DC", "JE", "JK", "KL") for s in ("a01", "su3", "sa15", "n30", "h1")
    ]
    table = usable(read_dataset("savee", touch(tmp_path, *names, "AudioData/Info.txt"), folds=4, fold=2))
    assert sorted(map(len, split_groups(table).values())) == [1, 1, 2]
    assert (table.by_id("JK_sa15").label, table.by_id("JK_su3").label) == ("sadness", "surprise")
    assert table.by_id("JK_a01").group_id == "speaker_JK"


def test_emodb_by_its_letters(tmp_path, capsys):
    letters = "WLEAFTN"
    stems = [f"{who:02d}a01{letter}{take}" for who in (3, 8, 9) for letter in letters for take in "ab"]
    table = usable(read_dataset("emodb", touch(tmp_path, *(f"wav/{stem}.wav" for stem in stems), "wav/readme.wav")))
    assert [table.by_id(f"03a01{letter}a").label for letter in letters] == [
        "anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral"
    ]  # fmt: skip
    assert sorted(map(len, split_groups(table).values())) == [1, 1, 1]
    assert "Emo-DB has 535 clips, here are 42" in capsys.readouterr().err


def test_enterface_in_folders_of_changing_depth(tmp_path):
    names = [
        f"subject {n}/{word}/sentence {i}/s{n}_{word[:2]}_{i}.avi"
        for n in (1, 2, 44)
        for word in ("anger", "fear")
        for i in (1, 2)
    ]
    table = usable(
        read_dataset("enterface", touch(tmp_path, *names, "subject 6/anger/s6_an_1.avi", "subject 6/fear/s_6_fe1.avi"))
    )
    assert len(table) == 14 and set.union(*split_groups(table).values()) == {f"speaker_{n}" for n in (1, 2, 6, 44)}
    assert (table.by_id("s6_fe1").label, table.by_id("s44_an_2").label) == ("fear", "anger")
    again = touch(tmp_path, "more/s1_an_1.avi")
    with pytest.raises(EmofuseError, match=r"clip s1_an_1 is there twice: more/s1_an_1.avi and subject 1/anger"):
        read_dataset("enterface", again)


def meld(root):
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"

    def rows(name, *places):
        said = [f'{n},"Oh, no",{"Ross" if n % 2 else "Rachel"},{e},neutral,{d},{u},1,2,"00:00:01,5","00:00:02,0"'
                for n, (e, d, u) in enumerate(places)]  # fmt: skip
        (root / name).write_bytes("\r\n".join([header, *said, ""]).encode())

    rows("train_sent_emo.csv", ("neutral", 0, 0), ("Joy", 0, 1), ("joy", 125, 3), ("anger", 1, 0))
    rows("dev_sent_emo.csv", ("joy", 110, 7), ("neutral", 0, 0))
    rows("test_sent_emo.csv", ("neutral", 0, 0), ("joy", 3, 1))
    touch(root, *(f"train_splits/dia{d}_utt{u}.mp4" for d, u in ((0, 0), (0, 1), (125, 3), (1, 0))))
    touch(root, "dev_splits_complete/dia0_utt0.mp4", "output_repeated_splits_test/dia0_utt0.mp4")
    return touch(root, "output_repeated_splits_test/final_videos_testdia0_utt0.mp4", "train_splits/extra.mp4")


def test_meld_tells_its_broken_and_missing_clips(tmp_path, capsys):
    table = usable(read_dataset("meld", meld(tmp_path)))
    assert {clip.clip_id: (clip.label, clip.group_id) for clip in table.clips} == {
        "train/dia0_utt0": ("neutral", "train/dia0"),
        "train/dia0_utt1": ("joy", "train/dia0"),
        "train/dia1_utt0": ("anger", "train/dia1"),
        "val/dia0_utt0": ("neutral", "val/dia0"),
        "test/dia0_utt0": ("neutral", "test/dia0"),
    }
    said = capsys.readouterr().err
    assert "train/dia125_utt3 is left out: its file is broken, as is known" in said
    assert "val/dia110_utt7 is left out: it was never given out" in said
    assert "left out, no file: 1 (test/dia3_utt1)" in said
    assert "second versions of test clips (final_videos_...): 1 (final_videos_testdia0_utt0.mp4)" in said
    assert "not named as MELD's clips or in no split's folder: 1 (extra.mp4)" in said
    assert "train_sent_emo.csv: MELD has 9989 rows there, here are 4" in said
    by_who = read_dataset("meld", tmp_path, group="speaker", label="sentiment")
    assert by_who.classes == ("neutral",) and by_who.by_id("train/dia0_utt1").group_id == "ross"


def test_meld_with_parts_missing(tmp_path, capsys):
    root = meld(tmp_path)
    (root / "dev_sent_emo.csv").unlink()
    assert not read_dataset("meld", root).split("val")
    assert "no dev_sent_emo.csv, so no val clips" in capsys.readouterr().err
    (root / "train_sent_emo.csv").write_text("Speaker,Dialogue_ID\nRoss,1\n")
    with pytest.raises(EmofuseError, match="expected MELD's column 'Emotion', but the columns are"):
        read_dataset("meld", root)
    (root / "train_sent_emo.csv").unlink()
    with pytest.raises(EmofuseError, match=r"but there is no train_sent_emo.csv"):
        read_dataset("meld", root)


def iemocap(root):
    codes = ("ang", "hap", "exc", "neu", "xxx", "sad")
    for n in range(1, 6):
        for dialogue in (f"Ses0{n}F_impro01", f"Ses0{n}M_script01_1"):
            lines = [
                f"[{i}.5000 - {i + 1}.2500]\t{dialogue}_F{i:03d}\t{code}\t[2.5, 2.5, 2.5]"
                for i, code in enumerate(codes)
            ]
            path = root / f"Session{n}/dialog/EmoEvaluation/{dialogue}.txt"
            touch(
                root,
                f"{path.parent.relative_to(root)}/Categorical/{dialogue}_e1_cat.txt",
                f"Session{n}/dialog/avi/DivX/{dialogue}.avi",
            )
            path.write_text(
                "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n" + "\nA-E1:\tAnger; ()\n\n".join(lines)
            )
            touch(root, *(f"Session{n}/sentences/wav/{dialogue}/{dialogue}_F{i:03d}.wav" for i in range(len(codes))))
            touch(root, f"Session{n}/dialog/wav/{dialogue}.wav")
    return root


def test_iemocap_turns_as_sound_and_as_part_of_the_video(tmp_path, capsys):
    table = usable(read_dataset("iemocap", iemocap(tmp_path), folds=5, fold=5))
    clip = table.by_id("Ses03M_script01_1_F002")
    assert (clip.label, clip.group_id, clip.start_s, clip.end_s) == ("happiness", "session_3", 0.0, None)
    assert clip.path == "Session3/sentences/wav/Ses03M_script01_1/Ses03M_script01_1_F002.wav"
    assert len(table) == 50 and len(split_groups(table)["test"]) == 1
    said = capsys.readouterr().err
    assert "left out, of no class that --classes names: 10 xxx" in said and "10039 turns, here are 60" in said
    video = usable(read_dataset("iemocap", tmp_path, media="video", classes="ang,exc")).by_id("Ses03M_script01_1_F002")
    assert (video.path, video.start_s, video.end_s) == ("Session3/dialog/avi/DivX/Ses03M_script01_1.avi", 2.5, 3.25)
    assert video.label == "excitement"


def test_iemocap_classes():
    assert parse_classes("ang, hap+exc") == {"ang": "anger", "hap": "happiness", "exc": "happiness"}
    for text in ("ang,xxx", "ang,hap+ang"):
        with pytest.raises(WrongUse, match="expected codes such as ang,hap"):
            parse_classes(text)
    with pytest.raises(WrongUse, match="two classes or more, but got 'ang'"):
        parse_classes("ang")


def test_sfew_leaves_out_the_crops_that_a_text_calls_bad(tmp_path, capsys):
    root, film = tmp_path / "sfew", "OceansThirteen_000550480_000000"
    touch(root, *(f"Train/Train_Aligned_Faces/Angry/{film}{n}.png" for n in (18, 19, 58)))
    touch(root, "Val/Val_Aligned_Faces/Happy/Airheads_000519240_00000005.png", f"Train/Angry/{film}20.png")
    assert len(read_dataset("sfew", root)) == 5
    assert "some 130 of SFEW's aligned faces show none, or a wrong crop" in capsys.readouterr().err
    text = tmp_path / "Bad.java"
    text.write_text(f'if(name.equals("{film}18.png") || name.equals("{film}58.png") || name.equals("{film}20.png"))')
    table = read_dataset("sfew", root, bad=str(text))
    assert [clip.clip_id for clip in table.split("train")] == [f"train/{film}19", f"train/{film}20"]
    said = capsys.readouterr().err
    assert f"crops that {text} calls bad: 2 (train/{film}18" in said and "some 130" not in said
    text.write_text("none")
    with pytest.raises(WrongUse, match="expected names such as Airheads_000519240_00000005, but it has none"):
        read_dataset("sfew", root, bad=str(text))
    with pytest.raises(WrongUse, match="expected a text, but it can't be read"):
        read_dataset("sfew", root, bad=str(tmp_path / "gone"))


def test_sfew_takes_aligned_faces_and_films_as_groups(tmp_path, capsys):
    film = "HarryPotter_Half_Blood_Prince_001259094_00000033"
    names = [f"Train/Train_Aligned_Faces/{c}/{film[:-1]}{i}.png" for i, c in enumerate(("Angry", "Happy"))]
    touch(
        tmp_path,
        *names,
        f"Train/Angry/{film[:-1]}0.png",
        f"Train/Angry/{film}.png",
        f"Test/Test_Aligned_Faces/{film[:-1]}9.png",
    )
    touch(tmp_path, "Val/Val_Aligned_Faces_new/Val_Aligned_Faces/Happy/Airheads_000519240_00000005.png", "Train/x.png")
    table = usable(read_dataset("sfew", tmp_path))
    labels = {split: [clip.label for clip in table.split(split)] for split in ("train", "val", "test")}
    assert labels == {"train": ["Angry", "Happy", "Angry"], "val": ["Happy"], "test": [None]}
    assert {clip.group_id for clip in table.split("train")} == {"HarryPotter_Half_Blood_Prince"}
    assert [clip.path for clip in table.split("train")].count(names[0]) == 1 and len(table) == 5
    said = capsys.readouterr().err
    assert "1 whole stills are passed over" in said and "in no class folder of a split: 1 (Train/x.png)" in said
