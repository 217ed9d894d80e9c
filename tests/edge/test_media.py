"""From a path in a row to a data URL: whatever the path, a data URL or a failure, and nothing outside the root is read."""

import errno
import os
import resource
import threading
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.rows.parts import Kind, Medium
from batchrun.core.rows.urls import MAX_DATA_URL_BYTES, unfit_data_url
from batchrun.edge import media
from batchrun.edge.media import MAX_FILE_BYTES, MediaRoot

SAMPLES = Path(__file__).parents[2] / "samples" / "media"
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
SECRET = PNG + b"brought-out"
KINDS: tuple[Kind, ...] = ("image", "audio", "video")
EBML = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84"


@pytest.fixture
def house(tmp_path):
    """A root with a folder for the input, and a file outside of it."""
    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "root" / "in" / "a.png").write_bytes(PNG)
    (tmp_path / "outside.png").write_bytes(SECRET)
    return tmp_path


def read(house, url, kind: Kind = "image"):
    return MediaRoot(house / "root").read(Medium(kind, str(url)), house / "root" / "in")


def content(url):
    assert isinstance(url, str), url
    return b64decode(url.partition(";base64,")[2], validate=True)


def refusal(result, code):
    assert isinstance(result, Failure), result
    assert (result.fault, result.scope, result.code, result.in_doubt) == (Fault.REJECT, Scope.ROW, code, False)
    assert "--retry-rejected" in result.advice
    assert result.message.isprintable()
    assert len(result.message) < 500
    return result.message


# What is read


@pytest.mark.parametrize(
    ("name", "kind", "mime"),
    [
        ("chart.png", "image", "image/png"),
        ("photo-like.jpg", "image", "image/jpeg"),
        ("animation.gif", "image", "image/gif"),
        ("tone.wav", "audio", "audio/wav"),
    ],
)
def test_a_sample_becomes_a_data_url_of_its_own_type(name, kind, mime):
    url = MediaRoot(SAMPLES).read(Medium(kind, name), SAMPLES)
    assert isinstance(url, str)
    assert url.startswith(f"data:{mime};base64,")
    assert content(url) == (SAMPLES / name).read_bytes()


def test_the_samples_stay_small():
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 120_000


def test_a_path_may_be_written_in_every_way_that_leads_into_the_root(house):
    (house / "root" / "b c.png").write_bytes(PNG)
    (house / "root" / "in" / "图.png").write_bytes(PNG)
    (house / "root" / "in" / "inner.png").symlink_to("../b c.png")
    (house / "root" / "in" / "inner").symlink_to(house / "root")
    Path(os.fsdecode(os.fsencode(house / "root" / "in") + b"/\xff.png")).write_bytes(PNG)
    for url in (
        "a.png",
        "./a.png",
        "../in/a.png",
        "../../root/in/a.png",
        house / "root" / "in" / "a.png",
        f"/{house}/root/in/a.png",
        f"file://{house}/root/b%20c.png",
        "file:../b%20c.png",
        "图.png",
        "inner.png",
        "inner/in/a.png",
        "file:%FF.png",
    ):
        assert content(read(house, url)) == PNG, url


def test_the_root_may_be_a_link_and_the_folder_of_the_input_may_lie_outside(house):
    (house / "link").symlink_to("root")
    root = MediaRoot(house / "link")
    assert content(root.read(Medium("image", "root/in/a.png"), house)) == PNG
    assert content(root.read(Medium("image", "in/a.png"), house / "link")) == PNG
    refusal(root.read(Medium("image", "outside.png"), house), "media_outside_root")


def test_the_whole_disk_may_be_the_root(house):
    assert content(MediaRoot(Path("/")).read(Medium("image", "outside.png"), house)) == SECRET


def test_relative_folders_are_those_of_the_process(house, monkeypatch):
    monkeypatch.chdir(house)
    assert content(MediaRoot(Path("root")).read(Medium("image", "a.png"), Path("root/in"))) == PNG


# What is not


@pytest.mark.parametrize(
    "url",
    [
        "../../outside.png",
        "../../root-of-another/a.png",
        "../../nothing.png",
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "..//../outside.png",
        "file:///etc/passwd",
        "file:%2e%2e/%2e%2e/outside.png",
        "link.png",
        "folder/outside.png",
        "missing/../../../outside.png",
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd",
    ],
)
def test_no_path_leaves_the_root(house, url):
    (house / "root-of-another").mkdir()
    (house / "root-of-another" / "a.png").write_bytes(SECRET)
    (house / "root" / "in" / "link.png").symlink_to("../../outside.png")
    (house / "root" / "in" / "folder").symlink_to(house)
    assert "leads out of the folder" in refusal(read(house, url), "media_outside_root")


