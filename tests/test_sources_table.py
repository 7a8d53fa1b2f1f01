from __future__ import annotations

from scripts import sources_table


def test_table_of_sources_is_up_to_date() -> None:
    assert sources_table.main(["--check"]) == 0
