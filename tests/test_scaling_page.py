"""docs/scaling.md says what docs/scaling.json holds, and nothing else."""

import re

from benchmarks import scaling


def test_the_tables_are_those_of_what_was_compiled(capsys):
    scaling.main(["--print"])
    printed = capsys.readouterr().out.strip()
    page = scaling.PAGE.read_text()
    found = re.findall(r"<!-- (\w+): begin -->\n(.*?)\n<!-- \1: end -->", page, flags=re.DOTALL)
    assert {name for name, _ in found} == {"fits", "pods", "shared", "whole"}
    assert sorted(text for _, text in found) == sorted(printed.split("\n\n"))
    assert all(text.count("\n") >= 4 for name, text in found if name != "whole")