def test_a_link_that_is_put_in_place_after_the_path_was_resolved_is_not_followed(house):
    root = MediaRoot(house / "root")
    (house / "root" / "folder").symlink_to(house)
    (house / "root" / "link.png").symlink_to(house / "outside.png")
    for resolved in (house / "root" / "folder" / "outside.png", house / "root" / "link.png"):
        with pytest.raises(OSError) as refused:
            root._content(str(resolved))
        assert refused.value.errno in {errno.ELOOP, errno.ENOTDIR}
    assert isinstance(root._content(str(house / "root" / "in" / "a.png")), bytes)


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("b.png", "media_missing", "No such file"),
        ("a.png/b.png", "media_missing", "Not a directory"),
        ("x" * 5000, "media_missing", "name too long"),
        ("x/" * 2500, "media_missing", "No such file"),
        ("a.png\0", "media_missing", "a name that no file can have"),
        ("\ud800.png", "media_missing", "a name that no file can have"),
        ("\udcff.png", "media_missing", "No such file"),
        ("file:%00", "media_missing", "a name that no file can have"),
        ("", "media_unreadable", "is a folder, not a file"),
        (".", "media_unreadable", "is a folder, not a file"),
        ("..", "media_unreadable", "is a folder, not a file"),
        ("pipe", "media_unreadable", "is a pipe or a device, not a file"),
        ("loop", "media_unreadable", "Too many levels of symbolic links"),
        ("empty.png", "media_type", "is empty"),
        ("text.png", "media_type", "does not begin like any, where the row needs one of these: png"),
        ("film.png", "media_type", "is video/mp4, where the row needs one of these: png"),
        ("huge.png", "media_too_large", "at most some 7,864,319 bytes, 10,485,760 as a data URL"),
    ],
)
def test_what_cannot_be_read_as_it_is_named_is_a_failure_with_a_way_out(house, url, code, said):
    folder = house / "root" / "in"
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("the secret of the file")
    (folder / "film.png").write_bytes(b"\0\0\0\x18ftypisom")
    (folder / "huge.png").write_bytes(PNG)
    os.truncate(folder / "huge.png", 1 << 40)
    message = refusal(read(house, url), code)
    assert said in message
    assert "secret" not in message


def test_a_message_names_the_path_shortened_and_hides_what_looks_like_a_key(house):
    message = refusal(read(house, "charts/" + "x" * 5000 + "/\u202eend\n.png"), "media_missing")
    assert message.startswith("the image 'charts/xxx")
    assert "…" in message
    assert r"/\u202eend\n.png'" in message
    assert "sk-fake" not in refusal(read(house, "sk-fake-0123456789abcdef0123"), "media_missing")


def test_a_chain_of_links_may_be_of_any_length(house):
    folder = house / "root" / "in"
    for number in range(1200):
        (folder / f"l{number}").symlink_to(f"l{number + 1}")
    (folder / "l1200").symlink_to("a.png")
    assert content(read(house, "l1170")) == PNG
    result = read(house, "l0")
    assert "too many links" in refusal(result, "media_unreadable") if isinstance(result, Failure) else content(result) == PNG


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENXIO])
def test_what_may_not_be_read_is_a_failure(house, number):
    # A process that may do everything is refused nothing, so the system's answer is given here.
    unfit = media._refused(OSError(number, os.strerror(number)))
    assert os.strerror(number) in refusal(media._failure(Medium("image", "a.png"), unfit), "media_unreadable")


def test_a_passing_trouble_of_the_process_rejects_no_row(house):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor(), hard))
    try:
        result = read(house, "a.png")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(result, Failure)
    assert (result.fault, result.scope, result.code) == (Fault.AGAIN, Scope.ROW, "media_unreadable")
    assert "ulimit -n" in result.advice


