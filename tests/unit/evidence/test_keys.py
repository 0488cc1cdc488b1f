from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evidence.keys import load_or_create_key, parse_public_text


def test_those_who_begin_at_once_end_with_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "collector"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_or_create_key(path).public_key().public_bytes_raw(), range(16)))
    assert set(keys) == {
        parse_public_text(" ".join(path.with_name("collector.pub").read_text().split()[:2])).public_bytes_raw()
    }
    assert sorted(file.name for file in path.parent.iterdir()) == ["collector", "collector.pub"]


def test_a_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    load_or_create_key(tmp_path / "keys" / "collector")
    assert (tmp_path / "keys" / "collector").stat().st_mode & 0o777 == 0o600
