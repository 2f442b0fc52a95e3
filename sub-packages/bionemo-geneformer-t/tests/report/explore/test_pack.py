import base64
import gzip
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from explored_forks import ENDING

from bionemo.geneformer_t.report.explore.pack import compressed, in_percent, packed, script_json


def test_arrays_are_little_endian_and_row_by_row() -> None:
    values = np.array([[1, 2], [3, 4]])
    for given in (values, np.asfortranarray(values), values.astype(">i4")):
        assert base64.b64decode(packed(given, "uint16")) == bytes([1, 0, 2, 0, 3, 0, 4, 0])
    unknown = np.frombuffer(base64.b64decode(packed(np.array([np.nan]), "float32")), "<f4")
    assert np.isnan(unknown).all()


def test_what_is_above_zero_stays_above_zero() -> None:
    shares = np.array([0, 1e-6, 0.5, 1, 1.25], dtype=np.float16)
    assert in_percent(shares).tolist() == [0, 1, 50, 100, 100]


def test_as_many_rows_are_compressed_as_there_is_room_for() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 4, 1000).astype(np.uint8).tobytes() for _ in range(20)]
    number, whole = compressed(rows, 10**6)
    assert number == 20
    assert gzip.decompress(whole) == b"".join(rows)
    assert len(whole) < 8000
    for room in (0, 400, 3000, len(whole)):
        number, some = compressed(iter(rows), room)
        assert gzip.decompress(some) == b"".join(rows[:number])
        assert number == 0 or len(some) <= room
        assert number == 20 or len(compressed(rows[: number + 1], 10**6)[1]) > room


def test_no_name_ends_its_element() -> None:
    text = script_json({ENDING: [ENDING, "<!--<script>", "\ud800"]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {ENDING: [ENDING, "<!--<script>", "\ud800"]}
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(f'<script type="application/json">{text}</script>')
    assert tags == ["script"]


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        script_json([float("nan")])
