"""Start, watch and stop real processes: the systems under test, load generators, proxies, servers."""