def next_descriptor() -> int:
    descriptor = os.open("/", os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_no_descriptor_is_left_open(house):
    os.mkfifo(house / "root" / "pipe")
    before = next_descriptor()
    for url in ("a.png", "b.png", "a.png/b", ".", "../pipe", "../../outside.png", "x" * 5000):
        read(house, url)
    assert next_descriptor() == before


# Size and type


def test_a_file_may_be_as_large_as_its_data_url_fits_and_not_a_byte_larger(house):
    path = house / "root" / "in" / "a.png"
    fits = (MAX_DATA_URL_BYTES - len("data:image/png;base64,")) // 4 * 3
    path.write_bytes(PNG.ljust(fits, b"\0"))
    url = read(house, "a.png")
    assert isinstance(url, str)
    assert MAX_DATA_URL_BYTES - 4 < len(url) <= MAX_DATA_URL_BYTES
    assert unfit_data_url(url) is None
    path.write_bytes(PNG.ljust(fits + 1, b"\0"))
    refusal(read(house, "a.png"), "media_too_large")


def test_of_a_file_that_grows_without_end_only_as_much_is_read_as_could_fit():
    source, sink = os.pipe()

    def pour():
        with os.fdopen(sink, "wb", buffering=0) as pipe:
            try:
                while True:
                    pipe.write(PNG * 10_000)
            except BrokenPipeError:
                return

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        poured = media._beginning(source, MAX_FILE_BYTES + 1)
    finally:
        os.close(source)
        pouring.join()
    assert len(poured) == MAX_FILE_BYTES + 1
    assert isinstance(media._data_url("image", poured), media._Unfit)


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(house):
    with media._opened(str(house / "root"), ["in", "a.png"]) as descriptor:
        (house / "other").write_bytes(b"GIF89a")
        (house / "other").replace(house / "root" / "in" / "a.png")
        assert media._beginning(descriptor, MAX_FILE_BYTES + 1) == PNG
    assert content(read(house, "a.png")) == b"GIF89a"


@pytest.mark.parametrize(
    ("begins", "mimes"),
    [
        (PNG, {"image/png"}),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", {"image/jpeg"}),
        (b"GIF87a", {"image/gif"}),
        (b"GIF89a", {"image/gif"}),
        (b"RIFF\n\0\0\0WEBPVP8 ", {"image/webp"}),
        (b"BM\x46\0\0\0\0\0\0\0\x36", {"image/bmp"}),
        (b"II*\0\x08", {"image/tiff"}),
        (b"MM\0*\0", {"image/tiff"}),
        (b"\0\0\0\x18ftypheic", {"image/heic"}),
        (b"\0\0\0\x18ftypmif1", {"image/heic"}),
        (b"RIFF\n\0\0\0WAVEfmt ", {"audio/wav"}),
        (b"ID3\x04", {"audio/mpeg"}),
        (b"\xff\xfb\x90\x64", {"audio/mpeg"}),
        (b"\xff\xf3\x40\xc4", {"audio/mpeg"}),
        (b"\xff\xf1\x50\x80", {"audio/aac"}),
        (b"fLaC\0", {"audio/flac"}),
        (b"OggS\0\x02", {"audio/ogg"}),
        (b"\0\0\0\x20ftypM4A \0", {"audio/mp4"}),
        (b"\0\0\0\x20ftypmp42\0", {"audio/mp4", "video/mp4"}),
        (b"#!AMR\n", {"audio/amr"}),
        (EBML + b"webm", {"audio/webm", "video/webm"}),
        (b"\0\0\0\x18ftypisom", {"audio/mp4", "video/mp4"}),
        (b"\0\0\0\x18ftypM4V ", {"video/mp4"}),
        (b"\0\0\0\x14ftypqt  ", {"video/quicktime"}),
        (b"\0\0\0\x08wide", {"video/quicktime"}),
        (EBML + b"matroska", {"video/x-matroska"}),
        (b"RIFF\n\0\0\0AVI LIST", {"video/x-msvideo"}),
        (b"FLV\x01\x05", {"video/x-flv"}),
    ],
)
def test_a_type_is_told_by_the_first_bytes_and_passes_for_no_other_kind(house, begins, mimes):
    (house / "root" / "in" / "a.bin").write_bytes(begins)
    told = set()
    for kind in KINDS:
        result = read(house, "a.bin", kind)
        if isinstance(result, str):
            assert result.startswith(f"data:{kind}/")
            told.add(result.removeprefix("data:").partition(";")[0])
        else:
            assert any(f"is {mime}, where" in refusal(result, "media_type") for mime in mimes)
    assert told == mimes


@pytest.mark.parametrize(
    "begins",
    [b"BM is how this text begins", b"\xff\xfe\xfa\0", b"RIFF\n\0\0\0ACON", b"<svg", b"%PDF-1.7", b"PK\x03\x04", b"x" + PNG, b"\x89PNG"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_medium_is_refused_whatever_it_is_called(house, begins, kind):
    (house / "root" / "in" / "a.png").write_bytes(begins)
    refusal(read(house, "a.png", kind), "media_type")


# Any text at all

STEP = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a.png",
        "in",
        "link.png",
        "folder",
        "root",
        "outside.png",
        "pipe",
        "loop",
        "~",
        "etc",
        "x" * 300,
        "%2e%2e",
        "\0",
        "\ud800",
    ]
)
TEXT = st.text(st.characters(codec=None) | st.sampled_from("/.%\0\n~:"), max_size=40)
START = st.sampled_from(["", "/", "//", "file:", "file://", "file:///", "ROOT/", "file://ROOT/", "OUT/"])
PATHS = st.builds(
    lambda start, steps, text: start + "/".join([*steps, text] if text else steps), START, st.lists(STEP, max_size=8), TEXT | st.just("")
)


@given(url=PATHS, kind=st.sampled_from(KINDS))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_text_gives_a_data_url_or_a_failure_and_nothing_outside_the_root_is_read(house, url, kind):
    folder = house / "root" / "in"
    if not (folder / "loop").is_symlink():
        os.mkfifo(folder / "pipe")
        (folder / "loop").symlink_to("loop")
        (folder / "link.png").symlink_to("../../outside.png")
        (folder / "folder").symlink_to(house)
    result = read(house, url.replace("ROOT", f"{house}/root").replace("OUT", str(house)), kind)
    if isinstance(result, Failure):
        refusal(result, result.code)
        assert "brought-out" not in result.message
    else:
        assert (kind, content(result)) == ("image", PNG)
