"""Other tools' predictions in and ours out."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ensembles.fusion import DecisionFusion, UniformAverage
from ensembles.predictions.exchange import dump_long, import_long
from ensembles.predictions.long_format import read_long
from ensembles.predictions.sets import read_run
from features.errors import EmofuseError, WrongUse

HEADER = "p_b,model,sample_id,label,split,p_a\n"
ROWS = """0.3,one,007,a,validation,0.7
0.6,one,008,b,val,0.4
0.2,one,009,b,test,0.8
0.5,one,010,a,train,0.5
,two,007,a,validation,
0.9,two,008,b,val,0.1
4,two,009,b,test,6
"""


@pytest.fixture
def csv(tmp_path):
    def write(rows=ROWS, header=HEADER, name="long.csv"):
        (tmp_path / name).write_text(header + rows)
        return tmp_path / name

    return write


def test_import(csv, tmp_path):
    done = import_long(csv(), tmp_path / "run")
    assert done.entries == ("one", "two") and (done.normalised, done.missing) == (1, 1)
    assert done.samples == {"fit": 1, "held_out": 2, "test": 1}
    run = read_run(tmp_path / "run")
    assert run.held_out.ids == ("007", "008") == run.held_out.groups and run.held_out.classes == ("a", "b")
    assert [m.entry for m in run.held_out.members] == ["one", "two"]
    assert run.held_out.valid.tolist() == [[True, True], [False, True]]
    np.testing.assert_allclose(run.held_out.P, [[[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.1, 0.9]]])
    np.testing.assert_allclose(run.test.P[:, 0], [[0.8, 0.2], [0.6, 0.4]])
    assert run.test.score(run.test.P[0]).accuracy == 0


def test_import_twice_is_harmless_and_parquet_is_the_same(csv, tmp_path):
    import_long(csv(), tmp_path / "run")
    table = pa_csv.read_csv(csv(), convert_options=pa_csv.ConvertOptions(column_types={"sample_id": pa.string()}))
    pq.write_table(table, tmp_path / "long.parquet")
    import_long(tmp_path / "long.parquet", tmp_path / "run")
    assert len(read_run(tmp_path / "run").held_out.members) == 2


def test_groups_come_from_the_file_or_the_run(csv, tmp_path, write_trial):
    rows = "".join(f"{row},g{i}\n" for i, row in enumerate(ROWS.splitlines()[:3]))
    import_long(csv(rows, HEADER.strip() + ",group_id\n"), tmp_path / "mine")
    assert read_run(tmp_path / "mine").held_out.groups == ("g0", "g1")
    write_trial([("007", "film", "val", "held_out", "a"), ("009", "film2", "test", "test", "b")], [[0.5, 0.5]] * 2)
    import_long(csv(), tmp_path)
    run = read_run(tmp_path)
    assert run.held_out.groups == ("film", "008") and len(run.held_out.members) == 3


def test_out_of_fold_rows_and_given_roles_are_held_out(csv, tmp_path):
    import_long(csv("0.3,one,1,a,oof,0.7\n0.3,one,2,b,oof,0.7\n"), tmp_path / "oof")
    assert read_run(tmp_path / "oof").partitions == ("oof",)
    import_long(csv("0.3,one,1,a,train,0.7\n"), tmp_path / "train", {"train": "held_out"})
    assert read_run(tmp_path / "train").held_out.ids == ("1",)


def test_odd_model_names(csv, tmp_path):
    import_long(csv("0.3,BERT base/v1 (large),1,a,val,0.7\n"), tmp_path / "run")
    assert read_run(tmp_path / "run").held_out.members[0].entry == "BERT_base_v1_large_"
    with pytest.raises(EmofuseError, match=r"two model names become the same entry 'a_b'"):
        import_long(csv("0.3,a b,1,a,val,0.7\n0.3,a/b,1,a,val,0.7\n"), tmp_path / "run")


def test_names_have_one_spelling(csv, tmp_path, capsys):
    rows = "0.3,CNN,1,HAPPY, Validation,0.7,s1\n0.3,cnn,2,nan,val,0.7,S1 \n0.4,CNN,3,happy,val,0.6,s1\n"
    done = import_long(csv(rows, "p_nan,model,sample_id,label,split, p_Happy ,group_id\n"), tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert done.entries == ("CNN",) and run.held_out.classes == ("Happy", "nan")
    assert run.held_out.groups == ("s1",) * 3 and run.held_out.y.tolist() == [0, 1, 0]
    told = capsys.readouterr().err
    for line in (
        "'HAPPY' and 'happy' are 'Happy' (2 rows",
        "'S1' is 's1'",
        "'cnn' is 'CNN'",
        "'nan' is taken for a label",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ("0.5,m,a,x,val,0.5\n0.5,k,A,x,val,0.5\n", HEADER, "'A' and 'a' are one sample but .*; write each sample's id"),
        ("0.5,m,1,x,val,0.5\n", HEADER.replace("p_b", "p_A"), "'A' and 'a' are one class but .*; give each class one"),
        ("", HEADER, "the table has no rows"),
        ("1,x\n", "p_a,model\n", "expected the columns sample_id, split, label, model and p_<class>"),
        ("-0.1,m,1,a,val,1.1\n", HEADER, r"model 'm' gives sample '1' the scores \[1.1, -0.1\].*can't be negative"),
        ("0.5,m,1,a,holdout,0.5\n", HEADER, "Unknown split 'holdout': known are dev, oof, test"),
        ("0.5,m,1,c,val,0.5\n", HEADER, "labelled 'c', but there is no column p_c; the classes are a, b"),
        ("0.5,m,1,a,val,0.5\n" * 2, HEADER, "model 'm' scores sample '1' twice"),
        ("0.5,m,1,a,val,0.5\n0.5,k,1,b,val,0.5\n", HEADER, "sample '1' has the split and label .* in one row"),
        ("0.5,m,,a,val,0.5\n", HEADER, "column sample_id has an empty value"),
        ("x,m,1,a,val,y\n", HEADER, "column p_[ab] has to hold numbers, but its type is string"),
    ],
)
def test_bad_tables_are_told(csv, tmp_path, rows, header, message):
    with pytest.raises(EmofuseError, match=message):
        import_long(csv(rows, header), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bad_requests(csv, tmp_path):
    with pytest.raises(EmofuseError, match=r"no such file"):
        import_long(tmp_path / "none.csv", tmp_path)
    with pytest.raises(WrongUse, match=r"predictions in long format in a file that ends in .csv, .tsv or .parquet"):
        import_long(tmp_path / "none.json", tmp_path)
    with pytest.raises(WrongUse, match=r"Unknown role 'heldout'.*Did you mean 'held_out'"):
        import_long(csv(), tmp_path, {"train": "heldout"})
    with pytest.raises(WrongUse, match=r"has no rows of split 'dev'; its splits are test, train, val, validation"):
        import_long(csv(), tmp_path, {"dev": "held_out"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_goes_out_comes_back(write_run, tmp_path, suffix):
    run, file = write_run(lacking=0.1), tmp_path / f"out{suffix}"
    done = dump_long(run, file)
    assert (done.models, done.rows) == (4, 4 * 80)
    import_long(file, tmp_path / "again")
    one, other = read_run(run), read_run(tmp_path / "again")
    assert one.held_out.ids == other.held_out.ids and (one.held_out.y == other.held_out.y).all()
    assert one.held_out.groups == other.held_out.groups
    np.testing.assert_allclose(one.held_out.P, other.held_out.P, atol=1e-6)
    assert (one.held_out.valid == other.held_out.valid).all()
    assert one.test.score(one.test.P[0]).confusion == other.test.score(other.test.P[0]).confusion


def test_rows_that_members_were_fitted_on_go_out_as_train(write_run, tmp_path):
    run = write_run(partitions=("train",))
    dump_long(run, tmp_path / "out.parquet")
    splits = pq.read_table(tmp_path / "out.parquet")["split"].to_pylist()
    assert {name: splits.count(name) for name in set(splits)} == {"train": 128, "validation": 128, "test": 64}


WORDS = ("NA", "None", "nan", "null")


@pytest.mark.parametrize("labels", [WORDS, (0.0, 1.0, 2.0, 3.0), (True, False, True, False)])
def test_labels_are_the_same_from_csv_and_parquet(tmp_path, labels):
    classes = sorted({str(int(label)) if isinstance(label, float) else str(label) for label in labels})
    table = pa.table(
        {
            "sample_id": WORDS,
            "split": ["val"] * 4,
            "label": labels,
            "model": ["m"] * 4,
            "group_id": [1.0, 1.0, 2.0, 2.0],
            **{f"p_{name}": [1 / len(classes)] * 4 for name in classes},
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    pa_csv.write_csv(table, tmp_path / "a.csv")
    one, other = read_long(tmp_path / "a.csv"), read_long(tmp_path / "a.parquet")
    assert list(one.label) == list(other.label) and set(one.label) == set(classes) == set(one.classes)
    assert list(one.sample_id) == list(other.sample_id) == list(WORDS)
    assert list(one.group) == list(other.group) == ["1", "1", "2", "2"]


@pytest.mark.real_data
def test_ravdess_face_and_speech(real_data, tmp_path):
    import_long(real_data / "predictions" / "ravdess_face_speech.parquet", tmp_path)
    run = read_run(tmp_path)
    assert run.held_out.P.shape == (4, 180, 7) and run.test.P.shape == (4, 180, 7)
    complete = np.flatnonzero(run.held_out.valid.all(axis=1))
    held_out, test = run.held_out.of_members(complete), run.test.of_members(complete)
    assert max(test.score(p).accuracy for p in test.P) == pytest.approx(0.667, abs=0.001)
    average = UniformAverage().fit(held_out.P, held_out.y)
    assert test.score(average.predict_proba(test.P)).accuracy == pytest.approx(0.706, abs=0.001)
    searched = [
        test.score(
            DecisionFusion(draws=3000, sigma=0.01, sigma_min=0.1, seed=seed)
            .fit(held_out.P, held_out.y)
            .predict_proba(test.P)
        ).accuracy
        for seed in range(5)
    ]
    assert np.median(searched) == pytest.approx(0.71, abs=0.04)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["sarcasm12", "cremad_rater_votes", "mljar_hurricane5_31", "assembled_task4_3c178"])
def test_other_peoples_tables(real_data, tmp_path, name):
    import_long(real_data / "predictions" / f"{name}.parquet", tmp_path)
    held_out = read_run(tmp_path).held_out
    fusion = DecisionFusion(draws=300, sigma_min=0.2).fit(held_out.P, held_out.y, held_out.valid)
    assert fusion.fit_score_ > np.bincount(held_out.y).max() / len(held_out.y)
    json.dumps(fusion.weights_.tolist(), allow_nan=False)


FORMULAS = ("=1+2", "+a", "-1", "@x", "\ta", "'=1", "'quoted", "''-", "plain")


@pytest.mark.parametrize("raw", [False, True])
def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(write_run, csv, tmp_path, raw):
    rows = "".join(f"0.3,one,{clip},=a,validation,0.7\n" for clip in FORMULAS)
    import_long(csv(rows, HEADER.replace("p_a", "p_=a")), tmp_path / "mine")
    out = tmp_path / "out.csv"
    dump_long(tmp_path / "mine", out, raw=raw)
    cells = pa_csv.read_csv(out)
    ran = [text for name in ("sample_id", "label") for text in cells[name].to_pylist() if text[0] in "=+-@\t\r"]
    assert (len(ran) > 0) == raw
    first, again = read_run(tmp_path / "mine"), tmp_path / "again"
    import_long(out, again)
    if not raw:
        assert read_run(again).held_out.ids == first.held_out.ids
        assert read_run(again).held_out.classes == first.held_out.classes == ("=a", "b")


def test_ids_as_classes_are_refused(csv, tmp_path):
    names = [f"p_c{i}" for i in range(501)]
    path = csv("a,val,,one," + ",".join(["1"] * 501) + "\n", "sample_id,split,label,model," + ",".join(names) + "\n")
    with pytest.raises(EmofuseError, match="expected at most 500 classes, but got 501; is the label an id or a number"):
        import_long(path, tmp_path / "run")
