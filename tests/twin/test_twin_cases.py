"""`make twin-cases`: the reference cases pass, a wrong answer is shown, an odd folder is a sentence and no crash."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "twin_cases.py"
CASES = "case,model,inputs_json,kind,source\n"
EXPECTED = "case,time,time_unit,variable,unit,value,abs_tol,rel_tol\n"
RENAL = '{""age_a"": 51, ""scr_mg_dL"": 1.72, ""sex"": ""male""}'


def run(folder: Path) -> tuple[int, list[str], str]:
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def write(folder: Path, cases: str, expected: str) -> Path:
    (folder / "cases.csv").write_text(CASES + cases, encoding="utf-8")
    (folder / "expected.csv").write_text(EXPECTED + expected, encoding="utf-8")
    return folder


def test_every_reference_case_passes(shared: Path) -> None:
    code, lines, errors = run(shared / "twin" / "reference")
    assert (code, lines, errors) == (0, ["passed 473 of 473"], "")


def test_a_value_out_of_its_tolerance_is_shown_with_its_time_and_tolerance(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        'a,cha2ds2-vasc,"{""age_a"": 74, ""chf"": true, ""diabetes"": false, ""hypertension"": true, '
        '""sex"": ""male"", ""stroke_tia_te"": true, ""vascular"": true}",,\n',
        "a,,,points,{score},6,0,0\na,1.0,a,ischaemic_stroke_risk,%,9.8,0.01,0\n",
    )
    code, lines, _ = run(folder)
    assert code == 1
    assert lines[0] == "a: ischaemic_stroke_risk at 1 a: got 9.7, expected 9.8, tolerance 0.01"
    assert lines[1:] == ["passed 0 of 1"]


def test_a_row_is_run_by_its_model_and_inputs_and_units_are_converted(tmp_path: Path) -> None:
    expected = "theo-01,,,egfr,mL/min/{1.73_m2},47.531,0.01,0\nhh-00,,,egfr,L/h/{1.73_m2},2.8519,0.001,0\n"
    folder = write(tmp_path, f'theo-01,ckd-epi-2021,"{RENAL}",,\nhh-00,ckd-epi-2021,"{RENAL}",,\n', expected)
    assert run(folder)[:2] == (0, ["passed 2 of 2"])


def test_a_row_that_cannot_be_run_says_why_and_spoils_no_other(tmp_path: Path) -> None:
    rows = [
        ("good", "ckd-epi-2021", RENAL, "egfr"),
        ("model", "no-such-model", RENAL, "egfr"),
        ("input", "ckd-epi-2021", RENAL.replace("age_a", "age"), "egfr"),
        ("code", "ckd-epi-2021", RENAL.replace("male", "unknown"), "egfr"),
        ("null", "ckd-epi-2021", RENAL.replace("51", "null"), "egfr"),
        ("variable", "ckd-epi-2021", RENAL, "gfr"),
        ("subject", "theophylline", '{""dose_mg_per_kg"": 4.0, ""subject"": 1}', "conc"),
        ("coupled", "two-scale-linear", '{""eps_a"": 0.1, ""k"": 1.0, ""a"": 0.0}', "middle"),
    ]
    cases = "".join(f'{name},{model},"{inputs}",,\n' for name, model, inputs, _ in rows)
    expected = "".join(f"{name},1.0,a,{variable},,47.531,0.01,0\n" for name, _, _, variable in rows)
    code, lines, errors = run(write(tmp_path, cases, expected))
    assert (code, errors) == (1, "")
    assert lines[-1] == "passed 1 of 8"
    said = dict(line.split(": ", 1) for line in lines[:-1])
    assert set(said) == {name for name, *_ in rows} - {"good"}
    assert "no-such-model" in said["model"]
    assert "age" in said["input"]
    assert "male" in said["code"]
    assert "gfr" in said["variable"]
    assert "theophylline-observations.csv" in said["subject"]


def test_posterior_modes_alone_are_enough_and_a_missing_file_is_said(tmp_path: Path, shared: Path) -> None:
    source = shared / "twin" / "reference"
    names = ("disease-course-map.csv", "disease-course-observations.csv")
    chosen = {line.split(",")[0] for line in (source / names[0]).read_text(encoding="utf-8").splitlines()[:4]}
    for name in names:
        lines = (source / name).read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.split(",")[0] in chosen]
        (tmp_path / name).write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert run(tmp_path)[:2] == (0, ["passed 3 of 3"])
    (tmp_path / names[1]).unlink()
    code, said, _ = run(tmp_path)
    assert code == 1
    assert said[-1] == "passed 0 of 3"
    assert "is not there" in said[0]


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({}, "neither"),
        ({"cases.csv": CASES}, "expected.csv"),
        ({"cases.csv": "case,model\nx,y\n", "expected.csv": EXPECTED}, "inputs_json"),
        ({"cases.csv": CASES + "x,y,{,,\n", "expected.csv": EXPECTED}, "cell"),
        ({"cases.csv": CASES, "expected.csv": EXPECTED + "x,now,h,y,1,1,0,0\n"}, "cell"),
    ],
)
def test_a_folder_that_cannot_be_read_is_a_sentence(tmp_path: Path, files: dict[str, str], word: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    code, lines, errors = run(tmp_path)
    assert (code, lines) == (2, [])
    assert word in errors
    assert "Traceback" not in errors
    assert run(tmp_path / "nowhere")[0] == 2
