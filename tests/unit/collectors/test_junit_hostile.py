"""XML that was made to harm: a clear error, in bounded memory."""

import subprocess
import sys

import pytest

from collectors.junit import read_junit
from processes.errors import InputError

BOMB = (
    "<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10 if n else '&a;' * 10}'>" for n in range(10))
    + "]><testsuite name='&a9;'><testcase/></testsuite>"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no element found"),
        (b"<testsuite><testcase name='a'/>", "no element found"),
        (b"<testsuite><testcase name='a'", "unclosed token"),
        (b"<testsuite/><testsuite/>", "junk after document element"),
        (b"<?xml version='1.0' encoding='utf-8'?><testsuite name='\xe9t\xe9'/>", "not well-formed"),
        (b"<?xml version='1.0' encoding='klingon'?><testsuite/>", "encoding"),
        (b"<?xml version='1.0' encoding='utf-16'?><testsuite/>", "encoding"),
        (b"\x1f\x8b\x08\x00", "not well-formed"),
        (b"<!DOCTYPE testsuite><testsuite/>", "DOCTYPE"),
        (b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><testsuite name='&e;'/>", "DOCTYPE"),
        (b"<testsuite><testcase name='&e;'/></testsuite>", "undefined entity"),
        (BOMB.encode(), "DOCTYPE"),
        (b"<testsuite>" * 1_000_000, "nested deeper"),
        (b"<testsuite>" + b"".join(b"<t%d/>" % n for n in range(60_000)) + b"</testsuite>", "different tag"),
    ],
)
def test_a_hostile_or_broken_file_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "results.xml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        read_junit([path])
    assert "\n" not in str(refused.value)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_junit([tmp_path])


def test_utf_16_with_a_mark_is_read(tmp_path):
    path = tmp_path / "results.xml"
    path.write_bytes("<testsuite><testcase name='é'><failure/></testcase></testsuite>".encode("utf-16"))
    assert read_junit([path]).not_passed == ["é"]


STREAM = """
import itertools, resource, sys
from collectors.junit import count_junit
from collectors.totals import Totals

class Endless:
    def __init__(self, head, unit):
        self.head, self.unit, self.sent = head, unit, 0
    def read(self, count):
        if self.sent > int(sys.argv[3]):
            return b""
        given, self.head = self.head or self.unit * (count // len(self.unit)), b""
        self.sent += len(given)
        return given

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    count_junit(Endless(sys.argv[1].encode(), sys.argv[2].encode()), "endless", Totals())
except ValueError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("head", "unit", "size", "message"),
    [
        ("<testsuite name='", "a", 1 << 30, "longer than 8 MiB"),
        ("<testsuite><!--", "a ", 1 << 30, "longer than 8 MiB"),
        ("<testsuite ", "a='' ", 1 << 30, "longer than 8 MiB|duplicate attribute"),
        ("<testsuite><testcase><system-out>", "abc def\n", 64_000_000, "no element found"),
        ("<testsuite><testcase>", "<failure message='no'/>", 8_000_000, "no element found"),
        (
            "<testsuites>",
            "<testsuite tests='x'><testcase><error/></testcase></testsuite>",
            8_000_000,
            "no element found",
        ),
    ],
)
def test_memory_does_not_grow_with_the_file(head, unit, size, message):
    ran = subprocess.run(
        [sys.executable, "-c", STREAM, head, unit, str(size)], capture_output=True, text=True, check=True
    )
    error, grown_mb = ran.stdout.splitlines()
    assert pytest.approx(0, abs=60) == int(grown_mb)
    assert any(part in error for part in message.split("|"))
