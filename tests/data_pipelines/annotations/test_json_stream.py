"""The reader of JSON files entry by entry, against the standard library's reader of whole ones."""

import json

import pytest
from etils import epath

from data_pipelines.annotations import AnnotationError
from data_pipelines.annotations.json_stream import read_json_entries

VALUES = {
    "empty": {},
    'ünï \\ "quoted" \U0001f3c3': [1, -2.5e-3, 12345678901, True, None, "a\nb", {"c": [[]]}],
    "number": 1234567,
    "long": "x" * 300,
    "": [],
}


def write(tmp_path, text):
    path = epath.Path(tmp_path / "entries.json")
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("plain", [True, False])
def test_whatever_the_pieces_the_entries_are_those_of_the_file(tmp_path, chunk, indent, plain):
    text = json.dumps(VALUES, indent=indent, ensure_ascii=plain)
    path = write(tmp_path, "\ufeff \r\n" + text + "\n")
    found = [(key, value) for _, key, value in read_json_entries(path, "{", chunk)]
    assert found == list(VALUES.items())
    path = write(tmp_path, json.dumps(list(VALUES.values()), indent=indent))
    found = [value for _, _, value in read_json_entries(path, "[", chunk)]
    assert found == list(VALUES.values())


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_each_entry_knows_its_line(tmp_path, chunk):
    path = write(tmp_path, '[\n1,\n\n{"a":\n2}, 3,\n4\n]')
    assert [line for line, _, _ in read_json_entries(path, "[", chunk)] == [2, 4, 5, 6]


@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "an object"),
        ('{"a": 1', 1, "a comma, or }"),
        ('{"a": 1,\n"b": tru', 2, "JSON"),
        ('{"a": 1,\n"b": [2,', 2, "the end of the file; expected the rest of a value"),
        ('{"a": 1,\n"b": "long enough to be clear of', 2, "the end of the file; expected the rest"),
        ('{"a": 1,\n"b": nonsense, "c": "long enough to be clear of the end"}', 2, "JSON"),
        ('{"a" 1}', 1, "a colon"),
        ("{1: 2}", 1, "a key in double quotes"),
        ('{"a": 1}\n\n{"b": 1}', 3, "the end of the file"),
    ],
)
def test_what_is_no_json_is_told_with_its_line(tmp_path, text, line, expected, chunk):
    path = write(tmp_path, text)
    with pytest.raises(AnnotationError) as caught:
        list(read_json_entries(path, "{", chunk))
    assert f"entries.json:{line}: got " in str(caught.value)
    assert expected in str(caught.value)
