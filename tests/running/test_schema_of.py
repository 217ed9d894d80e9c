"""A job's schema, as it is read from where the job says that it stands."""

from __future__ import annotations

import os

import pytest

from batchrun.core.errors import JobError
from batchrun.running.schema_of import read_schema


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_schema_stands_in_the_job_or_in_a_file_of_json_whatever_editor_has_saved_that(tmp_path, mark):
    (tmp_path / "schema.json").write_bytes(mark + b'{"type": "string"}')
    for written in ({"type": "string"}, str(tmp_path / "schema.json")):
        schema = read_schema(written)
        assert schema is not None
        assert (schema.complaints("a"), len(schema.complaints(1))) == ([], 1)
    assert read_schema(None) is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file or directory"),
        (b"", "not JSON: .* at line 1"),
        (b'{\n"type": string}', "not JSON: .* at line 2"),
        (b"[]", "must be a JSON object"),
        (b'{"type": "strin"}', "type: 'strin' is not valid"),
    ],
)
def test_a_file_that_holds_no_schema_is_a_mistake_of_the_job(tmp_path, content, told):
    path = tmp_path / "schema.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JobError, match=rf"answers\.schema = .*: {told}"):
        read_schema(str(path))


def test_a_schema_that_is_a_pipe_or_a_folder_is_refused_and_not_waited_for(tmp_path):
    """It had been waited for until somebody wrote into it."""
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(JobError, match=r"pipe\.json\": is no file but a pipe or a device"):
        read_schema(str(tmp_path / "pipe.json"))
    with pytest.raises(JobError, match="Is a directory"):
        read_schema(str(tmp_path))
